//! The adapter under a service manager, whose socket is ours.

use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use super::house::House;
use super::run::{Home, LIMIT, Run};
use super::stack::Stack;
use crate::support::wait::until;

/// The socket of a service manager, and every line that came.
struct Manager {
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn new(home: &Home) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let into = Arc::clone(&lines);
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(length) = socket.recv(&mut room) {
                let text = String::from_utf8_lossy(&room[..length]).into_owned();
                into.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        Self {
            address: path.display().to_string(),
            lines,
        }
    }

    fn starts(&self, home: &Home, args: &[&str]) -> Run {
        let mut command = home.command(args);
        command
            .env("NOTIFY_SOCKET", &self.address)
            .env("WATCHDOG_USEC", "300000");
        Run::of(&mut command)
    }

    fn count(&self, wanted: &str) -> usize {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(wanted))
            .count()
    }

    async fn hears(&self, wanted: &str, times: usize) {
        until(LIMIT, wanted, async || self.count(wanted) >= times).await;
    }
}

#[tokio::test]
async fn a_service_manager_is_told_that_the_adapter_is_ready_alive_and_ending() {
    let house = House::new().await;
    let manager = Manager::new(&house.home);
    let url = house.nats.url();
    let mut run = manager.starts(
        &house.home,
        &["adapter", "-p", &house.stack.port, "-s", &url],
    );
    manager.hears("READY=1", 1).await;
    house.told(1).await;
    manager.hears("WATCHDOG=1", 5).await;
    assert_eq!(manager.count("STATUS=shop: process-compose"), 1);
    assert_eq!(run.end_by(Signal::TERM).await, 143);
    manager.hears("STOPPING=1", 1).await;
    assert_eq!(manager.count("READY=1"), 1);
}

#[tokio::test]
async fn an_adapter_that_waits_for_its_stack_is_ready_and_says_what_it_waits_for() {
    let house = House::new().await;
    let manager = Manager::new(&house.home);
    let socket = house.home.path().join("later.sock").display().to_string();
    let url = house.nats.url();
    let mut run = manager.starts(&house.home, &["adapter", "-u", &socket, "-s", &url]);
    manager.hears("STATUS=waiting for a stack", 1).await;
    assert_eq!(manager.count("READY=1"), 1);
    let alive = manager.count("WATCHDOG=1");
    manager.hears("WATCHDOG=1", alive + 3).await;
    assert_eq!(run.end_by(Signal::TERM).await, 143);
}

#[tokio::test]
async fn what_keeps_an_adapter_from_working_is_no_readiness() {
    let (home, stack) = (Home::new(), Stack::shop().await);
    let manager = Manager::new(&home);
    let nobody = "nats://127.0.0.1:9";
    let args = ["adapter", "-p", &stack.port, "-s", nobody, "--no-retry"];
    let mut run = manager.starts(&home, &args);
    assert_eq!(run.ends().await, 4);
    assert_eq!(manager.count("READY=1"), 0);
}
