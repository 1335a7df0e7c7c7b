//! The state stream of process-compose: what it leaves behind, and when that counts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use observe::process_compose::client::Client;
use observe::process_compose::frames::{Frames, StreamStatus};
use observe::process_compose::nudge::{Names, StateStream};
use observe::process_compose::settings::{Endpoint, Secret, Settings, TokenSource};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::fake_server::{FakeServer, Reply, Request, Say};
use crate::support::{folder, local};

struct Listening {
    frames: Arc<Frames>,
    names: watch::Sender<Names>,
    nudges: Arc<AtomicUsize>,
    token: CancellationToken,
    task: JoinHandle<()>,
}

fn set(count: usize) -> Arc<BTreeSet<String>> {
    Arc::new(
        (0..count)
            .map(|n| format!("w {n:03}"))
            .collect::<BTreeSet<_>>(),
    )
}

fn listen(settings: &Settings, names: Names) -> Listening {
    let frames = Arc::new(Frames::new());
    let (told, names) = watch::channel(names);
    let nudges = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&nudges);
    let stream = StateStream::new(
        &Arc::new(Client::new(settings).unwrap()),
        Arc::clone(&frames),
        names,
        Arc::new(|| chrono::DateTime::UNIX_EPOCH),
        Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }),
    );
    let token = CancellationToken::new();
    let task = tokio::spawn(stream.run(token.clone()));
    Listening {
        frames,
        names: told,
        nudges,
        token,
        task,
    }
}

async fn until(frames: &Frames, what: &str, holds: impl FnMut(&Frames) -> bool) {
    assert!(
        frames.wait_until(Duration::from_secs(20), holds).await,
        "never: {what}"
    );
}

fn frame(name: &str, status: &str, snapshot: bool) -> String {
    format!(
        r#"{{"snapshot":{snapshot},"state":{{"name":"{name}","status":"{status}","pid":4,"exit_code":-1}}}}"#
    )
}

/// What a server answers to a stream; it does not say when it began.
fn streaming(script: impl Fn(&Request) -> Reply) -> impl Fn(&Request) -> Reply {
    move |request| {
        if request.target == "/project/state" {
            Reply::missing()
        } else {
            script(request)
        }
    }
}

/// How often the stream was asked for.
fn asked_to_listen(server: &FakeServer) -> usize {
    let requests = server.requests();
    let streams = requests
        .iter()
        .filter(|r| r.target.starts_with("/process/states/ws"));
    streams.count()
}

#[tokio::test]
async fn the_stream_leaves_frames_and_nudges_and_loses_coverage_with_its_connection() {
    let path = folder("stream").join("pc.sock");
    let server = FakeServer::unix(
        &path,
        streaming(|_| Reply::Stream(vec![frame("w 000", "Running", true)])),
    );
    let mut settings = Settings::new(Endpoint::Unix(path));
    settings.token = Some(TokenSource::Value(Secret::new("a-token-of-some-length")));
    let listening = listen(&settings, None);
    let frames = &listening.frames;
    tokio::task::yield_now().await;
    assert_eq!(
        (server.connections(), frames.status()),
        (0, StreamStatus::Waiting)
    );
    listening.names.send(Some(set(1))).unwrap();
    until(frames, "covered", |frames| {
        frames.covered_since("w 000").is_some()
    })
    .await;
    assert_eq!(
        listening.nudges.load(Ordering::SeqCst),
        0,
        "a snapshot is no news"
    );
    until(frames, "all covered", |frames| {
        frames.covered_since("later").is_some()
    })
    .await;
    assert_eq!(frames.status(), StreamStatus::Connected(1));
    let mark = frames.mark();
    server.say(Say::Text(frame("w 000", "Terminating", false)));
    server.say(Say::Text(frame("w 000", "Completed", false)));
    until(frames, "the end", |frames| frames.view("w 000").len() == 3).await;
    assert!(frames.covers("w 000", mark) && listening.nudges.load(Ordering::SeqCst) > 0);
    server.say(Say::Cut);
    until(frames, "uncovered", |frames| !frames.covers("w 000", mark)).await;
    until(frames, "covered again", |frames| {
        frames.covered_since("w 000").is_some()
    })
    .await;
    assert!(!frames.covers("w 000", mark));
    assert_eq!(frames.view("w 000").len(), 4, "what was heard stays");
    let requests = server.requests();
    let request = requests.iter().find(|r| r.target == "/process/states/ws");
    let request = request.unwrap();
    assert!(
        request
            .headers
            .contains("x-pc-token-key: a-token-of-some-length")
    );
    assert!(!request.headers.contains("origin"));
    listening.token.cancel();
    listening.task.await.unwrap();
    assert_eq!(listening.frames.covered_since("w 000"), None);
}

