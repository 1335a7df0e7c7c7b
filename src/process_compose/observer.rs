//! Looks at a process-compose and compares: where the ground floor and the floor of words first meet.
//!
//! A look is one `GET /processes`. Before it is compared, the observer makes sure whom it compares with: whenever the
//! connection is new, a restart counter fell, or every pid that was up changed, it asks the server for the start of its
//! run, because a server that began again makes all of that a new epoch and none of it a crash. A table that was taken
//! in the middle of a change is looked at once more, at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::event::payload;
use crate::observation::delta::{Epoch, Origin};
use crate::observation::handle::Nudge;
use crate::observation::observer::{Observer, Step};
use crate::observation::source::ObservedSource;
use crate::process::diff::{Circumstances, Comparison, Unread, compare, compare_frames};
use crate::process::event::ProcessEvent;
use crate::process::reading::Reading;
use crate::process::table::Table;

use super::client::{Body, Client};
use super::control::IntentBook;
use super::error::{ClientError, Kind};
use super::evidence::{Heard, Looks};
use super::frames::Frames;
use super::learner::{Lessons, learn};
use super::nudge::{Clock, Names, StateStream};
use super::odd::Oddities;
use super::room::Room;
use super::server::Server;
use super::settings::{Endpoint, Evidence, Settings};
use super::translate;
use super::wire::{self, Odd};

/// How long a look waits for the frame of an end that it has overtaken.
const FRAME_WAIT: Duration = Duration::from_millis(250);
/// So many names that are no process any more may be kept, beside as many as there are processes.
const STRANGERS: usize = 256;
/// How many failed looks in a row make the frames behind the last one tell for themselves.
const SALVAGE_AFTER: u32 = 2;

/// Looks at one process-compose.
pub struct ComposeObserver {
    client: Arc<Client>,
    frames: Arc<Frames>,
    lessons: Arc<Lessons>,
    intents: IntentBook,
    names: watch::Sender<Names>,
    known: Mutex<Known>,
    looks: Mutex<Looks>,
    room: Room,
    oddities: Oddities,
    nudge: Nudge,
    clock: Clock,
    interval: Duration,
}

#[derive(Debug, Default)]
struct Known {
    server: Option<Server>,
    /// The connection that was last asked who is behind it.
    connection: u64,
}

/// What runs beside the looks: the state stream and the one who asks for configurations.
pub struct Companions {
    stream: Option<StateStream>,
    client: Arc<Client>,
    lessons: Arc<Lessons>,
}

impl Companions {
    /// Runs until the token is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel the token instead of dropping the future: only then the stream says that it hears nothing any more.
    pub async fn run(self, token: CancellationToken) {
        let learning = learn(self.client, self.lessons, token.clone());
        match self.stream {
            Some(stream) => {
                tokio::join!(stream.run(token), learning);
            }
            None => learning.await,
        }
    }
}

impl ComposeObserver {
    /// An observer and what runs beside it; nothing runs yet. `nudge` is the one the runtime is built with.
    ///
    /// `server` is who answered at the first contact: another project that answers later is not told under its name.
    pub fn new(
        client: Arc<Client>,
        server: Server,
        settings: &Settings,
        interval: Duration,
        clock: Clock,
        nudge: &Nudge,
    ) -> (Self, Companions) {
        let frames = Arc::new(Frames::new());
        let lessons = Arc::new(Lessons::default());
        let (names, seen) = watch::channel(None);
        let stream = (settings.evidence == Evidence::Auto).then(|| {
            let waker = nudge.clone();
            let wake: super::nudge::Nudge = Arc::new(move || waker.nudge());
            StateStream::new(&client, Arc::clone(&frames), seen, Arc::clone(&clock), wake)
        });
        let companions = Companions {
            stream,
            client: Arc::clone(&client),
            lessons: Arc::clone(&lessons),
        };
        let known = Mutex::new(Known {
            server: Some(server),
            connection: 0,
        });
        let looks = Mutex::default();
        let nudge = nudge.clone();
        let observer = Self {
            client,
            frames,
            lessons,
            intents: IntentBook::new(Arc::clone(&clock)),
            names,
            known,
            looks,
            room: Room::default(),
            oddities: Oddities::default(),
            nudge,
            clock,
            interval,
        };
        (observer, companions)
    }

