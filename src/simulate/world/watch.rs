//! Runs that nobody asks for: schedules and file watches.

use super::process::Stage;
use super::{Alarm, Key, Refusal, World};
use crate::simulate::profile::Feature;
use crate::simulate::truth::Because;

impl World {
    /// Arms the schedule and the watch of a process, if it has them and they are not armed.
    pub(super) fn arm(&mut self, key: Key) {
        let (now, stamp, known, watches) = (
            self.now,
            self.number(),
            self.has(Feature::Schedule),
            self.has(Feature::FreshState),
        );
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        process.watch.armed = watches && process.spec.watch.is_some();
        let Some(schedule) = process
            .spec
            .schedule
            .filter(|_| known && process.next_run.is_none())
        else {
            return;
        };
        let interval = schedule.interval;
        process.schedule = stamp;
        let due = now + self.paced(interval);
        if let Some(process) = self.processes.get_mut(&key) {
            process.next_run = Some(due);
        }
        self.plan_at(due, key, stamp, Alarm::Tick);
    }

    pub(super) fn tick(&mut self, key: Key, stamp: u64) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let Some(schedule) = process
            .spec
            .schedule
            .filter(|_| process.schedule == stamp && process.next_run.is_some())
        else {
            return;
        };
        let idle = process.run.is_none();
        let due = now
            + self
                .paced(schedule.interval)
                .max(std::time::Duration::from_millis(1));
        if let Some(process) = self.processes.get_mut(&key) {
            process.next_run = Some(due);
        }
        self.plan_at(due, key, stamp, Alarm::Tick);
        // A run that is still going is not disturbed; this one is left out.
        if idle {
            self.begin(key, Because::Schedule);
        }
    }

    /// A watched file changes; the process runs anew when it has been quiet for a moment.
    ///
    /// # Errors
    ///
    /// Unknown, or without an armed watch.
    pub fn touch(&mut self, name: &str, file: &str) -> Result<(), Refusal> {
        let number = self.number();
        let key = self
            .names
            .get(name)
            .copied()
            .ok_or_else(|| Refusal(format!("no such process: {name}")))?;
        let process = self.processes.get_mut(&key).filter(|p| p.watch.armed);
        let process = process.ok_or_else(|| Refusal(format!("process {name} watches no files")))?;
        process.watch.pending = number;
        let debounce = process
            .spec
            .watch
            .as_ref()
            .map(|w| w.debounce)
            .unwrap_or_default();
        self.plan(
            debounce,
            key,
            number,
            Alarm::FileChanged(format!("{number}:{file}")),
        );
        Ok(())
    }

    pub(super) fn file_changed(&mut self, key: Key, change: &str) {
        let now = self.now;
        let Some((number, file)) = change.split_once(':') else {
            return;
        };
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        if !process.watch.armed || process.watch.pending.to_string() != number {
            return;
        }
        process.watch.trigger = Some((file.to_owned(), now));
        let running = matches!(process.stage(), Some(Stage::Up | Stage::Ending));
        if !running {
            self.abandon(key);
            return self.begin(key, Because::Watch);
        }
        let asked = self.terminate(key, Because::Watch);
        let waits = if let super::command::Asked::Ending(stamp) = asked {
            vec![(key, stamp)]
        } else {
            Vec::new()
        };
        self.errand(
            waits,
            std::time::Duration::ZERO,
            super::Then::Begin {
                keys: vec![key],
                because: Because::Watch,
            },
        );
    }
}
