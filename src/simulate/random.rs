//! Stacks drawn by seed: many processes that live, fall and come back, always the same for the same numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::script::{Life, Names, Policy, Probe, Schedule, Spec, Stack};
use super::span::Span;

/// How many processes, how often one of them ends, and which throw of the dice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dice {
    /// Number of processes.
    pub processes: u32,
    /// Ends of a life per second, over the whole stack.
    pub rate: f64,
    /// The same seed gives the same stack and the same truth.
    pub seed: u64,
}

/// The stack of these dice.
pub fn stack(dice: Dice) -> Stack {
    let mut rng = fastrand::Rng::with_seed(dice.seed);
    let rate = if dice.rate.is_finite() && dice.rate > 0.0 {
        dice.rate
    } else {
        0.001
    };
    // A life and the second of backoff behind it are one turn.
    let turn = (f64::from(dice.processes.max(1)) / rate).clamp(1.2, 1e6);
    let width = dice.processes.saturating_sub(1).to_string().len();
    let processes: BTreeMap<_, _> = (0..dice.processes)
        .map(|n| (format!("p{n:0width$}"), process(n, turn - 1.0, &mut rng)))
        .collect();
    Stack {
        processes,
        ..Stack::default()
    }
}

fn process(n: u32, mean: f64, rng: &mut fastrand::Rng) -> Spec {
    let secs = |s: f64| Duration::from_secs_f64(s.max(0.05));
    // The first life may be cut short, so that not all begin in step; the others make up for it.
    let run = |nth: u8| {
        let least = if nth == 0 { 0.0 } else { mean * 0.53 };
        Span::between(secs(least), secs(mean * 1.6))
    };
    let life = (0..4).map(|nth| fate(run(nth), rng)).collect();
    let mut spec = Spec {
        namespace: Names::one(["front", "back", "jobs", "default"][rng.usize(0..4)]),
        life,
        backoff: Duration::from_secs(1),
        ..Spec::default()
    };
    match n % 10 {
        // A job whose whole turn is one interval, so that it ends as often as the others.
        0 => {
            spec.life = vec![Life {
                run: Span::between(secs(mean * 0.1), secs(mean * 0.6)),
                exit: Some(i32::from(rng.u8(0..3))),
                ..Life::default()
            }];
            spec.schedule = Some(Schedule {
                interval: secs(mean + 1.0),
                run_on_start: rng.bool(),
            });
        }
        1..=3 => {
            spec.restart = Policy::Always;
            spec.ready = Some(Probe {
                // A probe gives up after three periods, however long a life would be.
                after: secs((mean * 0.1).min(1.5)),
                period: Duration::from_secs(1),
                ..Probe::default()
            });
        }
        4 => spec.restart = Policy::Always,
        _ => {
            spec.restart = Policy::OnFailure;
            for life in &mut spec.life {
                if life.exit == Some(0) {
                    life.exit = Some(1);
                }
            }
        }
    }
    spec
}

fn fate(run: Span, rng: &mut fastrand::Rng) -> Life {
    let life = Life {
        run,
        ..Life::default()
    };
    match rng.u8(0..10) {
        0 => Life {
            killed: Some(9),
            ..life
        },
        1 => Life {
            signal: Some(11),
            ..life
        },
        2 | 3 => Life {
            exit: Some(0),
            ..life
        },
        4 => Life {
            exit: Some(137),
            ..life
        },
        _ => Life {
            exit: Some(i32::from(rng.u8(1..=5))),
            ..life
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_lives_long_becomes_ready_before_its_probe_gives_up() {
        let dice = Dice {
            processes: 100,
            rate: 0.02,
            seed: 1,
        };
        for spec in stack(dice).processes.values() {
            let Some(probe) = &spec.ready else { continue };
            assert!(probe.after < probe.period * probe.threshold, "{probe:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_stack_and_another_seed_another() {
        let dice = Dice {
            processes: 20,
            rate: 2.0,
            seed: 3,
        };
        assert_eq!(stack(dice), stack(dice));
        assert_ne!(stack(dice), stack(Dice { seed: 4, ..dice }));
        assert_eq!(stack(dice).processes.len(), 20);
    }
}
