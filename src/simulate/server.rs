//! A simulation from outside: build it, bind it, run it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::{reread, router};
use super::builder::Builder;
use super::control::Control;
use super::line::{Entrance, Peer};
use super::random::{Dice, stack as random_stack};
use super::script::{Stack, StackError};
use super::settings::{Origin, Place, Settings};
use super::shared::{Presence, Shared};
use super::truth::{TruthError, TruthFile};
use super::world::{Rules, World};

/// Why a simulation cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The stack file cannot be read.
    #[error("the stack file {path:?} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The stack file is no stack.
    #[error("the stack file {path:?} is no stack")]
    Stack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        #[source]
        source: StackError,
    },
    /// Nobody can listen there; another port or path may help.
    #[error("cannot listen on {place}")]
    Listen {
        /// The address or the path.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The truth cannot be written.
    #[error(transparent)]
    Truth(#[from] TruthError),
    /// A setting is out of its bounds.
    #[error("{0}")]
    Setting(&'static str),
}

/// What a caller may have to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulateErrorKind {
    /// The caller asked for something that cannot be: mend the request.
    Usage,
    /// The machine did not let us; trying again may help.
    System,
}

impl SimulateError {
    /// Which kind of error this is.
    pub const fn kind(&self) -> SimulateErrorKind {
        match self {
            Self::Read { .. } | Self::Stack { .. } | Self::Setting(_) => SimulateErrorKind::Usage,
            Self::Listen { .. } | Self::Truth(_) => SimulateErrorKind::System,
        }
    }
}

/// Why a simulation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Whoever ran it asked for it.
    Cancelled,
    /// The server it played left for good, as a real one would.
    ServerLeft,
}

