//! A real nats-server per test: own folder, own port, gone when the guard is dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::time::Instant;

/// A running server and its folder.
pub(crate) struct NatsServer {
    folder: PathBuf,
    config: String,
    child: Option<Child>,
    port: u16,
}

/// The binary: named by the environment, on the path, or fetched by `make test`.
pub(crate) fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("OBSERVE_TEST_NATS_SERVER") {
        return named.into();
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    for candidate in std::env::split_paths(&on_path).map(|folder| folder.join("nats-server")) {
        if candidate.is_file() && is_new_enough(&candidate) {
            return candidate;
        }
    }
    for folder in Path::new(env!("CARGO_MANIFEST_DIR")).ancestors() {
        let candidate = folder.join(".tools/nats-server");
        if candidate.is_file() {
            return candidate;
        }
    }
    panic!(
        "no nats-server 2.12 or newer: run `make test`, which fetches one, or set OBSERVE_TEST_NATS_SERVER"
    );
}

fn is_new_enough(binary: &Path) -> bool {
    let Ok(output) = Command::new(binary).arg("--version").output() else {
        return false;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.rsplit('v').next().unwrap_or_default();
    let mut numbers = version
        .trim()
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 12)
}

impl NatsServer {
    /// A server with JetStream for everybody.
    pub(crate) fn start() -> Self {
        Self::with("jetstream { store_dir: \"STORE\" }")
    }

    /// A server with this text in its configuration; `STORE` stands for a folder of its own.
    pub(crate) fn with(extra: &str) -> Self {
        let name = format!(
            "observe-nats-{}-{:016x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let store = folder.join("store").display().to_string();
        let mut server = Self {
            config: extra.replace("STORE", &store),
            folder,
            child: None,
            port: 0,
        };
        server.again();
        server
    }

    /// Starts it again, on the same store and port.
    pub(crate) fn again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let port = if self.port == 0 {
            -1
        } else {
            i32::from(self.port)
        };
        let folder = self.folder.display();
        let text = format!(
            "host: 127.0.0.1\nport: {port}\nports_file_dir: \"{folder}\"\nlog_file: \"{folder}/log\"\n{}\n",
            self.config
        );
        let path = self.folder.join("server.conf");
        std::fs::write(&path, text).unwrap();
        let child = Command::new(binary())
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server does not start: run `make test`, which fetches one");
        let ports = self
            .folder
            .join(format!("nats-server_{}.ports", child.id()));
        self.child = Some(child);
        self.port = self.wait_for_port(&ports);
    }

    fn wait_for_port(&mut self, ports: &Path) -> u16 {
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            if let Some(port) = std::fs::read(ports).ok().and_then(|text| port_of(&text)) {
                return port;
            }
            let ended = self
                .child
                .as_mut()
                .is_some_and(|child| child.try_wait().unwrap().is_some());
            assert!(
                !ended && Instant::now() < until,
                "nats-server is not ready:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Changes its configuration for the next start.
    pub(crate) fn reconfigure(&mut self, extra: &str) {
        let store = self.folder.join("store").display().to_string();
        self.config = extra.replace("STORE", &store);
    }

    fn signal(&self, signal: Signal) -> Pid {
        let child = self.child.as_ref().expect("it does not run");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        pid
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.child.take().unwrap().wait().unwrap();
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.take().unwrap().wait().unwrap();
    }

    /// The folder of what it keeps.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Copies what it keeps aside; it must not run.
    pub(crate) fn copy_store(&self, name: &str) {
        assert!(self.child.is_none(), "it runs");
        copy(&self.folder.join("store"), &self.folder.join(name));
    }

    /// Puts a copy back in the place of what it keeps, or nothing where none is named; it must not run.
    pub(crate) fn put_back(&self, name: Option<&str>) {
        assert!(self.child.is_none(), "it runs");
        let store = self.folder.join("store");
        std::fs::remove_dir_all(&store).unwrap();
        if let Some(name) = name {
            copy(&self.folder.join(name), &store);
        }
    }

    /// Freezes it without closing a connection, and waits until every thread of it stands still.
    pub(crate) fn freeze(&self) {
        let pid = self.signal(Signal::STOP);
        waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
    }

    /// Ends the freeze.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn port_of(text: &[u8]) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_slice(text).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A test that fails must not fail again here, and must leave nothing behind.
            drop(child.kill());
            drop(child.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
