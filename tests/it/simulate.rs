//! The simulated process-compose over real loopback sockets.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use observe::simulate::builder::Builder;
use observe::simulate::control::Control;
use observe::simulate::fault::{Fault, Lasting};
use observe::simulate::fleet::PlayedFleet;
use observe::simulate::random::Dice;
use observe::simulate::script::Stack;
use observe::simulate::server::{Ended, SimulateError, Simulation};
use observe::simulate::settings::{Origin, Place, Settings};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::scratch::Scratch;

mod routes;
mod trouble;

/// A running simulation that ends with the test.
struct Server {
    at: String,
    control: Control,
    ended: JoinHandle<Result<Ended, SimulateError>>,
    guard: DropGuard,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn serve(builder: Builder) -> Server {
    let simulation = builder.bind().await.unwrap();
    let at = match simulation.place() {
        Place::Tcp(address, port) => format!("{address}:{port}"),
        Place::Unix(path) => path.display().to_string(),
    };
    let (control, token) = (simulation.control(), CancellationToken::new());
    let ended = tokio::spawn(simulation.run(token.clone()));
    Server {
        at,
        control,
        ended,
        guard: token.drop_guard(),
    }
}

fn stack(yaml: &str) -> Builder {
    Simulation::builder(Stack::parse(yaml).unwrap()).remember_truth()
}

async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    extra: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n{extra}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).await?;
    let text = String::from_utf8_lossy(&raw).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    })
}

impl Server {
    async fn try_get(&self, path: &str) -> std::io::Result<Answer> {
        send(TcpStream::connect(&self.at).await?, "GET", path, "", "").await
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        send(
            TcpStream::connect(&self.at).await.unwrap(),
            method,
            path,
            "",
            body,
        )
        .await
        .unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    async fn status_of(&self, name: &str) -> String {
        self.get(&format!("/process/{name}")).await.json()["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    async fn socket(&self, path: &str) -> impl StreamExt<Item = Value> + Unpin + use<> {
        let uri = format!("ws://{}{path}", self.at);
        let (socket, _) = tokio_websockets::ClientBuilder::new()
            .uri(&uri)
            .unwrap()
            .connect()
            .await
            .unwrap();
        Box::pin(socket.filter_map(|m| async move {
            m.ok()?.as_text().map(|t| serde_json::from_str(t).unwrap())
        }))
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(5), future)
        .await
        .expect("within five seconds")
}
