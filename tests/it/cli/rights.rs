//! The least rights, as the program prints them for a broker's configuration: with exactly these both roles work, and
//! without any one of them each says which is missing, at once.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

const SHOP: [&str; 2] = ["--source", "shop"];

/// Another domain, other inboxes, another stream and prefix: everything that moves subjects.
const MOVED: [&str; 8] = [
    "--js-domain",
    "hub",
    "--inbox-prefix",
    "_MINE.of",
    "--stream",
    "ELSEWHERE",
    "--subject-prefix",
    "edge.{host}",
];

/// How many tests of one right run at once.
const AT_ONCE: usize = 4;

/// What `--print-permissions` prints.
async fn printed(what: &[&str]) -> String {
    let mut run = Home::new().run(&[&["doctor"], what].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    run.out.all().join("\n")
}

async fn permissions(role: &str, more: &[&str]) -> String {
    printed(&[&["--print-permissions", role], more].concat()).await
}

/// The subjects in a block of permissions, with the verb each is for.
fn rights(block: &str) -> Vec<(&'static str, String)> {
    let mut verb = "";
    let mut rights = Vec::new();
    for line in block.lines() {
        match line.trim() {
            "publish {" => verb = "publish",
            "subscribe {" => verb = "subscribe",
            line => {
                if let Some(subject) = line
                    .strip_prefix('"')
                    .and_then(|rest| rest.split('"').next())
                {
                    rights.push((verb, subject.to_owned()));
                }
            }
        }
    }
    rights
}

/// The same block without one of its rights. Another takes its place, because an empty list would allow everything.
fn without(block: &str, subject: &str) -> String {
    let quoted = format!("\"{subject}\"");
    let lines = block.lines().map(|line| {
        let is_it = line.trim().starts_with(&quoted);
        if is_it { "\"nothing.of.use\"" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A server with these users, and one who may do everything.
fn server(users: &[(&str, &str)]) -> NatsServer {
    let users: Vec<_> = users
        .iter()
        .map(|(name, permissions)| format!("{{ user: {name}, password: pass\n{permissions}\n}}"))
        .collect();
    let users = users.join("\n");
    NatsServer::with(&format!(
        "jetstream {{ store_dir: \"STORE\", domain: hub }}
         authorization {{ users: [ {{ user: admin, password: pass }}\n{users} ] }}"
    ))
}

fn login<'a>(url: &'a str, user: &'a str) -> [&'a str; 6] {
    ["-s", url, "--user", user, "--password", "pass"]
}

async fn admin(nats: &NatsServer) -> async_nats::Client {
    async_nats::ConnectOptions::with_user_and_password("admin".into(), "pass".into())
        .connect(nats.url())
        .await
        .unwrap()
}

async fn api(client: &async_nats::Client, suffix: &str, body: &Value) -> Value {
    let subject = format!("$JS.API.{suffix}");
    let answer = client
        .request(subject, body.to_string().into())
        .await
        .unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// How many messages a stream holds under these subjects.
async fn stored(client: &async_nats::Client, stream: &str, subjects: &str) -> u64 {
    let asked = json!({ "subjects_filter": subjects });
    let answer = api(client, &format!("STREAM.INFO.{stream}"), &asked).await;
    let counts = answer["state"]["subjects"]
        .as_object()
        .into_iter()
        .flatten();
    counts.filter_map(|(_, count)| count.as_u64()).sum()
}

/// What becomes of a program: it ends, with its last line, or it does what it is for.
enum Outcome {
    Ended(i32, Vec<String>),
    Works,
}

async fn outcome(run: &mut Run, mut works: impl AsyncFnMut(&Run) -> bool) -> Outcome {
    let end = Instant::now() + LIMIT;
    loop {
        if !run.is_running() {
            return Outcome::Ended(run.ends().await, run.err.all());
        }
        if works(run).await {
            return Outcome::Works;
        }
        assert!(
            Instant::now() < end,
            "neither works nor ends: {:#?} {:#?}",
            run.err.all(),
            run.out.all()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// Whether it was refused; then in one line that names what is missing.
fn is_refused(outcome: &Outcome, (verb, subject): &(&str, String)) -> bool {
    let Outcome::Ended(code, said) = outcome else {
        return false;
    };
    assert_eq!(*code, 1, "without {verb} {subject}: {said:#?}");
    let refusals: Vec<_> = said
        .iter()
        .filter(|line| line.contains("forbids"))
        .collect();
    assert_eq!(refusals.len(), 1, "one line: {said:#?}");
    let last = said.last().unwrap();
    let stem = subject.trim_end_matches(['*', '>']);
    for word in [
        &format!("the right to {verb}"),
        stem,
        "observe: ",
        "permissions",
    ] {
        assert!(
            last.contains(word),
            "without {verb} {subject}: {word:?} is not in {last:?}"
        );
    }
    true
}

/// What an adapter finds at its start.
#[derive(Debug, Clone, Copy)]
enum World {
    /// No stream.
    Empty,
    /// A stream of ours that has to be changed.
    Outdated,
}

async fn adapter_in(world: World, block: &str, stack: &Stack) -> Outcome {
    let nats = server(&[("u", block)]);
    let client = admin(&nats).await;
    if matches!(world, World::Outdated) {
        let config = printed(&["--print-stream", "json", "--retention", "1h"]).await;
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["metadata"] = json!({ "observe.created_by": "an older one" });
        let answer = api(&client, "STREAM.CREATE.PROCESS_EVENTS", &config).await;
        assert!(answer["error"].is_null(), "{answer}");
    }
    let (home, url) = (Home::new(), nats.url());
    let args = ["adapter", "-p", &stack.port, "--interval", "250ms"];
    let mut run = home.run(&[&args[..], &login(&url, "u")].concat());
    outcome(&mut run, async |_| {
        stored(&client, "PROCESS_EVENTS", "core.process.>").await >= 3
    })
    .await
}

#[tokio::test]
async fn an_adapter_without_one_of_its_rights_says_which() {
    let block = permissions("adapter", &SHOP).await;
    let stack = Stack::shop().await;
    let all = rights(&block);
    assert!(all.len() >= 8, "{all:?}");
    for world in [World::Empty, World::Outdated] {
        let works = adapter_in(world, &block, &stack).await;
        assert!(matches!(works, Outcome::Works), "{world:?} with all rights");
    }
    let (block, stack) = (&block, &stack);
    let tried = all.iter().map(|right| async move {
        let less = without(block, &right.1);
        assert!(!rights(&less).contains(right), "{right:?}");
        let empty = adapter_in(World::Empty, &less, stack).await;
        let outdated = adapter_in(World::Outdated, &less, stack).await;
        let refused = [&empty, &outdated].map(|outcome| is_refused(outcome, right));
        assert!(refused.contains(&true), "{right:?} is not needed");
    });
    futures_util::stream::iter(tried)
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
}

/// A backlog that no reader is sent in one go, so that it has to answer for going on: events of one process, fat.
async fn backlog(client: &async_nats::Client, stream: &str) {
    let asked = json!({ "last_by_subj": "*.*.process.*.api.started" });
    let two = api(client, &format!("STREAM.MSG.GET.{stream}"), &asked).await;
    let asked = json!({ "last_by_subj": "core.process.*.api.started" });
    let one = api(client, &format!("STREAM.MSG.GET.{stream}"), &asked).await;
    let message = [two, one]
        .into_iter()
        .find(|answer| answer["error"].is_null())
        .unwrap();
    let subject = message["message"]["subject"].as_str().unwrap().to_owned();
    let data = message["message"]["data"].as_str().unwrap();
    let mut event: Value = serde_json::from_slice(&decoded(data)).unwrap();
    event["padding"] = json!("x".repeat(8000));
    event["source"] = json!("fat");
    let payload = event.to_string();
    for _ in 0..1500 {
        client
            .publish(subject.clone(), payload.clone().into())
            .await
            .unwrap();
    }
    // The answer to a question comes behind all that.
    client.flush().await.unwrap();
    until(LIMIT, "the backlog", async || {
        stored(client, stream, "*.*.process.>").await
            + stored(client, stream, "core.process.>").await
            >= 1500
    })
    .await;
}

fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.decode(text).unwrap()
}

/// A broker with these users, an adapter that tells about a stack, and a backlog.
struct Told {
    nats: NatsServer,
    stack: Stack,
    _adapter: Run,
    _home: Home,
}

async fn told(users: &[(&str, &str)], adapter: &str, stream: &str, more: &[&str]) -> Told {
    let (nats, stack, home) = (server(users), Stack::shop().await, Home::new());
    let client = admin(&nats).await;
    let url = nats.url();
    let args = ["adapter", "-p", &stack.port, "--interval", "250ms"];
    let mut run = home.run(&[&args[..], &login(&url, adapter), more].concat());
    let works = outcome(&mut run, async |_| {
        let two = stored(&client, stream, "*.*.process.>").await;
        two + stored(&client, stream, "core.process.>").await >= 3
    });
    assert!(
        matches!(works.await, Outcome::Works),
        "{:#?}",
        run.err.all()
    );
    backlog(&client, stream).await;
    Told {
        nats,
        stack,
        _adapter: run,
        _home: home,
    }
}

/// Runs a watch over the backlog until it prints what happens behind it.
async fn watch_in(told: &Told, user: &str, more: &[&str]) -> Outcome {
    let (home, url) = (Home::new(), told.nats.url());
    let args = ["watch", "--json", "-n", "5000", "--source", "shop"];
    let mut run = home.run(&[&args[..], &login(&url, user), more].concat());
    let mut ended = false;
    outcome(&mut run, async |run| {
        if run.out.count("started") >= 3 && !std::mem::replace(&mut ended, true) {
            told.stack.exit("api", 7).await;
        }
        run.out.count("crashed") > 0
    })
    .await
}

#[tokio::test]
async fn a_durable_watch_without_one_of_its_rights_says_which() {
    let block = permissions("durable", &[]).await;
    let reader = rights(&permissions("reader", &[]).await);
    // Those of every reader are tried there; and nothing is deleted where no stream was made again.
    let own: Vec<_> = rights(&block)
        .into_iter()
        .filter(|right| !reader.contains(right) && !right.1.contains("CONSUMER.DELETE"))
        .collect();
    assert_eq!(own.len(), 3, "{own:?}");
    let lacking: Vec<_> = own
        .iter()
        .map(|(_, subject)| without(&block, subject))
        .collect();
    let names: Vec<_> = (0..own.len()).map(|number| format!("u{number}")).collect();
    let mut users = vec![("full", block.as_str())];
    let less = names.iter().zip(&lacking);
    users.extend(less.map(|(name, less)| (name.as_str(), less.as_str())));
    let told = told(&users, "admin", "PROCESS_EVENTS", &[]).await;
    for (right, name) in own.iter().zip(&names) {
        for domain in [&[][..], &["--js-domain", "hub"]] {
            let durable = format!("{name}-{}", domain.len());
            let more = [&["--durable", &durable], domain].concat();
            let Outcome::Ended(code, said) = watch_in(&told, name, &more).await else {
                panic!("{right:?} is not needed");
            };
            let last = said.last().unwrap();
            assert_eq!(code, 1, "{said:#?}");
            let stem = right.1.trim_end_matches(['*', '>']);
            let stem = stem.strip_prefix("$JS.API.").unwrap_or(stem);
            assert!(
                last.contains("forbids") && last.contains(stem),
                "{right:?}: {said:#?}"
            );
        }
    }
    let works = watch_in(&told, "full", &["--durable", "all"]).await;
    assert!(matches!(works, Outcome::Works));
}

#[tokio::test]
async fn a_watch_without_one_of_its_rights_says_which() {
    let block = permissions("reader", &[]).await;
    let all = rights(&block);
    assert!(all.len() >= 5, "{all:?}");
    let lacking: Vec<_> = all
        .iter()
        .map(|(_, subject)| without(&block, subject))
        .collect();
    let names: Vec<_> = (0..all.len()).map(|number| format!("u{number}")).collect();
    let mut users = vec![("full", block.as_str())];
    users.extend(
        names
            .iter()
            .zip(&lacking)
            .map(|(name, less)| (name.as_str(), less.as_str())),
    );
    let told = told(&users, "admin", "PROCESS_EVENTS", &[]).await;
    for (right, name) in all.iter().zip(&names) {
        let refused = is_refused(&watch_in(&told, name, &[]).await, right);
        assert!(refused, "{right:?} is not needed");
    }
    assert!(matches!(watch_in(&told, "full", &[]).await, Outcome::Works));
}

#[tokio::test]
async fn a_history_without_one_of_its_rights_says_which() {
    let block = permissions("history", &[]).await;
    let all = rights(&block);
    assert_eq!(all.len(), 4, "{all:?}");
    let lacking: Vec<_> = all
        .iter()
        .map(|(_, subject)| without(&block, subject))
        .collect();
    let names: Vec<_> = (0..all.len()).map(|number| format!("u{number}")).collect();
    let mut users = vec![("full", block.as_str())];
    let less = names.iter().zip(&lacking);
    users.extend(less.map(|(name, less)| (name.as_str(), less.as_str())));
    let told = told(&users, "admin", "PROCESS_EVENTS", &[]).await;
    let url = told.nats.url();
    let args = ["history", "--json", "-n", "5000"];
    let work = async |run: &Run| run.out.count("started") >= 3;
    for (right, name) in all.iter().zip(&names) {
        let mut run = Home::new().run(&[&args[..], &login(&url, name)].concat());
        let refused = is_refused(&outcome(&mut run, work).await, right);
        assert!(refused, "{right:?} is not needed: {:?}", run.err.all());
    }
    let mut run = Home::new().run(&[&args[..], &login(&url, "full")].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert!(run.out.count("started") >= 3, "{:?}", run.out.all());
}

#[tokio::test]
async fn with_exactly_their_rights_both_work_in_another_domain_with_other_inboxes_and_subjects() {
    let adapter = permissions("adapter", &[&SHOP[..], &MOVED].concat()).await;
    let reader = permissions("reader", &MOVED).await;
    for block in [&adapter, &reader] {
        assert!(
            block.contains("$JS.hub.API.") && block.contains("_MINE.of.>"),
            "{block}"
        );
        assert!(
            !block.contains("PROCESS_EVENTS") && !block.contains("core."),
            "{block}"
        );
    }
    let users = [("a", adapter.as_str()), ("r", reader.as_str())];
    let told = told(&users, "a", "ELSEWHERE", &MOVED).await;
    assert!(matches!(watch_in(&told, "r", &MOVED).await, Outcome::Works));

    // And the doctor, with the same rights, finds that each has what it needs and nothing of the other's.
    let url = told.nats.url();
    let doctor = ["doctor", "-p", &told.stack.port];
    for (user, all, not_all) in [("a", "adapter", "reader"), ("r", "reader", "adapter")] {
        let mut run = Home::new().run(&[&doctor[..], &login(&url, user), &MOVED].concat());
        assert_eq!(run.ends().await, 0, "{:#?}", run.out.all());
        let name = |role| {
            if role == "adapter" {
                "observe adapter"
            } else {
                "observe watch"
            }
        };
        let said = |words: &str| run.out.count(words);
        assert_eq!(
            said(&format!("{} has all", name(all))),
            1,
            "{:#?}",
            run.out.all()
        );
        assert_eq!(
            said(&format!("{} may not", name(not_all))),
            1,
            "{:#?}",
            run.out.all()
        );
    }
}

#[tokio::test]
async fn a_right_that_is_missing_in_a_domain_is_said_as_the_server_of_the_domain_names_it() {
    let domain = ["--js-domain", "hub"];
    for (role, suffix) in [
        ("adapter", "STREAM.CREATE.PROCESS_EVENTS"),
        ("reader", "STREAM.INFO.PROCESS_EVENTS"),
    ] {
        let block = permissions(role, &domain).await;
        let subject = format!("$JS.API.{suffix}");
        let (nats, stack) = (
            server(&[("u", &without(&block, &subject))]),
            Stack::shop().await,
        );
        let (home, url) = (Home::new(), nats.url());
        let args: &[&str] = match role {
            "adapter" => &["adapter", "-p", &stack.port],
            _ => &["watch"],
        };
        let begun = Instant::now();
        let mut run = home.run(&[args, &login(&url, "u"), &domain].concat());
        let refused = outcome(&mut run, async |_| false).await;
        assert!(is_refused(&refused, &("publish", subject)), "{role}");
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "it waited for an answer"
        );
    }
}
