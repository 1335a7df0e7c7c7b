//! Everything that happens to a broker, with changes of the stack meanwhile: after it, what a reader was shown is whole.

use std::collections::{BTreeMap, BTreeSet};

use observe::event::envelope::Envelope;
use observe::event::payload::{Kind, Origin};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::house::{House, brief, client};
use super::run::{LIMIT, Run};
use crate::support::nats::NatsServer;
use crate::support::wait::until;

/// A house at work with somebody who reads all of it.
pub(super) struct Trial {
    pub(super) house: House,
    pub(super) adapter: Run,
    pub(super) reader: Run,
}

impl Trial {
    pub(super) async fn new() -> Self {
        Self::on(NatsServer::start(), &[]).await
    }

    pub(super) async fn on(nats: NatsServer, more: &[&str]) -> Self {
        let house = House::on(nats).await;
        let adapter = house.working(more).await;
        let reader = house.watch(&["-n", "10000", "--json", "--gaps"]).await;
        let trial = Self {
            house,
            adapter,
            reader,
        };
        trial.exits(3).await;
        trial.reader.tells("\"code\":3").await;
        trial.begins_again(1).await;
        trial
    }

    /// The worker ends with this code; it is started again by itself.
    pub(super) async fn exits(&self, code: i32) {
        self.house.stack.exit("worker", code).await;
    }

    /// Waits until the worker was told to run again so often.
    pub(super) async fn begins_again(&self, times: usize) {
        until(LIMIT, "the worker runs again", async || {
            let told = self.shown();
            let again = |event: &&Envelope| {
                event.process.as_deref() == Some("worker") && event.kind == Kind::Restarted
            };
            told.iter().filter(again).count() >= times
        })
        .await;
    }

    pub(super) fn shown(&self) -> Vec<Envelope> {
        let lines = self.reader.out.all();
        let parse = |line: &String| serde_json::from_str(line).unwrap();
        lines.iter().map(parse).collect()
    }

    /// One more change is told, with what led to it; then everything that was shown is looked at.
    pub(super) async fn ends_well(&mut self, gaps: &[&str]) -> Vec<Envelope> {
        self.exits(99).await;
        self.reader.tells("\"code\":99").await;
        self.house.stack.control.kill("api", 9).unwrap();
        until(LIMIT, "the last words on both", async || {
            let told = self.shown();
            let last = last_words(&told);
            last.get("worker") == Some(&Kind::Restarted) && last.get("api") == Some(&Kind::Crashed)
        })
        .await;
        let told = self.shown();
        whole(&told);
        let last = last_words(&told);
        assert!(!last.contains_key("web") || last["web"] == Kind::Started);
        let why: Vec<_> = told
            .iter()
            .filter_map(|event| Some(event.gap.as_ref()?.why.to_string()))
            .collect();
        assert_eq!(why, gaps, "{:#?}", brief(&told));
        assert!(self.adapter.is_running(), "{:?}", self.adapter.err.all());
        assert!(self.reader.is_running(), "{:?}", self.reader.err.all());
        told
    }

    /// Waits until the adapter has noticed that the broker is away so often.
    pub(super) async fn notices(&self, times: usize) {
        until(LIMIT, "the adapter notices", async || {
            self.adapter.err.count("is away") >= times
        })
        .await;
    }

    pub(super) async fn api(&self, subject: &str, body: Value) -> Value {
        api(&self.house.nats, subject, body).await
    }
}

