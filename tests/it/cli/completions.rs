//! What a shell is offered, the pages of the manual, and the version.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::house::House;
use super::run::{Home, LIMIT, OBSERVE, Run};
use super::stack::Stack;
use crate::support::wait::until;

/// What is offered for the last of these words.
async fn offered(home: &Home, words: &[&str]) -> Vec<String> {
    let mut command = home.command(&[&["--", "observe"], words].concat());
    command
        .env("OBSERVE_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n");
    let mut run = Run::of(&mut command);
    assert_eq!(run.ends().await, 0, "{words:?}");
    assert!(run.err.all().is_empty(), "{words:?}: {:?}", run.err.all());
    run.out.all()
}

/// Asks until it is this: a busy machine may not answer in the time there is.
async fn comes_to_offer(home: &Home, words: &[&str], wanted: &[&str]) {
    until(LIMIT, &format!("{wanted:?} for {words:?}"), async || {
        let mut found = offered(home, words).await;
        found.sort_unstable();
        found == wanted
    })
    .await;
}

const STACK: &str = "
name: shop
keep: true
processes:
  api: {}
  web: {namespace: front, replicas: 2}
  worker: {namespace: back}
  \"w$(touch ran)\": {}
";

#[tokio::test]
async fn names_are_those_of_the_stack_that_the_words_mean() {
    let (home, stack) = (Home::new(), Stack::play(STACK).await);
    let port = stack.port.as_str();
    for (words, wanted) in [
        (
            &["watch", "-p", port, "-s", "nats://127.0.0.1:1", "w"][..],
            &["web-0", "web-1", "worker"][..],
        ),
        (
            &["wait", "-s", "nats://127.0.0.1:1", "--port", port, "a"],
            &["api"],
        ),
        (
            &["watch", "-s", "nats://127.0.0.1:1", "-p", port, "-N", "f"],
            &["front"],
        ),
        (&["watch", "--type", "c"], &["connected", "crashed"]),
        (&["watch", "--type", "crashed,sto"], &["crashed,stopped"]),
        (&["history", "--severity", "cr"], &["critical"]),
        (&["stats", "--by", "n"], &["namespace"]),
        (&["sta"], &["state", "stats"]),
    ] {
        comes_to_offer(&home, words, wanted).await;
    }
}

#[tokio::test]
async fn names_are_those_of_the_broker_too_and_bash_takes_them() {
    let house = House::new().await;
    let _adapter = house.working(&[]).await;
    house.tells("started", "web", 1).await;
    let url = house.nats.url();
    let words = ["history", "-s", &url, "-p", "1", "--source", "s"];
    comes_to_offer(&house.home, &words, &["shop"]).await;
    let script = format!(
        "eval \"$({OBSERVE} completions bash)\"; COMP_WORDS=(observe stats -s {url} -p 1 w); COMP_CWORD=6
        _clap_complete_observe observe w 1; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    until(LIMIT, "words in a bash", async || {
        let mut bash = Command::new("bash");
        bash.args(["-c", &script])
            .envs(house.home.environment())
            .current_dir(house.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut run = Run::of(&mut bash);
        assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
        run.out.all() == ["web", "worker"]
    })
    .await;
}

#[tokio::test]
async fn names_are_those_of_the_stacks_in_the_file_of_settings() {
    let home = Home::new();
    let (shop, lab) = (
        Stack::play(STACK).await,
        Stack::play("name: other\nkeep: true\nprocesses: {probe: {}}").await,
    );
    let file = format!(
        "version: 1\nbroker: {{server: 'nats://127.0.0.1:1'}}\nsources:\n  \
         - {{name: shop, address: 'localhost:{}'}}\n  - {{name: lab, address: 'localhost:{}'}}\n",
        shop.port, lab.port
    );
    std::fs::write(home.path().join("observe.yaml"), file).unwrap();
    for command in [
        &["watch"][..],
        &["up"],
        &["adapter"],
        &["doctor"],
        &["state"],
        &["wait"],
        &["process", "stop"],
        &["process", "logs"],
        &["stats"],
        &["diff"],
        &["history"],
    ] {
        let words = [command, &["--source", ""]].concat();
        comes_to_offer(&home, &words, &["lab", "shop"]).await;
    }
    for (words, wanted) in [
        (&["state", "p"][..], &["probe"][..]),
        (&["state", "w"], &["web-0", "web-1", "worker"]),
        (&["process", "restart", "--source", "lab", "p"], &["probe"]),
        (&["process", "restart", "--source", "shop", "a"], &["api"]),
    ] {
        comes_to_offer(&home, words, wanted).await;
    }
    let lab = ["process", "restart", "--source", "lab", "a"];
    assert_eq!(offered(&home, &lab).await, [""; 0]);
    // A file that is wrong is passed over, and nothing is said.
    std::fs::write(home.path().join("observe.yaml"), "version: 1\nsauces: 3\n").unwrap();
    assert_eq!(offered(&home, &["up", "--source", ""]).await, [""; 0]);
}

#[tokio::test]
async fn whoever_does_not_answer_is_not_waited_for_and_nothing_is_said() {
    let home = Home::new();
    // They take connections and say nothing.
    let silent = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [broker, stack] = silent.each_ref().map(|silent| silent.local_addr().unwrap());
    let (broker, stack) = (format!("nats://{broker}"), stack.port().to_string());
    let begun = Instant::now();
    let words = ["watch", "-s", &broker, "-p", &stack, "w"];
    assert_eq!(offered(&home, &words).await, [""; 0]);
    // 300 ms, and room for a busy machine; a broker is usually given five seconds.
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    let words = ["watch", "-s", "not an address", "-p", "many", "w"];
    assert_eq!(offered(&home, &words).await, [""; 0]);
}

#[tokio::test]
async fn each_shell_has_its_script() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut run = home.run(&["completions", shell]);
        assert_eq!(run.ends().await, 0);
        let script = run.out.all().join("\n");
        assert!(
            script.contains("OBSERVE_COMPLETE") && script.contains(OBSERVE),
            "{script}"
        );
    }
    let mut run = home.run(&["completions", "cmd"]);
    assert_eq!(run.ends().await, 2);
}

