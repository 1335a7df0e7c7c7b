//! Real samples of what every reader is given: recordings, the contract's own examples, and what other servers say.

use super::PART;
use super::mutate::{recorded, recorded_values};

/// The samples of a target.
pub(super) fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "table" => tables(),
        "looks" => [histories(), short_histories()].concat(),
        "answers" => answers(),
        "frames" => frames(),
        "exchange" => exchanges(),
        "head" => heads(),
        "spool" => crate::adapter::laws::entries(),
        "event" => events(),
        "broker_answers" => broker_answers(),
        "broker_files" => broker_files(),
        "contexts" => contexts(),
        "stack" => stacks(),
        "names" => names(),
        other => panic!("no samples for {other}"),
    }
}

fn bytes<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn tables() -> Vec<Vec<u8>> {
    let mut samples = recorded_values("looks.jsonl", "body", 12);
    let rows = samples.iter().filter_map(|body| {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(serde_json::to_vec(value.get("data")?.get(0)?).unwrap())
    });
    let rows: Vec<_> = rows.collect();
    samples.extend(rows);
    samples.extend(bytes([
        "null",
        r#"{"data":null}"#,
        r#"{"error":"no"}"#,
        "<html><body>",
        r#"{"name":"x","status":"Running"}"#,
        r#"{"data":[{"name":"a","status":"Running"},{"name":"a","status":"Completed"},7]}"#,
    ]));
    samples
}

const ROWS: [&str; 3] = [
    "",
    r#"{"n":"api","ns":["default"],"s":"Running","p":"u","e":1,"r":2,"pid":7,"h":1,"t":{"s":1787000000000000000},"c":{"g":"api","i":0,"r":1,"b":2000,"p":[3,10000,0]},"m":{"q":3,"k":1,"o":3,"h":1,"e":[1787000000000,true],"nr":[1787000000000,1787000001000],"cr":[1787000000000]}}"#,
    r#"{"n":"phoenix","ns":[],"s":"Completed","p":"e","e":2,"x":7,"m":{"q":1,"st":[1,2]}}"#,
];

/// Bodies of one recording in their order, with frames between them, some behind rows of a head.
fn histories() -> Vec<Vec<u8>> {
    let bodies: Vec<_> = recorded_values("looks.jsonl", "body", 30);
    let frames = recorded_values("states.jsonl", "frame", 12);
    let mut samples = Vec::new();
    for (number, looks) in bodies.chunks(4).enumerate() {
        let mut sample = ROWS[number % 3].as_bytes().to_vec();
        sample.push(PART);
        for (at, body) in looks.iter().enumerate() {
            sample.extend_from_slice(body);
            sample.push(b'\n');
            if at % 2 == 1 {
                sample.push(b'~');
                sample.extend_from_slice(&frames[(number + at) % frames.len()]);
                sample.push(b'\n');
            }
        }
        samples.push(sample);
    }
    samples
}

