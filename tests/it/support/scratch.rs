//! A folder of one's own that is gone afterwards.

use std::path::{Path, PathBuf};

/// Removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty folder whose name begins with `name`.
    pub(crate) fn new(name: &str) -> Self {
        let own = format!("{name}-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(own);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}
