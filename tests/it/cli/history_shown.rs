//! What was told, handed out: in pieces, in whole lines, in every face, to pipes and terminals.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::history::{Shelf, numbers};
use super::run::{Home, LIMIT, OBSERVE, Run};
use super::stack::Stack;
use super::terminal::Terminal;
use crate::bus::{commit, open};
use crate::support::nats::{self, NatsServer};
use crate::support::wait::until;

#[tokio::test]
async fn a_long_stream_is_read_in_pieces_to_its_end_and_no_further() {
    let nats = NatsServer::start();
    let (_bus, store) = open(&nats).await;
    let mut base = 0;
    for first in [1, 901, 1801] {
        base = commit(&store, base, first, 900).await.unwrap();
    }
    let (home, url) = (Home::new(), nats.url());
    let mut wanted: Vec<u64> = (1..=2700).collect();
    for more in [
        &[][..],
        &["-n", "10000"],
        &["--since", "2026-08-20", "-U", "2026-08-21"],
    ] {
        let mut run = home.run(&[&["history", "-s", &url, "--json"], more].concat());
        assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
        assert!(numbers(&run) == wanted, "{more:?}: {}", run.out.all().len());
    }
    wanted.reverse();
    let mut run = home.run(&["history", "-s", &url, "--json", "--reverse"]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert!(numbers(&run) == wanted, "{}", run.out.all().len());
}

#[tokio::test]
async fn an_event_is_the_stored_text_however_that_stands_and_what_is_none_is_said() {
    let shelf = Shelf::new().await;
    // As an adapter writes it.
    let plain = concat!(
        r#"{"type":"crashed","process":"api","namespace":"default","timestamp":"2026-08-20T07:18:04.120Z","#,
        r#""subject":"core.process.default.api.crashed","severity":"error","state":{"name":"api","namespace":"default","#,
        r#""status":"Completed","is_ready":"-","has_ready_probe":false,"restarts":0,"exit_code":7,"is_running":false,"#,
        r#""replicas":1,"namespaces":["default","größe"],"cpu_percent":3.1},"schema":1,"id":"shop.j.1","source":"shop","#,
        r#""journal":"j","seq":1,"origin":"change","reason":"exit","certainty":"certain","#,
        r#""occurred":{"before":"2026-08-20T07:18:04.100Z"},"exit":{"code":7,"signal":null,"expected":false},"count":1}"#,
    );
    let spoilt = |from: &str, to: &str| plain.replace(from, to);
    let stored = [
        (plain.to_owned(), true),
        (spoilt("\"count\":1}", "\"count\":1"), false),
        (spoilt("{\"type\"", "{ \"type\""), true),
        (spoilt("\"seq\":1", "\"seq\":01"), false),
        (spoilt("\"count\":1", "\"count\":1,\"later\":[1]"), true),
        ("no event at all".to_owned(), false),
        (
            spoilt("\"process\":\"api\"", "\"process\":\"\\u0061pi\""),
            true,
        ),
        (spoilt("07:18:04.100Z", "07:18:64.100Z"), false),
        (
            spoilt("2026-08-20T07:18:04.100Z", "2026-08-20T07:18:04Z"),
            true,
        ),
        (plain.to_owned(), true),
    ];
    for (text, _) in &stored {
        shelf.store("core.process.default.api.crashed", text).await;
    }
    let wanted: Vec<&str> = stored
        .iter()
        .filter_map(|(text, is_event)| is_event.then_some(text.as_str()))
        .collect();
    for more in [
        &["-o", "raw"][..],
        &["-o", "json"],
        &["-o", "json", "--type", "crashed", "-N", "größe", "api"],
        &["-o", "json", "--reverse", "-n", "10"],
    ] {
        let mut run = shelf.run(more);
        assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
        let mut lines = run.out.all();
        if more.contains(&"--reverse") {
            lines.reverse();
        }
        assert_eq!(lines, wanted, "{more:?}");
        let said = run.err.all();
        let said = said.iter().filter(|line| line.contains("is no event"));
        assert_eq!(said.count(), 4, "{more:?}");
    }
    for more in [&["--type", "started"][..], &["-N", "other"], &["web"]] {
        let mut run = shelf.run(&[&["-o", "json"], more].concat());
        assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
        assert_eq!(run.out.all(), Vec::<String>::new(), "{more:?}");
    }
}

#[tokio::test]
async fn the_lines_of_two_that_write_into_one_pipe_stay_whole() {
    let nats = NatsServer::start();
    let (_bus, store) = open(&nats).await;
    let mut base = 0;
    for first in [1, 901, 1801] {
        base = commit(&store, base, first, 900).await.unwrap();
    }
    let home = Home::new();
    let one = r#""$0" history -s "$1" --json"#;
    // A reader that is slow lets the pipe run full, and then makes room for a piece of what waits.
    let script = format!("{{ {one} & {one} & wait; }} | {{ sleep 1; dd bs=1500 status=none; }}");
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &script, OBSERVE, &nats.url()])
        .env_clear()
        .envs(home.environment())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut run = Run::of(&mut shell);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let mut found = numbers(&run);
    found.sort_unstable();
    let wanted: Vec<u64> = (1..=2700).flat_map(|number| [number, number]).collect();
    assert!(found == wanted, "{}", found.len());
}