#[tokio::test]
async fn while_nobody_looks_the_stream_is_left_and_nothing_of_it_is_kept() {
    let path = folder("rest").join("pc.sock");
    let server = FakeServer::unix(
        &path,
        streaming(|_| Reply::Stream(vec![frame("w 000", "Running", true)])),
    );
    let settings = Settings::new(Endpoint::Unix(path));
    let listening = listen(&settings, Some(set(1)));
    let frames = &listening.frames;
    until(frames, "all covered", |frames| {
        frames.covered_since("later").is_some()
    })
    .await;
    server.say(Say::Text(frame("w 000", "Terminating", false)));
    until(frames, "a frame", |frames| frames.view("w 000").len() == 2).await;
    listening.names.send_replace(None);
    until(frames, "left", |frames| {
        frames.status() == StreamStatus::Waiting
            && frames.view("w 000").is_empty()
            && frames.covered_since("w 000").is_none()
    })
    .await;
    assert_eq!(asked_to_listen(&server), 1);
    listening.names.send_replace(Some(set(1)));
    until(frames, "covered again", |frames| {
        frames.covered_since("w 000").is_some()
    })
    .await;
    assert_eq!(asked_to_listen(&server), 2);
    listening.token.cancel();
    listening.task.await.unwrap();
}

#[tokio::test]
async fn many_names_are_heard_by_lists_and_a_new_one_costs_no_coverage() {
    let server = FakeServer::tcp(streaming(|request| {
        let list = request
            .target
            .strip_prefix("/process/states/ws?name=")
            .unwrap();
        let names = list.split(',').map(|name| name.replace("%20", " "));
        Reply::Stream(names.map(|name| frame(&name, "Running", true)).collect())
    }))
    .await;
    let listening = listen(&Settings::new(local(server.port)), Some(set(450)));
    let frames = &listening.frames;
    until(frames, "one of each list", |frames| {
        ["w 000", "w 200", "w 449"]
            .iter()
            .all(|name| frames.covered_since(name).is_some())
    })
    .await;
    until(frames, "all lists", |frames| {
        frames.status() == StreamStatus::Connected(3)
    })
    .await;
    let mark = frames.mark();
    listening.names.send(Some(set(451))).unwrap();
    until(frames, "the new one", |frames| {
        frames.covered_since("w 450").is_some()
    })
    .await;
    assert!(
        frames.covers("w 000", mark),
        "{mark:?} {:?} {:?}",
        frames.mark(),
        frames.covered_since("w 000")
    );
    assert!(
        !frames.covers("w 450", mark),
        "{mark:?} {:?}",
        frames.covered_since("w 450")
    );
    assert_eq!(
        (asked_to_listen(&server), frames.covered_since("never told")),
        (4, None)
    );
    listening.token.cancel();
    listening.task.await.unwrap();
}

#[tokio::test]
async fn an_unreadable_frame_ends_the_coverage_so_far_and_not_the_connection() {
    let server = FakeServer::tcp(streaming(|_| {
        Reply::Stream(vec![frame("w 000", "Running", true)])
    }))
    .await;
    let listening = listen(&Settings::new(local(server.port)), Some(set(1)));
    let frames = &listening.frames;
    until(frames, "covered", |frames| {
        frames.covered_since("later").is_some()
    })
    .await;
    let mark = frames.mark();
    server.say(Say::Text("nonsense".into()));
    until(frames, "uncovered", |frames| !frames.covers("w 000", mark)).await;
    assert!(frames.covers("w 000", frames.mark()));
    assert_eq!(server.streams(), 1);
    listening.token.cancel();
    listening.task.await.unwrap();
}

#[tokio::test]
async fn a_server_without_the_stream_or_the_right_is_left_alone() {
    for (status, expected) in [
        (404, StreamStatus::Absent),
        (
            401,
            StreamStatus::Away("the state stream answers 401".into()),
        ),
    ] {
        let server = FakeServer::tcp(streaming(move |_| Reply::status(status, ""))).await;
        let listening = listen(&Settings::new(local(server.port)), Some(set(1)));
        until(&listening.frames, "left alone", |frames| {
            frames.status() == expected
        })
        .await;
        assert_eq!(server.requests().len(), 2, "its run and the stream");
        listening.token.cancel();
        listening.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_may_lead_to_another_run_of_the_server_is_not_listened_to() {
    let asked = AtomicUsize::new(0);
    let server = FakeServer::tcp(move |request| {
        if request.target != "/project/state" {
            return Reply::Stream(vec![frame("w 000", "Running", true)]);
        }
        // It begins again between the first question and the second.
        let began = if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            1
        } else {
            2
        };
        Reply::json(&format!(r#"{{"startTime":"2026-08-20T07:15:0{began}Z"}}"#))
    })
    .await;
    let listening = listen(&Settings::new(local(server.port)), Some(set(1)));
    let frames = &listening.frames;
    until(frames, "covered", |frames| {
        frames.covered_since("w 000").is_some()
    })
    .await;
    assert_eq!(asked_to_listen(&server), 2, "the first was given up");
    assert_eq!(frames.view("w 000").len(), 1, "and not heard");
    server.say(Say::Text(frame("w 000", "Completed", false)));
    let heard = |frames: &Frames, second: u8| {
        let epoch = format!("2026-08-20T07:15:0{second}.000Z");
        frames.heard(&epoch).len()
    };
    until(frames, "the end", |frames| heard(frames, 2) == 1).await;
    assert_eq!(heard(frames, 1), 0, "nothing of the former run");
    listening.token.cancel();
    listening.task.await.unwrap();
}
