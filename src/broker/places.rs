//! Where things may lie: the few words of the environment this module depends on, handed in by the caller.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the environment says about where to look and where to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The value of `PATH`, unsplit.
    pub path: Option<OsString>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// The value of `HOME`.
    pub home: Option<PathBuf>,
    /// The value of `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
}

impl Places {
    /// Asks `lookup` for each variable by name.
    pub fn from_env(lookup: impl Fn(&str) -> Option<OsString>, cwd: PathBuf) -> Self {
        Self {
            path: lookup("PATH"),
            cwd,
            home: lookup("HOME").map(PathBuf::from),
            xdg_state_home: lookup("XDG_STATE_HOME").map(PathBuf::from),
        }
    }

    /// The broker's folder, or nothing where neither variable holds an absolute path.
    pub fn broker_folder(&self) -> Option<PathBuf> {
        // The XDG rules say that a relative value is to be ignored; it would also mean another broker per
        // working directory.
        let absolute = |path: &&PathBuf| path.is_absolute();
        let state = match self.xdg_state_home.as_ref().filter(absolute) {
            Some(state) => state.clone(),
            None => self.home.as_ref().filter(absolute)?.join(".local/state"),
        };
        Some(state.join("observe/broker"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(home: Option<&str>, state: Option<&str>) -> Places {
        Places::from_env(
            |name| match name {
                "HOME" => home.map(OsString::from),
                "XDG_STATE_HOME" => state.map(OsString::from),
                _ => None,
            },
            PathBuf::from("/here"),
        )
    }

    #[test]
    fn the_folder_follows_the_xdg_rules() {
        let cases = [
            (Some("/h"), Some("/s"), Some("/s/observe/broker")),
            (Some("/h"), None, Some("/h/.local/state/observe/broker")),
            (Some("/h"), Some(""), Some("/h/.local/state/observe/broker")),
            (
                Some("/h"),
                Some("rel"),
                Some("/h/.local/state/observe/broker"),
            ),
            (Some("rel"), None, None),
            (None, None, None),
        ];
        for (home, state, wanted) in cases {
            assert_eq!(
                places(home, state).broker_folder(),
                wanted.map(PathBuf::from),
                "HOME {home:?}, XDG_STATE_HOME {state:?}"
            );
        }
    }
}
