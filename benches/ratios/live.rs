//! P6, P9: the live view of whole processes, from the publishing of an event to its line, and from their start to the first.

use std::io::BufRead as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use tokio::time::Instant;

use super::Size;
use super::children::{PATIENCE, Program, bare, observe};
use super::figure::{Figure, Goal, Unit};
use super::measure::{Spread, medians, quantile};
use super::nats::{self, nats};
use super::outlet::{Looks, Outlet, block_on};
use super::server::Server;
use super::traffic::{Traffic, number_of};

/// Events a second.
const RATE: u32 = 1_000;
const STREAM: &str = "PROCESS_EVENTS";
/// Lines that may wait to be looked at.
const WAITING: usize = 100_000;
/// What may lose events, and does not know it.
const TAIL: &str = "a bare subscriber on what the stream repeats, payloads to the pipe";
/// What is told again what it missed.
const PUSH: &str = "a bare ordered push consumer, payloads to the pipe";
/// The one and the other as a whole process.
const SUBSCRIBER: &str = "a bare subscriber, whole process";
const CONSUMER: &str = "a bare ordered push consumer, whole process";
/// Where the stream repeats what it stored.
const LIVE: &str = "core.live.process.>";

/// P6 and P9.
pub fn figures(size: Size) -> Vec<Figure> {
    let server = Server::start();
    block_on(async {
        let mut outlet = Outlet::begin(&server, "shop").await;
        outlet
            .tell(&Looks::at(100).next(super::body::Change::Vitals))
            .await;
    });
    let mut figures = latency(size, &server);
    figures.extend(start(size, &server));
    figures
}

fn watch(server: &Server) -> Command {
    observe(server.folder(), &["watch", "--json", "-s", &server.url()])
}

