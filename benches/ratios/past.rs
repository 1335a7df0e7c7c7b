//! P7, P8: history of whole processes, all of it as JSON and a part of it as text.

use std::process::Command;

use super::Size;
use super::children::{Program, bare, observe};
use super::figure::{Figure, Goal, Unit};
use super::measure::{Spread, medians};
use super::nats::{self, nats};
use super::outlet::block_on;
use super::server::Server;
use super::traffic::fill;

const EVENTS: usize = 100_000;
/// Each has two subjects, one for each type.
const PROCESSES: usize = 5_000;
/// How the nats command does the same.
const COMMAND: &str = "nats sub --all --raw -T";
const STREAM: &str = "PROCESS_EVENTS";

/// P7 and P8.
pub fn figures(size: Size) -> Vec<Figure> {
    let server = Server::start();
    block_on(fill(&server, EVENTS, PROCESSES));
    let url = server.url();
    let json = || observe(server.folder(), &["history", "-o", "json", "-s", &url]);
    let name = "service-00007";
    let text = || {
        let args = ["history", "--type", "crashed,restarted", "-s", &url, name];
        observe(server.folder(), &args)
    };
    let theirs = || bare(&["pull", &url, STREAM, "core.process.>"]);
    let rounds = size.rounds();
    let all = times(rounds, (&json, EVENTS as u64), &theirs);
    let few = times(rounds, (&text, (EVENTS / PROCESSES) as u64), &theirs);
    let reference = "a bare pull consumer, 1,000 at a time, payloads to the pipe";
    let subject = format!("history -o json, {EVENTS} stored events to lines in a pipe, rate");
    let peak = |found: &[Round]| Spread::of(found.iter().map(|round| round.peak));
    vec![
        rate("P7", &subject, reference, &all, 0.90),
        Figure {
            name: "P7",
            subject: "the same, peak memory".to_owned(),
            reference: "–".to_owned(),
            unit: Unit::Mebibytes,
            found: Ok(peak(&all)),
            goal: Goal::AtMost(16.0),
            absolute: format!(
                "the bare consumer: {:.1} MiB",
                Spread::of(all.iter().map(|round| round.theirs_peak)).median
            ),
        },
        if let Some(why) = nats::missing(size) {
            Figure::missing("P7", &subject, COMMAND, why)
        } else {
            let args = ["sub", "core.process.>", "--all", "--raw", "-T"];
            let theirs = || nats(&server, &args);
            let all = times(rounds, (&json, EVENTS as u64), &theirs);
            rate("P7", &subject, COMMAND, &all, 2.0)
        },
        rate(
            "P8",
            &format!(
                "history as text, one name and two types of {EVENTS} events under {} subjects, rate",
                2 * PROCESSES
            ),
            reference,
            &few,
            0.60,
        ),
    ]
}

/// Both once: seconds and mebibytes.
struct Round {
    ours: f64,
    theirs: f64,
    peak: f64,
    theirs_peak: f64,
}

fn times(
    rounds: usize,
    (ours, lines): (&dyn Fn() -> Command, u64),
    theirs: &dyn Fn() -> Command,
) -> Vec<Round> {
    let run = |command: &dyn Fn() -> Command, wanted| {
        let (found, took, peak) = Program::start(&mut command()).drain();
        assert!(
            found >= wanted,
            "{found} of {wanted} that are stored and asked for"
        );
        (took.as_secs_f64(), peak as f64 / f64::from(1 << 20))
    };
    (0..=rounds)
        .map(|round| {
            let (ours, theirs) = if round % 2 == 0 {
                let first = run(ours, lines);
                (first, run(theirs, EVENTS as u64))
            } else {
                let first = run(theirs, EVENTS as u64);
                (run(ours, lines), first)
            };
            Round {
                ours: ours.0,
                theirs: theirs.0,
                peak: ours.1,
                theirs_peak: theirs.1,
            }
        })
        .skip(1)
        .collect()
}

fn rate(name: &'static str, subject: &str, reference: &str, found: &[Round], goal: f64) -> Figure {
    let times: Vec<_> = found
        .iter()
        .map(|round| (round.ours, round.theirs))
        .collect();
    let rates: Vec<_> = times
        .iter()
        .map(|(ours, theirs)| (*theirs, *ours))
        .collect();
    let (ours, theirs) = medians(&times);
    Figure {
        name,
        subject: subject.to_owned(),
        reference: reference.to_owned(),
        unit: Unit::Times,
        found: Ok(Spread::of_ratios(&rates)),
        goal: Goal::AtLeast(goal),
        absolute: format!(
            "{:.0} against {:.0} events/s",
            EVENTS as f64 / ours,
            EVENTS as f64 / theirs
        ),
    }
}
