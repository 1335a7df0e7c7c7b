//! Contexts of the `nats` command: one that is named counts like flags, one that is selected where nobody says anything.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::run::{Home, Run};
use super::stack::Stack;
use crate::support::nats::{self, NatsServer};

const STORE: &str = "jetstream { store_dir: \"STORE\" }";
const SECRET: &str = "hunter2hunter2";
/// A server that wants a password.
const LOCKED: &str = "jetstream { store_dir: \"STORE\" }
    authorization { users: [ { user: joe, password: hunter2hunter2 } ] }";
/// Nobody listens there.
const NOBODY: &str = "nats://127.0.0.1:1";

/// A home with contexts in it.
struct Contexts(Home);

impl Contexts {
    fn of<const N: usize>(all: [(&str, Value); N]) -> Self {
        let contexts = Self(Home::new());
        std::fs::create_dir_all(contexts.folder().join("context")).unwrap();
        for (name, fields) in all {
            contexts.write(name, &fields.to_string());
        }
        contexts
    }

    fn folder(&self) -> std::path::PathBuf {
        self.0.path().join(".config/nats")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder().join(format!("context/{name}.json"));
        std::fs::write(path, text).unwrap();
    }

    fn select(&self, name: &str) {
        std::fs::write(self.folder().join("context.txt"), format!("{name}\n")).unwrap();
    }

    /// Runs it to its end; the exit code, and everything it said.
    async fn ends(&self, args: &[&str]) -> (i32, Vec<String>) {
        self.ends_with(args, &[]).await
    }

    async fn ends_with(&self, args: &[&str], variables: &[(&str, &str)]) -> (i32, Vec<String>) {
        let mut command = self.0.command(args);
        let mut run = Run::of(command.envs(variables.iter().copied()));
        let code = run.ends().await;
        let said = [run.err.all(), run.out.all()].concat();
        assert!(!said.concat().contains(SECRET), "{said:#?}");
        (code, said)
    }
}

fn has(said: &[String], needle: &str) -> bool {
    said.iter().any(|line| line.contains(needle))
}

fn joe(nats: &NatsServer) -> Value {
    json!({ "description": "x", "url": nats.url(), "user": "joe", "password": SECRET, "tomorrow": [1] })
}

/// An adapter that has begun to tell into the broker of a context.
async fn telling(contexts: &Contexts, stack: &Stack, name: &str) -> Run {
    let args = ["adapter", "-p", &stack.port, "--context", name];
    let run = contexts
        .0
        .run(&[&args[..], &["--interval", "250ms"]].concat());
    let line = run.says(&stack.port).await;
    assert!(line.contains(&format!("(context {name})")), "{line}");
    let state = ["state", "--context", name];
    crate::support::wait::until(super::run::LIMIT, "a head", async || {
        contexts.ends(&state).await.0 == 0
    })
    .await;
    run
}

#[tokio::test]
async fn a_named_context_says_where_the_broker_is_and_single_flags_go_before_it() {
    let (nats, stack) = (NatsServer::with(LOCKED), Stack::shop().await);
    let contexts = Contexts::of([
        ("lab", joe(&nats)),
        (
            "moved",
            json!({ "url": NOBODY, "user": "joe", "password": SECRET }),
        ),
        (
            "old",
            json!({ "url": nats.url(), "user": "joe", "password": "before" }),
        ),
    ]);
    let _adapter = telling(&contexts, &stack, "lab").await;
    let file = contexts
        .folder()
        .join("context/lab.json")
        .display()
        .to_string();
    let url = nats.url();
    for (args, variables) in [
        (&["--context", "lab"][..], &[][..]),
        (&["--context", &file], &[]),
        (&[], &[("NATS_CONTEXT", "lab")]),
        (&["--context", "moved", "-s", &url], &[]),
        (&["--context", "moved"], &[("NATS_URL", url.as_str())]),
        (&["--context", "old"], &[("NATS_PASSWORD", SECRET)]),
        (&["--context", "lab"], &[("NATS_CONTEXT", "moved")]),
    ] {
        let args = [&["state"], args].concat();
        let (code, said) = contexts.ends_with(&args, variables).await;
        assert_eq!(code, 0, "{args:?} {variables:?}: {said:#?}");
        assert!(has(&said, "worker"), "{args:?}: {said:#?}");
    }
    let wrong = ["state", "--context", "lab", "--password", "wrong"];
    let (code, said) = contexts.ends(&wrong).await;
    assert_eq!(code, 1, "{said:#?}");
    let (code, said) = contexts.ends(&["state", "--context", "moved"]).await;
    assert_eq!(code, 4, "{said:#?}");
}

