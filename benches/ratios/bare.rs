//! The bare programs that observe is measured against: what one would write in an afternoon, with nothing in it that keeps
//! a promise. They are this program, run again with a hidden argument.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull, push};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

/// The hidden argument.
pub const MARK: &str = "--bare";

/// Messages asked for at once.
const AT_ONCE: usize = 1000;

/// Plays one of them, for ever or until its work is done.
pub fn play(args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["get", address, millis] => get(
            address,
            Duration::from_millis(millis.parse().expect("a number")),
        ),
        ["eye", address, millis, url] => block_on(eye(
            address,
            Duration::from_millis(millis.parse().expect("a number")),
            url,
        )),
        ["count", what, times] => super::instructions::play(what, times.parse().expect("a number")),
        ["looks", looks] => super::bounds::play(looks.parse().expect("a number")),
        ["tail", url, subject] => block_on(tail(url, subject)),
        ["push", url, stream] => block_on(pushed(url, stream)),
        ["pull", url, stream, subject] => block_on(pulled(url, stream, subject)),
        other => panic!("no bare program is called {other:?}"),
    }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work);
}

/// Writes one payload as one line in one go.
fn write(line: &mut Vec<u8>, payload: &[u8]) {
    line.clear();
    line.extend_from_slice(payload);
    line.push(b'\n');
    // Who reads may have left.
    if std::io::stdout().lock().write_all(line).is_err() {
        std::process::abort();
    }
}

/// A plain subscriber.
async fn tail(url: &str, subject: &str) {
    let client = async_nats::connect(url).await.expect("a broker");
    let mut messages = client
        .subscribe(subject.to_owned())
        .await
        .expect("a subscription");
    let mut line = Vec::new();
    while let Some(message) = messages.next().await {
        write(&mut line, &message.payload);
    }
}

/// A subscriber on a push consumer.
async fn pushed(url: &str, stream: &str) {
    let client = async_nats::connect(url).await.expect("a broker");
    let config = push::OrderedConfig {
        deliver_subject: client.new_inbox(),
        deliver_policy: DeliverPolicy::New,
        ..push::OrderedConfig::default()
    };
    let stream = async_nats::jetstream::new(client)
        .get_stream(stream)
        .await
        .expect("a stream");
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages");
    let mut line = Vec::new();
    while let Some(message) = messages.next().await {
        write(&mut line, &message.expect("a message").payload);
    }
}

/// All that is stored, a thousand at a time.
async fn pulled(url: &str, stream: &str, subject: &str) {
    let client = async_nats::connect(url).await.expect("a broker");
    let stream = async_nats::jetstream::new(client)
        .get_stream(stream)
        .await
        .expect("a stream");
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        filter_subject: subject.to_owned(),
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer: PullConsumer = stream.create_consumer(config).await.expect("a consumer");
    let mut left = consumer.cached_info().num_pending;
    let mut line = Vec::new();
    while left > 0 {
        let mut messages = consumer
            .fetch()
            .max_messages(AT_ONCE)
            .messages()
            .await
            .expect("messages");
        while let Some(message) = messages.next().await {
            write(&mut line, &message.expect("a message").payload);
            left -= 1;
        }
    }
}

/// Asks for the same body again and again over one connection.
fn get(address: &str, interval: Duration) {
    let socket = TcpStream::connect(address).expect("a server");
    let mut reader = BufReader::new(socket.try_clone().expect("a socket"));
    let mut body = Vec::new();
    let mut due = Instant::now();
    loop {
        ask(&socket, &mut reader, address, &mut body);
        due += interval;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// How often the broker is asked whether it lives, as observe does.
const PING: Duration = Duration::from_secs(3);

/// Reads the same body again and again, on the runtime that observe has, and keeps beside it what a look cannot do without
/// whose changes are to be told at once: the state stream, and a connection to a broker that is known to live.
async fn eye(address: &str, interval: Duration, url: &str) {
    let options = async_nats::ConnectOptions::new().ping_interval(PING);
    let _client = options.connect(url).await.expect("a broker");
    let stream = format!("ws://{address}/process/states/ws");
    let stream = tokio_websockets::ClientBuilder::new()
        .uri(&stream)
        .expect("an address");
    let (mut frames, _) = stream.connect().await.expect("a state stream");
    let socket = tokio::net::TcpStream::connect(address).await;
    let socket = TokioIo::new(socket.expect("a server"));
    let (mut sender, connection) = http1::handshake(socket).await.expect("a server");
    let looks = async {
        let mut due = tokio::time::interval(interval);
        loop {
            due.tick().await;
            let request = Request::get("/processes").header("host", address);
            let request = request.body(Empty::<Bytes>::new()).expect("a request");
            let answer = sender.send_request(request).await.expect("an answer");
            let body = answer.into_body().collect().await.expect("a body");
            std::hint::black_box(super::look::parsed(&body.to_bytes()));
        }
    };
    let heard = async { while let Some(Ok(_)) = frames.next().await {} };
    tokio::join!(looks, heard, async { drop(connection.await) });
}

/// Asks once, and puts the body into `body`.
fn ask(
    mut socket: &TcpStream,
    reader: &mut BufReader<TcpStream>,
    address: &str,
    body: &mut Vec<u8>,
) {
    let request = format!("GET /processes HTTP/1.1\r\nhost: {address}\r\n\r\n");
    socket
        .write_all(request.as_bytes())
        .expect("a socket that takes a line");
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).expect("an answer");
        let text = line.trim_end().to_ascii_lowercase();
        if text.is_empty() {
            break;
        }
        if let Some(number) = text.strip_prefix("content-length:") {
            length = number.trim().parse().expect("a length");
        }
    }
    body.resize(length, 0);
    std::io::Read::read_exact(reader, body).expect("a body");
}

/// The bytes of one body.
pub fn body_of(address: &str) -> usize {
    let socket = TcpStream::connect(address).expect("a server");
    let mut reader = BufReader::new(socket.try_clone().expect("a socket"));
    let mut body = Vec::new();
    ask(&socket, &mut reader, address, &mut body);
    body.len()
}
