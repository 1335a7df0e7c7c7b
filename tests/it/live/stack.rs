//! One recorded stack, run by a real process-compose and watched by the binary.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::scratch::Scratch;

const READY_WITHIN: Duration = Duration::from_secs(15);
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A running stack in a folder of its own; nothing of it is left when dropped.
pub(super) struct Stack {
    scratch: Scratch,
    server: Child,
    watch: Option<Child>,
    port: u16,
    /// When the first look was answered.
    zero: Instant,
    actions: Vec<Value>,
    end: Duration,
}

fn rows(path: &Path) -> Vec<Value> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The pid of something alive enough to be signalled.
fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// Lets a child not inherit what would point it elsewhere.
fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PC_") || text.starts_with("NATS_") || text.starts_with("OBSERVE_") {
            command.env_remove(&name);
        }
    }
    command
}

impl Stack {
    /// Starts the server and, as soon as it answers, the watching binary.
    pub(super) fn up(binary: &Path, folder: &Path, port: u16) -> Self {
        let scratch = Scratch::new("live");
        let actions = rows(&folder.join("actions.jsonl"));
        prepare(scratch.path(), folder, &actions);
        let log = File::create(scratch.path().join("server.out")).unwrap();
        let mut command = Command::new(binary);
        let server = without_settings(&mut command)
            .args(["-t=false", "-L", "server.log", "-p", &port.to_string()])
            .args(["-f", "process-compose.yaml", "--keep-project", "up"])
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let meta: Value =
            serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
        let mut stack = Self {
            scratch,
            server,
            watch: None,
            port,
            zero: Instant::now(),
            actions,
            end: Duration::from_millis(meta["end_ms"].as_u64().unwrap()),
        };
        stack.wait_until_answered();
        stack.watch = Some(stack.start_watch());
        stack
    }

    fn wait_until_answered(&mut self) {
        let until = Instant::now() + READY_WITHIN;
        while self.try_ask("GET", "/processes", "").is_none() {
            let ended = self.server.try_wait().unwrap().is_some();
            assert!(
                !ended && Instant::now() < until,
                "process-compose does not answer:\n{}",
                fs::read_to_string(self.file("server.out")).unwrap_or_default()
            );
            sleep(Duration::from_millis(10));
        }
        self.zero = Instant::now();
    }