/// A simulation that is bound and can be run.
pub struct Simulation {
    shared: Arc<Shared>,
    place: Place,
    entrance: Option<Entrance>,
    cut: CancellationToken,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Simulation {
    /// A simulation of this stack, on a free loopback port unless told otherwise.
    pub fn builder(stack: Stack) -> Builder {
        Builder::new(Settings::new(Origin::Stack(stack)))
    }

    /// A simulation of these dice.
    pub fn random(dice: Dice) -> Builder {
        Builder::new(Settings {
            seed: dice.seed,
            ..Settings::new(Origin::Random(dice))
        })
    }

    /// Binds a simulation with these settings; time begins now.
    ///
    /// # Errors
    ///
    /// The stack cannot be read, the truth file not be created, nobody can listen there, or a number is out of bounds.
    pub async fn bind(settings: Settings) -> Result<Self, SimulateError> {
        Self::build(settings, false).await
    }

    pub(super) async fn build(settings: Settings, remember: bool) -> Result<Self, SimulateError> {
        check(&settings)?;
        let stack = load(&settings.origin).await?;
        let cut = CancellationToken::new();
        let entrance = Entrance::open(&settings.place, cut.clone());
        let entrance = entrance.await.map_err(|source| SimulateError::Listen {
            place: words(&settings.place),
            source,
        })?;
        let place = match (&settings.place, entrance.port()) {
            (Place::Tcp(address, _), Some(port)) => Place::Tcp(*address, port),
            _ => settings.place.clone(),
        };
        let truth = settings
            .truth
            .as_deref()
            .map(TruthFile::create)
            .transpose()?;
        // The wall clock in the rules and this one are read together: the truth's times are as good as that.
        let origin = Instant::now();
        let rules = rules(&settings, &stack);
        let shared = Arc::new(Shared::new(
            World::new(stack, rules),
            settings.origin,
            settings.token,
            truth,
            remember,
            origin,
        ));
        Ok(Self {
            shared,
            place,
            entrance: Some(entrance),
            cut,
        })
    }

    /// The URL of a TCP server, or the path of a unix socket.
    pub fn address(&self) -> String {
        words(&self.place)
    }

    /// Where it listens, with the port that was taken.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The hand that reaches into it.
    pub fn control(&self) -> Control {
        Control {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Serves until the token is cancelled or the played server leaves for good.
    ///
    /// # Errors
    ///
    /// The truth can no longer be written, or the address was taken by somebody else while the server was away.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listener; connections that are open end with their tasks.
    pub async fn run(mut self, token: CancellationToken) -> Result<Ended, SimulateError> {
        let shared = Arc::clone(&self.shared);
        let ended = tokio::select! {
            result = drive(&shared) => result.map(|()| Ended::Cancelled),
            result = self.serve() => result,
            () = token.cancelled() => Ok(Ended::Cancelled),
        };
        self.cut.cancel();
        if let Place::Unix(path) = &self.place {
            // It may be gone already; a socket file left behind would be a trap for the next one.
            drop(tokio::fs::remove_file(path).await);
        }
        shared.tasks.close();
        shared.tasks.wait().await;
        ended
    }

    /// Listens while the server is there and the door is not shut.
    async fn serve(&mut self) -> Result<Ended, SimulateError> {
        let mut presence = self.shared.presence.subscribe();
        loop {
            let now = *presence.borrow_and_update();
            if now.here && !now.shut {
                let entrance = match self.entrance.take() {
                    Some(entrance) => entrance,
                    None => self.reopen().await?,
                };
                let service =
                    router(Arc::clone(&self.shared)).into_make_service_with_connect_info::<Peer>();
                tokio::select! {
                    _ = axum::serve(entrance, service) => {}
                    () = until(&mut presence, |p| !p.here || p.shut) => {}
                }
                self.cut.cancel();
                let here = presence.borrow().here;
                if let (Place::Unix(path), false) = (&self.place, here) {
                    // An orderly leave takes the socket file along; a door that is only shut leaves
                    // it behind, stale.
                    drop(tokio::fs::remove_file(path).await);
                }
                continue;
            }
            if !now.here && !now.returns {
                // The last answers and truths are out; whoever holds the control may start it again within this run only.
                return Ok(Ended::ServerLeft);
            }
            self.entrance = None;
            until(&mut presence, |p| {
                (p.here && !p.shut) || (!p.here && !p.returns)
            })
            .await;
        }
    }

    /// Opens the door again where it was; the system may need a moment to let go of the old one.
    async fn reopen(&mut self) -> Result<Entrance, SimulateError> {
        self.cut = CancellationToken::new();
        let mut tries = 0;
        loop {
            match Entrance::open(&self.place, self.cut.clone()).await {
                Ok(entrance) => return Ok(entrance),
                Err(source) if tries == 100 => {
                    return Err(SimulateError::Listen {
                        place: words(&self.place),
                        source,
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            tries += 1;
        }
    }
}

async fn until(presence: &mut watch::Receiver<Presence>, wanted: impl FnMut(&Presence) -> bool) {
    // The sender lives as long as the simulation does.
    drop(presence.wait_for(wanted).await);
}

/// Lets the world's alarms ring when they are due.
async fn drive(shared: &Shared) -> Result<(), SimulateError> {
    loop {
        let due = shared.tick();
        if let Some(error) = due.broken {
            return Err(error.into());
        }
        for file in due.rereads {
            if let Err(error) = reread(shared, file.as_deref()).await {
                tracing::warn!(%error, "the configuration could not be read again");
            }
        }
        let alarm = async {
            match due.next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = alarm => {}
            () = shared.wake.notified() => {}
        }
    }
}

fn check(settings: &Settings) -> Result<(), SimulateError> {
    if !settings.speed.is_finite() || !(0.01..=1_000.0).contains(&settings.speed) {
        return Err(SimulateError::Setting(
            "the speed must lie between 0.01 and 1000",
        ));
    }
    if !(0.0..=1.0).contains(&settings.torn) {
        return Err(SimulateError::Setting(
            "the chance of a torn look must lie between 0 and 1",
        ));
    }
    if settings.token.as_ref().is_some_and(|t| t.0.len() < 20) {
        return Err(SimulateError::Setting(
            "the token must have 20 characters or more, as process-compose wants it",
        ));
    }
    if let Origin::Random(dice) = &settings.origin
        && !(dice.rate.is_finite() && dice.rate > 0.0 && (1..=100_000).contains(&dice.processes))
    {
        return Err(SimulateError::Setting(
            "random stacks need 1 to 100000 processes and a rate above 0",
        ));
    }
    Ok(())
}

async fn load(origin: &Origin) -> Result<Stack, SimulateError> {
    match origin {
        Origin::Stack(stack) => Ok(stack.clone()),
        Origin::Random(dice) => Ok(random_stack(*dice)),
        Origin::File(path) => {
            let text =
                tokio::fs::read_to_string(path)
                    .await
                    .map_err(|source| SimulateError::Read {
                        path: path.clone(),
                        source,
                    })?;
            Stack::parse(&text).map_err(|source| SimulateError::Stack {
                path: path.clone(),
                source,
            })
        }
    }
}

fn rules(settings: &Settings, stack: &Stack) -> Rules {
    let file = match &settings.origin {
        Origin::File(path) => path.file_name().map_or_else(
            || "process-compose.yaml".to_owned(),
            |n| n.to_string_lossy().into_owned(),
        ),
        Origin::Random(_) | Origin::Stack(_) => "process-compose.yaml".to_owned(),
    };
    let folder = stack.name.clone().unwrap_or_else(|| {
        file.rsplit_once('.')
            .map_or(file.as_str(), |(stem, _)| stem)
            .to_owned()
    });
    let project = settings.project.clone().unwrap_or(folder);
    let project = if project.contains('/') {
        project
    } else {
        format!("devbox/{project}")
    };
    Rules {
        profile: settings.profile,
        project,
        file,
        seed: settings.seed,
        speed: settings.speed,
        torn: settings.torn,
        wall: Utc::now(),
    }
}

fn words(place: &Place) -> String {
    match place {
        Place::Tcp(address, port) if address.is_ipv6() => format!("http://[{address}]:{port}"),
        Place::Tcp(address, port) => format!("http://{address}:{port}"),
        Place::Unix(path) => path.display().to_string(),
    }
}
