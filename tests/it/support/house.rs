//! A managed broker with a folder, a warden and users of its own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use observe::broker::{Lease, Places, Running, Settings, WardenCommand, ensure, find};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::nats;
use crate::support::scratch::Scratch;
use crate::support::wait::until;

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Tells the test binary, run again, to be a user of the broker in this state folder.
pub(crate) const HOLD: &str = "OBSERVE_TEST_HOLD";

pub(crate) struct House {
    pub(crate) scratch: Scratch,
    pub(crate) settings: Settings,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::at(Scratch::new("broker"), "state")
    }

    pub(crate) fn at(scratch: Scratch, state: &str) -> Self {
        let settings = settings(&scratch.path().join(state));
        Self { scratch, settings }
    }

    pub(crate) async fn lease(&self) -> Lease {
        ensure(&self.settings, &warden()).await.unwrap()
    }

    pub(crate) async fn running(&self) -> Option<Running> {
        find(&self.settings).await.unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.settings.places.broker_folder().unwrap().join(name)
    }

    pub(crate) fn card(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.file("server.json")).unwrap()).unwrap()
    }

    pub(crate) fn warden_pid(&self) -> u32 {
        u32::try_from(self.card()["warden"].as_u64().unwrap()).unwrap()
    }

    pub(crate) fn locked(&self, name: &str) -> bool {
        fs::File::open(self.file(name)).is_ok_and(|file| file.try_lock_shared().is_err())
    }

    pub(crate) async fn all_gone(&self) {
        until(SOON, "the end of server and warden", async || {
            !self.locked("server.lock") && !self.locked("warden.lock")
        })
        .await;
    }

    /// A process of its own that holds a lease until it is killed.
    pub(crate) async fn user(&self) -> User {
        let before = self.running().await.map_or(0, |running| running.users);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "broker::a_user_for_other_tests", "--ignored"])
            .env(HOLD, self.settings.places.xdg_state_home.as_ref().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let user = User(child);
        until(SOON, "a lease of the other process", async || {
            self.running()
                .await
                .is_some_and(|running| running.users > before)
        })
        .await;
        user
    }
}

pub(crate) struct User(Child);

impl User {
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().unwrap();
    }
}

pub(crate) fn settings(state: &Path) -> Settings {
    let places = Places {
        cwd: state.to_owned(),
        xdg_state_home: Some(state.to_owned()),
        ..Places::default()
    };
    Settings {
        binary: Some(nats::binary()),
        linger: Duration::from_millis(300),
        look: Duration::from_millis(50),
        ..Settings::new(places)
    }
}

pub(crate) fn warden() -> WardenCommand {
    WardenCommand {
        program: env!("CARGO_BIN_EXE_observe").into(),
        args: vec![OsString::from("broker"), OsString::from("__warden")],
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

pub(crate) async fn connect(lease: &Lease) -> async_nats::Client {
    async_nats::ConnectOptions::with_token(lease.token.reveal().to_owned())
        .connect(&lease.url)
        .await
        .unwrap()
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A program that has a version and otherwise does what `text` says.
pub(crate) fn script(house: &House, text: &str) -> PathBuf {
    let path = house.scratch.path().join("fake");
    let version = "[ \"$1\" = --version ] && exec echo 'nats-server: v2.15.1'";
    // Written by another process: a file this one still writes to, in a child that another test just
    // forked, cannot be run.
    let written = Command::new("sh")
        .args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n%s\n' "$2" "$3" >"$1" && chmod 755 "$1""#,
            "sh",
        ])
        .args([path.as_os_str(), version.as_ref(), text.as_ref()])
        .status()
        .unwrap();
    assert!(written.success());
    path
}
