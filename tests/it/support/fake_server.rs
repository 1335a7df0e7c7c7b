//! A server that answers as a test tells it, also wrongly, slowly or not at all. It shares no code with the client.

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::SinkExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_websockets::{Message, ServerBuilder};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) target: String,
    /// The head without its first line, in lower case.
    pub(crate) headers: String,
    /// Number of the connection, from 1.
    pub(crate) connection: u64,
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A whole answer: status, content type, body.
    Whole(u16, &'static str, Vec<u8>),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// A chunked body of so many zeros, one MiB at a time.
    Zeros(usize),
    /// Head and one byte a moment, for ever.
    Drip,
    /// Nothing, and the connection stays open.
    Hang,
    /// A WebSocket that says these texts and then what [`FakeServer::say`] says.
    Stream(Vec<String>),
}

impl Reply {
    pub(crate) fn json(body: &str) -> Self {
        Self::Whole(200, "application/json; charset=utf-8", body.into())
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self::Whole(status, "application/json; charset=utf-8", body.into())
    }

    pub(crate) fn missing() -> Self {
        Self::Whole(404, "text/plain", b"404 page not found".to_vec())
    }
}

/// What all WebSockets say or do.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Text(String),
    Cut,
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicU64,
    streams: AtomicUsize,
    say: broadcast::Sender<Say>,
}

pub(crate) struct FakeServer {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeServer {
    pub(crate) async fn tcp(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub(crate) fn on(
        listener: TcpListener,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared = shared(script);
        let all = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&all)));
            }
        });
        Self { port, shared, task }
    }

    pub(crate) fn unix(
        path: &Path,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let shared = shared(script);
        let all = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&all)));
            }
        });
        Self {
            port: 0,
            shared,
            task,
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// WebSockets that have said their first texts.
    pub(crate) fn streams(&self) -> usize {
        self.shared.streams.load(Ordering::SeqCst)
    }

    pub(crate) fn say(&self, say: Say) {
        self.shared.say.send(say).unwrap();
    }
}

fn shared(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Arc<Shared> {
    Arc::new(Shared {
        script: Box::new(script),
        requests: Mutex::default(),
        connections: AtomicU64::new(0),
        streams: AtomicUsize::new(0),
        say: broadcast::channel(1024).0,
    })
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: Arc<Shared>) {
    let connection = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let mut input = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
                break input.drain(..end + 4).collect::<Vec<u8>>();
            }
            match stream.read_buf(&mut input).await {
                Ok(0) | Err(_) => return,
                // a TLS greeting; answered the way Go's server does
                Ok(_) if input.first() == Some(&0x16) => {
                    _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
                    return;
                }
                Ok(_) => {}
            }
        };
        let text = String::from_utf8(head.clone()).unwrap();
        let (line, headers) = text.split_once("\r\n").unwrap();
        let request = Request {
            target: line.split(' ').nth(1).unwrap().to_owned(),
            headers: headers.to_lowercase(),
            connection,
        };
        shared.requests.lock().unwrap().push(request.clone());
        let sent = match (shared.script)(&request) {
            Reply::Whole(status, kind, body) => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nLocation: /x\r\nContent-Length: {length}\r\n\r\n"
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).await
            }
            Reply::Raw(bytes) => {
                _ = stream.write_all(&bytes).await;
                _ = stream.shutdown().await;
                return;
            }
            Reply::Zeros(count) => zeros(&mut stream, count).await,
            Reply::Drip => drip(&mut stream).await,
            Reply::Hang => std::future::pending().await,
            Reply::Stream(texts) => return talk(stream, head, texts, &shared).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn zeros<S: AsyncWrite + Unpin>(stream: &mut S, mut count: usize) -> std::io::Result<()> {
    let chunk = vec![b'0'; 1024 * 1024];
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    while count > 0 {
        let now = count.min(chunk.len());
        stream.write_all(format!("{now:x}\r\n").as_bytes()).await?;
        stream.write_all(&chunk[..now]).await?;
        stream.write_all(b"\r\n").await?;
        count -= now;
    }
    stream.write_all(b"0\r\n\r\n").await
}

async fn drip<S: AsyncWrite + Unpin>(stream: &mut S) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        .await?;
    loop {
        stream.write_all(b" ").await?;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    head: Vec<u8>,
    texts: Vec<String>,
    shared: &Shared,
) {
    let mut say = shared.say.subscribe();
    let (read, write) = tokio::io::split(stream);
    let again = tokio::io::join(Cursor::new(head).chain(read), write);
    let Ok((_, mut socket)) = ServerBuilder::new().accept(again).await else {
        return;
    };
    for text in texts {
        if socket.send(Message::text(text)).await.is_err() {
            return;
        }
    }
    shared.streams.fetch_add(1, Ordering::SeqCst);
    while let Ok(Say::Text(text)) = say.recv().await {
        if socket.send(Message::text(text)).await.is_err() {
            return;
        }
    }
}
