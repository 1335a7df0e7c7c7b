//! A real nats-server of one's own: started, ended and started again on its store and port.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// The server and its folder; both are gone when it is dropped.
pub struct Server {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts one; `OBSERVE_TEST_NATS_SERVER` names the program, which else is looked for on the path and in `.tools/`.
    pub fn start() -> Self {
        let name = format!(
            "observe-bench-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the broker");
        let mut server = Self {
            folder,
            port: free_port(),
            child: None,
        };
        server.again();
        server
    }

    /// Starts it again.
    pub fn again(&mut self) {
        let child = Command::new(program())
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.folder.join("store"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server: set OBSERVE_TEST_NATS_SERVER, or run make test once, which fetches one");
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "nats-server does not answer");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child
                .kill()
                .and_then(|()| child.wait())
                .expect("a broker that can be ended");
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A folder that lives as long.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// The program.
pub fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("OBSERVE_TEST_NATS_SERVER") {
        return named.into();
    }
    let fetched = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/nats-server");
    if fetched.is_file() {
        fetched
    } else {
        "nats-server".into()
    }
}
