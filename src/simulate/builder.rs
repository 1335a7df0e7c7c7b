//! Puts a simulation together, step by step.

use std::path::PathBuf;

use super::profile::Profile;
use super::server::{SimulateError, Simulation};
use super::settings::{Place, Settings, Token};

/// Puts a simulation together.
#[derive(Debug, Clone)]
pub struct Builder {
    settings: Settings,
    remember: bool,
}

impl Builder {
    pub(super) const fn new(settings: Settings) -> Self {
        Self {
            settings,
            remember: false,
        }
    }

    /// Plays this release.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.settings.profile = profile;
        self
    }

    /// Draws everything from this seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Plays so many times faster than the stack says.
    pub fn speed(mut self, speed: f64) -> Self {
        self.settings.speed = speed;
        self
    }

    /// Tears looks with this chance, 0 to 1.
    pub fn torn(mut self, chance: f64) -> Self {
        self.settings.torn = chance;
        self
    }

    /// Listens there.
    pub fn place(mut self, place: Place) -> Self {
        self.settings.place = place;
        self
    }

    /// Goes by this project name.
    pub fn project(mut self, name: &str) -> Self {
        self.settings.project = Some(name.to_owned());
        self
    }

    /// Wants this token in every request.
    pub fn token(mut self, token: &str) -> Self {
        self.settings.token = Some(Token(token.to_owned()));
        self
    }

    /// Writes the truth to this file.
    pub fn truth(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.truth = Some(path.into());
        self
    }

    /// Keeps the truth for [`Control::truth`](super::control::Control::truth).
    pub fn remember_truth(mut self) -> Self {
        self.remember = true;
        self
    }

    /// Binds the socket; time begins now, nothing is answered before [`Simulation::run`].
    ///
    /// # Errors
    ///
    /// As [`Simulation::bind`].
    pub async fn bind(self) -> Result<Simulation, SimulateError> {
        Simulation::build(self.settings, self.remember).await
    }
}
