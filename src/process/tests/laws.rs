//! Laws that hold for every life, tried on random ones.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::event::payload::{Kind, Payload};
use crate::process::diff::{Circumstances, Comparison, Unread, compare};
use crate::process::evidence::NoEvidence;
use crate::process::phase::{Health, Phase};
use crate::process::reading::Configuration;
use crate::process::table::Table;

use super::stage::{Book, Seen, at, named, restored};
use super::world::{Kind as WorldKind, Truth, World};

const SEEDS: std::ops::Range<u64> = 0..300;

fn circumstances(ms: i64, epoch: &str) -> Circumstances<'_> {
    Circumstances {
        epoch,
        started: at(ms),
        ended: at(ms),
        interval: Duration::from_secs(2),
        sticky_health: false,
        unread: Unread::default(),
    }
}

fn look(table: &Table, seen: &[Seen], book: Option<&Book>, ms: i64, epoch: &str) -> Comparison {
    let readings: Vec<_> = seen.iter().map(|seen| seen.0.clone()).collect();
    match book {
        Some(book) => compare(table, &readings, book, &circumstances(ms, epoch)),
        None => compare(table, &readings, &NoEvidence, &circumstances(ms, epoch)),
    }
}

fn payloads(step: &Comparison) -> Vec<Payload> {
    step.events.iter().map(|e| e.payload.clone()).collect()
}

/// What a listener knows from events alone.
#[derive(Default)]
struct Listener {
    /// Name → what is known of it.
    known: BTreeMap<String, Known>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Known {
    open: bool,
    seq: u64,
    status: String,
    health: String,
    restarts: i64,
    pid: Option<i64>,
}

impl Listener {
    /// Hears events in order and checks what must hold of them.
    fn hear(&mut self, events: &[Payload], seed: u64) {
        let mut rest = events;
        while let [first, tail @ ..] = rest {
            let name = &first.state.name;
            if let Some(former) = first.previous.as_ref().and_then(|p| p.name.as_ref()) {
                assert_eq!(first.reason, "renamed");
                // What was at rest at the first look has never been heard of.
                let known = self.known.remove(former).unwrap_or_default();
                assert!(self.known.insert(name.clone(), known).is_none());
            }
            let known = self.known.entry(name.clone()).or_default();
            known.seq += 1;
            assert_eq!(
                first.process_seq, known.seq,
                "seed {seed}: a hole in {name}"
            );
            if first.count > 1 {
                let pair = tail.first().or(None);
                let in_turn = |other: &Payload| other.count == first.count;
                let follows = pair.is_some_and(in_turn) || known.is_second_of_pair(first);
                assert!(follows, "seed {seed}: a count without its pair");
            }
            known.apply(first, seed);
            if first.reason == "removed" {
                // A status_changed may follow an end; the name is gone with the last of them.
                let more = tail.first().is_some_and(|next| next.state.name == *name);
                if !more {
                    self.known.remove(name);
                }
            }
            rest = tail;
        }
    }
}

impl Known {
    /// Whether an event with a count continues a pair: checked by the alternation itself.
    fn is_second_of_pair(&self, event: &Payload) -> bool {
        event.kind.is_end() == self.open
    }

