//! The state of a process as the API answers it, in every dialect that can be played.

use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::profile::Feature;
use super::script::Names;
use super::world::{Key, Process, Shown, Stage, Status, World};
use crate::simulate::world::health_word;

/// Metrics are sampled at most this often, by whoever looks.
const SAMPLE: Duration = Duration::from_secs(1);

/// A torn look is only possible this close to a change.
const MOMENT: Duration = Duration::from_secs(1);

/// The keys in the order the real server writes them.
#[derive(Serialize)]
struct State<'a> {
    name: &'a str,
    namespace: Namespace<'a>,
    status: &'a str,
    system_time: String,
    age: i64,
    is_ready: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_ready_probe: Option<bool>,
    restarts: u32,
    exit_code: i32,
    #[serde(skip_serializing_if = "<[i32]>::is_empty")]
    success_exit_codes: &'a [i32],
    pid: u32,
    is_elevated: bool,
    password_provided: bool,
    mem: i64,
    #[serde(serialize_with = "short")]
    cpu: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_running: Option<bool>,
    #[serde(rename = "IsRunning", skip_serializing_if = "Option::is_none")]
    old_is_running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_time: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_watched: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    watch_trigger_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watch_trigger_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_activity_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_ready_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_end_time: Option<String>,
}

enum Namespace<'a> {
    One(&'a str),
    Many(&'a [String]),
}

impl<'a> Namespace<'a> {
    fn of(names: &'a Names, world: &World) -> Self {
        if world.has(Feature::FreshState) && names.all().len() > 1 {
            Self::Many(names.all())
        } else {
            Self::One(names.first())
        }
    }
}

impl Serialize for Namespace<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(name) => to.serialize_str(name),
            Self::Many(names) => to.collect_seq(*names),
        }
    }
}

/// A whole number without `.0`, as Go writes it.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references to its functions"
)]
fn short<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a percentage without a fraction, far below the limits of i64"
    )]
    if number.fract() == 0.0 {
        to.serialize_i64(*number as i64)
    } else {
        to.serialize_f64(*number)
    }
}

/// A moment as Go writes it: RFC 3339 with the local offset and no trailing zeros.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    let text = at
        .with_timezone(&Local)
        .to_rfc3339_opts(SecondsFormat::Nanos, true);
    let Some(dot) = text.find('.') else {
        return text;
    };
    let zone = text[dot..]
        .find(['Z', '+', '-'])
        .map_or(text.len(), |i| dot + i);
    let fraction = text[dot..zone].trim_end_matches('0');
    format!(
        "{}{}{}",
        &text[..dot],
        if fraction == "." { "" } else { fraction },
        &text[zone..]
    )
}

