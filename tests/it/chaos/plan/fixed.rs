//! What a run that is long enough always holds, whatever else is drawn: a stretch in which nobody looks, and, where that is
//! wanted, a broker that comes back with an older store.

use std::time::Duration;

use super::{BOTH_KILLED, Blow, Fault, Hit, PEACE, Part, REST, Store};

/// From so many seconds on a run is long enough; each so many seconds hold one older store.
pub(super) const LONG: u64 = 60;
/// So long before an older store comes nothing else is hurt: each adapter has seen what the other one told. One that has
/// not, and is asked first, cannot know that numbers of the older head were given.
const LEAD: Duration = Duration::from_secs(4);
/// So long afterwards nothing else is hurt, but for one adapter that may go: the new journal is begun, and both know it.
const QUIET: Duration = Duration::from_secs(10);
/// Between a copy and its return there is at least so much time to tell something.
const TELLING: Duration = Duration::from_secs(3);
const EVERYTHING: [Part; 8] = [
    Part::Adapter(0),
    Part::Adapter(1),
    Part::Broker,
    Part::Source,
    Part::BrokerWire(0),
    Part::BrokerWire(1),
    Part::SourceWire(0),
    Part::SourceWire(1),
];

/// Faults whose times are set before any other is drawn, and the slots that they need.
pub(super) struct Fixed {
    pub(super) faults: Vec<Fault>,
    pub(super) reserved: Vec<Slot>,
}

/// A part that is not free.
pub(super) struct Slot {
    part: Part,
    from: Duration,
    to: Duration,
}

impl Slot {
    /// Whether a hit that begins then, and the rest after it, would fall into it.
    pub(super) fn meets(&self, hit: &Hit, at: Duration) -> bool {
        self.part == hit.part && at <= self.to && self.from <= at + hit.lasts + REST
    }
}

/// So long that a head is stale, and everybody is back soon after.
pub(super) fn long_away(dice: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(dice.u64(13_000..18_000))
}

fn between(dice: &mut fastrand::Rng, from: Duration, to: Duration) -> Duration {
    let millis = |at: Duration| u64::try_from(at.as_millis()).unwrap();
    Duration::from_millis(dice.u64(millis(from)..=millis(to)))
}

/// The fixed faults of a seed.
pub(super) fn fixed(seed: u64, seconds: u64, store: Store) -> Fixed {
    let mut dice = fastrand::Rng::with_seed(seed ^ 0x01de);
    let mut all = Fixed {
        faults: Vec::new(),
        reserved: Vec::new(),
    };
    if seconds >= LONG && store == Store::Stays {
        let away = long_away(&mut dice);
        let latest = Duration::from_secs(LONG).saturating_sub(away + 2 * REST);
        let at = between(&mut dice, PEACE, latest);
        all.both_killed(at, away);
        return all;
    }
    for round in 0..seconds / LONG {
        let begin = Duration::from_secs(round * LONG);
        all.round(&mut dice, begin + PEACE, begin + Duration::from_secs(LONG));
    }
    all
}

impl Fixed {
    /// What lies in one round: the first has a stretch without adapters before or behind the older store.
    fn round(&mut self, dice: &mut fastrand::Rng, begin: Duration, end: Duration) {
        let down = match dice.u8(0..4) {
            0 => Duration::from_millis(dice.u64(4_000..9_000)),
            _ => Duration::from_millis(dice.u64(20..3_500)),
        };
        let older = LEAD + down + QUIET;
        let away = (begin == PEACE).then(|| long_away(dice));
        let needed = older + away.map_or(Duration::ZERO, |away| away + 2 * REST);
        let latest = end.saturating_sub(needed + REST);
        let first = between(dice, begin, latest);
        let second = between(dice, first, latest);
        let mut slot = first;
        if let Some(away) = away {
            let at = if dice.bool() {
                slot = second + away + 2 * REST;
                first
            } else {
                second + older
            };
            self.both_killed(at, away);
        }
        self.older_store(dice, begin, (slot, down));
    }

