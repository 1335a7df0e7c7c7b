//! The least rights, as the program prints them: with exactly these it works, and without any one it says which.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::nats::NatsServer;

pub(super) const SHOP: [&str; 2] = ["--source", "shop"];

/// How many tests of one right run at once.
const AT_ONCE: usize = 4;

/// What `--print-permissions` prints.
async fn printed(what: &[&str]) -> String {
    let mut run = Home::new().run(&[&["doctor"], what].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    run.out.all().join("\n")
}

pub(super) async fn permissions(role: &str, more: &[&str]) -> String {
    printed(&[&["--print-permissions", role], more].concat()).await
}

/// The subjects in a block of permissions, with the verb each is for.
pub(super) fn rights(block: &str) -> Vec<(&'static str, String)> {
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
pub(super) fn without(block: &str, subject: &str) -> String {
    let quoted = format!("\"{subject}\"");
    let lines = block.lines().map(|line| {
        let is_it = line.trim().starts_with(&quoted);
        if is_it { "\"nothing.of.use\"" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A server with these users, and one who may do everything.
pub(super) fn server(users: &[(&str, &str)]) -> NatsServer {
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

pub(super) fn login<'a>(url: &'a str, user: &'a str) -> [&'a str; 6] {
    ["-s", url, "--user", user, "--password", "pass"]
}

pub(super) async fn admin(nats: &NatsServer) -> async_nats::Client {
    async_nats::ConnectOptions::with_user_and_password("admin".into(), "pass".into())
        .connect(nats.url())
        .await
        .unwrap()
}

pub(super) async fn api(client: &async_nats::Client, suffix: &str, body: &Value) -> Value {
    let subject = format!("$JS.API.{suffix}");
    let answer = client
        .request(subject, body.to_string().into())
        .await
        .unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// How many messages a stream holds under these subjects.
pub(super) async fn stored(client: &async_nats::Client, stream: &str, subjects: &str) -> u64 {
    let asked = json!({ "subjects_filter": subjects });
    let answer = api(client, &format!("STREAM.INFO.{stream}"), &asked).await;
    let counts = answer["state"]["subjects"]
        .as_object()
        .into_iter()
        .flatten();
    counts.filter_map(|(_, count)| count.as_u64()).sum()
}

/// What becomes of a program: it ends, with its last line, or it does what it is for.
pub(super) enum Outcome {
    Ended(i32, Vec<String>),
    Works,
}

pub(super) async fn outcome(run: &mut Run, mut works: impl AsyncFnMut(&Run) -> bool) -> Outcome {
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
pub(super) fn is_refused(outcome: &Outcome, (verb, subject): &(&str, String)) -> bool {
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
    // Without the right to be asked it works, and only tells less.
    let mut all = rights(&block);
    all.retain(|(_, subject)| !subject.contains(".control."));
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
