//! The script: what is done to the stack, and when.

use std::time::Duration;

use super::{Alarm, Output, Refusal, World};
use crate::simulate::script::{Deed, Step};
use crate::simulate::truth::{Because, Exit};

/// How long nobody listens when the script does not say.
const AWAY: Duration = Duration::from_secs(3);

impl World {
    pub(super) fn plan_script(&mut self) {
        let times: Vec<Duration> = self.stack.script.iter().map(|step| step.at).collect();
        for (index, at) in times.into_iter().enumerate() {
            self.plan(at, index as u64, 0, Alarm::Step);
        }
    }

    pub(super) fn step(&mut self, index: usize) {
        let Some(step) = self.stack.script.get(index).cloned() else {
            return;
        };
        if let Some(every) = step.every {
            self.plan(
                every.max(Duration::from_millis(1)),
                index as u64,
                0,
                Alarm::Step,
            );
        }
        if !self.here {
            return;
        }
        // A step that meets nothing (a stop of what does not run) is what a person would get, too: a refusal.
        if let Err(refusal) = self.take_step(&step) {
            tracing::debug!(step = index, %refusal, "a step of the script was refused");
        }
    }

    fn take_step(&mut self, step: &Step) -> Result<(), Refusal> {
        let name = step.process.as_deref().unwrap_or_default();
        match step.deed {
            Deed::Start => self.start(name).map(drop),
            Deed::Stop => self.stop(name).map(drop),
            Deed::Restart => self.restart(name).map(drop),
            Deed::Kill => {
                let signal = Exit::Signal(step.signal.unwrap_or(9));
                let exit = step.code.map_or(signal, Exit::Code);
                self.end(name, exit, Because::OutsideSignal)
            }
            Deed::Exit => self.end(name, Exit::Code(step.code.unwrap_or(1)), Because::OwnExit),
            Deed::Ready => self.set_ready(name, Some(true)),
            Deed::Unready => self.set_ready(name, Some(false)),
            Deed::Scale => self.scale(name, i64::from(step.to.unwrap_or(1))).map(drop),
            Deed::Touch => self.touch(name, step.file.as_deref().unwrap_or("main.rs")),
            Deed::Reload => {
                self.outputs.push(Output::Reread(step.file.clone()));
                Ok(())
            }
            Deed::ServerRestart => {
                self.shut_down(Some(step.away.unwrap_or(AWAY)));
                Ok(())
            }
            Deed::ServerStop => {
                self.shut_down(None);
                Ok(())
            }
        }
    }
}
