//! The recordings of real servers through the whole pipeline: played in real time, looked at by the binary, committed to
//! a real nats-server, read back by the library, and held against what really happened.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use observe::bus::connect::connect;
use observe::bus::read::{Begin, Reader, Told};
use observe::bus::settings::BusSettings;
use observe::event::filter::Filter;
use observe::event::record::Record;
use serde_json::Value;

use self::replay::Replay;
use crate::support::folder;
use crate::support::nats::NatsServer;
use crate::support::score::{Facts, Mode};

mod replay;

/// One recording, looked at in one of the two ways.
struct Play {
    folder: PathBuf,
    source: String,
    mode: Mode,
    replay: Replay,
    adapter: Child,
}

impl Drop for Play {
    fn drop(&mut self) {
        drop(self.adapter.kill());
        drop(self.adapter.wait());
    }
}

fn recordings() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The phase of the looks against what happens is another one for each recording.
const INTERVALS: [&str; 4] = ["2s", "1990ms", "1900ms", "1950ms"];

fn begin(folder: &Path, number: usize, url: &str, state: &Path, mode: Mode) -> Play {
    let (word, evidence) = match mode {
        Mode::Stream => ("stream", "auto"),
        Mode::Poll => ("poll", "off"),
    };
    let source = format!("{}.{word}", folder.file_name().unwrap().to_str().unwrap());
    let replay = Replay::start(folder);
    let adapter = Command::new(env!("CARGO_BIN_EXE_observe"))
        .args([
            "adapter",
            "-s",
            url,
            "--source",
            &source,
            "--evidence",
            evidence,
        ])
        .args([
            "-p",
            &replay.port.to_string(),
            "--interval",
            INTERVALS[number % INTERVALS.len()],
        ])
        .env_clear()
        .env("XDG_STATE_HOME", state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Play {
        folder: folder.to_owned(),
        source,
        mode,
        replay,
        adapter,
    }
}

/// Everything the stream holds, in order.
async fn stored(url: &str) -> Vec<Record> {
    let bus = connect(&BusSettings::default().at(url)).await.unwrap();
    let settings = BusSettings::default();
    let mut reader = Reader::live(
        &bus,
        &settings.stream,
        &settings.prefix,
        Filter::all(),
        Begin::Sequence(1),
    );
    let mut records = Vec::new();
    loop {
        match reader.next().await.unwrap() {
            Told::Record(record) => records.push(*record),
            Told::CaughtUp(_) => return records,
            other => panic!("the stream tells {other:?}"),
        }
    }
}

/// What is wrong with the events of one recording, in lines.
fn judged(play: &Play, records: &[Record]) -> String {
    let mine: Vec<&Record> = records
        .iter()
        .filter(|record| record.envelope.source == play.source)
        .collect();
    let numbers = mine.iter().map(|record| record.envelope.seq);
    assert!(
        numbers.eq(1..=mine.len() as u64),
        "{}: seq has holes",
        play.source
    );
    let events: Vec<Value> = mine
        .iter()
        .map(|record| serde_json::from_slice(&record.raw).unwrap())
        .collect();
    let score = Facts::open(&play.folder).score(&events, play.mode);
    if score.is_perfect() && score.knowable > 0 {
        String::new()
    } else {
        format!("{}: {score}\n", play.source)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recording_is_told_as_it_happened_through_a_real_broker_with_the_stream_and_without()
{
    let broker = NatsServer::start();
    let state = folder("recordings");
    let url = broker.url();
    let mut plays = Vec::new();
    for (number, recording) in recordings().iter().enumerate() {
        let meta = std::fs::read_to_string(recording.join("meta.json")).unwrap();
        if !meta.contains(r#""states_ws": false"#) {
            plays.push(begin(recording, number, &url, &state, Mode::Stream));
        }
        plays.push(begin(recording, number + 1, &url, &state, Mode::Poll));
    }
    assert!(plays.len() > 30, "where are the recordings?");
    // The recordings have their own clock; nothing of ours is waited for.
    while !plays.iter().all(|play| play.replay.is_over()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let records = stored(&url).await;
    let wrong: String = plays.iter().map(|play| judged(play, &records)).collect();
    assert!(wrong.is_empty(), "{wrong}");
}