/// The same with so little in it that spoiling meets every part of it.
fn short_histories() -> Vec<Vec<u8>> {
    let body = |status: &str, pid: i64, restarts: i64, more: &str| {
        format!(
            r#"{{"data":[{{"name":"api","status":"{status}","pid":{pid},"restarts":{restarts},"age":5000000{more}}}]}}"#
        )
    };
    let ended = r#","exit_code":1,"process_end_time":"2026-08-20T09:15:02+02:00""#;
    let pairs = [
        (body("Running", 7, 0, ""), body("Completed", 7, 0, ended)),
        (body("Running", 7, 0, ""), body("Running", 9, 5, "")),
        (
            body("Restarting", 7, 1, ""),
            body("Running", 9, 3, r#","is_ready":"Not Ready""#),
        ),
        (
            body("Completed", 7, 0, ended),
            body(
                "Running",
                9,
                0,
                r#","watch_trigger_time":"2026-08-20T09:15:02Z""#,
            ),
        ),
        (
            body(
                "Pending",
                0,
                0,
                r#","next_run_time":"2026-08-20T09:15:02Z""#,
            ),
            body("Error", 0, 0, ""),
        ),
    ];
    let frame = r#"~{"state":{"name":"api","status":"Terminating","restarts":1,"exit_code":-1,"process_end_time":"2026-08-20T09:15:02Z"}}"#;
    let mut samples = Vec::new();
    for rows in ROWS {
        for (first, second) in &pairs {
            for between in ["", frame] {
                let part = char::from(PART);
                samples.push(format!("{rows}{part}{first}\n{between}\n{second}\n").into_bytes());
            }
        }
    }
    samples
}

fn answers() -> Vec<Vec<u8>> {
    let mut samples = recorded_values("project.jsonl", "body", 3);
    for line in recorded("info.json", 1) {
        let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        samples.extend(all.values().map(|info| serde_json::to_vec(info).unwrap()));
    }
    samples.extend(bytes([
        r#"{"projectName":"devbox/shop"}"#,
        r#"{"status":"alive"}"#,
        r#"{"name":"a","command":"psql hunter2","environment":["A=hunter2"],"restartPolicy":{"restart":"on_failure","backoffSeconds":5},"readinessProbe":{"exec":{"command":"hunter2"},"periodSeconds":2},"readyLogLine":"hunter2"}"#,
    ]));
    samples
}

fn frames() -> Vec<Vec<u8>> {
    let frames = recorded_values("states.jsonl", "frame", 12);
    let mut samples: Vec<Vec<u8>> = frames.chunks(9).map(|some| some.join(&b'\n')).collect();
    samples.extend(bytes([r#"{"state":{"name":"a","status":7}}"#]));
    samples
}

fn exchanges() -> Vec<Vec<u8>> {
    let body = r#"{"data":[]}"#;
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let large = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{}",
        "x".repeat(5000)
    );
    bytes([
        &whole,
        &whole.repeat(2),
        &large,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"dat\r\n6\r\na\":[]}\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n{}",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 no\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 301 Away\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
        "INFO {\"server_id\":\"x\"}\r\n",
    ])
}

fn heads() -> Vec<Vec<u8>> {
    let root = r#"{"format":1,"source":"shop","journal":"3f9a1c22","seq":42,"epoch":"2026-08-20T07:15:02.707Z","connected":true,"adapter":"host-1","commit":"c","looked_at":"2026-08-20T07:18:04.000Z","interval_ms":2000,"shards":[{"at":7},{"behind":1}],"identity":{"project":"shop","host":"web1","endpoint":"http://localhost:8080"}}"#;
    let memory = r#"{"journal":"3f9a1c22","seq":42,"looked_at":"2026-08-20T07:18:04.000Z"}"#;
    let other = r#"{"journal":"other","seq":1,"looked_at":"2026-08-20T07:18:04.000Z"}"#;
    let part = char::from(PART);
    bytes([
        root,
        &format!("{memory}{part}{root}"),
        &format!("{other}{part}{root}"),
    ])
}

/// Two events, as the contract shows them.
fn events() -> Vec<Vec<u8>> {
    vec![
        br#"{"type":"crashed","process":"api","namespace":"default","timestamp":"2026-08-20T07:18:04.120Z","subject":"core.process.default.api.crashed","severity":"error","state":{"name":"api","namespace":"default","status":"Completed","is_ready":"Ready","has_ready_probe":true,"restarts":0,"exit_code":7,"is_running":false,"replicas":1,"group":"api","replica":0,"namespaces":["default"],"pid":18768,"age_ms":181004,"mem_bytes":20185088,"cpu_percent":3.1,"ended_at":"2026-08-20T07:18:03.900Z"},"schema":1,"id":"shop.3f9a1c22.42","source":"shop","journal":"3f9a1c22","seq":42,"process_seq":7,"epoch":"2026-08-20T07:15:02.707Z","origin":"change","reason":"exit","certainty":"certain","occurred":{"after":"2026-08-20T07:18:02.100Z","before":"2026-08-20T07:18:04.100Z","at":"2026-08-20T07:18:03.900Z"},"exit":{"code":7,"signal":null,"expected":false},"count":1,"previous":{"status":"Running","is_ready":"Ready","restarts":0,"pid":18768}}"#.to_vec(),
        br#"{"type":"gap","timestamp":"2026-08-20T07:18:04.120Z","subject":"core.source.shop.gap","severity":"warning","schema":1,"id":"shop.3f9a1c22.43","source":"shop","journal":"3f9a1c22","seq":43,"epoch":"e","origin":"resync","reason":"adapter_down","certainty":"certain","occurred":{"before":"2026-08-20T07:18:04.000Z"},"count":1,"gap":{"from":"2026-08-20T07:10:04.000Z","to":"2026-08-20T07:18:04.000Z","why":"adapter_down","events":7}}"#.to_vec(),
    ]
}

fn broker_answers() -> Vec<Vec<u8>> {
    let mut samples = bytes([
        r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"core.head.shop","seq":7,"data":"e30=","time":"2026-08-20T07:18:04Z"}}"#,
        r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
    ]);
    let mut delivered = bytes(["$JS.ACK.S.c.1.42.7.1700000000000000001.3"]);
    delivered.extend(events());
    delivered.extend(events());
    samples.push(delivered.join(&b'\n'));
    samples
}

fn broker_files() -> Vec<Vec<u8>> {
    bytes([
        r#"{"pid":7,"warden":8,"url":"nats://127.0.0.1:4","token":"0123456789abcdef0123456789abcdef","name":"n","version":"2.15.1","started":"2026-08-20T07:18:04Z"}"#,
        r#"{"nats":["nats://127.0.0.1:36489"]}"#,
        "INFO {\"server_name\":\"a\",\"version\":\"2.15.1\",\"port\":1} \r\n",
    ])
}

fn stacks() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/stacks");
    let mut samples: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    samples.extend(bytes([
        "1m30s",
        "2.5s",
        "20s..40s",
        "forever",
        "processes: {a: {replicas: 3, backoff: 5s}}",
        "processes: {a: {life: [{run: 5s}]}, b: {depends_on: {a: completed}}}",
    ]));
    samples
}