    fn apply(&mut self, event: &Payload, seed: u64) {
        let ends_nothing = event.reason == "spawn_failed" || self.seq == 1;
        if event.kind.is_beginning() {
            // Runs alternate within an epoch; a new one ends what went on by its being new.
            self.open &= event.reason != "source_restarted";
            assert!(!self.open, "seed {seed}: began twice: {event:?}");
            self.open = true;
        } else if event.kind.is_end() {
            assert!(
                self.open || ends_nothing,
                "seed {seed}: ended twice: {event:?}"
            );
            self.open = false;
        }
        self.status = event.state.status.to_string();
        self.health = event.state.is_ready.to_string();
        self.restarts = event.state.restarts;
        self.pid = event.state.pid;
    }
}

/// Moments of looks, at random, closer together and further apart than runs are long.
fn moments(rng: &mut Rng, until_ms: i64) -> Vec<i64> {
    let mut moments = vec![0];
    while let Some(&last) = moments.last().filter(|last| **last < until_ms) {
        moments.push(last + rng.i64(250..5000));
    }
    moments
}

#[test]
fn beginnings_and_ends_alternate_and_no_number_is_missing_and_events_add_up_to_the_rows() {
    for seed in SEEDS {
        let mut world = World::new(seed, WorldKind::Restless);
        let (mut table, mut listener) = (Table::default(), Listener::default());
        for ms in moments(&mut Rng::with_seed(seed), 60_000) {
            world.until(ms);
            let seen = world.look();
            let step = look(&table, &seen, None, ms, "one");
            listener.hear(&payloads(&step), seed);
            table = step.table;
            for row in table.rows() {
                // The first look is silent about what is at rest.
                let Some(known) = listener.known.get(&*row.name) else {
                    assert!(!row.memory.open);
                    continue;
                };
                let wanted = (row.memory.open, row.memory.process_seq);
                assert_eq!((known.open, known.seq), wanted, "seed {seed}");
                assert_eq!(known.status, &*row.status, "seed {seed}");
                assert_eq!(known.pid, row.pid, "seed {seed}");
                assert_eq!(known.restarts, row.restarts, "seed {seed}");
                if row.phase == Phase::Up {
                    assert_eq!(known.health, row.health.as_str(), "seed {seed}");
                }
            }
            let names: Vec<&str> = table.rows().map(|row| &*row.name).collect();
            for name in listener.known.keys() {
                assert!(
                    names.contains(&name.as_str()),
                    "seed {seed}: {name} lives on"
                );
            }
        }
    }
}

#[test]
fn comparing_a_table_with_itself_tells_nothing() {
    for seed in SEEDS {
        let mut world = World::new(seed, WorldKind::Restless);
        let mut table = Table::default();
        for ms in moments(&mut Rng::with_seed(seed), 30_000) {
            world.until(ms);
            let seen = world.look();
            table = look(&table, &seen, None, ms, "one").table;
            let again = look(&table, &seen, None, ms + 1, "one");
            assert!(again.events.is_empty(), "seed {seed}: {:?}", again.events);
        }
    }
}

#[test]
fn the_order_of_a_reading_does_not_matter_and_events_come_in_name_order() {
    for seed in SEEDS {
        let mut world = World::new(seed, WorldKind::Restless);
        let mut table = Table::default();
        for ms in moments(&mut Rng::with_seed(seed), 30_000) {
            world.until(ms);
            let mut seen = world.look();
            let step = look(&table, &seen, None, ms, "one");
            seen.reverse();
            let other = look(&table, &seen, None, ms, "one");
            assert_eq!(payloads(&step), payloads(&other), "seed {seed}");
            assert!(
                step.events
                    .is_sorted_by_key(|event| event.process().to_owned())
            );
            table = step.table;
        }
    }
}

#[test]
fn a_table_that_went_through_the_head_tells_the_same() {
    for seed in SEEDS {
        let mut world = World::new(seed, WorldKind::Restless);
        let (mut kept, mut read) = (Table::default(), Table::default());
        for ms in moments(&mut Rng::with_seed(seed), 30_000) {
            world.until(ms);
            let seen = world.look();
            let step = look(&kept, &seen, None, ms, "one");
            let other = look(&read, &seen, None, ms, "one");
            assert_eq!(payloads(&step), payloads(&other), "seed {seed}");
            kept = step.table;
            read = restored(&other.table, false);
        }
    }
}

#[test]
fn a_new_epoch_at_any_moment_keeps_alternation_and_numbers() {
    for seed in SEEDS {
        let mut world = World::new(seed, WorldKind::Restless);
        let (mut table, mut listener) = (Table::default(), Listener::default());
        let mut rng = Rng::with_seed(seed);
        let (mut epoch, mut begun) = (0_u32, 0);
        for ms in moments(&mut rng, 60_000) {
            if rng.u8(0..6) == 0 {
                epoch += 1;
                world = World::new(seed + 1000 * u64::from(epoch), WorldKind::Restless);
                begun = ms;
            }
            world.until(ms - begun);
            let seen = world.look();
            let step = look(&table, &seen, None, ms, &epoch.to_string());
            listener.hear(&payloads(&step), seed);
            table = step.table;
        }
    }
}

#[test]
fn with_full_coverage_the_truth_is_told_exactly_at_whatever_moments_it_is_looked() {
    for seed in 0..600 {
        let mut world = World::new(seed, WorldKind::Settled);
        let mut table = Table::default();
        let mut told: HashMap<String, Vec<Truth>> = HashMap::new();
        let mut book = Book::default().covered();
        book.known = Some(Arc::new(Configuration {
            readiness: Some(None),
            ..Configuration::default()
        }));
        let mut moments = moments(&mut Rng::with_seed(seed ^ 7), 60_000);
        let end = *moments.last().unwrap();
        moments.extend([end + 500, end + 2500, end + 4500]);
        for ms in moments {
            world.until(ms);
            let seen = world.look();
            if ms == 0 {
                world.truth.clear();
            } else if ms < end {
                // What happens within the wait for frames is heard, too.
                world.until(ms + 250);
            } else {
                world.rest();
            }
            let mut book = Book::default().covered();
            book.known = Some(Arc::new(Configuration {
                readiness: Some(None),
                ..Configuration::default()
            }));
            for (name, frame) in &world.frames {
                book.frames
                    .entry(name.clone())
                    .or_default()
                    .push(frame.clone());
            }
            let step = look(&table, &seen, Some(&book), ms, "one");
            if ms > 0 {
                remember(&mut told, &payloads(&step), seed);
            }
            table = step.table;
        }
        let mut truth: HashMap<String, Vec<Truth>> = HashMap::new();
        for (name, what) in &world.truth {
            truth.entry(name.clone()).or_default().push(*what);
        }
        for (name, truth) in &truth {
            let told = told.get(name).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(told, truth, "seed {seed}: {name}");
        }
        assert!(told.keys().all(|name| truth.contains_key(name)));
    }
}

/// What one look told, each as often as it counts; a pair of equal counts in turn.
fn remember(told: &mut HashMap<String, Vec<Truth>>, events: &[Payload], seed: u64) {
    let mut rest = events;
    while let [first, tail @ ..] = rest {
        let second = tail.first().filter(|_| first.count > 1);
        for _ in 0..first.count {
            for event in std::iter::once(first).chain(second) {
                assert_eq!(event.certainty, "certain", "seed {seed}: {event:?}");
                let told = told.entry(event.state.name.clone()).or_default();
                told.extend(truth_of(event));
            }
        }
        rest = &tail[usize::from(second.is_some())..];
    }
}

fn truth_of(event: &Payload) -> Option<Truth> {
    match event.kind {
        Kind::Started => Some(Truth::Began { by_policy: false }),
        Kind::Restarted => Some(Truth::Began {
            by_policy: event.reason == "policy",
        }),
        Kind::Crashed => Some(Truth::Crashed),
        Kind::Stopped => Some(Truth::Stopped),
        _ => None,
    }
}

/// A reading without sense.
fn nonsense(rng: &mut Rng) -> Seen {
    const WORDS: [&str; 14] = [
        "Pending",
        "Running",
        "Launching",
        "Launched",
        "Terminating",
        "Restarting",
        "Completed",
        "Terminated",
        "Skipped",
        "Scheduled",
        "Error",
        "Disabled",
        "Hibernating",
        "",
    ];
    let name = ["a", "b", "c", "d\n*", ""][rng.usize(..5)];
    let mut seen = named(name, WORDS[rng.usize(..WORDS.len())]);
    let reading = &mut seen.0;
    reading.pid = [None, Some(5), Some(6), Some(7), Some(i64::MAX)][rng.usize(..5)];
    reading.restarts = [0, 1, 2, 3, -9][rng.usize(..5)];
    if rng.u16(..3000) == 0 {
        reading.restarts = [i64::MAX, i64::MIN][rng.usize(..2)];
    }
    reading.exit_code = [0, -1, 3, 143, i64::MAX][rng.usize(..5)];
    reading.health = [Health::Unknown, Health::Ready, Health::NotReady][rng.usize(..3)];
    reading.torn = rng.u8(0..4) == 0;
    let mut time = || match rng.u8(0..6) {
        0 => Some(at(rng.i64(-5000..60_000))),
        1 => Some(chrono::DateTime::<chrono::Utc>::MAX_UTC),
        2 => Some(chrono::DateTime::<chrono::Utc>::MIN_UTC),
        _ => None,
    };
    reading.started_at = time();
    reading.ready_at = time();
    reading.ended_at = time();
    reading.schedule_at = time();
    reading.watch_at = time();
    seen
}

#[test]
fn readings_without_sense_break_no_law_and_every_word_is_kept() {
    for seed in 0..1500 {
        let mut rng = Rng::with_seed(seed);
        let (mut table, mut listener) = (Table::default(), Listener::default());
        let mut ms = 0;
        let mut epoch = 0;
        for _ in 0..20 {
            ms += rng.i64(-1000..9000);
            epoch += i32::from(rng.u8(0..12) == 0);
            let seen: Vec<Seen> = (0..rng.usize(0..6)).map(|_| nonsense(&mut rng)).collect();
            let step = look(&table, &seen, None, ms, &epoch.to_string());
            listener.hear(&payloads(&step), seed);
            for row in step.table.rows() {
                let is_new = table
                    .row(&row.name)
                    .is_none_or(|old| old.status != row.status);
                // A renamed row may wait for the next look with its former word.
                let shown = seen.iter().any(|s| s.0.status == *row.status)
                    || table.rows().any(|old| old.status == row.status);
                assert!(!is_new || shown, "seed {seed}: {} from nowhere", row.status);
            }
            assert!(step.table.rows().is_sorted_by_key(|row| row.name.clone()));
            table = step.table;
            if rng.u8(0..5) == 0 {
                table = restored(&table, rng.bool());
            }
        }
    }
}
