//! The tale of one process against its true runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::super::truth::{Death, Life, Truth};
use super::align::{Step, cheapest};
use super::event::Event;
use super::{SLACK, Score};

/// One telling of a beginning or an end.
#[derive(Debug, Clone, Copy)]
struct Act<'a> {
    event: &'a Event,
    /// True where the event speaks of the newest run of its look.
    newest: bool,
    is_begin: bool,
}

/// A run as it was told.
#[derive(Debug, Default)]
struct Run<'a> {
    begin: Option<Act<'a>>,
    end: Option<Act<'a>>,
    health: Vec<&'a Event>,
    pid: Option<i64>,
    epoch: Option<usize>,
}

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for act in [self.begin, self.end].into_iter().flatten() {
            write!(f, "[{}] ", act.event)?;
        }
        write!(f, "pid {:?} epoch {:?}", self.pid, self.epoch)
    }
}

/// One process: what was told of it, and its true runs.
pub(super) struct Process<'a> {
    pub(super) name: &'a str,
    pub(super) events: &'a [&'a Event],
    pub(super) sources: &'a [&'a Event],
    pub(super) epochs: &'a BTreeMap<String, usize>,
    pub(super) lives: &'a [Life],
    pub(super) truth: &'a Truth,
}

impl<'a> Process<'a> {
    pub(super) fn score(&self, score: &mut Score) {
        let runs = self.runs(&mut score.wrong);
        let last = self.lives.len();
        let steps = cheapest(
            (last, runs.len()),
            |i| {
                if self.is_unseen(&self.lives[i]) {
                    1
                } else {
                    100
                }
            },
            |i, j| {
                self.fits(&self.lives[i], &runs[j])
                    .then(|| self.details(&self.lives[i], &runs[j]).len())
            },
        );
        let (mut missed, mut excused) = (Vec::new(), Vec::new());
        for step in &steps {
            if let Step::Miss(i) = *step {
                missed.push(i);
            }
        }
        for index in self.too_many(&missed) {
            score.wrong.push(format!(
                "lost, and more than could not be counted: {} {:?}",
                self.name, self.lives[index]
            ));
        }
        for step in steps {
            match step {
                Step::Miss(i) if self.is_unseen(&self.lives[i]) => score.unseen += 1,
                Step::Miss(i) => {
                    score
                        .wrong
                        .push(format!("lost: {} {:?}", self.name, self.lives[i]));
                }
                Step::Extra(j) if self.is_called_off(&runs[j], &mut excused) => {}
                Step::Extra(j) => score.wrong.push(format!("made up or twice: {}", runs[j])),
                Step::Match(i, j) => {
                    let (life, run) = (&self.lives[i], &runs[j]);
                    score.wrong.extend(self.details(life, run));
                    self.health(life, run, &mut score.wrong);
                }
            }
        }
    }

    /// Whether a run too many may stand for a restart that was called off: the look that tells it tells its last one as in
    /// doubt, and nothing else is excused by that.
    fn is_called_off(&self, run: &Run<'_>, excused: &mut Vec<u64>) -> bool {
        let Some(begin) = run.begin else { return false };
        let doubt = self.events.iter().rfind(|event| {
            event.at == begin.event.at
                && event.is_begin()
                && event.certainty == "ambiguous"
                && event.reason() == "policy"
        });
        let Some(doubt) = doubt.filter(|doubt| !excused.contains(&doubt.seq)) else {
            return false;
        };
        excused.push(doubt.seq);
        let mut all = self.truth.cancelled.iter();
        all.any(|(name, at)| name == self.name && doubt.holds(*at))
    }

