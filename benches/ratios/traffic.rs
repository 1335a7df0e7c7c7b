//! A steady stream of events into a broker, over a socket of its own, and a stream that is full of them.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use observe::event::subject::Prefix;
use tokio::time::Instant;

use super::batches::{Ready, send};
use super::body::Change;
use super::outlet::{Looks, Outlet, message};
use super::server::Server;

/// The source whose events these are.
pub const SOURCE: &str = "load";
/// Different events of a round.
const ROUND: usize = 1_000;

/// Events that are published one by one at a steady rate, until this is dropped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Instant>>>,
}

impl Traffic {
    /// Begins, with so many a second.
    pub fn begin(server: &Server, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, mut socket) = (Arc::clone(&stop), server.socket());
        let events = events();
        let step = Duration::from_secs(1) / rate;
        let thread = std::thread::spawn(move || {
            let (mut sent, mut due) = (Vec::new(), Instant::now());
            while !ends.load(Ordering::Relaxed) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                due += step;
                let number = sent.len() as u64 + 1;
                let event = &events[sent.len() % ROUND];
                let frame = frame(event, number);
                sent.push(Instant::now());
                if socket.write_all(&frame).is_err() {
                    break;
                }
            }
            sent
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends, and gives the moment of each event; the first has the number 1.
    pub fn end(mut self) -> Vec<Instant> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("a thread that runs");
        thread.join().expect("a thread that ends")
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The number of an event in its text.
pub fn number_of(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once(r#""seq":"#)?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

fn events() -> Vec<Ready> {
    let mut looks = Looks::at(ROUND / 2);
    looks.next(Change::All);
    let look = looks.next(Change::All);
    let prefix = Prefix::default();
    let events = look.told().iter();
    events
        .map(|event| message(event, SOURCE, &prefix, NUMBER))
        .collect()
}

/// Stands for the number of an event; as long as no other.
const NUMBER: u64 = 9_999_999_999_999;

/// The bytes that publish an event under this number.
fn frame(event: &Ready, number: u64) -> Vec<u8> {
    let text = std::str::from_utf8(&event.payload).expect("a text");
    let text = text.replace(&NUMBER.to_string(), &number.to_string());
    format!("PUB {} {}\r\n{text}\r\n", event.subject, text.len()).into_bytes()
}

impl Server {
    /// A connection on which one may publish.
    fn socket(&self) -> TcpStream {
        let address = self.url().replace("nats://", "");
        let mut socket = TcpStream::connect(address).expect("a broker");
        socket.set_nodelay(true).expect("a socket");
        let hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
        socket.write_all(hello.as_bytes()).expect("a broker");
        socket
    }
}

/// Fills a stream of observe's with so many events of so many processes.
pub async fn fill(server: &Server, events: usize, processes: usize) {
    let mut outlet = Outlet::begin(server, "shop").await;
    // A stream holds events about its sources too.
    outlet.tell(&Looks::at(10).next(Change::Vitals)).await;
    let mut looks = Looks::at(processes);
    looks.next(Change::FiveAtATime);
    let (prefix, mut number) = (Prefix::default(), 0_usize);
    while number < events {
        let look = looks.next(Change::FiveAtATime);
        let wanted = look.told().iter().take(events - number);
        let messages: Vec<_> = wanted
            .map(|event| {
                number += 1;
                message(event, SOURCE, &prefix, number as u64)
            })
            .collect();
        let batches: Vec<_> = messages.chunks(1_000).map(<[_]>::to_vec).collect();
        send(&outlet.client, &batches).await;
    }
}