#[tokio::test]
async fn a_reader_that_leaves_is_success_and_a_signal_ends_it() {
    let shelf = Shelf::minutes(600).await;
    let url = shelf.url();
    let script = format!("{} history -s {url} | head -3", super::run::OBSERVE);
    let mut command = std::process::Command::new("bash");
    command.args(["-o", "pipefail", "-c", &script]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut run = Run::of(&mut command);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.out.all().len(), 3);
    let wide = ["history", "-s", &url, "-o", "wide"];
    let mut stuck = Run::unread(&mut shelf.home.command(&wide));
    until(LIMIT, "a process", async || stuck.is_running()).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(stuck.end_by(Signal::TERM).await, 143);
}

#[tokio::test]
async fn a_watch_since_a_time_goes_on_live_without_a_seam() {
    let mut shelf = Shelf::minutes(20).await;
    let url = shelf.url();
    let args = ["watch", "-s", &url, "--json", "--since", "630s"];
    let watch = shelf.home.run(&args);
    watch.tells("\"seq\":11").await;
    for _ in 0..5 {
        shelf.tell("started", "api", 0).await;
    }
    // What was observed before and is told only now is none of its business.
    shelf.tell("started", "late", 15).await;
    shelf.tell("started", "last", 0).await;
    watch.tells("last").await;
    let wanted: Vec<u64> = (11..=25).chain([27]).collect();
    assert_eq!(numbers(&watch), wanted);
}

#[tokio::test]
async fn on_a_terminal_repeats_fold_and_the_last_hundred_are_shown() {
    let mut shelf = Shelf::minutes(150).await;
    for _ in 0..14 {
        shelf.tell("crashed", "web", 0).await;
        shelf.tell("restarted", "web", 0).await;
    }
    let url = shelf.url();
    let args = ["history", "-s", &url];
    let mut terminal = Terminal::run(&shelf.home, &args, &[("LANG", "C.UTF-8")]);
    assert_eq!(terminal.ends().await, 0);
    terminal.shows("the last 100").await;
    let rows = terminal.rows();
    assert_eq!(rows.len(), 4, "{rows:#?}");
    let shown = |row: &str, word: &str, count: &str| row.contains(word) && row.contains(count);
    assert!(shown(&rows[0], "started    api", "×72"), "{rows:#?}");
    assert!(shown(&rows[1], "crashed    web", "×14"), "{rows:#?}");
    assert!(shown(&rows[2], "restarted  web", "×14"), "{rows:#?}");
    let mut pipe = shelf.run(&[]);
    assert_eq!(pipe.ends().await, 0);
    assert_eq!(pipe.out.all().len(), 178);
}

#[tokio::test]
async fn every_face_has_a_line_for_an_event_and_a_template_is_checked_first() {
    let shelf = Shelf::minutes(1).await;
    for (face, wanted) in [
        ("text", "started    api"),
        ("wide", "shop.j.1"),
        ("json", "\"seq\":1,"),
        ("raw", "\"seq\":1,"),
        ("cloudevents", "\"type\":\"observe.process.started\""),
        ("template={source}/{process}#{seq}", "shop/api#1"),
    ] {
        let mut run = shelf.run(&["-o", face]);
        assert_eq!(run.ends().await, 0, "{face}: {:?}", run.err.all());
        let lines = run.out.all();
        assert!(
            lines.len() == 1 && lines[0].contains(wanted),
            "{face}: {lines:?}"
        );
    }
    for command in ["history", "watch"] {
        for (template, wanted) in [("{nmae}", "exit.code"), ("{type", "brace"), ("", "empty")] {
            let face = format!("template={template}");
            let args = [command, "-s", "nats://127.0.0.1:1", "-o", &face];
            let mut run = shelf.home.run(&args);
            assert_eq!(run.ends().await, 2, "{face}");
            assert!(run.err.all()[0].contains(wanted), "{:?}", run.err.all());
        }
    }
}

#[tokio::test]
async fn yesterday_is_still_there_after_up_and_its_broker_have_ended() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let server = nats::binary().display().to_string();
    let none = home
        .run(&["history", "--nats-server", &server])
        .refused()
        .await;
    assert_eq!(none.0, 4, "{}", none.1);
    assert!(none.1.contains("observe up"), "{}", none.1);
    let args = [
        "up",
        "-p",
        &stack.port,
        "--nats-server",
        &server,
        "--interval",
        "250ms",
    ];
    let mut up = home.run(&args);
    up.tells("started    worker").await;
    assert_eq!(up.end_by(Signal::TERM).await, 143);
    assert_eq!(home.run(&["broker", "stop"]).ends().await, 0);
    let mut run = home.run(&["history", "worker", "--nats-server", &server]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.err.count("started for this"), 1, "{:?}", run.err.all());
    assert_eq!(run.out.count("started    worker"), 1, "{:?}", run.out.all());
    assert_eq!(home.run(&["broker", "stop"]).ends().await, 0);
}
