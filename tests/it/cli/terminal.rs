//! A watch in a terminal: what a person sees.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::run::{Home, LIMIT, OBSERVE};
use super::stack::Stack;
use crate::support::wait::until;

const WIDTH: u16 = 80;

/// The program in a terminal, of 80 columns if nothing else is said; killed when dropped.
pub(super) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    written: Arc<Mutex<Vec<u8>>>,
    master: Box<dyn MasterPty + Send>,
    width: u16,
    writer: Option<Box<dyn std::io::Write + Send>>,
}

impl Terminal {
    pub(super) fn run(home: &Home, args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::of_width(WIDTH, home, args, variables)
    }

    pub(super) fn of_width(
        width: u16,
        home: &Home,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let size = PtySize {
            rows: 50,
            cols: width,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(OBSERVE);
        command.args(args);
        command.env_clear();
        for (name, value) in home.environment() {
            command.env(name, value);
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        command.cwd(home.path());
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                into.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self {
            child,
            written,
            master: pair.master,
            width,
            writer: None,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.written.lock().unwrap().clone()
    }

    /// The rows of the screen that hold something; a line that is too wide takes two of them.
    pub(super) fn rows(&self) -> Vec<String> {
        let mut parser =
            vt100::Parser::new(50.try_into().unwrap(), self.width.try_into().unwrap(), 0);
        parser.process(&self.bytes());
        let rows = parser.screen().rows(0, self.width);
        rows.map(|row| row.trim_end().to_owned())
            .filter(|row| !row.is_empty())
            .collect()
    }

    /// Types keys.
    pub(super) fn types(&mut self, keys: &[u8]) {
        let writer = self
            .writer
            .get_or_insert_with(|| self.master.take_writer().unwrap());
        writer.write_all(keys).unwrap();
    }

    pub(super) async fn shows(&self, needle: &str) {
        until(LIMIT, needle, async || {
            self.rows().iter().any(|row| row.contains(needle))
        })
        .await;
    }

    /// Types these keys; once.
    pub(super) fn press(&self, keys: &[u8]) {
        self.master.take_writer().unwrap().write_all(keys).unwrap();
    }

    pub(super) async fn ends(&mut self) -> u32 {
        let mut code = None;
        until(LIMIT, "its end", async || {
            code = self
                .child
                .try_wait()
                .unwrap()
                .map(|status| status.exit_code());
            code.is_some()
        })
        .await;
        // What it wrote last may still be on its way.
        until(LIMIT, "the end of what it wrote", async || {
            Arc::strong_count(&self.written) == 1
        })
        .await;
        code.unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that ended already cannot be killed, and that is as good.
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
    }
}

const LONG: &str = "
name: shop
keep: true
processes:
  a-process-with-a-name-that-is-much-longer-than-its-column-and-than-the-terminal-is-wide: {restart: always}
  worker: {restart: always, namespace: a-namespace-that-is-also-rather-long-for-eighty-columns}
  web: {namespace: front, ready: {after: 100ms}}
";

async fn crashed(home: &Home, variables: &[(&str, &str)]) -> (Stack, Terminal) {
    let stack = Stack::play(LONG).await;
    let args = [
        "watch",
        "--direct",
        "-p",
        &stack.port,
        "--interval",
        "250ms",
    ];
    let terminal = Terminal::run(home, &args, variables);
    terminal.shows("started    worker").await;
    stack.control.exit("worker", 3).unwrap();
    terminal.shows("crashed    worker").await;
    terminal.shows("restarted  worker").await;
    (stack, terminal)
}

#[tokio::test]
async fn eighty_columns_hold_every_line_and_the_columns_stand_still() {
    let home = Home::new();
    let (_stack, terminal) = crashed(&home, &[]).await;
    let rows = terminal.rows();
    let events: Vec<&String> = rows
        .iter()
        .filter(|row| row.get(2..3) == Some(":"))
        .collect();
    assert!(events.len() >= 6, "{rows:#?}");
    // Two lines of words, and nothing that a wrapped line left behind.
    assert_eq!(rows.len(), events.len() + 2, "{rows:#?}");
    for row in &events {
        let cells: Vec<char> = row.chars().collect();
        assert!(cells.len() <= usize::from(WIDTH), "{row}");
        assert!(
            cells[8] == ' ' && cells[10] == ' ' && cells[11] != ' ',
            "{row}"
        );
        assert!(cells[20..22] == [' ', ' '] && cells[22] != ' ', "{row}");
        // A name takes a quarter of the width; what is behind it begins two columns later.
        let is_process = !row.contains("connected");
        assert!(
            !is_process || cells[42..44] == [' ', ' '] && cells[44] != ' ',
            "{row}"
        );
    }
    let bytes = terminal.bytes();
    assert!(bytes.windows(2).any(|pair| pair == b"\x1b["), "colour");
}

#[tokio::test]
async fn no_color_is_honoured() {
    let home = Home::new();
    let (_stack, terminal) = crashed(&home, &[("NO_COLOR", "1")]).await;
    assert!(!terminal.bytes().contains(&0x1b), "{:#?}", terminal.rows());
}

#[tokio::test]
async fn without_utf8_only_ascii_is_written() {
    let home = Home::new();
    let (_stack, terminal) = crashed(&home, &[("LC_ALL", "C")]).await;
    assert!(terminal.bytes().is_ascii(), "{:#?}", terminal.rows());
}

#[tokio::test]
async fn control_c_ends_it_with_130() {
    let home = Home::new();
    let (_stack, mut terminal) = crashed(&home, &[]).await;
    let mut keys = terminal.master.take_writer().unwrap();
    keys.write_all(&[3]).unwrap();
    assert_eq!(terminal.ends().await, 130);
}

#[tokio::test]
async fn a_doctors_page_fits_into_eighty_columns_with_and_without_colour() {
    let home = Home::new();
    let args = ["doctor", "-p", "1", "-s", "nats://127.0.0.1:1"];
    for (variables, symbol) in [
        (&[][..], "✗ error"),
        (&[("NO_COLOR", "1")][..], "✗ error"),
        (&[("LC_ALL", "C"), ("NO_COLOR", "1")][..], "X error"),
    ] {
        let mut terminal = Terminal::run(&home, &args, variables);
        terminal.shows("2 errors").await;
        assert_eq!(terminal.ends().await, 1);
        let (rows, bytes) = (terminal.rows(), terminal.bytes());
        assert!(rows.iter().any(|row| row.contains(symbol)), "{rows:#?}");
        // Titles, the first line of a finding, and what is indented below it; the last line is the sum.
        let (sum, body) = rows.split_last().unwrap();
        assert_eq!(sum, "2 errors", "{rows:#?}");
        for row in body {
            let cells: Vec<char> = row.chars().collect();
            let title = cells[0] != ' ' && cells.len() < 14;
            let first = cells[..2] == [' ', ' '] && cells[2] != ' ' && cells[13] != ' ';
            let below = cells.len() > 13 && cells[..13].iter().all(|cell| *cell == ' ');
            assert!(title || first || below, "{row:?} of {rows:#?}");
            assert!(cells.len() < usize::from(WIDTH), "{row:?}");
        }
        let colored = bytes.contains(&0x1b);
        assert_eq!(colored, variables.is_empty(), "{rows:#?}");
        assert!(!variables.iter().any(|(name, _)| *name == "LC_ALL") || bytes.is_ascii());
    }
}

#[tokio::test]
async fn a_wait_that_was_met_is_one_short_line_and_one_that_was_not_has_its_lines() {
    let home = Home::new();
    let stack = Stack::play(LONG).await;
    let usual = ["wait", "--direct", "-p", &stack.port, "--interval", "250ms"];
    let mut met = Terminal::run(&home, &usual, &[]);
    assert_eq!(met.ends().await, 0);
    met.shows("ready: 3 of 3 processes, after ").await;
    assert_eq!(met.rows().len(), 1, "{:#?}", met.rows());
    let more = ["--for", "crashed", "--timeout", "500ms", "w*"];
    let mut unmet = Terminal::run(&home, &[&usual[..], &more].concat(), &[]);
    assert_eq!(unmet.ends().await, 124);
    unmet
        .shows("  worker: Running, running; restarts 0, exit -")
        .await;
    let mut ended = Terminal::run(&home, &[&usual[..], &["-v", "--for", "gone"]].concat(), &[]);
    let mut keys = ended.master.take_writer().unwrap();
    ended.shows("the first look").await;
    keys.write_all(&[3]).unwrap();
    assert_eq!(ended.ends().await, 130);
}

#[tokio::test]
async fn a_command_in_a_terminal_reads_from_it_and_gets_control_c_once() {
    let home = Home::new();
    let stack = Stack::play(LONG).await;
    let usual = ["run", "--direct", "-p", &stack.port, "--", "sh", "-c"];
    let reads = "echo who; read name; echo hello $name";
    let mut terminal = Terminal::run(&home, &[&usual[..], &[reads]].concat(), &[]);
    terminal.shows("who").await;
    let mut keys = terminal.master.take_writer().unwrap();
    keys.write_all(b"world\n").unwrap();
    terminal.shows("hello world").await;
    assert_eq!(terminal.ends().await, 0);
    let counts =
        "trap 'echo one more' INT; echo runs; while [ ! -e go ]; do sleep 0.02; done; exit 9";
    let mut terminal = Terminal::run(&home, &[&usual[..], &[counts]].concat(), &[]);
    terminal.shows("runs").await;
    let mut keys = terminal.master.take_writer().unwrap();
    keys.write_all(&[3]).unwrap();
    terminal.shows("one more").await;
    std::fs::write(home.path().join("go"), "").unwrap();
    assert_eq!(terminal.ends().await, 9);
    let shown = terminal
        .rows()
        .iter()
        .filter(|row| row.contains("one more"))
        .count();
    assert_eq!(shown, 1, "{:#?}", terminal.rows());
}
