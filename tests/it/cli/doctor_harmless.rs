//! The doctor does no harm: nothing is stored, nothing is created, and nothing secret is shown.

use serde_json::{Value, json};

use super::doctor::report_with;
use super::house::client;
use super::run::Home;
use super::stack::Stack;
use crate::support::fake_server::{FakeServer, Reply};
use crate::support::nats::NatsServer;

#[tokio::test]
async fn it_stores_nothing_creates_nothing_and_no_subscriber_hears_its_tries() {
    let (home, nats, stack) = (Home::new(), NatsServer::start(), Stack::shop().await);
    let admin = client(&nats).await;
    let mut all = admin.subscribe(">").await.unwrap();
    admin.flush().await.unwrap();
    let url = nats.url();
    let args = ["-p", &stack.port, "-s", &url];
    let before = report_with(&home, &args, &[]).await;
    before.says(
        "stream.exists",
        "warning",
        &["no stream PROCESS_EVENTS", "observe adapter"],
    );
    before.says("rights.adapter", "ok", &["all 10"]);
    admin.publish("end.of.it", "".into()).await.unwrap();
    admin.flush().await.unwrap();
    let mut heard = Vec::new();
    while let Some(message) = futures_util::StreamExt::next(&mut all).await {
        if message.subject.as_str() == "end.of.it" {
            break;
        }
        heard.push(message.subject.to_string());
    }
    let questions = ["$JS.API.INFO", "$JS.API.STREAM.INFO."];
    let harmless = |subject: &String| {
        subject.starts_with("_INBOX.")
            || subject.contains("$JS.EVENT.ADVISORY.API")
            || questions.iter().any(|q| subject.starts_with(q))
    };
    assert!(heard.iter().all(harmless), "{heard:#?}");
    let streams = admin
        .request("$JS.API.STREAM.NAMES", "".into())
        .await
        .unwrap();
    let streams: Value = serde_json::from_slice(&streams.payload).unwrap();
    assert_eq!(streams["total"], 0, "{streams}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);

    // Not where there is a stream that would store them, either.
    let ours = json!({"name": "ALL", "subjects": ["core.>"], "storage": "memory"});
    admin
        .request("$JS.API.STREAM.CREATE.ALL", ours.to_string().into())
        .await
        .unwrap();
    report_with(&home, &args, &[])
        .await
        .says("rights.reader", "ok", &["all 5"]);
    let info = admin
        .request("$JS.API.STREAM.INFO.ALL", "".into())
        .await
        .unwrap();
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["state"]["last_seq"], 0, "{info}");
}

/// Every place where a secret can be given: arguments, a variable, and what it holds.
const SECRETS: [(&[&str], &str, &str); 19] = [
    (&["-s", "nats://a:SECRET@HOST"], "", ""),
    (&["-s", "nats://SECRET@HOST"], "", ""),
    (&["-s", "nats://a:SECRET@127.0.0.1:1"], "", ""),
    (&["-s", "nats://a:SECRET@ho st:x"], "", ""),
    (&["-s", "nats://a:SECRET@x,nats://b:SECRET2@y"], "", ""),
    (
        &["-s", "HOST", "--user", "a", "--password", "SECRET"],
        "",
        "",
    ),
    (&["-s", "HOST", "--nats-token", "SECRET"], "", ""),
    (&["-s", "HOST", "--creds", "FILE"], "", ""),
    (&["-s", "HOST", "--nkey", "FILE"], "", ""),
    (
        &["-s", "HOST", "--tlskey", "FILE", "--tlscert", "FILE"],
        "",
        "",
    ),
    (&["--token-file", "FILE"], "", ""),
    (&["--url", "http://a:SECRET@127.0.0.1:1"], "", ""),
    (&["--url", "http://127.0.0.1:1/?token=SECRET"], "", ""),
    (&[], "NATS_URL", "nats://a:SECRET@HOST"),
    (&[], "NATS_PASSWORD", "SECRET"),
    (&[], "NATS_TOKEN", "SECRET"),
    (&[], "PC_API_TOKEN", "SECRET"),
    (&[], "PC_API_TOKEN", "SECRET\nX: y"),
    (&[], "PC_API_TOKEN_PATH", "FILE"),
];

#[tokio::test]
async fn nothing_secret_is_ever_shown() {
    let canary = "c4n4ry-s3cret";
    let home = Home::new();
    let file = home.path().join("secret");
    std::fs::write(&file, canary).unwrap();
    let nats = NatsServer::with("authorization { user: a, password: b }");
    let denies = FakeServer::tcp(|_| Reply::status(401, "")).await;
    let port = denies.port.to_string();
    let filled = |text: &str| {
        text.replace("HOST", &nats.url().replace("nats://", ""))
            .replace("SECRET", canary)
            .replace("FILE", &file.display().to_string())
    };
    for (args, variable, value) in SECRETS {
        for format in ["text", "json"] {
            let mut all = vec!["-vv", "doctor", "-o", format];
            if !args.contains(&"--url") {
                all.extend(["-p", &port]);
            }
            let mut all: Vec<_> = all.into_iter().map(str::to_owned).collect();
            all.extend(args.iter().map(|arg| filled(arg)));
            let mut command = home.command(&all);
            if !variable.is_empty() {
                command.env(variable, filled(value));
            }
            let mut run = super::run::Run::of(&mut command);
            let code = run.ends().await;
            let said = [run.out.all(), run.err.all()].concat();
            assert_eq!(code, 1, "{all:?} {variable}: {said:#?}");
            assert!(
                !said.join("\n").contains(canary),
                "{all:?} {variable}: {said:#?}"
            );
        }
    }
}
