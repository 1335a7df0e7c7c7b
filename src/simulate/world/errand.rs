//! What takes several steps: wait for some runs to end, pause, go on, answer.

use std::time::Duration;

use super::process::Stage;
use super::{Alarm, Key, Output, Ticket, World, scale};
use crate::simulate::truth::Because;

/// Something that takes several steps: wait for these runs to end, pause, then go on.
#[derive(Debug)]
pub(super) struct Errand {
    pub waits: Vec<(Key, u64)>,
    pub pause: Duration,
    pub pausing: bool,
    pub then: Then,
}

/// How an errand goes on.
#[derive(Debug)]
pub(super) enum Then {
    Answer,
    Begin {
        keys: Vec<Key>,
        because: Because,
    },
    FinishScale {
        group: String,
        to: u32,
    },
    FinishReload(Box<scale::Change>),
    Leave {
        back: Option<Duration>,
        because: Because,
    },
}

impl World {
    pub(super) fn settle_errands(&mut self) -> bool {
        let over = |world: &Self, errand: &Errand| {
            !errand.pausing
                && errand.waits.iter().all(|(key, stamp)| {
                    world
                        .processes
                        .get(key)
                        .and_then(|p| p.run.as_ref())
                        .is_none_or(|run| run.stamp != *stamp || run.stage == Stage::Backoff)
                })
        };
        let ready: Vec<Ticket> = self
            .errands
            .iter()
            .filter(|(_, e)| over(self, e))
            .map(|(t, _)| *t)
            .collect();
        for ticket in &ready {
            let Some(errand) = self.errands.get_mut(ticket) else {
                continue;
            };
            if errand.pause.is_zero() {
                self.finish_errand(*ticket);
            } else {
                errand.pausing = true;
                let pause = errand.pause;
                self.plan(pause, *ticket, 0, Alarm::Errand);
            }
        }
        !ready.is_empty()
    }

    pub(super) fn errand(&mut self, waits: Vec<(Key, u64)>, pause: Duration, then: Then) -> Ticket {
        let ticket = self.number();
        self.errands.insert(
            ticket,
            Errand {
                waits,
                pause,
                pausing: false,
                then,
            },
        );
        ticket
    }

    pub(super) fn finish_errand(&mut self, ticket: Ticket) {
        let Some(errand) = self.errands.remove(&ticket) else {
            return;
        };
        match errand.then {
            Then::Answer => {}
            Then::Begin { keys, because } => {
                for key in keys {
                    self.begin_unless_up(key, because);
                }
            }
            Then::FinishScale { group, to } => self.finish_scale(&group, to),
            Then::FinishReload(change) => self.finish_reload(*change),
            Then::Leave { back, because } => self.leave(back, because),
        }
        self.outputs.push(Output::Answer(ticket));
    }
}
