//! What is said about an event behind its name: the reason in words, then what is worth knowing, the least important last.

use std::time::Duration;

use super::style::Style;
use super::time::{Times, since};
use super::words::{age, bytes, signal, span};
use crate::event::envelope::Envelope;
use crate::event::payload::{Kind, Origin, Severity, State};

/// The most columns a foreign word takes within a text.
const WORD: usize = 40;
/// A window up to this long is the usual distance of two looks and not worth a word.
const USUAL_WINDOW: Duration = Duration::from_secs(5);

/// The text of a process event: what is news, and what only explains it.
#[derive(Debug, Default)]
pub(super) struct Detail {
    pub(super) news: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Detail {
    pub(super) fn of(event: &Envelope, style: Style, times: Times) -> Self {
        let mut detail = Self::default();
        detail.reason(event, style);
        detail.weight(event, style);
        if let Some(state) = &event.state {
            detail.life(event, state);
        }
        detail.origin(event);
        detail.window(event, times);
        if let Some(namespace) = event.namespace.as_deref().filter(|n| *n != "default") {
            detail
                .notes
                .push(format!("in {}", style.clean(namespace, WORD)));
        }
        detail
    }

    fn reason(&mut self, event: &Envelope, style: Style) {
        let exit = exit_words(event);
        let words = match &*event.reason {
            // What nobody saw says `inferred`.
            "exit" | "signal" | "exited" | "missed" | "" => None,
            "present" => Some("already up"),
            "added" => Some("new"),
            "removed" => Some("removed"),
            "requested" => Some("on request"),
            "policy" => Some("by policy"),
            "watch" => Some("files changed"),
            "schedule" => Some("on schedule"),
            "dependency_met" => Some("dependency met"),
            "dependency_failed" => Some("dependency failed"),
            "restart_cancelled" => Some("restart cancelled"),
            "replaced" => Some("replaced"),
            "unhealthy" => Some("probe failed"),
            "spawn_failed" => Some("could not be started"),
            "starting" => Some("not ready yet"),
            "probe" if event.kind == Kind::Healthy => Some("ready"),
            "probe" => Some("not ready"),
            "source_restarted" => Some("supervisor restarted"),
            "unknown" => Some("reason unknown"),
            "renamed" => return self.news.push(renamed(event, style)),
            "status" => return self.news.push(status(event, style)),
            other => {
                let words = style.clean(other, WORD).replace('_', " ");
                self.news.extend([words].into_iter().chain(exit));
                return;
            }
        };
        // What could not be started has no end to speak of, and what was asked to end is to end like this.
        let exit = exit.filter(|_| event.reason != "spawn_failed" && !is_obedience(event));
        self.news
            .extend(words.map(str::to_owned).into_iter().chain(exit));
        if self.news.is_empty() && event.kind.is_end() {
            self.news.push("ended".to_owned());
        }
    }

    fn weight(&mut self, event: &Envelope, style: Style) {
        if event.count != 1 {
            self.news
                .push(format!("{}{}", style.pick("×", "x"), event.count));
        }
        match (&event.kind, event.severity) {
            (Kind::Crashed, Severity::Critical) => self.news.push("keeps crashing".to_owned()),
            (_, Severity::Critical) => self.news.push("critical".to_owned()),
            _ => {}
        }
        if event.certainty != "certain" && !event.certainty.is_empty() {
            self.news
                .push(style.clean(&event.certainty, WORD).into_owned());
        }
    }

    fn life(&mut self, event: &Envelope, state: &State) {
        let seen_end = event.kind.is_end() && event.reason != "spawn_failed";
        if let Some(lasted) =
            lasted(state).filter(|_| seen_end && event.certainty != "inferred" && event.count == 1)
        {
            self.notes.push(format!("ran {}", lasting(lasted)));
        }
        let counted = event.kind == Kind::Restarted || event.kind == Kind::Crashed;
        if counted && state.restarts > 0 {
            self.notes.push(match event.kind {
                Kind::Restarted => format!("restart {}", state.restarts),
                _ => format!("restarts {}", state.restarts),
            });
        }
    }

    fn origin(&mut self, event: &Envelope) {
        match event.origin {
            Origin::Change => {}
            // Their words say it already.
            Origin::Initial if event.reason == "present" => {}
            Origin::Resync if event.reason == "source_restarted" => {}
            Origin::Initial => self.notes.push("first look".to_owned()),
            Origin::Resync => self.notes.push("resync".to_owned()),
        }
    }

    fn window(&mut self, event: &Envelope, times: Times) {
        let occurred = &event.occurred;
        if let Some(at) = occurred.at {
            if since(at, event.timestamp) > USUAL_WINDOW {
                self.notes.push(format!("at {}", times.clock(at)));
            }
        } else if let Some(after) = occurred.after {
            let window = since(after, occurred.before);
            if window > USUAL_WINDOW {
                self.notes.push(format!("within {}", age(window)));
            }
        }
    }
}

/// How long a run lasted: short ones to the millisecond, because that is what tells a bad start from a long life.
fn lasting(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        span(duration)
    } else {
        age(duration)
    }
}

