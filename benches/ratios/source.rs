//! P10, P11, P12, and P13's memory: the adapter as a whole process, before a played process-compose and a real broker.

use std::collections::HashMap;
use std::io::BufRead as _;
use std::sync::mpsc;
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use super::Size;
use super::bare::body_of;
use super::children::{Program, bare, observe, wall};
use super::figure::{Figure, Goal, Unit};
use super::measure::{Spread, exponent, medians, quantile};
use super::pause::after_pauses;
use super::server::Server;
use super::stack::{Stack, told};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// After this long the looks at a change keep no other one waiting: twice the least time between two looks, because what
/// is heard of a change while it is looked at brings a second look, and room for both.
const ALONE: Duration = Duration::from_millis(600);
const MEBIBYTE: f64 = (1 << 20) as f64;

/// P10 to P12, and P13's memory.
pub fn figures(size: Size) -> Vec<Figure> {
    let mut figures = memory(size);
    figures.extend(idle(size));
    figures.extend(delays(size));
    figures
}

/// What adapters keep resident at so many processes, in bytes, and how long a body is.
fn residents(processes: u32, size: Size) -> (Spread, f64) {
    let server = Server::start();
    let stack = Stack::play(server.folder(), processes, 1.0, &[]);
    let body = body_of(stack.place()) as f64;
    // A large one is sampled more often instead.
    let (adapters, samples) = if processes > 1_000 {
        (1, if size == Size::Quick { 1 } else { 5 })
    } else {
        (size.repetitions(), 1)
    };
    let names: Vec<_> = (0..adapters)
        .map(|number| format!("shop{number}"))
        .collect();
    let programs: Vec<_> = names
        .iter()
        .map(|name| stack.adapter(&server, name, &[]))
        .collect();
    told(&server, &names, u64::from(processes) / 2);
    let mut found = Vec::new();
    for _ in 0..samples {
        std::thread::sleep(INTERVAL);
        found.extend(programs.iter().map(|program| program.resident() as f64));
    }
    (Spread::of(found), body)
}

fn memory(size: Size) -> Vec<Figure> {
    let counts: &[u32] = match size {
        Size::Quick => &[10, 50, 100, 1_000, 10_000],
        Size::Full => &[10, 50, 100, 1_000, 10_000, 100_000],
    };
    // They wait most of the time, so they can wait together, but for the largest, which need the machine.
    let found: Vec<(u32, Spread, f64)> = std::thread::scope(|scope| {
        let small = counts.iter().filter(|count| **count <= 1_000);
        let threads: Vec<_> = small
            .map(|&count| (count, scope.spawn(move || residents(count, size))))
            .collect();
        let joined = threads
            .into_iter()
            .map(|(count, thread)| (count, thread.join().expect("adapters that look")));
        joined
            .map(|(count, (found, body))| (count, found, body))
            .collect()
    });
    let large = counts.iter().filter(|count| **count > 1_000).map(|&count| {
        let (found, body) = residents(count, size);
        (count, found, body)
    });
    let found: Vec<_> = found.into_iter().chain(large).collect();
    let mut figures: Vec<_> = found.iter().filter_map(resident).collect();
    if size == Size::Quick {
        figures.push(Figure::missing(
            "P10",
            "adapter, resident, 100,000 processes",
            "one body",
            "not with QUICK=1",
        ));
    }
    let points: Vec<_> = found
        .iter()
        .filter(|(count, ..)| *count >= 100)
        .map(|(count, found, _)| (f64::from(*count), found.median))
        .collect();
    let words: Vec<_> = points
        .iter()
        .map(|(_, bytes)| format!("{:.1}", bytes / MEBIBYTE))
        .collect();
    let slope = exponent(&points);
    let last = exponent(&points[points.len() - 2..]);
    figures.push(Figure {
        name: "P13",
        subject: format!(
            "growth of P10's memory, 100 to {} processes",
            points[points.len() - 1].0
        ),
        reference: "–".to_owned(),
        unit: Unit::Exponent,
        found: Ok(Spread {
            median: slope,
            least: slope.min(last),
            most: slope.max(last),
        }),
        goal: Goal::AtMost(1.05),
        absolute: format!("{} MiB; {last:.2} over the last decade", words.join(", ")),
    });
    figures
}

