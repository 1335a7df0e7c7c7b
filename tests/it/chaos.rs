//! Chaos: two adapters watch one source and tell it to one broker, and all four, and the wires between them, are killed,
//! stopped, cut and filled up at moments that a seed decides, and the broker comes back with an older store. When everything has settled, the stream is held against what
//! really happened ([`score`] says what is accepted). A person stops, starts and restarts processes meanwhile, and a reader
//! watches all the time: it must be shown exactly what stands in the stream.
//!
//! The list of faults and their times follow from the seed alone. How the programs interleave with them does not: a seed
//! that failed once is likely, not certain, to fail again; what it leaves behind (the streams, the truth, the logs) is kept.
//!
//! `CHAOS_SECONDS` and `CHAOS_SEED` choose another length and another seed; `make chaos` runs ten minutes of a new one.
//! An older store comes back once a minute, but for `CHAOS_OLDER=0`; with `CHAOS_STANDBY=1` the adapter that may go with it is
//! the one that only stood by.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use observe::bus::connect::connect;
use observe::bus::read::{Begin, Reader, Told};
use observe::bus::settings::BusSettings;
use observe::event::filter::Filter;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use self::plan::{Errand, Fault, Store, errands, moments, plan, tally, unwatched};
use self::score::score;
use self::shown::{Verdict, compare};
use self::stage::Stage;
use self::truth::Restore;

mod doctored;
mod plan;
mod proxy;
mod score;
mod shown;
mod stage;
mod truth;

/// The seed where nobody names one.
const SEED: u64 = 1;
/// How long it lasts where nobody says.
const SECONDS: u64 = 60;
/// After this a head is stale for sure: its refresh and two intervals, and a moment.
const STALE: Duration = Duration::from_secs(12);
/// How long everything may take to be told once all is well again.
const SETTLING: Duration = Duration::from_secs(90);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().expect("a number"))
}

#[expect(
    clippy::print_stderr,
    reason = "what was done and how to do it again, for whoever reads the test's output"
)]
fn say(line: &str) {
    eprintln!("chaos: {line}");
}

/// One a line.
fn lines(all: &[impl std::fmt::Display]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join("\n") + "\n"
}

/// Everything the stream holds, in order.
async fn stored(url: &str) -> Vec<Value> {
    let settings = BusSettings::default().at(url);
    let bus = connect(&settings).await.unwrap();
    let mut reader = Reader::live(
        &bus,
        &settings.stream,
        &settings.prefix,
        Filter::all(),
        Begin::Sequence(1),
    );
    let mut events = Vec::new();
    loop {
        match reader.next().await.unwrap() {
            Told::Record(record) => events.push(serde_json::from_slice(&record.raw).unwrap()),
            Told::CaughtUp(_) => return events,
            other => panic!("the stream tells {other:?}"),
        }
    }
}

/// True where the last state told of each process is the one the source shows.
fn is_told(events: &[Value], shown: &[Value]) -> bool {
    shown.iter().all(|state| {
        let last = events
            .iter()
            .rev()
            .find(|event| event["process"] == state["name"]);
        last.is_some_and(|event| {
            // No pid is none.
            let pid = |state: &Value| state["pid"].as_i64().unwrap_or_default();
            event["state"]["status"] == state["status"] && pid(&event["state"]) == pid(state)
        })
    })
}

fn folder(seed: u64) -> PathBuf {
    let name = format!("chaos-{seed}-{}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(&path).unwrap();
    path
}

/// Does what the plan says, when it says so.
async fn perform(stage: &mut Stage, (faults, errands): (&[Fault], &[Errand]), seconds: u64) {
    let zero = Instant::now();
    let mut errands = errands.iter().peekable();
    for moment in moments(faults) {
        while let Some(errand) = errands.next_if(|errand| errand.at <= moment.at) {
            sleep_until(zero + errand.at).await;
            stage.run_errand(errand);
        }
        sleep_until(zero + moment.at).await;
        stage.check();
        if moment.is_over {
            stage.mend(moment.hit).await;
        } else {
            stage.strike(moment.hit).await;
        }
    }
    for errand in errands {
        sleep_until(zero + errand.at).await;
        stage.run_errand(errand);
    }
    sleep_until(zero + Duration::from_secs(seconds)).await;
}

/// Stretches in which no adapter ran and of which no gap tells.
fn silences(faults: &[Fault], zero: DateTime<Utc>, events: &[Value]) -> Vec<String> {
    let gaps: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "gap")
        .map(|event| &event["gap"])
        .collect();
    let time = |value: &Value| value.as_str().map(truth::time);
    let spans = |gap: &&&Value, from: truth::Time, to: truth::Time| {
        time(&gap["from"]).is_none_or(|begin| begin <= from) && time(&gap["to"]) >= Some(to)
    };
    let silent = unwatched(faults, STALE)
        .into_iter()
        .filter_map(|(from, to)| {
            let from = (zero + from).timestamp_millis() + 1000;
            let to = (zero + to).timestamp_millis();
            let told = gaps.iter().any(|gap| spans(&gap, from, to));
            (!told).then(|| format!("nobody looked from {from} to {to}, and no gap says so"))
        });
    silent.collect()
}

