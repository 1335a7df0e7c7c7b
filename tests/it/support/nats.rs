//! The real nats-server of this machine.

use std::path::{Path, PathBuf};

/// The server to test with: `OBSERVE_TEST_NATS_SERVER`, else PATH, else `.tools/` here or above.
pub(crate) fn server() -> PathBuf {
    if let Some(named) = std::env::var_os("OBSERVE_TEST_NATS_SERVER") {
        let named = PathBuf::from(named);
        assert!(
            named.is_file(),
            "OBSERVE_TEST_NATS_SERVER names {}, which is no file",
            named.display()
        );
        return named;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let above = above.map(|folder| folder.join(".tools/nats-server"));
    on_path
        .chain(above)
        .find(|candidate| candidate.is_file())
        .expect("a nats-server is needed: `make test` fetches one")
}
