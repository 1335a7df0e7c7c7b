//! Which release of process-compose is played; later releases answer with more keys, more routes and other habits.

use std::fmt;
use std::str::FromStr;

/// A text that names no release that can be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be played (known: v1.46, v1.75, v1.87, v1.110, v1.120, v1.122)")]
pub struct UnknownProfile(String);

/// A release of process-compose, by its full version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profile {
    minor: u16,
    patch: u16,
}

/// What a release may or may not have; each is asked for by name so that no version number stands in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// `is_running` and `has_ready_probe` in place of `IsRunning`; logs can be deleted.
    RunningKey,
    /// `/process/info` gives the restart policy as an integer.
    PolicyNumber,
    /// `/project/name` and `projectName` in place of `/hostname` and `hostName`.
    ProjectName,
    /// The log endpoint counts its offset from the end.
    LogsFromEnd,
    /// `Scheduled`, `next_run_time`, `/graph`.
    Schedule,
    /// `/namespaces` and calls on a namespace.
    Namespaces,
    /// `X-PC-Token-Key` is looked at.
    Token,
    /// `/process/signal`.
    Signal,
    /// The state stream, the `process_*_time` keys, lowerCamel keys in `/process/info`.
    Stream,
    /// `success_exit_codes`; the log stream drops lines instead of blocking.
    SuccessCodes,
    /// Several namespaces, file watches, and a fresh state for every incarnation.
    FreshState,
}

impl Profile {
    /// The newest release that is known.
    pub const NEWEST: Self = Self {
        minor: 122,
        patch: 0,
    };

    const KNOWN: [Self; 6] = [
        Self {
            minor: 46,
            patch: 0,
        },
        Self {
            minor: 75,
            patch: 2,
        },
        Self {
            minor: 87,
            patch: 0,
        },
        Self {
            minor: 110,
            patch: 0,
        },
        Self {
            minor: 120,
            patch: 0,
        },
        Self::NEWEST,
    ];

    /// Whether this release has `feature`.
    pub const fn has(self, feature: Feature) -> bool {
        let since = match feature {
            Feature::RunningKey => 63,
            Feature::PolicyNumber => 64,
            Feature::ProjectName => 73,
            Feature::LogsFromEnd => 78,
            Feature::Schedule => 87,
            Feature::Namespaces => 90,
            Feature::Token => 94,
            Feature::Signal => 100,
            Feature::Stream => 110,
            Feature::SuccessCodes => 116,
            Feature::FreshState => 122,
        };
        self.minor >= since
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let plain = text.trim_start_matches('v');
        let matches = |known: &&Self| {
            let full = known.to_string();
            let full = full.trim_start_matches('v');
            full == plain
                || full
                    .rsplit_once('.')
                    .is_some_and(|(short, _)| short == plain)
        };
        Self::KNOWN
            .iter()
            .find(matches)
            .copied()
            .ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_named_with_or_without_v_and_patch() {
        for text in ["v1.75", "1.75", "v1.75.2", "1.75.2"] {
            assert_eq!(text.parse::<Profile>().unwrap().to_string(), "v1.75.2");
        }
        assert_eq!("v1.122".parse::<Profile>().unwrap(), Profile::NEWEST);
        assert!("v1.47".parse::<Profile>().is_err() && "".parse::<Profile>().is_err());
    }

    #[test]
    fn features_come_with_their_release() {
        let old: Profile = "v1.87".parse().unwrap();
        assert!(old.has(Feature::Schedule) && old.has(Feature::RunningKey));
        assert!(
            !old.has(Feature::Namespaces)
                && !old.has(Feature::Stream)
                && !old.has(Feature::FreshState)
        );
    }
}