    /// Beginnings and ends, each as often as it counts, look by look.
    fn acts(&self) -> Vec<(Option<Act<'a>>, &'a Event, bool)> {
        let mut out = Vec::new();
        for look in self.events.chunk_by(|a, b| a.at == b.at) {
            let last_begin = look.iter().rposition(|event| event.is_begin());
            let mut rest = 0..look.len();
            while let Some(index) = rest.next() {
                let event = look[index];
                if !event.is_begin() && !event.is_end() {
                    out.push((None, event, false));
                    continue;
                }
                let pair = look.get(index + 1).copied().filter(|second| {
                    event.count > 1
                        && second.count == event.count
                        && ((event.is_begin() && second.is_end())
                            || (event.is_end() && second.is_begin()))
                });
                if pair.is_some() {
                    rest.next();
                }
                let indices = [Some(index), pair.map(|_| index + 1)];
                for nth in 0..event.count {
                    for index in indices.into_iter().flatten() {
                        let event = look[index];
                        let ultimate = nth + 1 == event.count;
                        let act = Act {
                            event,
                            newest: ultimate && last_begin.is_none_or(|last| last <= index),
                            is_begin: event.is_begin(),
                        };
                        out.push((Some(act), event, false));
                    }
                }
            }
            if let Some(last) = out.last_mut() {
                last.2 = true;
            }
        }
        out
    }

