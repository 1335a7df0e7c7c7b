//! The law of folding: what a fold says it knows is what the table said at that moment, whatever is left of the stream.

use std::time::Duration;

use fastrand::Rng;

use crate::event::envelope::{Envelope, SourceNotice, Stamp};
use crate::event::payload::{Kind, Occurred, Origin, Severity};
use crate::event::subject::Prefix;
use crate::process::diff::{Circumstances, Unread, compare};
use crate::process::evidence::NoEvidence;
use crate::process::fold::{Fold, Told};
use crate::process::moment::{Found, Known, Moment, Sighted};
use crate::process::phase::Phase;
use crate::process::table::{Row, Table};

use super::stage::at;
use super::world::{Kind as WorldKind, World};

const SEEDS: std::ops::Range<u64> = 0..200;
const END_MS: i64 = 60_000;

/// A life that was watched: what was told, and the table after each look.
#[derive(Default)]
struct Life {
    events: Vec<Envelope>,
    tables: Vec<(i64, Table)>,
}

impl Life {
    fn of(seed: u64) -> Self {
        let (mut world, mut rng) = (World::new(seed, WorldKind::Restless), Rng::with_seed(seed));
        let mut life = Self::default();
        let contact = SourceNotice {
            kind: Kind::Connected,
            severity: Severity::Info,
            reason: "".into(),
            occurred: Occurred {
                after: None,
                before: at(0),
                at: None,
            },
            gap: None,
        };
        life.tell(0, Origin::Initial, |stamp| Envelope::notice(contact, stamp));
        let (mut ms, mut table) = (0, Table::default());
        while ms < END_MS {
            world.until(ms);
            let seen = world.look();
            let readings: Vec<_> = seen.iter().map(|seen| seen.0.clone()).collect();
            let circumstances = Circumstances {
                epoch: "e",
                started: at(ms),
                ended: at(ms),
                interval: Duration::from_secs(2),
                sticky_health: false,
                unread: Unread::default(),
            };
            let step = compare(&table, &readings, &NoEvidence, &circumstances);
            for event in step.events {
                life.tell(ms, step.origin, |stamp| {
                    Envelope::dress(event.payload, stamp)
                });
            }
            table = step.table;
            life.tables.push((ms, table.clone()));
            ms += rng.i64(250..5000);
        }
        life
    }

    fn tell(&mut self, ms: i64, origin: Origin, dress: impl FnOnce(&Stamp<'_>) -> Envelope) {
        let stamp = Stamp {
            prefix: &Prefix::default(),
            source: "shop",
            journal: "j",
            seq: self.events.len() as u64 + 1,
            epoch: "e",
            origin,
            timestamp: at(ms),
        };
        self.events.push(dress(&stamp));
    }

    /// The table at that time.
    fn truth(&self, ms: i64) -> &Table {
        let before = self.tables.iter().rev().find(|(looked, _)| *looked <= ms);
        &before.unwrap().1
    }

    /// What a fold says of that time, when of the stream so many events have expired.
    fn folded(&self, ms: i64, expired: usize) -> Moment {
        let mut fold = Fold::up_to(at(ms));
        let left = &self.events[expired..];
        for event in left {
            fold.see(event);
        }
        let head = Told {
            source: "shop",
            journal: "j",
            sighted: Sighted::Seen(None),
            left_out: None,
            table: self.tables.last().map(|(_, table)| table),
        };
        let kept_since = left.first().map(|event| event.timestamp);
        fold.close(&[head], kept_since).pop().unwrap()
    }
}

fn said(found: &Found) -> String {
    let state = found.now().unwrap();
    let health = if state.is_running {
        &*state.is_ready
    } else {
        ""
    };
    format!(
        "{} {health} {} {:?}",
        state.status, state.restarts, state.pid
    )
}

fn true_of(row: &Row) -> String {
    let health = if row.phase == Phase::Up {
        row.health.as_str()
    } else {
        ""
    };
    format!("{} {health} {} {:?}", row.status, row.restarts, row.pid)
}

#[test]
fn what_a_fold_knows_was_so_and_with_the_whole_stream_it_knows_everything() {
    let (mut unknown, mut exits) = (0, 0);
    for seed in SEEDS {
        let (life, mut rng) = (Life::of(seed), Rng::with_seed(seed));
        for _ in 0..20 {
            let ms = rng.i64(0..END_MS);
            let expired = if rng.bool() {
                0
            } else {
                rng.usize(..life.events.len())
            };
            let (moment, truth) = (life.folded(ms, expired), life.truth(ms));
            for found in moment
                .processes
                .iter()
                .filter(|found| found.known == Known::Now)
            {
                let row = truth.row(&found.name);
                let row = row.unwrap_or_else(|| panic!("seed {seed} at {ms}: {found:#?}"));
                assert_eq!(
                    said(found),
                    true_of(row),
                    "seed {seed} at {ms}, {expired}: {}",
                    row.name
                );
                if let Some(exit) = found.exit {
                    exits += 1;
                    assert_eq!(
                        exit, row.exit_code,
                        "seed {seed} at {ms}, {expired}: {found:#?}"
                    );
                }
            }
            for row in truth.rows() {
                let found = moment.processes.iter().find(|found| found.name == row.name);
                let is_known = found.is_some_and(|found| found.known == Known::Now);
                assert!(is_known || expired > 0, "seed {seed} at {ms}: {row:#?}");
                unknown += usize::from(!is_known);
            }
        }
    }
    assert!(
        unknown > 100 && exits > 100,
        "{unknown}, {exits}: nothing was tried"
    );
}