#[tokio::test]
async fn a_context_lets_in_by_token_by_nkey_and_over_tls() {
    let token = NatsServer::with(&format!("{STORE}\nauthorization {{ token: \"{SECRET}\" }}"));
    let nkey = NatsServer::with(&format!(
        "{STORE}\nauthorization {{ users: [ {{ nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }} ] }}"
    ));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls");
    let tls = NatsServer::with(&format!(
        "{STORE}\ntls {{ cert_file: \"{folder}/server.pem\", key_file: \"{folder}/server.key\" }}"
    ));
    let contexts = Contexts::of([
        ("token", json!({ "url": token.url(), "token": SECRET })),
        (
            "variable",
            json!({ "url": token.url(), "token": "env://PW" }),
        ),
        ("nkey", json!({ "url": nkey.url(), "nkey": "~/lab.nk" })),
        ("tls", json!({ "url": tls.url(), "ca": "$PLACE/ca.pem" })),
        ("stranger", json!({ "url": tls.url() })),
    ]);
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    std::fs::write(contexts.0.path().join("lab.nk"), format!("{seed}\n")).unwrap();
    for (name, variables) in [
        ("token", &[][..]),
        ("variable", &[("PW", SECRET)]),
        ("nkey", &[]),
        ("tls", &[("PLACE", folder)]),
    ] {
        let args = ["doctor", "--context", name];
        let (_, said) = contexts.ends_with(&args, variables).await;
        assert!(has(&said, &format!("(context {name})")), "{said:#?}");
        assert!(has(&said, "nats-server 2."), "{name}: {said:#?}");
        assert_eq!(has(&said, "is encrypted"), name == "tls", "{said:#?}");
    }
    let (code, said) = contexts.ends(&["state", "--context", "stranger"]).await;
    assert_eq!(code, 1, "{said:#?}");
    let (code, said) = contexts.ends(&["state", "--context", "variable"]).await;
    assert_eq!(code, 2, "{said:#?}");
    assert!(has(&said, "token refers to a variable"), "{said:#?}");
}

#[tokio::test]
async fn the_selected_context_counts_where_nobody_says_anything_and_is_said() {
    let (nats, stack) = (NatsServer::with(LOCKED), Stack::shop().await);
    let contexts = Contexts::of([("lab", joe(&nats)), ("gone", json!({ "url": NOBODY }))]);
    let _adapter = telling(&contexts, &stack, "lab").await;
    contexts.select("lab");
    let (code, said) = contexts.ends(&["state"]).await;
    assert_eq!(code, 0, "{said:#?}");
    let first = format!(
        "reading from {} (context lab, which is selected)",
        nats.url()
    );
    assert_eq!(said[0], first);
    assert!(has(&said, "worker"), "{said:#?}");
    let (_, said) = contexts.ends(&["doctor"]).await;
    assert!(has(&said, "(context lab, which is selected)"), "{said:#?}");
    // Without any context there is nobody at the usual address, or a stranger.
    for args in [&["state", "--no-context"][..], &["doctor", "--no-context"]] {
        let (code, said) = contexts.ends(args).await;
        assert!(code != 0 && !has(&said, "context lab"), "{said:#?}");
    }
    // Whoever says where, means it.
    for args in [
        &["state", "-s", NOBODY][..],
        &["state", "--context", "gone"],
    ] {
        let (code, said) = contexts.ends(args).await;
        assert_eq!(code, 4, "{args:?}: {said:#?}");
        assert!(!has(&said, "selected"), "{args:?}: {said:#?}");
    }
    let settings = format!("version: 1\nbroker:\n  server: {NOBODY}\n");
    let path = contexts.0.path().join("observe.yaml");
    std::fs::write(&path, settings).unwrap();
    let (code, said) = contexts.ends(&["state"]).await;
    assert_eq!(code, 4, "{said:#?}");
    let (code, said) = contexts.ends(&["state", "--context", "lab"]).await;
    assert_eq!(code, 0, "{said:#?}");
    std::fs::remove_file(path).unwrap();
    // It was selected for another program, so nothing ends because of it.
    contexts.select("gone");
    let (code, said) = contexts.ends(&["history"]).await;
    assert_eq!(code, 4, "{said:#?}");
    assert!(
        said[0].starts_with("context gone, which is selected, is passed over: "),
        "{said:#?}"
    );
    assert!(has(&said, "nothing was kept here"), "{said:#?}");
}