    fn both_killed(&mut self, at: Duration, lasts: Duration) {
        let parts = [Part::Adapter(0), Part::Adapter(1)];
        let hits = parts.map(|part| Hit {
            part,
            blow: Blow::Kill,
            lasts,
        });
        self.reserve(&parts, at, at + lasts + REST);
        self.faults.push(Fault {
            kind: BOTH_KILLED,
            at,
            hits: hits.to_vec(),
        });
    }

    fn older_store(
        &mut self,
        dice: &mut fastrand::Rng,
        begin: Duration,
        (slot, down): (Duration, Duration),
    ) {
        let back = slot + LEAD;
        let copy = between(dice, begin, back.saturating_sub(TELLING));
        let moment = Duration::from_millis(dice.u64(20..500));
        for (kind, at, blow, lasts) in [
            ("store copied", copy, Blow::Copy, moment),
            ("older store", back, Blow::Restore, down),
        ] {
            self.faults.push(Fault {
                kind,
                at,
                hits: vec![Hit {
                    part: Part::Broker,
                    blow,
                    lasts,
                }],
            });
        }
        if dice.bool() {
            self.gone_with_it(dice, (back, down));
        }
        self.reserve(&[Part::Broker], copy, copy + moment + REST);
        self.reserve(&EVERYTHING, slot, back + down + QUIET);
    }

    /// The adapter that tells goes, while the broker is away or just when it is back, whether it has found out by then or not.
    /// It remembers what it told, and the other one knows what it saw.
    fn gone_with_it(&mut self, dice: &mut fastrand::Rng, (at, down): (Duration, Duration)) {
        let blow = [Blow::End, Blow::End, Blow::Kill][dice.usize(0..3)];
        let part = Part::Teller;
        let at = between(dice, at, at + down + Duration::from_millis(2_500));
        let lasts = Duration::from_millis(dice.u64(500..5_000));
        let hits = vec![Hit { part, blow, lasts }];
        let kind = "teller gone with a store";
        self.faults.push(Fault { kind, at, hits });
    }

    fn reserve(&mut self, parts: &[Part], from: Duration, to: Duration) {
        let slots = parts.iter().map(|&part| Slot { part, from, to });
        self.reserved.extend(slots);
    }
}

#[test]
fn a_long_run_has_a_stretch_that_nobody_watches_and_a_short_one_is_left_alone() {
    for seed in 0..1000 {
        for store in [Store::Stays, Store::GoesBack] {
            let faults = super::plan(seed, LONG, store);
            let stretches = super::unwatched(&faults, Duration::from_secs(12));
            assert!(!stretches.is_empty(), "{seed}");
            assert!(fixed(seed, LONG - 1, store).faults.is_empty());
        }
    }
}

#[test]
fn an_older_store_is_one_that_was_copied_before_and_comes_back_in_peace() {
    for seed in 0..1000 {
        let faults = super::plan(seed, 2 * LONG, Store::GoesBack);
        let of = |kind| faults.iter().filter(move |fault| fault.kind == kind);
        assert_eq!(of("older store").count(), 2, "{seed}");
        for (copied, older) in of("store copied").zip(of("older store")) {
            assert!(copied.at + TELLING <= older.at, "{seed}: {copied} {older}");
            let (from, to) = (
                older.at.saturating_sub(LEAD),
                older.at + older.hits[0].lasts + QUIET,
            );
            let beside = faults.iter().filter(|fault| {
                let end = fault.hits.iter().map(|hit| fault.at + hit.lasts).max();
                fault.at <= to && end.unwrap() >= from
            });
            let beside: Vec<_> = beside
                .filter(|fault| fault.kind != "store copied")
                .collect();
            let behind = |fault: &&&Fault| fault.kind.ends_with("gone with a store");
            let gone = beside.iter().skip(1).filter(behind).count();
            assert_eq!(beside[0], older, "{seed}");
            assert!(gone <= 1 && beside.len() == 1 + gone, "{seed}: {beside:?}");
        }
    }
}