fn resident((count, found, body): &(u32, Spread, f64)) -> Option<Figure> {
    let (unit, divisor, goal) = match count {
        10 => (Unit::Mebibytes, MEBIBYTE, 10.0),
        50 => (Unit::Mebibytes, MEBIBYTE, 12.0),
        10_000 => (Unit::Mebibytes, MEBIBYTE, 40.0),
        100_000 => (Unit::Times, *body, 8.0),
        _ => return None,
    };
    Some(Figure {
        name: "P10",
        subject: format!("adapter, resident, {count} processes"),
        reference: if unit == Unit::Times {
            "one body"
        } else {
            "–"
        }
        .to_owned(),
        unit,
        found: Ok(Spread {
            median: found.median / divisor,
            least: found.least / divisor,
            most: found.most / divisor,
        }),
        goal: Goal::AtMost(goal),
        absolute: format!(
            "{:.1} MiB; a body has {:.2} MiB, so {:.1} × that",
            found.median / MEBIBYTE,
            body / MEBIBYTE,
            found.median / body
        ),
    })
}

/// Reads and throws away.
const GET: &str = "the same GET by a bare client on a kept connection";
/// Reads, parses, and keeps open what has to be open.
const EYE: &str =
    "a bare program that parses it too and keeps a state stream and a broker's connection";

/// P11: all at once, because it is CPU time that counts, in windows of some looks.
fn idle(size: Size) -> Vec<Figure> {
    let (windows, lasts) = match size {
        Size::Quick => (2, INTERVAL),
        Size::Full => (9, 5 * INTERVAL),
    };
    let server = Server::start();
    let stack = Stack::still(server.folder(), 10);
    let adapter = stack.adapter(&server, "shop", &[]);
    let millis = INTERVAL.as_millis().to_string();
    let get = Program::start(&mut bare(&["get", stack.place(), &millis]));
    let eye = Program::start(&mut bare(&["eye", stack.place(), &millis, &server.url()]));
    told(&server, &["shop".to_owned()], 1);
    std::thread::sleep(INTERVAL);
    let all = || [&adapter, &get, &eye].map(Program::cpu);
    let a_minute = |took: Duration| took.as_secs_f64() * 1e3 * 60.0 / lasts.as_secs_f64();
    let mut before = all();
    let found: Vec<_> = (0..windows)
        .map(|_| {
            std::thread::sleep(lasts);
            let after = all();
            let used = |program: usize| a_minute(after[program].saturating_sub(before[program]));
            let used = [used(0), used(1), used(2)];
            before = after;
            used
        })
        .collect();
    let subject = "adapter, CPU per minute, 10 processes at 2 s, nothing changes";
    let ratio = |subject: &str, reference: &str, (ours, theirs): (usize, usize), goal| {
        let pairs: Vec<_> = found.iter().map(|all| (all[ours], all[theirs])).collect();
        let (ours, theirs) = medians(&pairs);
        Figure {
            name: "P11",
            subject: subject.to_owned(),
            reference: reference.to_owned(),
            unit: Unit::Times,
            found: Ok(Spread::of_ratios(&pairs)),
            goal,
            absolute: format!("{ours:.1} against {theirs:.1} ms"),
        }
    };
    vec![
        ratio(subject, GET, (0, 1), Goal::AtMost(1.25)),
        ratio(subject, EYE, (0, 2), Goal::AtMost(1.25)),
        ratio(&format!("the same of {EYE}"), GET, (2, 1), Goal::Told),
        Figure {
            name: "P11",
            subject: subject.to_owned(),
            reference: "–".to_owned(),
            unit: Unit::Millis,
            found: Ok(Spread::of(found.iter().map(|all| all[0]))),
            goal: Goal::AtMost(60.0),
            absolute: String::new(),
        },
    ]
}