fn contexts() -> Vec<Vec<u8>> {
    bytes([
        "{}",
        r#"{"description":"lab","url":"nats://a:4222,tls://u:p@b:4222","token":"","user":"joe","password":"s3cret","creds":"","nkey":"","cert":"$HOME/c.pem","key":"${K}/k.pem","ca":"~/ca.pem","nsc":"","jetstream_domain":"hub","jetstream_api_prefix":"","jetstream_event_prefix":"","inbox_prefix":"_MINE","user_jwt":"","color_scheme":"","tls_first":true,"windows_cert_store":"","windows_ca_certs_match":null}"#,
        r#"{"creds":"~/lab.creds","jetstream_api_prefix":"from.hub."}"#,
        r#"{"creds":"data:;base64,aW5saW5l"}"#,
        r#"{"nkey":"file://~/n","socks_proxy":"none"}"#,
        r#"{"user_jwt":"env://J","user_seed":"SU"}"#,
        r#"{"token":"file:///t"}"#,
        r#"{"nsc":"nsc://o/a/u"}"#,
        r#"{"URL":7,"tls_first":"no"}"#,
    ])
}

fn names() -> Vec<Vec<u8>> {
    bytes([
        "api",
        "a.b",
        "*",
        ">",
        "$JS.API.>",
        "=41",
        "a==0123456789abcdef",
        "ä".repeat(300).as_str(),
        "edge.{host}",
        "[a-z]{1,2}",
    ])
}
