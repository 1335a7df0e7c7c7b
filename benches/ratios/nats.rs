//! The `nats` command, as one more reference where it is on the path.

use std::process::Command;
use std::sync::OnceLock;

use super::Size;
use super::children::first_line;
use super::server::Server;

/// Why it is not measured, where it is not.
pub fn missing(size: Size) -> Option<&'static str> {
    match (size, version()) {
        (_, None) => Some("no nats CLI on PATH"),
        (Size::Quick, Some(_)) => Some("not with QUICK=1"),
        (Size::Full, Some(_)) => None,
    }
}

/// Its version, where there is one.
fn version() -> Option<&'static str> {
    static VERSION: OnceLock<Option<String>> = OnceLock::new();
    let found = VERSION.get_or_init(|| first_line(Command::new("nats").arg("--version")));
    found.as_deref()
}

/// A call of it that knows nothing of this machine but that server.
pub fn nats(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new("nats");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NATS_") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", server.folder())
        .env_remove("XDG_CONFIG_HOME")
        .args(["-s", &server.url()])
        .args(args);
    command
}

/// Publishes so many messages of so many bytes in atomic batches into our stream, on as many subjects; the seconds that took by
/// its own word, which leaves its start out.
pub fn batches(server: &Server, messages: usize, (bytes, subjects): (usize, usize)) -> f64 {
    let (count, size) = (messages.to_string(), bytes.to_string());
    let subjects = subjects.to_string();
    let mut command = nats(
        server,
        &[
            "bench",
            "js",
            "pub",
            "atomic",
            "core.process.bench",
            "--batch=1000",
            "--stream=PROCESS_EVENTS",
            "--multisubject",
            "--no-progress",
        ],
    );
    command
        .args(["--msgs", &count, "--size", &size])
        .args(["--multisubjectmax", &subjects]);
    let output = command.output().expect("the nats command");
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(rate).unwrap_or_else(|| {
        let why = String::from_utf8_lossy(&output.stderr);
        panic!("nats bench says no rate: {text}{why}")
    });
    messages as f64 / rate
}

/// The rate in `… stats: 62,923 msgs/sec ~ …`.
fn rate(line: &str) -> Option<f64> {
    let (before, _) = line.split_once(" msgs/sec")?;
    let number = before.rsplit(' ').next()?;
    number.replace(',', "").parse().ok()
}
