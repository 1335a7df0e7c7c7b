//! The same against a real process-compose, where there is one: what the simulator only claims.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use observe::event::envelope::Envelope;
use rustix::process::{Pid, Signal, kill_process_group};

use super::house::{count, events};
use super::run::{Home, LIMIT, Run};
use crate::live::process_compose;
use crate::support::nats::NatsServer;
use crate::support::wait::until;

const STACK: &str = "
version: '0.5'
processes:
  api:
    command: 'trap \"exit 7\" TERM; while true; do echo alive; sleep 0.2; done'
  web:
    command: 'echo here; sleep 1000'
    replicas: 2
";

/// A server that is gone, with everything it runs, when dropped.
struct Real {
    child: Child,
    port: u16,
}

impl Real {
    async fn up(home: &Home) -> Option<Self> {
        let binary = process_compose()?;
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        std::fs::write(home.path().join("process-compose.yaml"), STACK).unwrap();
        let out = File::create(home.path().join("server.out")).unwrap();
        let number = port.to_string();
        let child = Command::new(binary)
            .args([
                "-t=false",
                "-L",
                "server.log",
                "-p",
                &number,
                "--keep-project",
                "up",
            ])
            .current_dir(home.path())
            .env_clear()
            .envs(home.environment())
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .process_group(0)
            .spawn()
            .unwrap();
        let real = Self { child, port };
        until(LIMIT, "a server that listens", async || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        Some(real)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It stops what it runs when it is asked to, and has no more than this to stop.
            kill_process_group(pid, Signal::TERM).unwrap_or_default();
        }
        drop(self.child.wait());
    }
}

/// A real server, a broker, an adapter of looks alone, and somebody who follows a log.
struct Scene {
    home: Home,
    real: Real,
    nats: NatsServer,
    follow: Run,
    _adapter: Run,
}

impl Scene {
    async fn begin() -> Option<Self> {
        let home = Home::new();
        let real = Real::up(&home).await?;
        let (nats, port) = (NatsServer::start(), real.port.to_string());
        let looks = ["-p", &port, "--interval", "500ms"];
        let adapter = [
            "adapter",
            "--source",
            "real",
            "--evidence",
            "off",
            "-s",
            &nats.url(),
        ];
        let adapter = home.run(&[&adapter[..], &looks].concat());
        adapter.says(&port).await;
        let follow =
            home.run(&[&["process", "logs", "-f", "web", "--direct"], &looks[..]].concat());
        let scene = Self {
            home,
            real,
            nats,
            follow,
            _adapter: adapter,
        };
        scene.tells("started", "web-1").await;
        scene.follow.tells("web-1 │ here").await;
        Some(scene)
    }

    async fn tells(&self, kind: &str, process: &str) {
        until(LIMIT, kind, async || {
            count(&events(&self.nats).await, kind, process) > 0
        })
        .await;
    }

    /// Asks without flags that say where the server is.
    async fn by_head(&self, args: &[&str]) {
        let url = self.nats.url();
        let mut run = self
            .home
            .run(&[&["process"], args, &["--source", "real", "-s", &url]].concat());
        assert_eq!(run.ends().await, 0, "{args:?}: {:?}", run.err.all());
        assert!(run.err.all().is_empty(), "{args:?}: {:?}", run.err.all());
    }

    async fn asks(&self, args: &[&str]) {
        let port = self.real.port.to_string();
        self.by_head(&[args, &["-p", &port]].concat()).await;
    }
}

#[tokio::test]
async fn a_real_server_does_what_is_asked_and_the_adapter_tells_it_as_requested() {
    let Some(scene) = Scene::begin().await else {
        return;
    };
    scene.by_head(&["restart", "api", "--wait"]).await;
    scene.asks(&["stop", "api", "--wait"]).await;
    scene.asks(&["scale", "web=3", "--wait"]).await;
    let follow = &scene.follow;
    follow.tells("web-2 │ here").await;
    scene.asks(&["restart", "web-2"]).await;
    follow.says("+ web-2").await;
    until(LIMIT, "its second run", async || {
        follow.out.count("web-2 │ here") == 2
    })
    .await;
    scene.asks(&["scale", "web=1", "--wait"]).await;
    scene.tells("stopped", "web-2").await;
    let told = events(&scene.nats).await;
    assert_eq!(count(&told, "crashed", "api"), 0, "{told:#?}");
    let of_api = |event: &&Envelope| event.process.as_deref() == Some("api");
    let stopped = |event: &&Envelope| event.kind.as_str() == "stopped";
    for event in told.iter().filter(of_api).filter(stopped) {
        assert_eq!(&*event.reason, "requested", "{event:#?}");
    }
    follow.says("- web-2").await;
    follow.says("+ web").await;
    assert_eq!(
        follow.out.count("web-2 │ here"),
        2,
        "{:?}",
        follow.out.all()
    );
    assert_eq!(
        follow.out.count("web-0 │ here"),
        1,
        "{:?}",
        follow.out.all()
    );
}
