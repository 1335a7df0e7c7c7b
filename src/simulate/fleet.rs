//! Many played servers in one process: each with a project, an address and a story of its own.

use std::path::Path;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::server::{SimulateError, Simulation};
use super::settings::{Origin, Place, Settings};

/// The most servers of a fleet.
const MOST: u32 = 10_000;

/// Played servers that are bound and can be run.
#[derive(Debug)]
pub struct PlayedFleet(Vec<Simulation>);

impl PlayedFleet {
    /// Binds `count` servers with these settings; time begins now.
    ///
    /// A port is the first of consecutive ones (0 gives each a free one), a unix socket's path is a folder, made where it is missing, that gets
    /// one socket for each server: `0000.sock` and so on. The project's name, `fleet` where none is given, is followed by the
    /// server's number. Each server has a seed of its own, from the given one on.
    ///
    /// # Errors
    ///
    /// As [`Simulation::bind`]; also where a truth file is asked for, which one server alone can write, or the ports do
    /// not suffice.
    pub async fn bind(settings: &Settings, count: u32) -> Result<Self, SimulateError> {
        if !(1..=MOST).contains(&count) {
            return Err(SimulateError::Setting("a fleet has 1 to 10000 servers"));
        }
        if settings.truth.is_some() {
            return Err(SimulateError::Setting(
                "a truth file is written by one server, not by a fleet",
            ));
        }
        if let Place::Unix(folder) = &settings.place {
            std::fs::create_dir_all(folder).map_err(|source| SimulateError::Listen {
                place: folder.display().to_string(),
                source,
            })?;
        }
        let width = (count - 1).to_string().len().max(4);
        let mut servers = Vec::new();
        for number in 0..count {
            servers.push(Simulation::bind(one(settings, number, width)?).await?);
        }
        Ok(Self(servers))
    }

    /// Where each listens: the URL of a TCP server, or the path of a unix socket.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Simulation::address)
    }

    /// Serves until the token is cancelled or the last of them has left for good.
    ///
    /// # Errors
    ///
    /// The first failure of any of them; the others end too.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends all of them.
    ///
    /// # Panics
    ///
    /// Where a server did.
    pub async fn run(self, token: CancellationToken) -> Result<(), SimulateError> {
        let token = token.child_token();
        let mut runs = JoinSet::new();
        for server in self.0 {
            runs.spawn(server.run(token.clone()));
        }
        let mut first = Ok(());
        while let Some(joined) = runs.join_next().await {
            let ended = match joined {
                Ok(ended) => ended.map(drop),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // Nobody aborts them but a drop of this future.
                Err(_) => Ok(()),
            };
            if ended.is_err() {
                token.cancel();
                first = first.and(ended);
            }
        }
        first
    }
}

/// The settings of one server.
fn one(settings: &Settings, number: u32, width: usize) -> Result<Settings, SimulateError> {
    let mut own = settings.clone();
    own.seed = own.seed.wrapping_add(number.into());
    if let Origin::Random(dice) = &mut own.origin {
        dice.seed = dice.seed.wrapping_add(number.into());
    }
    let project = settings.project.as_deref().unwrap_or("fleet");
    own.project = Some(format!("{project}-{number:0width$}"));
    own.place = match &settings.place {
        Place::Tcp(address, 0) => Place::Tcp(*address, 0),
        Place::Tcp(address, first) => {
            let port = u32::from(*first).checked_add(number);
            let port = port.and_then(|port| u16::try_from(port).ok());
            let port = port.ok_or(SimulateError::Setting(
                "the ports of the fleet would go beyond 65535",
            ))?;
            Place::Tcp(*address, port)
        }
        Place::Unix(folder) => Place::Unix(socket(folder, number, width)),
    };
    Ok(own)
}

fn socket(folder: &Path, number: u32, width: usize) -> std::path::PathBuf {
    folder.join(format!("{number:0width$}.sock"))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::path::PathBuf;

    use super::super::random::Dice;
    use super::*;

    fn settings(place: Place) -> Settings {
        let dice = Dice {
            processes: 3,
            rate: 1.0,
            seed: 7,
        };
        Settings {
            place,
            seed: 7,
            ..Settings::new(Origin::Random(dice))
        }
    }

    #[test]
    fn each_server_has_a_name_a_place_and_a_seed_of_its_own() {
        let unix = one(&settings(Place::Unix(PathBuf::from("/f"))), 12, 4).unwrap();
        assert_eq!(unix.place, Place::Unix(PathBuf::from("/f/0012.sock")));
        assert_eq!(unix.project.as_deref(), Some("fleet-0012"));
        let Origin::Random(dice) = unix.origin else {
            panic!("it was random");
        };
        assert_eq!((unix.seed, dice.seed), (19, 19));
        let here = IpAddr::from([127, 0, 0, 1]);
        let place = |port, number| {
            one(&settings(Place::Tcp(here, port)), number, 4).map(|settings| settings.place)
        };
        assert_eq!(place(9000, 12).unwrap(), Place::Tcp(here, 9012));
        assert_eq!(place(0, 12).unwrap(), Place::Tcp(here, 0));
        assert!(place(65_530, 12).is_err());
    }

    #[tokio::test]
    async fn a_fleet_writes_no_truth_and_has_a_bound() {
        let with_truth = Settings {
            truth: Some(PathBuf::from("/nowhere")),
            ..settings(Place::Tcp(IpAddr::from([127, 0, 0, 1]), 0))
        };
        assert!(PlayedFleet::bind(&with_truth, 2).await.is_err());
        let plain = settings(Place::Tcp(IpAddr::from([127, 0, 0, 1]), 0));
        assert!(PlayedFleet::bind(&plain, 0).await.is_err());
        assert!(PlayedFleet::bind(&plain, MOST + 1).await.is_err());
    }
}
