//! Random lives, sane and insane: whatever is told, the figures add up.

use proptest::prelude::*;
use serde_json::json;

use super::{Journal, at};
use crate::stats::figures::Figures;
use crate::stats::report::{By, Question, Report};

const KINDS: [&str; 8] = [
    "started",
    "restarted",
    "stopped",
    "crashed",
    "healthy",
    "unhealthy",
    "status_changed",
    "hibernated",
];
const CERTAINTIES: [&str; 3] = ["certain", "inferred", "ambiguous"];
const PROCESSES: [&str; 5] = ["a/one", "a/two", "b/three", "b/four", "one"];
const REASONS: [&str; 6] = [
    "r",
    "added",
    "removed",
    "renamed",
    "source_restarted",
    "spawn_failed",
];

/// One thing that is told.
#[derive(Debug, Clone)]
enum Told {
    Event {
        step: i64,
        kind: usize,
        process: usize,
        reason: usize,
        former: usize,
        count: u32,
        certainty: usize,
        occurred: i64,
        initial: bool,
        fresh: bool,
    },
    Gap(i64, Option<i64>),
    Hole,
    Anew,
}

fn told() -> impl Strategy<Value = Told> {
    let event = (
        (
            -20..200_i64,
            0..KINDS.len(),
            0..PROCESSES.len(),
            0..REASONS.len(),
        ),
        (0..PROCESSES.len(), 1..4_u32, 0..3_usize, -50..50_i64),
        (any::<bool>(), any::<bool>()),
    );
    let event = event.prop_map(
        |(
            (step, kind, process, reason),
            (former, count, certainty, occurred),
            (initial, fresh),
        )| Told::Event {
            step,
            kind,
            process,
            // Most are plain.
            reason: if reason > 2 && step % 2 == 0 {
                0
            } else {
                reason
            },
            former,
            count,
            certainty,
            occurred,
            initial: initial && step % 5 == 0,
            fresh,
        },
    );
    prop_oneof![
        12 => event,
        1 => (1..200_i64, proptest::option::of(0..300_i64)).prop_map(|(step, back)| Told::Gap(step, back)),
        1 => Just(Told::Hole),
        1 => Just(Told::Anew),
    ]
}

fn journal(all: &[Told], stands: &[(usize, bool)], until: Option<i64>) -> Journal {
    let (mut journal, mut now, mut journals) = (Journal::of(2000), -300, 0);
    journal.seq = 5;
    for one in all {
        match one {
            Told::Gap(step, back) => {
                now += step;
                journal.gap(back.map(|back| now - back), now);
            }
            Told::Hole => journal.seq += 2,
            Told::Anew => {
                journals += 1;
                journal.anew(&format!("j{journals}"));
            }
            Told::Event {
                step,
                kind,
                process,
                reason,
                former,
                count,
                certainty,
                occurred,
                initial,
                fresh,
            } => {
                now += step;
                let former = PROCESSES[*former].rsplit('/').next();
                let previous = json!({"name": former, "status": "Running", "is_ready": "-", "restarts": 0, "pid": 7});
                let previous = if *fresh { json!(null) } else { previous };
                journal.tell(now, KINDS[*kind], PROCESSES[*process], json!({
                    "reason": REASONS[*reason],
                    "previous": previous,
                    "origin": if *initial { "initial" } else { "change" },
                    "count": count,
                    "certainty": (CERTAINTIES[*certainty]),
                    "occurred": {"after": at(now - 60), "before": at(now), "at": at(now + occurred)},
                }));
            }
        }
    }
    for (process, up) in stands {
        journal.stands(PROCESSES[*process], *up);
    }
    if let Some(until) = until {
        journal.looked_until(until);
    }
    journal
}

fn adds_up(figures: &Figures) -> Result<(), TestCaseError> {
    let whole = 2_000_000 * figures.processes;
    prop_assert_eq!(figures.up + figures.down + figures.unknown, whole);
    if let Some(share) = figures.up_share() {
        let (known, unknown) = (1.0 - figures.unknown_share(), figures.unknown_share());
        prop_assert!((share * known + (1.0 - share) * known + unknown - 1.0).abs() < 1e-9);
    }
    prop_assert!(figures.longest_run <= figures.up);
    let sum = |figure: fn(&crate::stats::figures::Bucket) -> u64| {
        figures.timeline.iter().map(figure).sum::<u64>()
    };
    prop_assert_eq!(sum(|piece| piece.unknown), figures.unknown);
    prop_assert_eq!(sum(|piece| piece.crashes), figures.crashes.total);
    prop_assert_eq!(sum(|piece| piece.stops), figures.stops.total);
    let ends: u64 = figures.exits.values().sum();
    prop_assert_eq!(ends, figures.crashes.total + figures.stops.total);
    prop_assert!(figures.repairs <= figures.starts.total + figures.restarts.total);
    Ok(())
}

/// The same lines, added up by what a coarser line would be about.
fn merged(report: &Report, by: By) -> Vec<(String, Option<String>, Figures)> {
    let mut out: Vec<(String, Option<String>, Figures)> = Vec::new();
    for line in &report.lines {
        let namespace = line.namespace.clone().filter(|_| by == By::Namespace);
        let found = out
            .iter_mut()
            .find(|(source, own, _)| *source == line.source && *own == namespace);
        match found {
            Some((_, _, figures)) => figures.add(&line.figures),
            None => out.push((line.source.clone(), namespace, line.figures.clone())),
        }
    }
    out.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    out
}

proptest! {
    #[test]
    fn up_down_and_unknown_are_the_whole_and_groups_are_the_sum_of_their_processes(
        all in proptest::collection::vec(told(), 0..60),
        stands in proptest::collection::vec((0..PROCESSES.len(), any::<bool>()), 0..5),
        until in proptest::option::of(-100..2500_i64),
        buckets in 1..50_usize,
    ) {
        let report = |by: By| {
            journal(&all, &stands, until).report(&Question { by, buckets, ..Question::default() })
        };
        let each = report(By::Process);
        for line in &each.lines {
            prop_assert_eq!(line.figures.processes, 1);
            adds_up(&line.figures)?;
        }
        adds_up(&each.total)?;
        for by in [By::Namespace, By::Source] {
            let coarse = report(by);
            prop_assert_eq!(&coarse.total, &each.total);
            let lines: Vec<_> = coarse
                .lines
                .into_iter()
                .map(|line| (line.source, line.namespace, line.figures))
                .collect();
            prop_assert_eq!(lines, merged(&each, by));
        }
    }

    #[test]
    fn nothing_is_up_or_down_where_nobody_looked(
        all in proptest::collection::vec(told(), 0..60),
        from in 0..1900_i64,
        length in 1..500_i64,
    ) {
        let mut blind = journal(&all, &[], Some(2000));
        // A journal behind everything else, so that the stretch is told whatever came before.
        blind.gap(Some(from), from + length);
        let report = blind.report(&Question { buckets: 2000, ..Question::default() });
        for line in &report.lines {
            let first = usize::try_from(from).unwrap();
            let last = usize::try_from((from + length).min(2000)).unwrap();
            for piece in &line.figures.timeline[first..last] {
                prop_assert_eq!(piece.unknown, 1000);
            }
        }
    }
}
