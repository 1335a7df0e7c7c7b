//! `watch --direct`: the stack itself, without a broker.

use observe::event::envelope::Envelope;

use super::run::{Home, Run};
use super::stack::Stack;

/// Begins to watch with looks that come often, and waits until the first one is told.
async fn watch(home: &Home, stack: &Stack, more: &[&str]) -> Run {
    let usual = [
        "watch",
        "--direct",
        "-p",
        &stack.port,
        "--interval",
        "250ms",
    ];
    let run = home.run(&[&usual, more].concat());
    run.says("3 processes").await;
    run
}

fn envelopes(run: &Run) -> Vec<Envelope> {
    let lines = run.out.all();
    lines
        .iter()
        .map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{error}: not an event: {line}"))
        })
        .collect()
}

#[tokio::test]
async fn text_lines_stand_in_columns_and_words_go_to_stderr() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let run = watch(&home, &stack, &[]).await;
    run.tells("started    worker").await;
    stack.control.exit("worker", 3).unwrap();
    let crashed = run.tells("crashed    worker").await;
    assert!(crashed.contains("exit 3"), "{crashed}");
    for line in run.out.all() {
        let cells: Vec<char> = line.chars().collect();
        assert!(cells[2] == ':' && cells[5] == ':', "a time of day: {line}");
        assert!(
            cells[8] == ' ' && cells[9] != ' ' && cells[10] == ' ',
            "a symbol: {line}"
        );
        assert!(
            cells[11].is_ascii_lowercase() && cells[20..22] == [' ', ' '],
            "a word: {line}"
        );
        assert!(cells[22] != ' ', "a name: {line}");
        assert!(!line.contains('\u{1b}'), "no colour in a pipe: {line:?}");
    }
    let said = run.err.all();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("watching shop at localhost:")
            && said[0].ends_with("(--port), every 250ms"),
        "{said:?}"
    );
    assert!(said[1].starts_with("shop: 3 processes, 3 up"), "{said:?}");
    assert!(said[1].contains("looked 0 s ago"), "{said:?}");
}

#[tokio::test]
async fn with_json_nothing_but_events_stands_on_stdout() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let run = watch(&home, &stack, &["--json"]).await;
    run.tells("\"process\":\"worker\"").await;
    stack.control.kill("worker", 9).unwrap();
    run.tells("\"type\":\"crashed\"").await;
    run.tells("\"type\":\"restarted\"").await;
    let told = envelopes(&run);
    assert!(told.len() >= 5, "{told:?}");
    assert!(told.iter().all(|event| event.source == "shop"));
    assert!(told.iter().all(|event| event.journal.starts_with("live-")));
    let seqs: Vec<u64> = told.iter().map(|event| event.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
}

#[tokio::test]
async fn count_ends_the_wait_for_one_crash() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let more = ["--type", "crashed", "--json", "--count", "1"];
    let mut run = watch(&home, &stack, &more).await;
    stack.control.exit("worker", 3).unwrap();
    assert_eq!(run.ends().await, 0);
    let told = envelopes(&run);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind.as_str(), "crashed");
    assert_eq!(told[0].process.as_deref(), Some("worker"));
    assert_eq!(told[0].exit.as_ref().and_then(|exit| exit.code), Some(3));
}

#[tokio::test]
async fn a_snapshot_has_one_line_per_process_before_the_events() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let run = watch(&home, &stack, &["--snapshot"]).await;
    run.tells("connected").await;
    let first: Vec<String> = run.out.all().into_iter().take(3).collect();
    for (line, name) in first.iter().zip(["api", "web", "worker"]) {
        assert!(line.contains(&format!("up         {name} ")), "{first:?}");
    }
}

#[tokio::test]
async fn each_filter_lets_through_what_it_names() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let cases: [(&[&str], &[&str]); 7] = [
        (&["-N", "front"], &["web"]),
        (&["--process", "worker"], &["worker"]),
        (&["w*"], &["web", "worker"]),
        (&["api", "web"], &["api", "web"]),
        (&["-f", "namespace=default"], &["api", "worker"]),
        (&["w*", "-N", "default"], &["worker"]),
        (&["--type", "started", "--process", "api"], &["api"]),
    ];
    for (more, wanted) in cases {
        let more = [&["--json", "--no-retry"], more].concat();
        let run = watch(&home, &stack, &more).await;
        for name in wanted {
            run.tells(&format!("\"process\":\"{name}\"")).await;
        }
        let told = envelopes(&run);
        let odd = told.iter().find(|event| {
            event
                .process
                .as_deref()
                .is_none_or(|name| !wanted.contains(&name))
        });
        assert!(odd.is_none(), "{more:?}: {odd:?}");
    }
}

#[tokio::test]
async fn severity_leaves_the_harmless_out() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let run = watch(&home, &stack, &["--severity", "warning", "--json"]).await;
    stack.control.exit("worker", 3).unwrap();
    run.tells("\"process\":\"worker\"").await;
    for event in envelopes(&run) {
        assert_ne!(event.severity.as_str(), "info", "{event:?}");
    }
}

#[tokio::test]
async fn a_source_that_leaves_is_one_line_and_its_return_another() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let mut run = watch(&home, &stack, &[]).await;
    run.tells("started    worker").await;
    let before = run.err.all().len();
    stack.control.stop_listening();
    // Three failed looks and five seconds: then it is an event, and until then the words on stderr stay one line.
    run.tells("disconnect").await;
    run.says("is away").await;
    let said = run.err.all();
    assert_eq!(said.len(), before + 1, "{said:#?}");
    assert!(said[before].contains("localhost:"), "{said:?}");
    stack.control.listen_again();
    run.tells("is in sight again").await;
    let back = run.says("is back").await;
    assert_eq!(run.err.all().len(), before + 2, "{back}");
    assert!(run.is_running());
}

#[tokio::test]
async fn without_patience_a_source_that_leaves_ends_the_watch() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let mut run = watch(&home, &stack, &["--no-retry"]).await;
    run.tells("started    worker").await;
    stack.control.stop_listening();
    assert_eq!(run.ends().await, 3, "{:?}", run.err.all());
    assert_eq!(run.err.count("observe: "), 1, "{:?}", run.err.all());
}
