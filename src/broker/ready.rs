//! When a server counts as ready: it told its port in a file, and it greets there. Logs are not read.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How often the ports file is looked for; it comes within ten milliseconds.
const LOOK: Duration = Duration::from_millis(5);
/// How long one greeting may take.
pub(super) const GREETING: Duration = Duration::from_secs(2);
/// Bytes a greeting may have.
const GREETING_SIZE: u64 = 64 << 10;

/// What a server says of itself to whoever connects.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Greeting {
    #[serde(rename = "server_name")]
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

/// Waits until the server says where it listens and greets there; the caller limits the wait.
///
/// # Cancel safety
/// Dropped at any point, nothing is left behind.
pub(super) async fn wait(ports: &Path, pid: u32) -> (String, Greeting) {
    loop {
        if let Some(url) = told(ports, pid)
            && let Ok(greeting) = greet(&url).await
        {
            return (url, greeting);
        }
        sleep(LOOK).await;
    }
}

/// The address in the ports file of `pid`, once that is written to its end.
fn told(ports: &Path, pid: u32) -> Option<String> {
    // The file is named after the program, which may be called anything.
    let ending = format!("_{pid}.ports");
    let mut entries = fs::read_dir(ports).ok()?.flatten();
    let entry = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))?;
    address(&fs::read(entry.path()).ok()?)
}

pub(super) fn address(text: &[u8]) -> Option<String> {
    let ports: Ports = serde_json::from_slice(text).ok()?;
    ports.nats.into_iter().find(|url| authority(url).is_some())
}

fn authority(url: &str) -> Option<&str> {
    url.strip_prefix("nats://127.0.0.1:")
        .filter(|port| port.parse::<u16>().is_ok())?;
    url.strip_prefix("nats://")
}

/// Connects, reads the first line, and hangs up.
pub(super) async fn greet(url: &str) -> io::Result<Greeting> {
    let odd = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    let authority = authority(url).ok_or_else(|| odd("not an address on the loopback"))?;
    let mut line = Vec::new();
    timeout(GREETING, async {
        let stream = TcpStream::connect(authority).await?;
        BufReader::new(stream.take(GREETING_SIZE))
            .read_until(b'\n', &mut line)
            .await
    })
    .await??;
    greeting(&line).ok_or_else(|| odd("not the greeting of a nats-server"))
}

pub(super) fn greeting(line: &[u8]) -> Option<Greeting> {
    serde_json::from_slice(line.strip_prefix(b"INFO ")?.strip_suffix(b"\n")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_written_ports_file_gives_no_address() {
        let whole = br#"{"nats":["nats://127.0.0.1:36489"]}"#;
        assert_eq!(address(whole).as_deref(), Some("nats://127.0.0.1:36489"));
        for end in 0..whole.len() {
            assert_eq!(address(&whole[..end]), None);
        }
        assert_eq!(address(br#"{"nats":["nats://10.0.0.1:4222"]}"#), None);
        assert_eq!(address(br#"{"nats":[]}"#), None);
    }

    #[test]
    fn only_a_whole_info_line_is_a_greeting() {
        let line = b"INFO {\"server_name\":\"a\",\"version\":\"2.15.1\",\"port\":1} \r\n";
        let wanted = Greeting {
            name: "a".into(),
            version: "2.15.1".into(),
        };
        assert_eq!(greeting(line), Some(wanted));
        for other in [
            &line[..40],
            b"HTTP/1.1 400 Bad Request\r\n",
            b"",
            b"INFO {}\r\n",
        ] {
            assert_eq!(greeting(other), None);
        }
    }
}
