//! Age, memory and load of processes as an adapter on this machine saw them last, where it listens at the socket of its
//! source (`adapter --listen`). Whatever goes wrong, there is simply nothing to be had.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::event::payload::State;
use crate::observation::source::SourceId;
use crate::process::moment::{Moment, Sighted};

use super::listening::own_socket;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_millis(300);
/// The most that an answer may be, in bytes.
const LARGEST: u64 = 32 * 1024 * 1024;

/// As much of a snapshot as is wanted.
#[derive(Deserialize)]
struct Snapshot {
    sources: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    standing: Standing,
    #[serde(default)]
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Standing {
    source: String,
    freshness: String,
}

#[derive(Deserialize)]
struct Process {
    usage_at: Option<DateTime<Utc>>,
    state: Option<State>,
}

/// Takes the numbers of the last look where somebody listens who has them, and newer ones than there are.
pub(super) async fn overhear(moments: &mut [Moment]) {
    for moment in moments {
        if !matches!(moment.sighted, Sighted::Seen(_)) {
            continue;
        }
        let Ok(source) = moment.source.parse::<SourceId>() else {
            continue;
        };
        let Some(path) = own_socket(&source).path() else {
            continue;
        };
        if let Ok(Some(answer)) = timeout(LIMIT, ask(&path, &source)).await {
            take(moment, &answer);
        }
    }
}

/// Asks whoever listens there, if that is one of ours.
async fn ask(path: &Path, source: &SourceId) -> Option<Vec<u8>> {
    let uid = rustix::process::geteuid().as_raw();
    if std::fs::symlink_metadata(path).ok()?.uid() != uid {
        return None;
    }
    let mut pipe = UnixStream::connect(path).await.ok()?;
    let question = format!("GET /snapshot?source={source} HTTP/1.0\r\n\r\n");
    pipe.write_all(question.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    pipe.take(LARGEST).read_to_end(&mut answer).await.ok()?;
    Some(answer)
}

fn take(moment: &mut Moment, answer: &[u8]) {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return;
    };
    let is_good = answer.get(8..12) == Some(b" 200");
    let read = serde_json::from_slice::<Snapshot>(&answer[end + 4..]);
    let (true, Ok(snapshot)) = (is_good, read) else {
        return;
    };
    let ours = snapshot
        .sources
        .into_iter()
        .filter(|one| one.standing.source == moment.source && one.standing.freshness == "fresh");
    let seen: Vec<Process> = ours.flat_map(|one| one.processes).collect();
    for found in moment.processes.iter_mut().filter(|found| found.is_up()) {
        let mut all = seen
            .iter()
            .filter_map(|one| Some((one.state.as_ref()?, one.usage_at?)));
        let of_it = all.find(|(state, _)| *state.name == *found.name);
        if let Some((state, at)) = of_it.filter(|(_, at)| found.usage_at < Some(*at)) {
            found.used_as_seen(state, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::process::moment::Found;
    use crate::process::table::Table;

    use super::*;

    fn state(name: &str, pid: i64, mem: i64) -> State {
        let text = format!(
            r#"{{"name":"{name}","namespace":"d","status":"Running","is_ready":"-","has_ready_probe":false,"restarts":0,"exit_code":0,"is_running":true,"replicas":1,"pid":{pid},"mem_bytes":{mem}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn moment() -> Moment {
        let empty = Moment::of_table("shop", Sighted::Seen(None), &Table::default(), None);
        let api = Found {
            name: "api".into(),
            group: None,
            namespaces: Vec::new(),
            known: crate::process::moment::Known::Now,
            state: Some(state("api", 7, 1)),
            crashed: false,
            exit: None,
            begun_at: None,
            left_out: false,
            usage_at: Some("2026-08-20T09:00:00Z".parse().unwrap()),
        };
        Moment {
            processes: vec![api],
            ..empty
        }
    }

    fn answer(head: &str, freshness: &str, pid: i64, at: &str) -> Vec<u8> {
        let state = serde_json::to_string(&state("api", pid, 5)).unwrap();
        format!(
            "{head}\r\ncontent-type: x\r\n\r\n{}",
            format_args!(
                r#"{{"sources":[{{"standing":{{"source":"shop","freshness":"{freshness}"}},"processes":[{{"usage_at":"2026-08-20T09:{at}Z","state":{state}}}]}}]}}"#
            )
        )
        .into_bytes()
    }

    #[test]
    fn numbers_are_taken_of_the_same_run_from_a_fresh_table_and_only_newer_ones() {
        let ok = "HTTP/1.0 200 OK";
        for (answer, wanted) in [
            (answer(ok, "fresh", 7, "00:05"), 5),
            (answer(ok, "fresh", 8, "00:05"), 1),
            (answer(ok, "failing", 7, "00:05"), 1),
            (answer(ok, "fresh", 7, "00:00"), 1),
            (answer("HTTP/1.0 503 Odd", "fresh", 7, "00:05"), 1),
            (b"HTTP/1.0 200 OK\r\n\r\n{}".to_vec(), 1),
            (b"SSH-2.0".to_vec(), 1),
            (Vec::new(), 1),
        ] {
            let mut moment = moment();
            take(&mut moment, &answer);
            let state = moment.processes[0].state.as_ref().unwrap();
            assert_eq!(
                state.mem_bytes,
                Some(wanted),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
}