/// The end of a run as a watch wrote it: the process, when its look ended, and when the line was there.
type Line = (String, f64, f64);

/// P12: with the state stream and without, side by side.
fn delays(size: Size) -> Vec<Figure> {
    let lasts = Duration::from_secs(if size == Size::Quick { 5 } else { 60 });
    let server = Server::start();
    let truth = server.folder().join("truth.jsonl");
    let more = ["--truth", &truth.to_string_lossy()];
    let stack = Stack::play(server.folder(), 20, 2.0, &more);
    let names = ["with".to_owned(), "without".to_owned()];
    let noticing = stack.adapter(&server, &names[0], &[]);
    // Otherwise both commit at the same moments, and each is measured in the way of the other.
    std::thread::sleep(INTERVAL / 2);
    let waiting = stack.adapter(&server, &names[1], &["--evidence", "off"]);
    told(&server, &names, 1);
    let watches = names.clone().map(|name| {
        let (tell, told) = mpsc::sync_channel(10_000);
        let args = ["watch", "--json", "--source", &name, "-s", &server.url()];
        let mut program = Program::start(&mut observe(server.folder(), &args));
        let lines = program.lines();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let now = wall();
                if let Some(end) = end_of(&line, "timestamp", now)
                    && tell.send(end).is_err()
                {
                    break;
                }
            }
        });
        (program, told)
    });
    std::thread::sleep(INTERVAL);
    let began = wall();
    std::thread::sleep(lasts);
    let ended = wall();
    std::thread::sleep(INTERVAL * 2);
    let truth = std::fs::read_to_string(&truth).expect("the truth");
    let mut moments: Vec<_> = truth.lines().filter_map(moment_of).collect();
    moments.sort_by(f64::total_cmp);
    let happened: Vec<Line> = truth
        .lines()
        .filter_map(|line| end_of(line, "at", 0.0))
        .filter(|(_, at, _)| (began..ended).contains(at))
        .collect();
    let [with, without] = watches.map(|(program, told)| {
        let lines: Vec<Line> = told.try_iter().collect();
        drop(program);
        lines
    });
    let alone: Vec<Line> = happened
        .iter()
        .filter(|(_, at, _)| is_alone(*at, &moments))
        .cloned()
        .collect();
    let alone = matched(&alone, &with);
    drop((noticing, waiting, stack, server));
    let bare = after_pauses(INTERVAL, if size == Size::Quick { 1 } else { 20 });
    rows(
        &matched(&happened, &with),
        &alone,
        &matched(&happened, &without),
        bare,
    )
}

/// When a line of the truth happened.
fn moment_of(line: &str) -> Option<f64> {
    let value: Value = serde_json::from_str(line).ok()?;
    let at = DateTime::parse_from_rfc3339(value["at"].as_str()?).ok()?;
    Some(at.timestamp_micros() as f64 / 1e6)
}

/// Whether nothing happened so shortly before that its look may keep this one waiting.
fn is_alone(at: f64, moments: &[f64]) -> bool {
    let before = moments.partition_point(|moment| *moment < at - 1e-6);
    before == 0 || at - moments[before - 1] > ALONE.as_secs_f64()
}

/// The end of a run in a line of JSON, with the time under this key.
fn end_of(line: &str, key: &str, now: f64) -> Option<Line> {
    let value: Value = serde_json::from_str(line).ok()?;
    let is_end = ["crashed", "stopped"].contains(&value["type"].as_str().unwrap_or_default())
        || value["what"] == "exited";
    if !is_end {
        return None;
    }
    let at = DateTime::parse_from_rfc3339(value[key].as_str()?).ok()?;
    let at = at.timestamp_micros() as f64 / 1e6;
    Some((value["process"].as_str()?.to_owned(), at, now))
}

