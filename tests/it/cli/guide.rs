//! The script of the guide, run as it stands there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::run::{Home, OBSERVE, Run};
use crate::support::nats;

/// Everything the script waits for, on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

fn script() -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, behind) = guide.split_once("<!-- script -->\n```sh\n").unwrap();
    behind.split_once("```").unwrap().0.to_owned()
}

/// A port that nobody has at the moment.
fn port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

#[tokio::test]
async fn the_script_of_the_guide_shows_a_crash_and_a_restart_on_request() {
    let home = Home::new();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(OBSERVE, bin.join("observe")).unwrap();
    std::os::unix::fs::symlink(nats::binary(), bin.join("nats-server")).unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::os::unix::fs::symlink(examples, home.path().join("examples")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    // What goes on behind the script ends with it, whatever happened.
    let text = format!(
        "trap 'observe broker stop; kill $(jobs -p)' EXIT\nset -e\n{}",
        script()
    );
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &text])
        .env_clear()
        .envs(home.environment())
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("PC_PORT_NUM", port())
        .current_dir(home.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut run = Run::of(&mut shell);
    let code = run.ends_within(LIMIT).await;
    let said = format!("{:#?} {:#?}", run.out.all(), run.err.all());
    assert_eq!(code, 0, "{said}");
    for wanted in [
        "crashed    worker",
        "web restarted",
        "\"reason\":\"requested\"",
    ] {
        assert!(run.out.count(wanted) > 0, "no {wanted:?}: {said}");
    }
    let kept = std::fs::read_to_string(home.path().join("restarted.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 1, "{kept}");
}
