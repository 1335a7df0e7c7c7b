//! What is done to whom and when: made up front from the seed, so that the same seed is the same list.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use self::fixed::{Fixed, LONG, fixed, long_away};

mod fixed;

/// What can be hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Adapter(usize),
    /// The adapter that told last, when it is hit.
    Teller,
    Broker,
    Source,
    /// The wire from an adapter to the broker.
    BrokerWire(usize),
    /// The wire from an adapter to the source.
    SourceWire(usize),
}

/// How it is hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    /// SIGKILL, and started again at the end.
    Kill,
    /// SIGTERM, and started again at the end.
    End,
    /// SIGSTOP, and SIGCONT at the end.
    Freeze,
    /// All connections end, and new ones are taken.
    Cut,
    /// No byte passes.
    Stall,
    /// Nobody listens.
    Refuse,
    /// The broker's quota is used up.
    Fill,
    /// SIGTERM, what the broker keeps is copied aside, and started again at the end.
    Copy,
    /// SIGTERM, the copy takes the place of what the broker keeps, and started again at the end.
    Restore,
}

/// One thing done to one part, for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) part: Part,
    pub(super) blow: Blow,
    pub(super) lasts: Duration,
}

/// Hits that begin together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: &'static str,
    pub(super) at: Duration,
    pub(super) hits: Vec<Hit>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7.3} s  {}:", self.at.as_secs_f64(), self.kind)?;
        for hit in &self.hits {
            let lasts = hit.lasts.as_secs_f64();
            write!(f, " {:?} {:?} {lasts:.3} s", hit.part, hit.blow)?;
        }
        Ok(())
    }
}

const BOTH_KILLED: &str = "both adapters killed";

/// A kind of fault, how often it is drawn, and who is hit how; adapters are renumbered by the dice.
type Kind = (&'static str, u8, &'static [(Part, Blow)]);

/// All kinds.
const KINDS: [Kind; 20] = {
    use Blow::{Cut, End, Fill, Freeze, Kill, Refuse, Stall};
    use Part::{Adapter, Broker, BrokerWire, Source, SourceWire};
    [
        ("adapter killed", 4, &[(Adapter(0), Kill)]),
        ("adapter ended", 2, &[(Adapter(0), End)]),
        ("adapter frozen", 3, &[(Adapter(0), Freeze)]),
        (BOTH_KILLED, 3, &[(Adapter(0), Kill), (Adapter(1), Kill)]),
        (
            "both adapters frozen",
            1,
            &[(Adapter(0), Freeze), (Adapter(1), Freeze)],
        ),
        ("broker killed", 3, &[(Broker, Kill)]),
        ("broker ended", 2, &[(Broker, End)]),
        ("broker frozen", 2, &[(Broker, Freeze)]),
        (
            "broker and adapter killed",
            2,
            &[(Broker, Kill), (Adapter(0), Kill)],
        ),
        (
            "broker and both adapters killed",
            1,
            &[(Broker, Kill), (Adapter(0), Kill), (Adapter(1), Kill)],
        ),
        ("broker's disk full", 2, &[(Broker, Fill)]),
        ("source killed", 1, &[(Source, Kill)]),
        ("source ended", 1, &[(Source, End)]),
        ("source frozen", 2, &[(Source, Freeze)]),
        ("wire to broker cut", 2, &[(BrokerWire(0), Cut)]),
        ("wire to broker stalled", 2, &[(BrokerWire(0), Stall)]),
        ("wire to broker gone", 1, &[(BrokerWire(0), Refuse)]),
        ("wire to source cut", 2, &[(SourceWire(0), Cut)]),
        ("wire to source stalled", 2, &[(SourceWire(0), Stall)]),
        ("wire to source gone", 1, &[(SourceWire(0), Refuse)]),
    ]
};

/// Before this everything begins in peace.
const PEACE: Duration = Duration::from_secs(3);
/// The longest rest of a part between two hits.
const REST: Duration = Duration::from_millis(1500);

