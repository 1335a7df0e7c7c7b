//! What each command that reads or asks shows: in a terminal of 80 columns and of 200, in a pipe, in a dumb terminal and
//! with `LANG=C`. Each is kept as a recorded screen, in which times, ports and amounts are only words: how they are set in
//! columns is recorded where they are drawn.

use std::fmt::Write as _;

use super::house::House;
use super::run::{Home, Run};
use super::stack::Stack;
use super::terminal::Terminal;
use crate::support::nats::NatsServer;

/// Each command and what stands before its flags.
const COMMANDS: [&str; 22] = [
    "history",
    "history -o wide --time utc -n 2",
    "history --type connected",
    "history -g exit.7",
    "watch --no-follow -n 9 -g CRASHED|crashed",
    "state",
    "state -o wide",
    "state nobody",
    "diff 1h",
    "stats -S 1h",
    "stats -S 1h --by source",
    "source ls",
    "wait worker",
    "wait api --for ready --timeout 2s",
    "wait --source nobody --timeout 1s",
    "run --process worker -- echo hello",
    "process restart worker",
    "process stop nobody",
    "process logs worker web -n 2",
    "config check",
    "version",
    "version --help",
];

/// Where a command is run.
#[derive(Debug, Clone, Copy)]
enum Where {
    Terminal(u16, &'static [(&'static str, &'static str)]),
    Pipe,
}

/// What these write does not fit a narrow terminal, and where it breaks depends on names of this machine.
const WIDE: [(&str, u16); 3] = [
    ("history -o wide", 300),
    ("state -o wide", 200),
    ("config check", 200),
];

const STACK: &str = r#"
name: shop
keep: true
processes:
  api: {}
  worker: {restart: always, backoff: 1s}
  web: {namespace: front, log: {every: 50ms, lines: ["hello"]}}
"#;

/// A stack of which one process crashed, and what was told of it.
async fn told() -> (House, Run) {
    let house = House {
        home: Home::new(),
        stack: Stack::play(STACK).await,
        nats: NatsServer::start(),
    };
    let adapter = house.working(&["--evidence", "off"]).await;
    house.tells("started", "web", 1).await;
    house.stack.exit("api", 7).await;
    house.tells("crashed", "api", 1).await;
    std::fs::write(house.home.path().join("observe.yaml"), "version: 1\n").unwrap();
    (house, adapter)
}

/// The rows of a screen so long that nothing leaves it.
fn rows(bytes: &[u8], width: u16) -> String {
    let mut parser = vt100::Parser::new(300.try_into().unwrap(), width.try_into().unwrap(), 0);
    parser.process(bytes);
    let rows: Vec<_> = parser.screen().rows(0, width).collect();
    let rows = rows.iter().map(|row| row.trim_end());
    rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// What it shows, and whether it leaves a terminal as it was.
async fn shown(home: &Home, args: &[&str], at: Where) -> String {
    match at {
        Where::Terminal(width, variables) => {
            let mut terminal = Terminal::of_width(width, home, args, variables);
            if args.contains(&"--watch") {
                terminal.shows("worker").await;
                terminal.types(b"\x03");
            }
            let code = terminal.ends().await;
            let bytes = terminal.bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let is_plain = variables.contains(&("TERM", "dumb"));
            assert!(!is_plain || !text.contains('\u{1b}'), "{args:?}: {text}");
            let is_ascii = variables.contains(&("LC_ALL", "C"));
            assert!(!is_ascii || text.is_ascii(), "{args:?}: {text}");
            format!("{}\n[{code}]", rows(&bytes, width))
        }
        Where::Pipe => {
            let mut run = home.run(args);
            let code = run.ends().await;
            let (out, err) = (run.out.all(), run.err.all());
            assert!(!out.concat().contains('\u{1b}'), "{args:?}: {out:?}");
            let err = err.iter().map(|line| format!("[stderr] {line}"));
            let all: Vec<_> = out.into_iter().chain(err).collect();
            format!("{}\n[{code}]", all.join("\n"))
        }
    }
}

/// Everything that differs from one run to the next.
fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        (r"[\w.-]+-[0-9a-f]{8}\b", "ADAPTER"),
        (r"shop\.[0-9a-f]{8}\.\d+", "ID"),
        (r"\d{4}-\d\d-\d\dT", ""),
        (r"\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "TIME"),
        (r"\d+ [A-Z][a-z]{2} TIME", "TIME"),
        (r"\[[^\]]*TIME[^\]]*\]", "[TIME]"),
        (r"\d+ (d|h|min) \d+ (h|min|s)\b", "SPAN"),
        (r"\d+(\.\d+)? ?(ms|s|min|m|h|d)\b", "SPAN"),
        (r"\d+(\.\d+)? ?%", "N %"),
        (r"\d+(\.\d+)? (B|kB|MB|GB)\b", "N B"),
        (r"/\S+/observe\.yaml", "FILE"),
        (r"(localhost|127\.0\.0\.1):\d+", "PLACE"),
        (r"observe \d+\.\d+\.\d+\S*, .*", "observe VERSION"),
        (r"\b\d{4,}\b", "PID"),
        (r"[┄▁▂▃▄▅▆▇█·.~_:=*#|!-]{10,}\d?", "BARS"),
        (r" {2,}", "  "),
    ]
}

async fn record(name: &str, at: Where) {
    let (house, _adapter) = told().await;
    let url = house.nats.url();
    let mut all = String::new();
    for command in COMMANDS.into_iter().chain(["state --watch"]) {
        let wide = WIDE.iter().find(|(wide, _)| command.starts_with(wide));
        if let (Some((_, least)), Where::Terminal(width, _)) = (wide, at)
            && width < *least
        {
            continue;
        }
        let (words, tail) = command.split_once(" -- ").unwrap_or((command, ""));
        let mut args: Vec<&str> = words.split(' ').collect();
        let asks = !["config", "version"].contains(&args[0]);
        if asks {
            args.extend(["-s", &url]);
        }
        if args[0] == "process" {
            args.extend(["-p", &house.stack.port]);
        }
        if !tail.is_empty() {
            args.push("--");
            args.extend(tail.split(' '));
        }
        let screen = shown(&house.home, &args, at).await;
        writeln!(all, "$ observe {command}\n{screen}\n").unwrap();
        if command.starts_with("process restart") {
            house.tells("restarted", "worker", 1).await;
        }
    }
    insta::with_settings!({ filters => filters(), omit_expression => true }, {
        insta::assert_snapshot!(name, all);
    });
}

#[tokio::test]
async fn in_a_terminal_of_eighty_columns() {
    record("terminal_80", Where::Terminal(80, &[])).await;
}

#[tokio::test]
async fn in_a_terminal_of_two_hundred_columns() {
    record("terminal_200", Where::Terminal(200, &[])).await;
}

#[tokio::test]
async fn in_a_pipe() {
    record("pipe", Where::Pipe).await;
}

#[tokio::test]
async fn in_a_dumb_terminal() {
    record("dumb", Where::Terminal(80, &[("TERM", "dumb")])).await;
}

#[tokio::test]
async fn where_the_language_has_only_ascii() {
    let c = &[("LANG", "C"), ("LC_ALL", "C")];
    record("ascii", Where::Terminal(80, c)).await;
}