#[tokio::test]
async fn up_takes_a_context_that_is_named_and_none_that_is_selected() {
    let (nats, stack) = (NatsServer::with(LOCKED), Stack::shop().await);
    let contexts = Contexts::of([("lab", joe(&nats))]);
    contexts.select("lab");
    let server = nats::binary().display().to_string();
    let args = ["up", "-p", &stack.port, "--nats-server", &server];
    let mut up = contexts.0.run(&args);
    let line = up.says("watching shop").await;
    assert!(
        line.contains("a broker of our own") && !line.contains(&nats.url()),
        "{line}"
    );
    assert_eq!(up.end_by(Signal::INT).await, 130);
    _ = contexts.0.command(&["broker", "stop"]).output();
    let mut up = contexts
        .0
        .run(&["up", "-p", &stack.port, "--context", "lab"]);
    let line = up.says("watching shop").await;
    assert!(
        line.contains(&format!("{} (context lab)", nats.url())),
        "{line}"
    );
    assert_eq!(up.end_by(Signal::INT).await, 130);
}

#[tokio::test]
async fn what_cannot_be_used_is_one_line_when_named_and_passed_over_when_selected() {
    let contexts = Contexts::of([
        ("nsc", json!({ "nsc": "nsc://o/a/u", "password": SECRET })),
        (
            "windows",
            json!({ "windows_cert_store": "user", "windows_cert_match": "x" }),
        ),
        (
            "proxy",
            json!({ "url": NOBODY, "socks_proxy": format!("socks5://u:{SECRET}@h:1") }),
        ),
        ("wrong", json!({ "url": NOBODY, "tls_first": SECRET })),
    ]);
    contexts.write("broken", &format!("{{\"password\": {SECRET}"));
    std::fs::create_dir(contexts.folder().join("context/folder.json")).unwrap();
    for (name, wanted) in [
        (
            "nsc",
            "nsc takes credentials from nsc, which observe does not run",
        ),
        ("windows", "store of Windows"),
        ("proxy", "socks_proxy goes through a proxy"),
        ("wrong", "tls_first must be true or false"),
        ("broken", "no JSON object (line 1"),
        ("folder", "it is no file"),
        (
            "nowhere",
            "there is no context nowhere; there are broken, nsc, proxy, windows, wrong",
        ),
        ("../context/nsc", "no name of a context"),
        ("/etc/passwd", "no name of a context"),
    ] {
        let mut run = contexts.0.run(&["state", "--context", name]);
        let (code, line) = run.refused().await;
        assert_eq!(code, 2, "{line}");
        assert!(line.contains(wanted) && !line.contains(SECRET), "{line}");
    }
    contexts.select("nsc");
    let (code, said) = contexts.ends(&["history"]).await;
    assert_eq!(code, 4, "{said:#?}");
    assert!(
        said[0].starts_with("the selected context is passed over: "),
        "{said:#?}"
    );
    assert!(
        said[0].contains("nsc, which observe does not run"),
        "{said:#?}"
    );
}
