//! The least rights of those who read, alone and beside an adapter with no more than its own.

use serde_json::{Value, json};

use super::rights::{
    Outcome, SHOP, admin, api, is_refused, login, outcome, permissions, rights, server, stored,
    without,
};
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

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
    assert_eq!(all.len(), 5, "{all:?}");
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
async fn what_is_asked_with_exactly_the_rights_to_ask_is_told_as_requested() {
    for more in [&[][..], &MOVED] {
        let adapter = permissions("adapter", &[&SHOP[..], more].concat()).await;
        let process = permissions("process", more).await;
        let users = [("a", adapter.as_str()), ("p", process.as_str())];
        let (nats, stack, home) = (server(&users), Stack::shop().await, Home::new());
        let url = nats.url();
        let args = ["adapter", "-p", &stack.port, "--interval", "250ms"];
        let quiet = ["--evidence", "off"];
        let run = home.run(&[&args[..], &quiet, &login(&url, "a"), more].concat());
        run.says("shop: ").await;
        let watch = ["watch", "--json", "--source", "shop", "-n", "5000"];
        let watch = home.run(&[&watch[..], &login(&url, "admin"), more].concat());
        until(LIMIT, "the stack", async || {
            watch.out.count(r#""started""#) >= 3
        })
        .await;
        let args = ["process", "restart", "api", "--source", "shop"];
        let mut asked = home.run(&[&args[..], &login(&url, "p"), more].concat());
        assert_eq!(asked.ends().await, 0, "{:?}", asked.err.all());
        assert!(asked.err.all().is_empty(), "{:?}", asked.err.all());
        until(LIMIT, "it", async || watch.out.count("restarted") == 1).await;
        let restarted: Vec<_> = watch.out.all();
        let restarted = restarted.iter().find(|l| l.contains(r#""restarted""#));
        let event: Value = serde_json::from_str(restarted.unwrap()).unwrap();
        assert_eq!(event["reason"], "requested", "{event}");
    }
}

#[tokio::test]
async fn who_reads_how_things_stood_works_with_exactly_its_rights_and_says_which_is_missing() {
    let (block, reader) = (
        permissions("past", &[]).await,
        permissions("reader", &[]).await,
    );
    let all = rights(&block);
    let lacking: Vec<_> = all.iter().map(|right| without(&block, &right.1)).collect();
    let names: Vec<_> = (0..all.len()).map(|number| format!("u{number}")).collect();
    let mut users = vec![("past", block.as_str()), ("reader", reader.as_str())];
    let less = names.iter().zip(&lacking);
    users.extend(less.map(|(name, less)| (name.as_str(), less.as_str())));
    let told = told(&users, "admin", "PROCESS_EVENTS", &[]).await;
    let url = told.nats.url();
    let run = async |args: &[&str], user: &str| {
        let mut run = Home::new().run(&[args, &login(&url, user)].concat());
        let code = run.ends().await;
        (code, run.err.all())
    };
    let past: [&[&str]; 3] = [&["stats"], &["state", "--at", "1s"], &["diff", "1h"]];
    for args in past {
        assert_eq!(run(args, "past").await.0, 0, "{args:?}");
        for (right, name) in all.iter().zip(&names) {
            let outcome = run(args, name).await;
            let refused = is_refused(&Outcome::Ended(outcome.0, outcome.1), right);
            assert!(refused, "{args:?}: {right:?} is not needed");
        }
    }
    let nobody = ["-u", "nobody.sock", "--source", "shop"];
    for args in [&["wait"][..], &["state"], &["source", "ls"]] {
        let more = if args[0] == "wait" { &nobody[..] } else { &[] };
        let (code, said) = run(&[args, more].concat(), "reader").await;
        assert_eq!(code, 0, "{args:?}: {said:?}");
    }
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