    /// The runs told.
    fn runs(&self, wrong: &mut Vec<String>) -> Vec<Run<'a>> {
        let mut runs: Vec<Run<'a>> = Vec::new();
        let mut open = false;
        for (act, event, ends_look) in self.acts() {
            let epoch = self.epochs.get(&event.epoch).copied();
            match act {
                Some(act) if act.is_begin => {
                    let goes_on = runs.last().is_some_and(|run| run.epoch == epoch);
                    if open && goes_on {
                        wrong.push(format!("begins twice: {event}"));
                    }
                    let pid = act
                        .newest
                        .then(|| event.raw["state"]["pid"].as_i64())
                        .flatten();
                    runs.push(Run {
                        begin: Some(act),
                        pid,
                        epoch,
                        ..Run::default()
                    });
                    open = true;
                }
                Some(act) => {
                    if !open {
                        if event.origin() != "initial" {
                            wrong.push(format!("ends what never began: {event}"));
                        }
                        let pid = event.raw["state"]["pid"].as_i64();
                        runs.push(Run {
                            pid,
                            epoch,
                            ..Run::default()
                        });
                    }
                    if let Some(run) = runs.last_mut() {
                        run.end = Some(act);
                        if act.newest && run.begin.is_some_and(|begin| begin.event.at == event.at) {
                            run.pid = event.raw["state"]["pid"].as_i64();
                        }
                    }
                    open = false;
                }
                None if event.is_health() && !open => {
                    wrong.push(format!("health of what is not up: {event}"));
                }
                None if event.is_health() => runs.last_mut().unwrap().health.push(event),
                None => {}
            }
            // One that is told to end goes on until it has.
            let state = &event.raw["state"];
            let is_up = state["is_running"] == true || state["status"] == "Terminating";
            if ends_look && is_up != open {
                wrong.push(format!(
                    "told as {}, shown otherwise: {event} {}",
                    if open { "up" } else { "not up" },
                    event.raw["state"]
                ));
            }
        }
        runs
    }

    /// Whether a told run may be this one.
    fn fits(&self, life: &Life, run: &Run<'_>) -> bool {
        let pid = run.pid.is_none_or(|pid| pid == life.pid);
        let begins = run
            .begin
            .is_none_or(|begin| begin.event.holds(life.begun) || is_described(begin.event));
        // A new epoch may end it: then the window of whoever says so goes over both.
        let ends = match (&run.end, &life.end) {
            (None, None) => true,
            (None, Some(end)) => self.ends_with_its_epoch(life, end),
            (Some(_), None) => false,
            (Some(told), Some(end)) => told.event.holds(end.at) || is_described(told.event),
        };
        pid && begins && ends && run.epoch == Some(life.epoch)
    }

    /// Whether the end of a run is told by the new epoch alone: nobody looked between the end and the new one.
    fn ends_with_its_epoch(&self, life: &Life, end: &Death) -> bool {
        self.entries()
            .any(|(epoch, event)| epoch > life.epoch && event.holds(end.at))
    }

    /// The `restarted` of the source, with the epoch each of them enters.
    fn entries(&self) -> impl Iterator<Item = (usize, &'a Event)> {
        let restarted = self
            .sources
            .iter()
            .filter(|event| event.kind == "restarted");
        restarted.filter_map(|event| Some((*self.epochs.get(&event.epoch)?, *event)))
    }

    /// Whether the stream itself says that this run could not be seen.
    fn is_unseen(&self, life: &Life) -> bool {
        let Some(end) = &life.end else { return false };
        let (from, to) = (life.begun, end.at);
        let first = self.is_before_all(life);
        let between = self.is_between_epochs(life);
        let excused = self
            .windows()
            .any(|event| event.spans(from, to) && self.uncounted(event) > 0);
        first || between || excused
    }

    /// Whether it lies whole before the first look ever.
    fn is_before_all(&self, life: &Life) -> bool {
        let first = self.sources.first();
        let end = life.end.as_ref();
        end.zip(first)
            .is_some_and(|(end, first)| end.at <= first.at + SLACK)
    }

    /// Whether it lies whole where a new epoch is told: per process at most one thing is told of all that.
    fn is_between_epochs(&self, life: &Life) -> bool {
        life.end.as_ref().is_some_and(|end| {
            self.entries()
                .any(|(epoch, event)| epoch >= life.epoch && event.spans(life.begun, end.at))
        })
    }

    /// What the stream has windows of: the events of this process, and gaps.
    fn windows(&self) -> impl Iterator<Item = &'a Event> {
        let gaps = self.sources.iter().filter(|event| event.kind == "gap");
        self.events.iter().chain(gaps).copied()
    }

    /// How many runs began in the window of an event that the server does not count.
    fn uncounted(&self, event: &Event) -> usize {
        let began = self.lives.iter().filter(|life| event.holds(life.begun));
        began.filter(|life| life.because != "policy").count()
    }

    /// The missing runs for which no run that began without being counted is left: each of those excuses one, where one
    /// window holds both.
    fn too_many(&self, missed: &[usize]) -> Vec<usize> {
        let excuses = |index: usize| -> Vec<usize> {
            let life = &self.lives[index];
            let Some(end) = &life.end else {
                return Vec::new();
            };
            let windows = self.windows().filter(|e| e.spans(life.begun, end.at));
            let windows: Vec<_> = windows.collect();
            let uncounted = |other: &usize| {
                let other = &self.lives[*other];
                other.because != "policy" && windows.iter().any(|e| e.holds(other.begun))
            };
            (0..self.lives.len()).filter(uncounted).collect()
        };
        let mut taken = BTreeMap::new();
        let unseen = missed.iter().copied().filter(|&index| {
            let life = &self.lives[index];
            self.is_unseen(life) && !self.is_between_epochs(life) && !self.is_before_all(life)
        });
        unseen
            .filter(|&index| !excused(index, &excuses, &mut taken, &mut BTreeSet::new()))
            .collect()
    }

    fn details(&self, life: &Life, run: &Run<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(begin) = run.begin
            && begin.newest
            && begin.event.certainty == "certain"
            && (begin.event.reason() == "policy") != (life.because == "policy")
            && !matches!(begin.event.reason(), "source_restarted" | "present")
            && !self.follows_a_guess(begin.event)
            && !self.was_called_off_within(begin.event)
        {
            wrong.push(format!("begun by {}: {}", life.because, begin.event));
        }
        let (Some(told), Some(end)) = (run.end, &life.end) else {
            return wrong;
        };
        if end.is_unwritten() {
            if told.event.reason() != "source_restarted" {
                wrong.push(format!("it ended with its server: {}", told.event));
            }
            return wrong;
        }
        let code = told.event.raw["exit"]["code"].as_i64();
        let guessed = told.event.certainty == "inferred"
            && code.is_some_and(|code| self.may_show(told.event, code));
        if told.event.count == 1 && code.is_some_and(|code| code != end.code) && !guessed {
            wrong.push(format!(
                "exit {} of {life:?}: {}",
                told.event.raw["exit"], told.event
            ));
        }
        let well = end.code == 0 || matches!(end.because.as_str(), "user_stop" | "user_restart");
        if told.event.certainty == "certain" && (told.event.kind == "stopped") != well {
            wrong.push(format!("{} of {life:?}: {}", told.event.kind, told.event));
        }
        wrong
    }

    /// Whether a restart that was announced was called off within the window of a beginning: both looks show what they would
    /// if it had come.
    fn was_called_off_within(&self, begin: &Event) -> bool {
        let mut all = self.truth.cancelled.iter();
        all.any(|(name, at)| name == self.name && begin.holds(*at))
    }

    /// Whether a whole run lies in the window of a beginning, and a request: what the server counts may then be of a restart
    /// that was called off, or of a run that the request ended.
    fn follows_a_guess(&self, begin: &Event) -> bool {
        let within = |life: &Life| {
            let end = life.end.as_ref();
            end.is_some_and(|end| begin.holds(end.at))
        };
        self.lives.iter().any(within) && self.uncounted(begin) > 0
    }

    /// Whether a code may be shown at the end of a window with a request in it: that of another end there, or nothing,
    /// which is 0.
    fn may_show(&self, told: &Event, code: i64) -> bool {
        let mut ends = self.lives.iter().filter_map(|life| life.end.as_ref());
        let shown = code == 0 || ends.any(|end| end.code == code && told.holds(end.at));
        shown && self.uncounted(told) > 0
    }

    fn health(&self, life: &Life, run: &Run<'_>, wrong: &mut Vec<String>) {
        let mut facts = life.health.iter().enumerate();
        let mut missed = Vec::new();
        for told in &run.health {
            let value = told.kind == "healthy";
            loop {
                match facts.next() {
                    Some((_, (at, is))) if *is == value && told.holds(*at) => break,
                    Some((index, _)) => missed.push(index),
                    None => {
                        wrong.push(format!("health made up or twice: {told} of {life:?}"));
                        return;
                    }
                }
            }
        }
        missed.extend(facts.map(|(index, _)| index));
        for index in missed {
            let (from, value) = life.health[index];
            let next = life.health.get(index + 1).map(|(at, _)| *at);
            let until = next.or(life.end.as_ref().map(|end| end.at));
            let unseen = until.is_some_and(|until| {
                let events = self
                    .events
                    .iter()
                    .copied()
                    .chain(self.entries().map(|(_, event)| event));
                let mut later = events.filter(|event| event.at >= from);
                later.any(|event| event.spans(from, until))
            });
            if !unseen {
                let word = if value { "healthy" } else { "unhealthy" };
                wrong.push(format!(
                    "lost: {} {word} at {from} until {until:?} of {life:?}",
                    self.name
                ));
            }
        }
    }
}

/// The first look ever tells what is there, whenever it began.
fn is_described(event: &Event) -> bool {
    event.origin() == "initial"
}

/// Finds an excuse for a run, if need be by giving another run another one.
fn excused(
    index: usize,
    excuses: &impl Fn(usize) -> Vec<usize>,
    taken: &mut BTreeMap<usize, usize>,
    tried: &mut BTreeSet<usize>,
) -> bool {
    for excuse in excuses(index) {
        if !tried.insert(excuse) {
            continue;
        }
        let holder = taken.get(&excuse).copied();
        if holder.is_none_or(|holder| excused(holder, excuses, taken, tried)) {
            taken.insert(excuse, index);
            return true;
        }
    }
    false
}