/// For each end the milliseconds to its line, and those from the end of its look to its line.
fn matched(happened: &[Line], lines: &[Line]) -> Vec<(f64, f64)> {
    let mut of: HashMap<&str, Vec<&Line>> = HashMap::new();
    for line in lines {
        of.entry(line.0.as_str()).or_default().push(line);
    }
    let found = happened.iter().filter_map(|(process, at, _)| {
        let lines = of.get(process.as_str())?;
        let (_, looked, seen) = lines.iter().find(|(_, looked, _)| looked + 0.001 >= *at)?;
        // The end of a look is written down to the millisecond, so on the average it was half of one later.
        Some(((seen - at) * 1e3, (seen - looked) * 1e3 - 0.5))
    });
    found.collect()
}

/// A row of P12: the middle and the ends of these milliseconds.
fn row(subject: &str, median: f64, numbers: &[f64], goal: Goal, absolute: String) -> Figure {
    Figure {
        name: "P12",
        subject: subject.to_owned(),
        reference: "–".to_owned(),
        unit: Unit::Millis,
        found: Ok(Spread {
            median,
            least: numbers[0],
            most: numbers[numbers.len() - 1],
        }),
        goal,
        absolute,
    }
}

/// The ends before which nothing happened for a while.
fn by_itself(alone: &[f64], ends: &str) -> Figure {
    let subject = "change to line, interval 2 s, nothing else within 0.6 s before, p50";
    if alone.is_empty() {
        return Figure::missing("P12", subject, "–", "nothing happened by itself");
    }
    let found = format!("{} of {ends}", alone.len());
    row(
        subject,
        quantile(alone, 0.5),
        alone,
        Goal::AtMost(50.0),
        found,
    )
}

fn rows(
    with: &[(f64, f64)],
    alone: &[(f64, f64)],
    without: &[(f64, f64)],
    mut bare: Vec<f64>,
) -> Vec<Figure> {
    bare.sort_by(f64::total_cmp);
    let bare = quantile(&bare, 0.5);
    let sorted = |all: &[(f64, f64)], part: fn(&(f64, f64)) -> f64| {
        let mut numbers: Vec<_> = all.iter().map(part).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let alone = sorted(alone, |end| end.0);
    let (delays, told) = (sorted(with, |end| end.0), sorted(without, |end| end.1));
    let waited = quantile(&sorted(without, |end| end.0), 0.5);
    let half = INTERVAL.as_secs_f64() * 1e3 / 2.0;
    let ends = format!("{} ends of runs", delays.len());
    let off = format!(
        "{} ends; half an interval and {:.1} ms from the end of the look to the line; seen: {waited:.0} ms",
        told.len(),
        quantile(&told, 0.5)
    );
    vec![
        by_itself(&alone, &ends),
        row(
            "change to line, interval 2 s, two ends a second, p50",
            quantile(&delays, 0.5),
            &delays,
            Goal::Told,
            ends.clone(),
        ),
        row(
            "change to line, interval 2 s, two ends a second, p99",
            quantile(&delays, 0.99),
            &delays,
            Goal::AtMost(300.0),
            ends,
        ),
        Figure {
            reference: "half an interval".to_owned(),
            ..row(
                "the same with --evidence off, p50",
                half + quantile(&told, 0.5),
                &[half + told[0], half + told[told.len() - 1]],
                Goal::AtMost(half + 5.0),
                off,
            )
        },
        Figure {
            reference: "a bare batch of a head and ten events every interval, to the line of a bare push consumer".to_owned(),
            unit: Unit::Times,
            ..row(
                "the same without the wait: from the end of the look to the line, p50",
                quantile(&told, 0.5) / bare,
                &[told[0] / bare, told[told.len() - 1] / bare],
                Goal::AtMost(1.25),
                format!("{:.1} against {bare:.1} ms", quantile(&told, 0.5)),
            )
        },
    ]
}