/// What a reader who watched all the time was shown otherwise than it stands in the stream, from its first event on.
async fn read_along(stage: &Stage, events: &[Value], restores: &[Restore]) -> Option<String> {
    let end = Instant::now() + SETTLING;
    loop {
        match compare(&stage.watched(), events, restores) {
            Verdict::Same => return None,
            Verdict::Wrong(why) => return Some(why),
            Verdict::Behind(why) if Instant::now() > end => return Some(why),
            Verdict::Behind(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// One performance, from the first look to the verdict.
async fn run(seed: u64, seconds: u64) {
    let folder = folder(seed);
    let store = match number("CHAOS_OLDER") {
        Some(0) => Store::Stays,
        _ => Store::GoesBack,
    };
    let faults = plan(seed, seconds, store);
    let list = lines(&faults);
    fs::write(folder.join("faults.txt"), &list).unwrap();
    if number("CHAOS_PLAN").is_some() {
        say(&format!("the plan of seed {seed}:\n{list}"));
    }
    let guard = Guard {
        folder: &folder,
        seed,
        seconds,
    };
    let mut stage = Stage::new(&folder, seed).await;
    let zero = Utc::now();
    perform(&mut stage, (&faults, &errands(seed, seconds)), seconds).await;
    stage.calm().await;
    let shown = stage.shown();
    let end = Instant::now() + SETTLING;
    let mut settled = false;
    while !settled && Instant::now() < end {
        settled = stage.has_broker() && is_told(&stored(&stage.broker()).await, &shown);
        stage.check();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stage.end_adapters().await;
    let events = stored(&stage.broker()).await;
    fs::write(folder.join("stream.jsonl"), lines(&events)).unwrap();
    fs::write(
        folder.join("shown.json"),
        Value::Array(shown.clone()).to_string(),
    )
    .unwrap();
    fs::write(folder.join("broker.log"), stage.broker_log()).unwrap();
    let truth = stage.truth();
    let missed = read_along(&stage, &events, &truth.restores).await;
    let mut score = score(&truth, &events, &shown);
    if !settled {
        score.wrong.push(format!("not settled within {SETTLING:?}"));
    }
    score.wrong.extend(missed);
    score.wrong.extend(silences(&faults, zero, &events));
    say(&format!(
        "seed {seed}, {seconds} s, {} faults ({}); {} epochs, {} facts; {score}",
        faults.len(),
        tally(&faults),
        truth.epochs.len(),
        truth.facts()
    ));
    assert!(score.is_clean(), "the stream does not tell the truth");
    std::mem::forget(guard);
    fs::remove_dir_all(&folder).unwrap();
}

/// Says, if it is dropped, where everything lies and how to do it again.
struct Guard<'a> {
    folder: &'a Path,
    seed: u64,
    seconds: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let Self {
            folder,
            seed,
            seconds,
        } = self;
        let stays = number("CHAOS_OLDER") == Some(0);
        let older = if stays { "CHAOS_OLDER=0 " } else { "" };
        say(&format!(
            "FAILED; everything lies in {}; again: {older}CHAOS_SEED={seed} CHAOS_SECONDS={seconds} make chaos",
            folder.display()
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_stream_tells_the_truth_whatever_is_done_to_those_who_tell_it() {
    let seed = number("CHAOS_SEED").unwrap_or(SEED);
    run(seed, number("CHAOS_SECONDS").unwrap_or(SECONDS)).await;
}

/// Seeds that failed once, each named after what it found; [`run`] again is likely, not certain, to find it again.
mod seeds {
    use super::run;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_3_frames_that_a_stalled_wire_held_back_end_no_newer_run() {
        run(3, 30).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_4_frames_of_a_former_server_begin_no_run_of_the_next() {
        run(4, 30).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_5_an_account_without_space_ends_no_adapter() {
        run(5, 30).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_7_a_look_that_was_answered_before_a_freeze_is_as_old_as_its_answer() {
        run(7, 30).await;
    }

    /// And a restart that was decided, counted and called off while nobody looked leaves a last run in doubt.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_9_an_adapter_that_meets_the_new_epoch_first_waits_for_the_other() {
        run(9, 30).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_18_frames_left_over_by_a_dropped_table_end_no_other_run() {
        run(18, 30).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_64_frames_that_a_frozen_adapter_read_late_begin_no_run_anew() {
        run(64, 30).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_43_frames_of_a_former_server_read_after_a_thaw_end_no_run_of_the_next() {
        run(43, 30).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    #[ignore = "half a minute; make chaos runs it"]
    async fn seed_201_an_end_heard_while_a_look_lasts_is_not_the_end_of_the_run_before() {
        run(201, 30).await;
    }
}