/// The median and the 99th percentile of the time from publishing to the line, in milliseconds.
fn delays(mut command: Command, server: &Server, lasts: Duration) -> (f64, f64) {
    let mut program = Program::start(&mut command);
    let (tell, told) = mpsc::sync_channel(WAITING);
    let lines = program.lines();
    let reader = std::thread::spawn(move || {
        let lines = lines.lines().map_while(Result::ok);
        for line in lines {
            let now = Instant::now();
            if tell.send((number_of(&line), now)).is_err() {
                break;
            }
        }
    });
    let traffic = Traffic::begin(server, RATE);
    // What comes while it begins is no measure.
    let first = told.recv_timeout(PATIENCE).expect("a first line").1;
    let until = first + Duration::from_millis(500) + lasts;
    let mut seen = Vec::new();
    while Instant::now() < until {
        seen.extend(told.recv_timeout(PATIENCE));
    }
    let sent = traffic.end();
    drop((program, told));
    reader.join().expect("a reader that ends");
    let mut delays: Vec<_> = seen
        .into_iter()
        .filter(|(_, at)| *at > first + Duration::from_millis(500))
        .filter_map(|(number, at)| {
            let sent = sent.get(number? - 1)?;
            Some(at.saturating_duration_since(*sent).as_secs_f64() * 1e3)
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    (quantile(&delays, 0.5), quantile(&delays, 0.99))
}

fn latency(size: Size, server: &Server) -> Vec<Figure> {
    let lasts = Duration::from_millis(if size == Size::Quick { 1_000 } else { 2_500 });
    let rounds = match size {
        Size::Quick => 2,
        Size::Full => 12,
    };
    let url = server.url();
    let command = |which| match which {
        0 => watch(server),
        1 => bare(&["tail", &url, LIVE]),
        _ => bare(&["push", &url, STREAM]),
    };
    // In every order: what came before shows in what comes after.
    let found: Vec<_> = (0..rounds)
        .map(|round| {
            let mut all = [(0.0, 0.0); 3];
            for which in ORDERS[round % ORDERS.len()] {
                all[which] = delays(command(which), server, lasts);
            }
            all
        })
        .collect();
    let subject =
        |word| format!("watch --json: published to line in the pipe, {RATE} events/s, {word}");
    let mut figures = Vec::new();
    let words = |(ours, theirs)| format!("{ours:.3} against {theirs:.3} ms");
    for (other, reference) in [(1, TAIL), (2, PUSH)] {
        let p50: Vec<_> = found.iter().map(|all| (all[0].0, all[other].0)).collect();
        let p99: Vec<_> = found.iter().map(|all| (all[0].1, all[other].1)).collect();
        figures.push(Figure {
            name: "P6",
            subject: subject("p50"),
            reference: reference.to_owned(),
            unit: Unit::Times,
            found: Ok(Spread::of_ratios(&p50)),
            goal: Goal::AtMost(1.10),
            absolute: words(medians(&p50)),
        });
        figures.push(Figure {
            name: "P6",
            subject: subject("p99, more than the reference"),
            reference: reference.to_owned(),
            unit: Unit::Millis,
            found: Ok(Spread::of(p99.iter().map(|(ours, theirs)| ours - theirs))),
            goal: Goal::AtMost(0.2),
            absolute: words(medians(&p99)),
        });
    }
    let bare: Vec<_> = found.iter().map(|all| (all[2].0, all[1].0)).collect();
    figures.push(Figure {
        name: "P6",
        subject: format!("the same of {PUSH}, p50"),
        reference: TAIL.to_owned(),
        unit: Unit::Times,
        found: Ok(Spread::of_ratios(&bare)),
        goal: Goal::Told,
        absolute: words(medians(&bare)),
    });
    figures
}

/// From the start to the first line, in milliseconds, and the most memory until then and a little longer, in mebibytes.
fn started(mut command: Command) -> Started {
    let mut program = Program::start(&mut command);
    let mut lines = program.lines();
    let mut line = String::new();
    lines.read_line(&mut line).expect("a first line");
    let took = program.began.elapsed().as_secs_f64() * 1e3;
    for _ in 0..100 {
        line.clear();
        lines.read_line(&mut line).expect("more lines");
    }
    (took, program.peak() as f64 / f64::from(1 << 20))
}

/// Every order of three.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [1, 0, 2],
    [2, 1, 0],
    [0, 2, 1],
    [1, 2, 0],
    [2, 0, 1],
];

/// The time to the first line, and the most memory.
type Started = (f64, f64);

/// Both in turn; the first time does not count.
fn in_turn(
    rounds: usize,
    ours: impl Fn() -> Started,
    theirs: impl Fn() -> Started,
) -> Vec<(Started, Started)> {
    let round = |round| {
        if round % 2 == 0 {
            let first = ours();
            (first, theirs())
        } else {
            let first = theirs();
            (ours(), first)
        }
    };
    (0..=rounds).map(round).skip(1).collect()
}

fn first(subject: &str, reference: &str, found: &[(Started, Started)], goal: Goal) -> Figure {
    let side = |side: fn(&Started) -> f64| -> Vec<_> {
        let pairs = found
            .iter()
            .map(|(ours, theirs)| (side(ours), side(theirs)));
        pairs.collect()
    };
    let (times, peaks) = (side(|it| it.0), side(|it| it.1));
    let ((ours, theirs), (room, their_room)) = (medians(&times), medians(&peaks));
    Figure {
        name: "P9",
        subject: subject.to_owned(),
        reference: reference.to_owned(),
        unit: Unit::Times,
        found: Ok(Spread::of_ratios(&times)),
        goal,
        absolute: format!(
            "{ours:.1} against {theirs:.1} ms, {room:.1} against {their_room:.1} MiB"
        ),
    }
}

fn start(size: Size, server: &Server) -> Vec<Figure> {
    let traffic = Traffic::begin(server, RATE);
    let url = server.url();
    // A start takes milliseconds, and scatters by half of them.
    let rounds = 2 * size.pairs();
    let ours = || started(watch(server));
    let tail = || started(bare(&["tail", &url, LIVE]));
    let push = || started(bare(&["push", &url, STREAM]));
    let found = in_turn(rounds, ours, tail);
    let pushed = in_turn(rounds, ours, push);
    let apart = in_turn(rounds, push, tail);
    let cli = if let Some(why) = nats::missing(size) {
        Err(why)
    } else {
        let theirs = || started(nats(server, &["sub", "--raw", LIVE]));
        Ok(in_turn(rounds, ours, theirs))
    };
    drop(traffic.end());
    let peaks: Vec<_> = found
        .iter()
        .map(|(ours, theirs)| (ours.1, theirs.1))
        .collect();
    let subject = "watch --json: start to first line, whole process";
    vec![
        first(subject, SUBSCRIBER, &found, Goal::AtMost(1.3)),
        first(subject, CONSUMER, &pushed, Goal::AtMost(1.3)),
        first(
            &format!("the same of {CONSUMER}"),
            SUBSCRIBER,
            &apart,
            Goal::Told,
        ),
        match cli {
            Ok(found) => first(subject, "nats sub", &found, Goal::AtMost(0.5)),
            Err(why) => Figure::missing("P9", subject, "nats sub", why),
        },
        Figure {
            name: "P9",
            subject: "watch --json: peak memory".to_owned(),
            reference: "–".to_owned(),
            unit: Unit::Mebibytes,
            found: Ok(Spread::of(peaks.iter().map(|peak| peak.0))),
            goal: Goal::AtMost(10.0),
            absolute: format!("a bare subscriber: {:.1} MiB", medians(&peaks).1),
        },
    ]
}
