//! What several capabilities need to be tested.

pub(crate) mod fake_server;
pub(crate) mod house;
pub(crate) mod nats;
#[path = "../../../src/process/tests/score.rs"]
pub(crate) mod score;
pub(crate) mod scratch;
pub(crate) mod wait;

use std::path::PathBuf;

use observe::process_compose::settings::Endpoint;

/// A port of this machine.
pub(crate) fn local(port: u16) -> Endpoint {
    Endpoint::Tcp {
        host: "127.0.0.1".into(),
        port,
    }
}

/// A folder of this test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("observe-it-{}-{name}", std::process::id()));
    _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