/// How a run ended: `exit 7`, `SIGKILL`, `by a signal`; nothing where the event is no end or the code is not known.
fn exit_words(event: &Envelope) -> Option<String> {
    let exit = event.exit?;
    if let Some(number) = exit.signal {
        return Some(signal(number).map_or_else(|| format!("signal {number}"), str::to_owned));
    }
    match exit.code {
        Some(-1) => Some("by a signal".to_owned()),
        Some(code) => Some(format!("exit {code}")),
        None if event.reason == "signal" => Some("by a signal".to_owned()),
        None if event.reason == "exit" => Some("exit code unknown".to_owned()),
        None => None,
    }
}

/// Whether a run ended as one that was asked to end usually does.
fn is_obedience(event: &Envelope) -> bool {
    const SIGTERM: i64 = 15;
    event.reason == "requested"
        && event.exit.is_some_and(|exit| {
            exit.expected && (exit.signal == Some(SIGTERM) || matches!(exit.code, Some(0 | -1)))
        })
}

fn renamed(event: &Envelope, style: Style) -> String {
    let before = event.previous.as_ref().and_then(|p| p.name.as_deref());
    match before {
        Some(name) => format!("renamed from {}", style.clean(name, WORD)),
        None => "renamed".to_owned(),
    }
}

fn status(event: &Envelope, style: Style) -> String {
    let after = event.state.as_ref().map_or("", |state| &*state.status);
    let after = style.clean(after, WORD);
    match &event.previous {
        Some(before) => format!(
            "{} {} {after}",
            style.clean(&before.status, WORD),
            style.pick("→", "->")
        ),
        None => after.into_owned(),
    }
}

/// What a snapshot says about one process: the supervisor's own words, then what it uses.
pub(super) fn standing(state: &State, style: Style) -> Detail {
    let mut detail = Detail::default();
    // The word in front of the line says as much as this one.
    if state.status != "Running" || !state.is_running {
        let status = style.clean(&state.status, WORD);
        detail.news.push(status.into_owned());
    }
    if state.has_ready_probe && state.is_running {
        detail.news.push(match &*state.is_ready {
            "Ready" => "ready".to_owned(),
            "Not Ready" => "not ready".to_owned(),
            other => format!("readiness {}", style.clean(other, WORD)),
        });
    }
    let has_ended = !state.is_running && (state.ended_at.is_some() || state.exit_code != 0);
    if has_ended {
        detail.news.push(match state.exit_code {
            -1 => "by a signal".to_owned(),
            code => format!("exit {code}"),
        });
    }
    // A process nobody saw running has an age of nothing.
    if let Some(ms) = state
        .age_ms
        .and_then(|ms| u64::try_from(ms).ok())
        .filter(|ms| *ms > 0)
    {
        let word = if state.is_running { "for" } else { "ran" };
        let lasted = lasting(Duration::from_millis(ms));
        detail.notes.push(format!("{word} {lasted}"));
    }
    if state.restarts != 0 {
        detail.notes.push(format!("restarts {}", state.restarts));
    }
    if state.is_running {
        detail.notes.extend(memory(state));
        detail.notes.extend(processor(state));
    }
    if state.namespace != "default" {
        detail
            .notes
            .push(format!("in {}", style.clean(&state.namespace, WORD)));
    }
    detail
}

/// Resident memory in words, where it is known.
pub(super) fn memory(state: &State) -> Option<String> {
    state
        .mem_bytes
        .and_then(|amount| u64::try_from(amount).ok())
        .map(bytes)
}

/// Percent of one core in words, where it is known.
pub(super) fn processor(state: &State) -> Option<String> {
    state.cpu_percent.map(|percent| format!("{percent:.1} %"))
}

/// How long a run lasted, where that can be said truly.
///
/// The age is what the last look saw, so it is short by up to an interval: good enough for a long run, false for a
/// short one. The start time is not moved by restarts of the policy, so with any of them it is another run's.
fn lasted(state: &State) -> Option<Duration> {
    const LONG: Duration = Duration::from_secs(20);
    let exact = match (state.started_at, state.ended_at) {
        (Some(start), Some(end)) if state.restarts == 0 => (end - start).to_std().ok(),
        _ => None,
    };
    let age = state
        .age_ms
        .and_then(|ms| u64::try_from(ms).ok())
        .map(Duration::from_millis);
    exact.or(age.filter(|age| *age >= LONG))
}