#[tokio::test]
async fn the_manual_has_a_page_for_each_command_and_its_examples_stand_as_they_are() {
    let home = Home::new();
    let mut run = home.run(&["man", "--dir", "pages"]);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    let mut help = home.run(&["--help"]);
    assert_eq!(help.ends().await, 0);
    let lines = help.out.all();
    let commands = lines.iter().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<_> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|command| !command.is_empty() && *command != "help")
        .collect();
    assert!(commands.len() >= 14, "{commands:?}");
    for command in commands {
        let path = home.path().join(format!("pages/observe-{command}.1"));
        let page = std::fs::read_to_string(path).unwrap();
        assert!(
            page.contains(".SH NAME") && page.contains(".SH EXAMPLES"),
            "{command}"
        );
    }
    let pages: Vec<_> = std::fs::read_dir(home.path().join("pages"))
        .unwrap()
        .collect();
    let hidden = |page: &std::io::Result<std::fs::DirEntry>| {
        page.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("__")
    };
    assert!(!pages.iter().any(hidden), "{pages:?}");
    let mut page = home.run(&["man", "stats"]);
    assert_eq!(page.ends().await, 0);
    let page = page.out.all();
    let wanted = "  observe stats \\-S yesterday \\-U today \\-\\-by namespace";
    assert!(page.iter().any(|line| line == wanted), "{page:#?}");
    let (code, line) = home.run(&["man", "stat"]).refused().await;
    assert_eq!(code, 2);
    assert!(line.contains("`stat`") && line.contains("stats"), "{line}");
}

#[tokio::test]
async fn the_version_is_a_line_for_people_and_an_object_for_programs() {
    let home = Home::new();
    let mut run = home.run(&["version"]);
    assert_eq!(run.ends().await, 0);
    let lines = run.out.all();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with(&format!("observe {version}")),
        "{lines:?}"
    );
    let mut run = home.run(&["version", "-o", "json"]);
    assert_eq!(run.ends().await, 0);
    let object: Value = serde_json::from_str(&run.out.all()[0]).unwrap();
    assert_eq!(object["version"], version);
    assert_eq!(object["schemas"]["event"], 1);
    assert_ne!(object["target"], "unknown");
}

#[tokio::test]
async fn contexts_are_those_of_the_nats_command() {
    let home = Home::new();
    let folder = home.path().join(".config/nats/context");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["lab", "prod", "preview"] {
        std::fs::write(folder.join(format!("{name}.json")), "{}").unwrap();
    }
    let words = ["watch", "--context", "pr"];
    comes_to_offer(&home, &words, &["preview", "prod"]).await;
}