/// What becomes of that which the broker keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Stays,
    /// Older copies of it come back.
    GoesBack,
}

/// The faults of a seed, in order of time; all of them are over at the end of these seconds.
pub(super) fn plan(seed: u64, seconds: u64, store: Store) -> Vec<Fault> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut shared = fastrand::Rng::with_seed(seed ^ 0x5a4e);
    let end = Duration::from_secs(seconds);
    let Fixed {
        mut faults,
        reserved,
    } = fixed(seed, seconds, store);
    let mut busy: BTreeMap<Part, Duration> = BTreeMap::new();
    let mut at = PEACE;
    while at < end {
        let mut fault = draw(&mut dice, at);
        if seconds >= LONG && fault.kind == BOTH_KILLED {
            share(&mut fault, &mut shared);
        }
        let free = |hit: &Hit| {
            busy.get(&hit.part).is_none_or(|&until| until < at)
                && at + hit.lasts < end
                && !reserved.iter().any(|slot| slot.meets(hit, at))
        };
        if fault.hits.iter().all(free) {
            for hit in &fault.hits {
                // A moment to come up again.
                let rest = Duration::from_millis(dice.u64(50..1500));
                busy.insert(hit.part, at + hit.lasts + rest);
            }
            faults.push(fault);
        }
        at += Duration::from_millis(dice.u64(100..2500));
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Both adapters are gone for the same time, in a third of the cases for so long that a gap must tell of it.
fn share(fault: &mut Fault, dice: &mut fastrand::Rng) {
    let lasts = match dice.u8(0..3) {
        0 => long_away(dice),
        _ => length(dice, Blow::Kill),
    };
    for hit in &mut fault.hits {
        hit.lasts = lasts;
    }
}

fn draw(dice: &mut fastrand::Rng, at: Duration) -> Fault {
    let all: u8 = KINDS.iter().map(|(_, weight, _)| weight).sum();
    let mut left = dice.u8(0..all);
    let mut drawn = KINDS[0];
    for kind in KINDS {
        if left < kind.1 {
            drawn = kind;
            break;
        }
        left -= kind.1;
    }
    let (kind, _, hits) = drawn;
    let swapped = dice.usize(0..2);
    let hits = hits.iter().map(|&(part, blow)| Hit {
        part: match part {
            Part::Adapter(n) => Part::Adapter(n ^ swapped),
            Part::BrokerWire(n) => Part::BrokerWire(n ^ swapped),
            Part::SourceWire(n) => Part::SourceWire(n ^ swapped),
            other => other,
        },
        blow,
        lasts: length(dice, blow),
    });
    Fault {
        kind,
        at,
        hits: hits.collect(),
    }
}

/// Mostly short; some are long enough to be noticed, a few for everybody to give up.
fn length(dice: &mut fastrand::Rng, blow: Blow) -> Duration {
    let millis = match dice.u8(0..20) {
        _ if blow == Blow::Cut => 0,
        0 => dice.u64(12_000..18_000),
        1..=3 => dice.u64(4_000..9_000),
        _ => dice.u64(20..3_500),
    };
    Duration::from_millis(millis)
}

/// The moments of a plan: a hit begins, or it is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Duration,
    pub(super) hit: Hit,
    pub(super) is_over: bool,
}

/// All moments in order of time.
pub(super) fn moments(faults: &[Fault]) -> Vec<Moment> {
    let mut all: Vec<Moment> = Vec::new();
    for fault in faults {
        for &hit in &fault.hits {
            let (begin, end) = (fault.at, fault.at + hit.lasts);
            all.push(Moment {
                at: begin,
                hit,
                is_over: false,
            });
            all.push(Moment {
                at: end,
                hit,
                is_over: true,
            });
        }
    }
    all.sort_by_key(|moment| moment.at);
    all
}

