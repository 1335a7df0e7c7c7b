//! What a change costs a bare program that commits it to a broker which was left alone for an interval: P12's other side.

use std::io::BufRead as _;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::batches::send;
use super::body::Change;
use super::children::{Program, bare};
use super::commit::{heads, in_batches};
use super::outlet::{Looks, Outlet, block_on, with_headers};
use super::server::Server;

/// Processes, of which five in a hundred crash and run again.
const PROCESSES: usize = 100;

/// From the first byte of a head and ten events in one batch to the line that a bare push consumer writes of the event in the
/// middle, in milliseconds, each time after a pause.
pub fn after_pauses(pause: Duration, rounds: usize) -> Vec<f64> {
    let server = Server::start();
    block_on(async {
        let mut outlet = Outlet::begin(&server, "shop").await;
        let mut looks = Looks::at(PROCESSES);
        outlet.tell(&looks.next(Change::FiveAtATime)).await;
        let look = looks.next(Change::FiveAtATime);
        outlet.tell(&look).await;
        let events: Vec<_> = look.messages().into_iter().map(with_headers).collect();
        let client = outlet.client.clone();
        assert_eq!(events.len(), 10, "an end and a beginning of five");
        let batch = in_batches(&events, heads(&client, 1).await);
        let mut program = Program::start(&mut bare(&["push", &server.url(), "PROCESS_EVENTS"]));
        let mut lines = program.lines();
        sleep(pause).await;
        let (mut found, mut line) = (Vec::new(), String::new());
        for _ in 0..rounds {
            sleep(pause).await;
            let began = Instant::now();
            send(&client, &batch).await;
            let mut seen = 0;
            while seen < events.len() {
                line.clear();
                lines.read_line(&mut line).expect("a line for each event");
                // The root and the rows of the shards are lines as well, and come first.
                seen += usize::from(line.starts_with(r#"{"type":"#));
                if seen == events.len() / 2 {
                    found.push(began.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        found
    })
}
