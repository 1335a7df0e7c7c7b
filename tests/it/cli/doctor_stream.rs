//! What the doctor says of a stream, and the stream that an owner makes of what it prints.

use serde_json::{Value, json};

use super::doctor::report;
use super::house::{House, client};
use super::run::Home;
use super::stack::Stack;
use crate::support::nats::NatsServer;

#[tokio::test]
async fn a_stream_that_is_not_as_it_must_be_is_said_setting_by_setting() {
    let (nats, stack) = (NatsServer::start(), Stack::shop().await);
    let admin = client(&nats).await;
    let config = json!({"name": "PROCESS_EVENTS", "subjects": ["core.process.>", "core.source.>"], "storage": "memory",
        "allow_atomic": true, "max_age": 3_600_000_000_000_u64});
    admin
        .request(
            "$JS.API.STREAM.CREATE.PROCESS_EVENTS",
            config.to_string().into(),
        )
        .await
        .unwrap();
    let url = nats.url();
    let found = report(&["-p", &stack.port, "-s", &url]).await;
    for words in [
        &[
            "takes core.process.>, core.source.>, not core.head.>",
            "--print-stream",
        ] as &[&str],
        &["allow_rollup_hdrs: true"],
        &["allow_msg_ttl: true"],
    ] {
        found.says("stream.settings", "error", words);
    }
    for words in ["lives in memory", "retention", "core.live.process.>"] {
        found.says("stream.settings", "info", &[words]);
    }
    found.says("stream.exists", "ok", &["somebody else"]);

    // One of our own is mended by the next adapter, so its differences are no errors.
    let ours = NatsServer::start();
    let admin = client(&ours).await;
    let mut config = stream_json(&["--retention", "1h"]).await;
    config["metadata"] = json!({"observe.created_by": "x"});
    admin
        .request(
            "$JS.API.STREAM.CREATE.PROCESS_EVENTS",
            config.to_string().into(),
        )
        .await
        .unwrap();
    let url = ours.url();
    let found = report(&["-p", &stack.port, "-s", &url]).await;
    found.says(
        "stream.settings",
        "info",
        &["max_age is 1h", "makes it 1day"],
    );
    let none = report(&[
        "-p",
        &stack.port,
        "-s",
        &url,
        "--stream",
        "NONE",
        "--stream-setup",
        "check",
    ])
    .await;
    none.says("stream.exists", "error", &["NONE", "--print-stream"]);
}

async fn stream_json(more: &[&str]) -> Value {
    let mut run = Home::new().run(&[&["doctor", "--print-stream", "json"], more].concat());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    serde_json::from_str(&run.out.all().join("\n")).unwrap()
}

#[tokio::test]
async fn an_owner_creates_the_stream_from_what_is_printed_and_adapters_that_may_not_change_it_use_it()
 {
    let house = House::new().await;
    let admin = client(&house.nats).await;
    let config = stream_json(&["--max-bytes", "20000000", "--retention", "2h"]).await;
    let answer = admin
        .request(
            "$JS.API.STREAM.CREATE.PROCESS_EVENTS",
            config.to_string().into(),
        )
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    for setup in ["check", "never", "ensure"] {
        let mut adapter = {
            let (port, url) = (&house.stack.port, house.nats.url());
            let args = [
                "adapter",
                "-p",
                port,
                "-s",
                &url,
                "--interval",
                "250ms",
                "--stream-setup",
                setup,
            ];
            house.home.run(&args)
        };
        adapter.says(&house.stack.port).await;
        let before = house.told(3).await.len();
        house.stack.exit("api", 3).await;
        house.told(before + 1).await;
        assert!(adapter.is_running(), "{setup}: {:?}", adapter.err.all());
        house.stack.control.start("api").unwrap();
        house.told(before + 2).await;
        adapter.end_by(rustix::process::Signal::INT).await;
    }
    let info = admin
        .request("$JS.API.STREAM.INFO.PROCESS_EVENTS", "".into())
        .await
        .unwrap();
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    for (key, value) in config.as_object().unwrap() {
        // The server adds words of its own to the metadata.
        if key != "metadata" {
            assert_eq!(info["config"][key], *value, "{key}");
        }
    }
    assert!(
        info["config"]["metadata"]["observe.created_by"].is_null(),
        "{info}"
    );
    let url = house.nats.url();
    let found = report(&["-p", &house.stack.port, "-s", &url, "--retention", "2h"]).await;
    found.says("stream.settings", "ok", &["as they must be"]);
}