/// The stretches in which no adapter runs, longer than a head may stand still before it is stale: each must be told as a gap.
pub(super) fn unwatched(faults: &[Fault], stale: Duration) -> Vec<(Duration, Duration)> {
    let of = |number: usize| {
        let hits = faults
            .iter()
            .flat_map(|fault| fault.hits.iter().map(|hit| (fault.at, *hit)));
        hits.filter(move |(_, hit)| {
            hit.part == Part::Adapter(number) && matches!(hit.blow, Blow::Kill | Blow::End)
        })
        .map(|(at, hit)| (at, at + hit.lasts))
    };
    let both = of(0).flat_map(|(a, b)| of(1).map(move |(c, d)| (a.max(c), b.min(d))));
    both.filter(|(from, to)| *from + stale < *to).collect()
}

/// What a person asks of the source in the middle of it all: a request and its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) at: Duration,
    pub(super) method: &'static str,
    pub(super) path: String,
}

/// The errands of a seed, a few processes stopped, started and restarted; the last of them is done in time.
pub(super) fn errands(seed: u64, seconds: u64) -> Vec<Errand> {
    let mut dice = fastrand::Rng::with_seed(seed ^ 0xe44a);
    let end = Duration::from_secs(seconds.saturating_sub(4));
    let (mut at, mut errands) = (PEACE, Vec::new());
    while at < end {
        let (method, word) = [
            ("PATCH", "stop"),
            ("POST", "start"),
            ("POST", "start"),
            ("POST", "restart"),
        ][dice.usize(0..4)];
        // Few of them, so that one that was stopped is started again.
        let path = format!("/process/{word}/p{:02}", dice.usize(3..9));
        errands.push(Errand { at, method, path });
        at += Duration::from_millis(dice.u64(500..4000));
    }
    errands
}

/// How many faults of each kind.
pub(super) fn tally(faults: &[Fault]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in faults {
        *counts.entry(fault.kind).or_default() += 1;
    }
    let words: Vec<String> = counts
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    words.join(", ")
}

#[test]
fn the_same_seed_is_the_same_list_of_faults_and_all_are_over_in_time() {
    let plan = |seed| plan(seed, 60, Store::Stays);
    assert_eq!(plan(3), plan(3));
    assert_ne!(plan(3), plan(4));
    for seed in 0..50 {
        let faults = plan(seed);
        assert!(faults.len() > 10, "{faults:?}");
        let last = moments(&faults).last().unwrap().at;
        assert!(last < Duration::from_secs(60), "{last:?}");
    }
    let many: Vec<_> = (0..50).flat_map(plan).collect();
    for (kind, _, _) in KINDS {
        assert!(many.iter().any(|fault| fault.kind == kind), "never {kind}");
    }
}

#[test]
fn no_part_is_hit_while_it_is_hit() {
    for seed in 0..200 {
        let mut busy: BTreeMap<Part, Duration> = BTreeMap::new();
        for fault in plan(seed, 120, Store::GoesBack) {
            for hit in &fault.hits {
                let until = busy.insert(hit.part, fault.at + hit.lasts);
                assert!(
                    until.is_none_or(|until| until < fault.at),
                    "{seed}: {fault}"
                );
            }
        }
    }
}

#[test]
fn a_stretch_without_any_adapter_is_one_in_which_both_are_gone_for_long_enough() {
    let hit = |number, blow, lasts| Hit {
        part: Part::Adapter(number),
        blow,
        lasts: Duration::from_secs(lasts),
    };
    let fault = |at, hits: &[Hit]| Fault {
        kind: "",
        at: Duration::from_secs(at),
        hits: hits.to_vec(),
    };
    let both = [
        fault(3, &[hit(0, Blow::Kill, 20)]),
        fault(8, &[hit(1, Blow::End, 16)]),
    ];
    let stretch = |seconds| unwatched(&both, Duration::from_secs(seconds));
    assert_eq!(
        stretch(12),
        [(Duration::from_secs(8), Duration::from_secs(23))]
    );
    assert_eq!(stretch(15), []);
    let frozen = [fault(
        3,
        &[hit(0, Blow::Kill, 20), hit(1, Blow::Freeze, 20)],
    )];
    assert_eq!(unwatched(&frozen, Duration::ZERO), []);
}