    fn start_watch(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_observe"));
        without_settings(&mut command)
            .args(["watch", "--direct", "--json", "--gaps", "-p"])
            .arg(self.port.to_string())
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(File::create(self.file("events.jsonl")).unwrap())
            .stderr(File::create(self.file("watch.err")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Whether the server tells its states by itself.
    pub(super) fn has_state_stream(&self) -> bool {
        let (status, _) = self.ask("GET", "/process/states/ws", "");
        status != 404
    }

    /// Does what was recorded, at its times, and gives what was told until the end.
    pub(super) fn watched(&mut self) -> Vec<Value> {
        for action in std::mem::take(&mut self.actions) {
            let at = Duration::from_millis(action["t_ms"].as_u64().unwrap());
            sleep((self.zero + at).saturating_duration_since(Instant::now()));
            self.act(&action);
        }
        sleep((self.zero + self.end).saturating_duration_since(Instant::now()));
        self.end_watch();
        rows(&self.file("events.jsonl"))
    }

    fn end_watch(&mut self) {
        let mut watch = self.watch.take().unwrap();
        kill_process(pid(watch.id()).unwrap(), Signal::INT).unwrap();
        let until = Instant::now() + ENDS_WITHIN;
        while watch.try_wait().unwrap().is_none() {
            if Instant::now() >= until {
                watch.kill().unwrap();
                watch.wait().unwrap();
                panic!("observe watch does not end on SIGINT");
            }
            sleep(Duration::from_millis(10));
        }
    }

    fn act(&self, action: &Value) {
        let name = action["process"].as_str().unwrap_or_default();
        let words: Vec<&str> = action["action"].as_str().unwrap().split(' ').collect();
        let (method, path, body) = match words[..] {
            ["start" | "restart"] => ("POST", format!("/process/{}/{name}", words[0]), json!(null)),
            ["stop"] => ("PATCH", format!("/process/stop/{name}"), json!(null)),
            ["stop", "many"] => (
                "PATCH",
                "/processes/stop".to_owned(),
                action["process"].clone(),
            ),
            ["scale"] => (
                "PATCH",
                format!("/process/scale/{name}/{}", action["to"]),
                json!(null),
            ),
            ["namespace", verb] => (
                "POST",
                format!(
                    "/namespace/{verb}/{}",
                    action["namespace"].as_str().unwrap()
                ),
                json!(null),
            ),
            ["kill", signal] => return send(signal, self.pid_of(name)),
            ["kill", signal, "child"] => return send(signal, child_of(self.pid_of(name))),
            ["kill", signal, "daemon"] => return send(signal, self.daemon(name)),
            ["touch", "file"] => {
                let path = self.file(action["file"].as_str().unwrap());
                return fs::write(path, "now\n").unwrap();
            }
            ["remove", "file"] => {
                return fs::remove_file(self.file(action["file"].as_str().unwrap())).unwrap();
            }
            _ => panic!("an action this test cannot do: {action}"),
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, text) = self.ask(method, &path, &body);
        assert_eq!(
            Some(u64::from(status)),
            action["http"].as_u64(),
            "{action} was answered: {text}"
        );
    }

    fn pid_of(&self, name: &str) -> u32 {
        let (_, body) = self.ask("GET", &format!("/process/{name}"), "");
        let state: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(state["is_running"], true, "{name} is to be killed: {state}");
        u32::try_from(state["pid"].as_u64().unwrap()).unwrap()
    }

    fn daemon(&self, name: &str) -> u32 {
        let text = fs::read_to_string(self.file(&format!("{name}.pid"))).unwrap();
        text.trim().parse().unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_ask(method, path, body)
            .unwrap_or_else(|| panic!("{method} {path}: no answer"))
    }

    /// One request; HTTP/1.0, so that the end of the connection is the end of the answer.
    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("localhost", self.port)).ok()?;
        stream.set_read_timeout(Some(READY_WITHIN)).ok()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        let (_, answer) = text.split_once("\r\n\r\n")?;
        Some((status, answer.to_owned()))
    }

    /// Everything below the server, while it is held still, and the daemons that left it.
    fn offspring(&self) -> Vec<u32> {
        let table = processes();
        let mut found = vec![self.server.id()];
        let mut at = 0;
        while let Some(&parent) = found.get(at) {
            found.extend(table.iter().filter(|row| row.1 == parent).map(|row| row.0));
            at += 1;
        }
        found.remove(0);
        for name in ["svc", "kept", "halted"] {
            let daemon = fs::read_to_string(self.file(&format!("{name}.pid")));
            let number = daemon.ok().and_then(|text| text.trim().parse().ok());
            found.extend(number.filter(|number: &u32| {
                // Its number may long be another's.
                table.iter().any(|row| row.0 == *number && row.2 == "sleep")
            }));
        }
        found
    }
}

impl Drop for Stack {
    // A test that fails must not fail again here, and must leave nothing behind.
    fn drop(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            drop(watch.kill());
            drop(watch.wait());
        }
        if let (Ok(None), Some(server)) = (self.server.try_wait(), pid(self.server.id())) {
            _ = kill_process(server, Signal::STOP);
        }
        let offspring = self.offspring();
        drop(self.server.kill());
        drop(self.server.wait());
        for one in offspring.into_iter().filter_map(pid) {
            _ = kill_process_group(one, Signal::KILL);
            _ = kill_process(one, Signal::KILL);
        }
    }
}

/// Gives a scratch folder what the recorded one held at the start.
fn prepare(scratch: &Path, folder: &Path, actions: &[Value]) {
    let yaml = "process-compose.yaml";
    fs::copy(folder.join(yaml), scratch.join(yaml)).unwrap();
    let mut seen = Vec::new();
    for action in actions {
        let Some(name) = action["file"].as_str() else {
            continue;
        };
        let path = scratch.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // What is removed before it was ever written was there from the start.
        if action["action"] == "remove file" && !seen.contains(&name) {
            fs::write(path, "").unwrap();
        }
        seen.push(name);
    }
}

fn send(signal: &str, to: u32) {
    let status = Command::new("kill")
        .args([signal, &to.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill {signal} {to}: {status}");
}

fn child_of(parent: u32) -> u32 {
    let children: Vec<_> = processes()
        .into_iter()
        .filter(|row| row.1 == parent)
        .collect();
    let [(child, ..)] = &children[..] else {
        panic!("one child of {parent} was expected: {children:?}");
    };
    *child
}

/// Each process of the machine: its pid, its parent's, its program.
fn processes() -> Vec<(u32, u32, String)> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,comm="])
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (number, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let program = words.next()?.rsplit('/').next()?.to_owned();
            Some((number, parent, program))
        })
        .collect()
}