/// An age for people, coarser the older.
pub(super) fn human(age: i64) -> String {
    if age <= 0 {
        return "-".to_owned();
    }
    let secs = age / 1_000_000_000;
    let (minutes, hours, days) = (secs / 60, secs / 3_600, secs / 86_400);
    let pair = |a: i64, x: &str, b: i64, y: &str| {
        if b == 0 {
            format!("{a}{x}")
        } else {
            format!("{a}{x}{b}{y}")
        }
    };
    match secs {
        0..120 => format!("{secs}s"),
        120..600 => pair(minutes, "m", secs % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => format!("{}y", days / 365),
    }
}

/// What the state stream publishes: the state as it was kept, without overlays.
pub(super) fn kept(world: &World, process: &Process) -> String {
    text(&state(world, process, &process.shown))
}

fn text(state: &State<'_>) -> String {
    serde_json::to_string(state).unwrap_or_default()
}

fn state<'a>(world: &'a World, process: &'a Process, shown: &Shown) -> State<'a> {
    let running_key = world.has(Feature::RunningKey);
    let times = world.has(Feature::Stream);
    let time = |at: Option<Duration>| at.filter(|_| times).map(|at| stamp(world.wall(at)));
    State {
        name: &process.name,
        namespace: Namespace::of(&process.spec.namespace, world),
        status: shown.status.word(),
        system_time: human(shown.age),
        age: shown.age,
        is_ready: health_word(shown.health),
        has_ready_probe: running_key.then(|| process.spec.has_probe()),
        restarts: shown.restarts,
        exit_code: shown.exit_code,
        success_exit_codes: if world.has(Feature::SuccessCodes) {
            &process.spec.success_exit_codes
        } else {
            &[]
        },
        pid: shown.pid,
        is_elevated: false,
        password_provided: false,
        mem: shown.mem,
        cpu: shown.cpu,
        is_running: running_key.then_some(shown.seen_running),
        old_is_running: (!running_key).then_some(shown.seen_running),
        next_run_time: None,
        is_watched: false,
        watch_trigger_path: None,
        watch_trigger_time: None,
        last_activity_time: time(shown.active),
        process_start_time: time(shown.started),
        process_ready_time: time(shown.ready),
        process_end_time: time(shown.ended),
    }
}

/// How a look is torn.
#[derive(Clone, Copy, PartialEq)]
enum Tear {
    /// Running already, the pid not yet known.
    NoPid,
    /// The flag is ahead of the status or behind it.
    WrongFlag,
    /// Restarting, not yet counted.
    OldCount,
}

impl World {
    /// One look at every process, in no order: the texts of the states.
    pub(super) fn look_at_all(&mut self) -> Vec<String> {
        let mut keys: Vec<Key> = self.processes.keys().copied().collect();
        self.looks.shuffle(&mut keys);
        keys.into_iter().filter_map(|key| self.look(key)).collect()
    }

    /// One look at a process, which refreshes what only a look refreshes.
    pub(super) fn look(&mut self, key: Key) -> Option<String> {
        let tear = self.tear(key);
        self.refresh(key, tear);
        let process = self.processes.get(&key)?;
        let mut shown = process.shown.clone();
        if tear == Some(Tear::NoPid) {
            (shown.pid, shown.started, shown.ready) = (0, None, None);
        }
        if tear == Some(Tear::WrongFlag) {
            shown.seen_running = !shown.seen_running;
        }
        if tear == Some(Tear::OldCount) {
            shown.restarts = shown.restarts.saturating_sub(1);
        }
        let mut state = state(self, process, &shown);
        if self.has(Feature::Schedule) {
            let next = process.next_run.map(|at| stamp(self.wall(at)));
            if next.is_some() && process.run.is_none() {
                state.status = "Scheduled";
            }
            state.next_run_time = next;
        }
        if self.has(Feature::FreshState) && process.spec.watch.is_some() {
            state.is_watched = process.watch.armed;
            if process.watch.armed
                && shown.status == Status::Completed
                && process.spec.is_success(shown.exit_code)
            {
                state.status = "Watching";
            }
            if let Some((path, at)) = &process.watch.trigger {
                state.watch_trigger_path = Some(path);
                state.watch_trigger_time = Some(stamp(self.wall(*at)));
            }
        }
        Some(text(&state))
    }

    /// The last state of a process that is no longer there.
    pub(super) fn ghost(&self, name: &str) -> Option<String> {
        let shown = self.ghosts.get(name)?;
        let spec = std::sync::Arc::new(super::script::Spec::default());
        let mut process = Process::new_ghost(name, spec);
        process.shown = shown.clone();
        Some(text(&state(self, &process, shown)))
    }

    fn tear(&mut self, key: Key) -> Option<Tear> {
        if self.rules.torn <= 0.0 || self.looks.f64() >= self.rules.torn {
            return None;
        }
        let process = self.processes.get(&key)?;
        let run = process.run.as_ref();
        let young =
            |at: Option<Duration>| at.is_some_and(|at| self.now().saturating_sub(at) < MOMENT);
        match (process.shown.status, run) {
            // Only the first life of a state has no pid; later ones show that of the life before.
            (Status::Running, Some(run))
                if young(run.spawned) && process.shown.started == run.spawned =>
            {
                Some(Tear::NoPid)
            }
            (Status::Running | Status::Completed, _) => Some(Tear::WrongFlag),
            (Status::Restarting, Some(run)) if run.stage == Stage::Backoff => Some(Tear::OldCount),
            _ => None,
        }
    }

    fn refresh(&mut self, key: Key, tear: Option<Tear>) {
        let now = self.now();
        let (noise, busy) = (self.looks.f64(), self.looks.f64());
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let up = process.shown.status.is_up();
        process.shown.seen_running = up;
        let Some(since) = process
            .run
            .as_ref()
            .and_then(|run| run.spawned)
            .filter(|_| up)
        else {
            return;
        };
        if tear == Some(Tear::NoPid) {
            // These stay as they are until somebody looks again while it runs.
            (process.shown.age, process.shown.mem, process.shown.cpu) = (i64::MAX, -1, -1.0);
            process.shown.sampled = Some(now);
            return;
        }
        process.shown.age = i64::try_from(now.saturating_sub(since).as_nanos())
            .unwrap_or(i64::MAX)
            .max(1);
        if process.spec.daemon {
            (process.shown.mem, process.shown.cpu) = (-1, -1.0);
        } else if process
            .shown
            .sampled
            .is_none_or(|at| now.saturating_sub(at) >= SAMPLE)
        {
            let first = process.shown.sampled.is_none();
            process.shown.sampled = Some(now);
            let pages = 400.0 + f64::from(process.shown.pid % 97) * 100.0 + noise * 40.0;
            #[expect(clippy::cast_possible_truncation, reason = "some thousand pages")]
            let pages = pages as i64;
            process.shown.mem = pages * 4_096;
            process.shown.cpu = if first || busy < 0.5 {
                0.0
            } else {
                (busy - 0.5) * 8.0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_for_people() {
        let s = 1_000_000_000;
        for (secs, text) in [
            (0, "-"),
            (59, "59s"),
            (119, "119s"),
            (125, "2m5s"),
            (180, "3m"),
            (10_800, "3h"),
            (2 * 86_400 + 4 * 3_600, "2d4h"),
        ] {
            assert_eq!(human(secs * s), text);
        }
        assert_eq!(human(36_577_135), "0s");
        assert_eq!(human(i64::MAX), "292y");
    }

    #[test]
    fn moments_have_no_trailing_zeros() {
        let at = DateTime::from_timestamp(1_700_000_000, 120_000_000).unwrap();
        let text = stamp(at);
        assert!(
            text.contains(".12+") || text.contains(".12-") || text.contains(".12Z"),
            "{text}"
        );
        let whole = stamp(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        assert!(!whole.contains('.'), "{whole}");
    }
}