pub(super) async fn api(nats: &NatsServer, subject: &str, body: Value) -> Value {
    let answer = client(nats)
        .await
        .request(format!("$JS.API.{subject}"), body.to_string().into())
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// With what the worker ended, each time.
pub(super) fn codes(told: &[Envelope]) -> Vec<i64> {
    told.iter()
        .filter(|event| event.process.as_deref() == Some("worker"))
        .filter_map(|event| event.exit.as_ref()?.code)
        .collect()
}

/// The newest beginning or end of each process.
fn last_words(told: &[Envelope]) -> BTreeMap<String, Kind> {
    let runs = [Kind::Started, Kind::Restarted, Kind::Stopped, Kind::Crashed];
    told.iter()
        .filter(|event| runs.contains(&event.kind))
        .filter_map(|event| Some((event.process.clone()?, event.kind.clone())))
        .collect()
}

/// Each number of each journal once, in order and without a hole; no journal twice; beginnings and ends in turn.
pub(super) fn whole(told: &[Envelope]) {
    let mut last: Option<(&str, u64)> = None;
    let mut journals = BTreeSet::new();
    let mut runs: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for event in told {
        let before = match last {
            Some((journal, seq)) if journal == event.journal => seq,
            _ => {
                assert!(journals.insert(&event.journal), "{:#?}", brief(told));
                0
            }
        };
        assert_eq!(event.seq, before + 1, "{:#?}", brief(told));
        last = Some((&event.journal, event.seq));
        let Some(process) = event.process.as_deref() else {
            continue;
        };
        let begins = match event.kind {
            Kind::Started | Kind::Restarted => true,
            Kind::Stopped | Kind::Crashed => false,
            _ => continue,
        };
        let before = runs.insert((&event.journal, process), begins);
        assert_ne!(before, Some(begins), "{process}: {:#?}", brief(told));
    }
}

#[tokio::test]
async fn a_broker_away_at_the_start_and_killed_later_loses_nothing() {
    let mut nats = NatsServer::start();
    nats.kill();
    let house = House::on(nats).await;
    let adapter = house.adapter(&[]);
    adapter.says("waiting").await;
    house.stack.exit("worker", 2).await;
    let mut trial = Trial {
        adapter,
        reader: {
            let url = house.nats.url();
            let args = ["watch", "-s", &url, "-n", "10000", "--json", "--gaps"];
            house.home.run(&args)
        },
        house,
    };
    trial.reader.says("waiting").await;
    trial.house.nats.again();
    trial.reader.tells("\"process\":\"web\"").await;
    trial.adapter.says("is back").await;
    trial.house.nats.kill();
    trial.notices(2).await;
    trial.exits(4).await;
    trial.exits(5).await;
    trial.house.nats.again();
    trial.reader.tells("\"code\":5").await;
    let told = trial.ends_well(&[]).await;
    // The end before the first contact is told or not, as the first look found it.
    assert!(codes(&told).ends_with(&[4, 5, 99]), "{:#?}", brief(&told));
}

#[tokio::test]
async fn a_broker_frozen_during_commits_loses_nothing() {
    let mut trial = Trial::new().await;
    trial.house.nats.freeze();
    trial.exits(4).await;
    trial.notices(1).await;
    trial.exits(5).await;
    trial.house.nats.thaw();
    trial.reader.tells("\"code\":5").await;
    let told = trial.ends_well(&[]).await;
    assert_eq!(codes(&told), [3, 4, 5, 99], "{:#?}", brief(&told));
}

#[tokio::test]
async fn a_broker_that_comes_back_with_an_older_store_gives_no_number_twice() {
    let mut trial = Trial::new().await;
    trial.house.nats.stop();
    trial.notices(1).await;
    trial.house.nats.copy_store("older");
    trial.house.nats.again();
    trial.exits(4).await;
    trial.reader.tells("\"code\":4").await;
    trial.begins_again(2).await;
    trial.house.nats.stop();
    trial.notices(2).await;
    trial.house.nats.put_back(Some("older"));
    trial.house.nats.again();
    trial.ends_well(&["rolled_back"]).await;
}

#[tokio::test]
async fn a_broker_that_comes_back_empty_begins_a_new_journal_and_adds_nobody() {
    let mut trial = Trial::new().await;
    trial.house.nats.kill();
    trial.notices(1).await;
    trial.exits(4).await;
    trial.house.nats.put_back(None);
    trial.house.nats.again();
    let told = trial.ends_well(&["stream_lost"]).await;
    added_nobody(&told);
}

/// After a lost stream nothing is told that nobody saw happen.
pub(super) fn added_nobody(told: &[Envelope]) {
    let journal = &told.last().unwrap().journal;
    let anew: Vec<_> = told
        .iter()
        .filter(|event| event.journal == *journal && event.process.is_some())
        .collect();
    for event in anew {
        assert_ne!(event.reason, "added", "{:#?}", brief(told));
        assert!(
            event.reason != "present" || event.origin == Origin::Resync,
            "{:#?}",
            brief(told)
        );
    }
}

#[tokio::test]
async fn an_operator_who_deletes_the_stream_is_survived() {
    let mut trial = Trial::new().await;
    trial.api("STREAM.DELETE.PROCESS_EVENTS", json!({})).await;
    trial.exits(4).await;
    trial.reader.tells("\"stream_lost\"").await;
    let told = trial.ends_well(&["stream_lost"]).await;
    added_nobody(&told);
}

#[tokio::test]
async fn an_operator_who_purges_the_stream_or_the_heads_is_survived() {
    for body in [json!({}), json!({ "filter": "core.head.>" })] {
        let mut trial = Trial::new().await;
        trial.api("STREAM.PURGE.PROCESS_EVENTS", body).await;
        trial.exits(4).await;
        trial.reader.tells("\"stream_lost\"").await;
        let told = trial.ends_well(&["stream_lost"]).await;
        added_nobody(&told);
    }
}

#[tokio::test]
async fn an_older_store_is_noticed_by_an_adapter_that_was_down_as_well() {
    let mut trial = Trial::new().await;
    trial.house.nats.stop();
    trial.notices(1).await;
    trial.house.nats.copy_store("older");
    trial.house.nats.again();
    trial.exits(4).await;
    trial.reader.tells("\"code\":4").await;
    trial.begins_again(2).await;
    assert_eq!(trial.adapter.end_by(Signal::TERM).await, 143);
    trial.house.nats.stop();
    trial.house.nats.put_back(Some("older"));
    trial.house.nats.again();
    trial.adapter = trial.house.working(&[]).await;
    trial.ends_well(&["rolled_back"]).await;
}

const RIGHTS: &str = "
jetstream { store_dir: \"STORE\" }
authorization { users: [ { user: u, password: u, permissions: { publish: { deny: [DENIED] } } } ] }
no_auth_user: u
";

#[tokio::test]
async fn a_right_that_is_taken_away_is_named_and_not_waited_for() {
    for (denied, named) in [
        ("\"core.head.>\"", "core.head.shop"),
        ("\"core.process.>\"", "core.process.default.worker.crashed"),
    ] {
        let nats = NatsServer::with(&RIGHTS.replace("DENIED", ""));
        let mut trial = Trial::on(nats, &[]).await;
        trial.house.nats.stop();
        trial
            .house
            .nats
            .reconfigure(&RIGHTS.replace("DENIED", denied));
        trial.house.nats.again();
        trial.exits(4).await;
        assert_eq!(trial.adapter.ends().await, 1);
        let line = trial.adapter.says("forbids us").await;
        assert!(line.contains(named), "{line}");
        assert!(line.contains("permissions"), "{line}");
    }
}
