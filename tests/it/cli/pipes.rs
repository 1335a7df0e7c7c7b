//! Readers that leave: that is success, whether much is told or nothing.

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::Duration;

use super::run::{Home, OBSERVE, Run};
use super::stack::{BUSY, Stack};

#[tokio::test]
async fn head_ends_a_busy_watch_and_both_succeed() {
    let (home, stack) = (Home::new(), Stack::play(BUSY).await);
    let script =
        r#"set -o pipefail; "$0" watch --direct -p "$1" --interval 250ms --json | head -3"#;
    let mut shell = Command::new("bash");
    shell
        .args(["-c", script, OBSERVE, &stack.port])
        .env_clear()
        .envs(home.environment())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut run = Run::of(&mut shell);
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert_eq!(run.out.all().len(), 3);
    assert_eq!(run.err.count("observe:"), 0, "{:?}", run.err.all());
}

#[tokio::test]
async fn a_quiet_watch_notices_within_two_seconds_that_its_reader_left() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let args = ["watch", "--direct", "-p", &stack.port, "--json", "api"];
    let mut run = Run::unread(&mut home.command(&args));
    let mut lines = BufReader::new(run.stdout()).lines();
    run.says("3 processes").await;
    let (first, lines) = tokio::task::spawn_blocking(move || (lines.next(), lines))
        .await
        .unwrap();
    assert!(first.unwrap().unwrap().contains("\"api\""));
    assert!(run.is_running());
    drop(lines);
    let left = tokio::time::Instant::now();
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
    assert!(
        left.elapsed() < Duration::from_secs(2),
        "{:?}",
        left.elapsed()
    );
    assert_eq!(run.err.count("observe:"), 0, "{:?}", run.err.all());
}

#[tokio::test]
async fn a_reader_that_leaves_while_it_is_written_to_is_success() {
    let (home, stack) = (Home::new(), Stack::play(BUSY).await);
    let args = [
        "watch",
        "--direct",
        "-p",
        &stack.port,
        "--interval",
        "250ms",
    ];
    let mut run = Run::unread(&mut home.command(&args));
    run.says("3 processes").await;
    drop(run.stdout());
    assert_eq!(run.ends().await, 0, "{:?}", run.err.all());
}
