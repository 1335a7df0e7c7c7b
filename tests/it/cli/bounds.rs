//! Connections that break again and again leave nothing behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::house::{events, without_holes};
use super::run::Home;
use crate::support::fake_server::{FakeServer, Reply};
use crate::support::nats::NatsServer;

/// A way to the broker that can be cut.
struct Way {
    port: u16,
    open: Arc<Mutex<JoinSet<()>>>,
    made: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Way {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (open, made) = (
            Arc::new(Mutex::new(JoinSet::new())),
            Arc::new(AtomicUsize::new(0)),
        );
        let (all, count) = (Arc::clone(&open), Arc::clone(&made));
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                all.lock().unwrap().spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                        drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                    }
                });
            }
        });
        Self {
            port: own,
            open,
            made,
            task,
        }
    }

    fn cut(&self) {
        self.open.lock().unwrap().abort_all();
    }
}

fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn two_hundred_broken_connections_leave_no_file_open() {
    let said = std::env::var("BOUNDS_RECONNECTS").ok();
    let wanted: usize = said.and_then(|text| text.parse().ok()).unwrap_or(60);
    let (home, nats) = (Home::new(), NatsServer::start());
    let broker: u16 = nats.url().rsplit(':').next().unwrap().parse().unwrap();
    let way = Way::to(broker).await;
    // Each answer is the last one of its connection.
    let server = FakeServer::tcp(|request| {
        let body = match request.target.as_str() {
            "/processes" => r#"{"data":[{"name":"a","status":"Running","pid":4,"age":5000000000}]}"#,
            "/project/state" => r#"{"startTime":"2026-08-20T09:15:02Z","projectName":"box/shop"}"#,
            "/live" => r#"{"status":"alive"}"#,
            _ => return Reply::Raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
        };
        let length = body.len();
        Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into())
    })
    .await;
    let (port, url) = (
        server.port.to_string(),
        format!("nats://127.0.0.1:{}", way.port),
    );
    let mut adapter = home.run(&["adapter", "-p", &port, "-s", &url, "--interval", "250ms"]);
    adapter.says("shop: process-compose").await;
    let pid = adapter.id();
    let end = tokio::time::Instant::now() + Duration::from_secs(60 + wanted as u64);
    let (mut first, mut most) = (0, 0);
    loop {
        let made = (
            way.made.load(Ordering::SeqCst),
            usize::try_from(server.connections()).unwrap(),
        );
        let open = files(pid);
        if made.0.min(made.1) < wanted / 4 {
            first = first.max(open);
        } else {
            most = most.max(open);
        }
        if made.0.min(made.1) >= wanted {
            break;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{made:?} {:#?}",
            adapter.err.all()
        );
        way.cut();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        first > 0 && most <= first + 3,
        "{first} files at first, {most} later"
    );
    assert!(adapter.is_running(), "{:#?}", adapter.err.all());
    without_holes(&events(&nats).await);
}