    /// Who answered last.
    pub fn server(&self) -> Option<Server> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .server
            .clone()
    }

    /// Where our own commands leave what they are about to do.
    pub fn intents(&self) -> IntentBook {
        self.intents.clone()
    }

    async fn look(&self, before: &Table) -> Result<Comparison, ClientError> {
        let mut started = self.begin();
        let mut body = self.client.processes().await?;
        let mut decoded = self.decode(&body)?;
        if decoded.0.iter().any(|reading| reading.torn) {
            started = self.begin();
            let again = self.client.processes().await?;
            self.room.keep(decoded.0);
            body = again;
            decoded = self.decode(&body)?;
        }
        let (readings, odd) = decoded;
        let epoch = self.epoch(&body, before, &readings).await?;
        let sticky_health = self
            .server()
            .is_none_or(|server| server.has_sticky_health());
        self.await_frames(before, &readings).await;
        let ended = (self.clock)();
        self.lessons.seen(&epoch, &readings, |name| {
            **before.epoch() == *epoch
                && before
                    .row(name)
                    .is_some_and(|row| row.configuration.is_some())
        });
        let names: Vec<_> = odd.iter().filter_map(|odd| odd.name.clone()).collect();
        let circumstances = Circumstances {
            epoch: &epoch,
            started,
            ended,
            interval: self.interval,
            sticky_health,
            unread: Unread {
                names: &names,
                nameless: names.len() < odd.len(),
            },
        };
        let heard = self.heard(&epoch);
        // What the committed table has used up is needed by no later one.
        for (name, index) in heard.used(before) {
            self.frames.prune_upto(name, index);
        }
        self.forget_strangers(before, &readings);
        let comparison = compare(before, &readings, &heard, &circumstances);
        self.room.keep(readings);
        self.publish_names(&comparison.table);
        if heard.has_unexplained(&comparison.table) {
            self.nudge.nudge();
        }
        Ok(comparison)
    }

    /// The processes of a body, and what of it could not be read.
    fn decode<'b>(&self, body: &'b Body) -> Result<(Vec<Reading<'b>>, Vec<Odd>), ClientError> {
        let room = self.room.take();
        let reading =
            wire::decode_into(&body.bytes, room).map_err(|error| self.client.undecodable(error))?;
        self.oddities.note(&reading.odd);
        Ok((reading.rows, reading.odd))
    }

    /// The epoch of a table: asked for whenever the server may be another run.
    async fn epoch(
        &self,
        body: &Body,
        before: &Table,
        readings: &[Reading<'_>],
    ) -> Result<String, ClientError> {
        let fallen = readings.iter().any(|now| {
            before
                .row(&now.name)
                .is_some_and(|row| now.restarts < row.restarts)
        });
        let replaced = all_replaced(before, readings);
        // Not the body's own word: that may have gone with a look that was thrown away.
        let (asked, fresh) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = known.connection != body.connection;
            (known.server.clone().filter(|_| !fresh), fresh)
        };
        let server = match asked {
            Some(server) if !fallen && !replaced => server,
            _ => self.ask(body).await?,
        };
        if let Some(epoch) = server.epoch() {
            return Ok(epoch);
        }
        // Before v0.75 nobody says when the run began: it is the first contact, until every pid is another one.
        let another = replaced && fresh;
        let same = !before.epoch().is_empty() && !another;
        let first = || (self.clock)().to_rfc3339_opts(SecondsFormat::Millis, true);
        Ok(if same {
            before.epoch().to_string()
        } else {
            first()
        })
    }

    async fn ask(&self, body: &Body) -> Result<Server, ClientError> {
        let answer = self.client.project_state().await?;
        let connection = answer
            .as_ref()
            .map_or(body.connection, |(_, connection)| *connection);
        let server = answer
            .map(|(state, _)| Server::from_state(state))
            .unwrap_or_default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &known.server
            && before.project != server.project
        {
            let found = format!(
                "another project answers: {}, not {}",
                super::error::clean(&server.project, 100),
                super::error::clean(&before.project, 100)
            );
            return Err(self.failure(Kind::OtherProject, found));
        }
        let before = known.server.replace(server.clone());
        known.connection = connection;
        // One run that answered before the table and behind it answered the table too, over however many connections.
        let same_run = server.started.is_some() && before.as_ref() == Some(&server);
        if connection != body.connection && !same_run {
            return Err(self.failure(
                Kind::Truncated,
                "the connection broke between two questions",
            ));
        }
        Ok(server)
    }

    fn failure(&self, kind: Kind, found: impl Into<String>) -> ClientError {
        ClientError::new(kind, &self.client.place(), found)
    }

    /// A look begins: notes how far the stream had come.
    fn begin(&self) -> DateTime<Utc> {
        let index = self.frames.mark().index;
        let at = (self.clock)();
        self.looks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .begin(index, at);
        at
    }

    fn heard(&self, epoch: &str) -> Heard<'_> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = (&*self.lessons, &self.intents);
        Heard::new(&self.frames, known, &looks, epoch)
    }

    /// A look can overtake the frame of an end it shows: waits for it, but not for long.
    async fn await_frames(&self, before: &Table, readings: &[Reading<'_>]) {
        let awaited: Vec<(&str, u64)> = readings
            .iter()
            .filter_map(|now| {
                let row = before.row(&now.name).filter(|row| row.memory.open)?;
                let over = now.phase.is_over() || now.pid != row.pid;
                (over && self.frames.covered_since(&now.name).is_some())
                    .then_some((&*now.name, row.memory.mark))
            })
            .collect();
        if awaited.is_empty() {
            return;
        }
        self.frames
            .wait_until(FRAME_WAIT, |frames| {
                awaited.iter().all(|(name, mark)| {
                    frames.view(name).iter().any(|frame| {
                        !frame.snapshot
                            && frame.index + 1 > *mark
                            && translate::phase(&frame.status, false).is_over()
                    })
                })
            })
            .await;
    }

    /// Names that came and went would be kept for as long as the connection stands.
    fn forget_strangers(&self, before: &Table, readings: &[Reading<'_>]) {
        if self.frames.names() <= 2 * readings.len() + STRANGERS {
            return;
        }
        let here: HashSet<&str> = readings.iter().map(|now| &*now.name).collect();
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = looks.before_last();
        self.frames.forget_strangers(recent, |name| {
            here.contains(name) || before.row(name).is_some()
        });
    }

    fn publish_names(&self, table: &Table) {
        let same = |names: &Names| {
            names.as_ref().is_some_and(|names| {
                names.len() == table.rows().len()
                    && names
                        .iter()
                        .zip(table.rows())
                        .all(|(a, row)| **a == *row.name)
            })
        };
        self.names.send_if_modified(|names| {
            let changed = !same(names);
            if changed {
                *names = Some(Arc::new(
                    table.rows().map(|row| row.name.to_string()).collect(),
                ));
            }
            changed
        });
    }

    fn step(comparison: Comparison) -> Step<Table, ProcessEvent> {
        let origin = match comparison.origin {
            payload::Origin::Initial => Origin::Initial,
            payload::Origin::Change => Origin::Change,
            payload::Origin::Resync => Origin::Resync,
        };
        let epoch = Epoch::new(Arc::clone(comparison.table.epoch()));
        Step {
            state: comparison.table,
            events: comparison.events,
            origin,
            epoch,
        }
    }
}

/// Whether some pids were up and none of them is any more.
fn all_replaced(before: &Table, readings: &[Reading<'_>]) -> bool {
    let mut up = before
        .rows()
        .filter(|row| row.memory.open)
        .filter_map(|row| row.pid)
        .peekable();
    if up.peek().is_none() {
        return false;
    }
    let now: HashSet<i64> = readings
        .iter()
        .filter(|now| now.phase.is_alive())
        .filter_map(|now| now.pid)
        .collect();
    !up.any(|pid| now.contains(&pid))
}

impl Observer for ComposeObserver {
    type Source = Endpoint;
    type State = Table;
    type Snapshot = Table;
    type Event = ProcessEvent;
    type Error = ClientError;

    async fn init(
        &self,
        _: &[ObservedSource<Endpoint>],
    ) -> Result<Step<Table, ProcessEvent>, ClientError> {
        self.look(&Table::default()).await.map(Self::step)
    }

    async fn poll(
        &self,
        _: &[ObservedSource<Endpoint>],
        state: &Table,
    ) -> Result<Step<Table, ProcessEvent>, ClientError> {
        self.look(state).await.map(Self::step)
    }

    fn snapshot(&self, state: &Table) -> Table {
        state.clone()
    }

    fn salvage(&self, state: &Table, failures: u32) -> Option<Step<Table, ProcessEvent>> {
        if failures < SALVAGE_AFTER {
            return None;
        }
        let heard = self.heard(state.epoch());
        compare_frames(state, &heard, (self.clock)(), self.interval).map(Self::step)
    }

    /// The state stream is left as well, until a look names whom to listen to.
    fn rest(&self) {
        self.names.send_replace(None);
        self.frames.clear();
        self.room.forget();
    }

    fn is_fatal(&self, error: &ClientError) -> bool {
        error.is_fatal()
    }
}
