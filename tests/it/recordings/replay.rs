//! A stand-in that plays one recording of a real process-compose in real time: its answers, its state stream, and the
//! times at which nobody answered. t = 0 is the first connection.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use tokio::time::Instant;

/// RFC 6455, section 1.3.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A server that plays until it is dropped.
pub(super) struct Replay {
    pub(super) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    looks: Vec<(i64, Option<(u64, String)>)>,
    frames: Vec<(i64, String, String)>,
    project: Vec<(i64, Option<String>)>,
    info: HashMap<String, String>,
    has_stream: bool,
    zero: OnceLock<Instant>,
    over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    end_ms: i64,
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn at(row: &Value) -> i64 {
    row["t_ms"].as_i64().unwrap()
}

impl Shared {
    fn open(folder: &Path) -> Self {
        let meta: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("meta.json")).unwrap())
                .unwrap();
        let info = std::fs::read_to_string(folder.join("info.json")).unwrap();
        let info: HashMap<String, Value> = serde_json::from_str(&info).unwrap();
        let look = |row: &Value| {
            let answer = row["error"]
                .is_null()
                .then(|| (row["http"].as_u64().unwrap(), row["body"].to_string()));
            (at(row), answer)
        };
        let looks: Vec<_> = rows(&folder.join("looks.jsonl")).iter().map(look).collect();
        let live = |row: &Value| row["frame"]["snapshot"] != true;
        let frame = |row: &Value| {
            let name = row["frame"]["state"]["name"].as_str().unwrap().to_owned();
            (at(row), name, row["frame"].to_string())
        };
        let frames: Vec<_> = rows(&folder.join("states.jsonl"))
            .iter()
            .filter(|r| live(r))
            .map(frame)
            .collect();
        let project = rows(&folder.join("project.jsonl"));
        let project = project.iter().map(|row| {
            (
                at(row),
                row["body"].is_object().then(|| row["body"].to_string()),
            )
        });
        let last = looks
            .last()
            .map_or(0, |look| look.0)
            .max(frames.last().map_or(0, |frame| frame.0));
        Self {
            end_ms: last.max(meta["end_ms"].as_i64().unwrap_or(0)),
            has_stream: meta["states_ws"].as_bool().unwrap_or(true),
            project: project.collect(),
            info: info
                .into_iter()
                .map(|(name, info)| (name, info.to_string()))
                .collect(),
            looks,
            frames,
            zero: OnceLock::new(),
            over: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    fn now(&self) -> i64 {
        self.zero
            .get()
            .map_or(0, |zero| i64::try_from(zero.elapsed().as_millis()).unwrap())
    }

    fn look(&self) -> Option<&(u64, String)> {
        let now = self.now();
        let index = self
            .looks
            .partition_point(|look| look.0 <= now)
            .saturating_sub(1);
        self.looks[index].1.as_ref()
    }

    fn project(&self) -> Option<&String> {
        let now = self.now();
        let index = self
            .project
            .partition_point(|row| row.0 <= now)
            .saturating_sub(1);
        // After the server came back, an answer of its former run would be wrong: the next one is taken.
        let later = self.project[index..].iter().find_map(|row| row.1.as_ref());
        later.or_else(|| {
            self.project[..index]
                .iter()
                .rev()
                .find_map(|row| row.1.as_ref())
        })
    }
}

impl Replay {
    /// Listens on a port of its own.
    pub(super) fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::open(folder));
        let played = Arc::clone(&shared);
        thread::spawn(move || play(&played, listener, port));
        Self { port, shared }
    }

    /// Whether everything that was recorded has been played, and a little more.
    pub(super) fn is_over(&self) -> bool {
        self.shared.now() > self.shared.end_ms + 3000
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

/// Accepts while the recording answers; where it did not, nobody listens and what is open is cut.
fn play(shared: &Arc<Shared>, first: TcpListener, port: u16) {
    let mut listener = Some(first);
    while !shared.over.load(Ordering::SeqCst) {
        let away = shared.zero.get().is_some() && shared.look().is_none();
        if away {
            listener = None;
            for stream in shared.open.lock().unwrap().drain(..) {
                drop(stream.shutdown(Shutdown::Both));
            }
        } else if listener.is_none() {
            listener = TcpListener::bind(("127.0.0.1", port)).ok();
        }
        let Some(open) = &listener else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        open.set_nonblocking(true).unwrap();
        match open.accept() {
            Ok((stream, _)) => {
                shared.zero.get_or_init(Instant::now);
                stream.set_nonblocking(false).unwrap();
                shared
                    .open
                    .lock()
                    .unwrap()
                    .push(stream.try_clone().unwrap());
                let shared = Arc::clone(shared);
                thread::spawn(move || serve(&shared, &stream));
            }
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Answers one connection until it breaks.
fn serve(shared: &Shared, stream: &TcpStream) -> Option<()> {
    drop(stream.set_nodelay(true));
    let mut reader = BufReader::new(stream);
    loop {
        let (mut target, mut key) = (None, None);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("sec-websocket-key") => {
                    key = Some(value.trim().to_owned());
                }
                _ if target.is_none() => target = line.split(' ').nth(1).map(str::to_owned),
                _ => {}
            }
        }
        let target = target?;
        let path = target.split('?').next().unwrap_or_default();
        match (path, key) {
            ("/process/states/ws", Some(key)) if shared.has_stream => {
                return tell(shared, stream, &key);
            }
            _ => answer(shared, stream, path)?,
        }
    }
}

fn answer(shared: &Shared, mut stream: &TcpStream, path: &str) -> Option<()> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let missing = (404, "404 page not found".to_owned());
    let (status, body) = match parts.as_slice() {
        ["live"] => (200, r#"{"status":"alive"}"#.to_owned()),
        ["processes"] => shared.look()?.clone(),
        ["project", "state"] => shared
            .project()
            .map_or(missing, |state| (200, state.clone())),
        ["process", "states", "ws"] if shared.has_stream => (400, String::new()),
        ["process", "info", name] => match shared.info.get(*name) {
            Some(info) => (200, info.clone()),
            None => (400, r#"{"error":"no such process"}"#.to_owned()),
        },
        _ => missing,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok()
}

/// The state stream: how everything stands, then each frame at its time.
fn tell(shared: &Shared, mut stream: &TcpStream, key: &str) -> Option<()> {
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{KEY_SUFFIX}").as_bytes(),
    );
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let begun = shared.now();
    let table: Value = serde_json::from_str(&shared.look()?.1).ok()?;
    for state in table["data"].as_array().into_iter().flatten() {
        send(
            stream,
            &serde_json::json!({ "snapshot": true, "state": state }).to_string(),
        )?;
    }
    for (at, _, frame) in shared.frames.iter().filter(|frame| frame.0 >= begun) {
        while shared.now() < *at {
            if shared.over.load(Ordering::SeqCst) {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        send(stream, frame)?;
    }
    // Until the other side leaves.
    let mut rest = [0; 256];
    while stream.read(&mut rest).ok()? > 0 {}
    None
}

fn send(mut stream: &TcpStream, text: &str) -> Option<()> {
    let length = text.len();
    let mut frame = vec![0x81];
    match u16::try_from(length) {
        Ok(short) if short < 126 => frame.push(u8::try_from(short).ok()?),
        Ok(medium) => {
            frame.push(126);
            frame.extend(medium.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    stream.write_all(&frame).ok()
}
