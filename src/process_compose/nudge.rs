//! Listens to the state stream and keeps what it says as evidence.
//!
//! The stream sees what looks cannot: that somebody asked for a stop, the true exit code, a restart between two looks.
//! It is never trusted for what it does not know: it tells of no removal and no renaming, and its live frames carry the
//! pid of the run before. So it decides nothing; it leaves [`Frames`] behind and says "look now".
//!
//! Nor does a frame say which run of the server sent it, and one that is read late, after a freeze of ours, may come from
//! a server that was replaced meanwhile. So the server is asked for its run before a connection is made and again once it
//! stands: where both answers agree, all that comes over it was sent by that run.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::{FutureExt as _, SinkExt as _};
use hyper::header::HeaderName;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_websockets::{ClientBuilder, Limits, Message, WebSocketStream};

use super::client::{Client, percent_encoded};
use super::connect::{Connector, Pipe};
use super::error::{ClientError, Kind, clean};
use super::frames::{Frames, StreamStatus};
use super::server::Server;
use super::settings::{TOKEN_HEADER, TokenReader};
use super::wire::WireFrame;

/// Names one connection carries; a server drops a connection of more than 256.
const NAMES: usize = 200;

/// Bytes of escaped names in one request.
const LIST_BYTES: usize = 16 * 1024;

/// The largest frame, in bytes.
const FRAME_LIMIT: usize = 4 * 1024 * 1024;

/// After this long without a word we ask whether the other side is still there; after twice as long it is not.
const QUIET: Duration = Duration::from_secs(20);

/// A snapshot is over when this long nothing came.
const SETTLED: Duration = Duration::from_millis(200);

/// The first and the longest wait before connecting again.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The wait where trying again rarely helps: no such route, or no permission.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// The names the looks have seen; nothing until there was one, and while the looks are held.
pub type Names = Option<Arc<BTreeSet<String>>>;

/// Gives the time frames are marked with.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Called when something changed that a look should see; often, and from within the stream's task: it must not wait.
pub type Nudge = Arc<dyn Fn() + Send + Sync>;

/// The client of a state stream; built first, run by whoever owns it.
pub struct StateStream {
    client: Arc<Client>,
    connector: Arc<Connector>,
    token: Arc<TokenReader>,
    frames: Arc<Frames>,
    names: watch::Receiver<Names>,
    clock: Clock,
    nudge: Nudge,
}

/// What one connection hears.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ear {
    /// Every name, also those that come later.
    Everybody,
    /// These names, and a list of them for the query.
    List(Vec<String>, String),
}

/// Why all connections were given up.
enum Ended {
    Cancelled,
    /// Nobody looks any more.
    Resting,
    Absent,
    Forbidden(String),
    Broken(String),
}

impl StateStream {
    /// A stream that has not connected yet. `names` are told by the looks; `frames` is shared with whoever reads them.
    pub fn new(
        client: &Arc<Client>,
        frames: Arc<Frames>,
        names: watch::Receiver<Names>,
        clock: Clock,
        nudge: Nudge,
    ) -> Self {
        Self {
            client: Arc::clone(client),
            connector: Arc::clone(client.connector()),
            token: Arc::clone(client.token()),
            frames,
            names,
            clock,
            nudge,
        }
    }

    /// Listens until the token is cancelled, and connects again whenever it must; ends at once where no name was ever
    /// told and nobody is left to tell one.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connections, but the frames keep their coverage: cancel the token instead.
    pub async fn run(mut self, token: CancellationToken) {
        let mut wait = WAITS.0;
        loop {
            let names = tokio::select! {
                () = token.cancelled() => break,
                names = first_names(&mut self.names) => names,
            };
            let Some(names) = names else { break };
            let began = Instant::now();
            let ended = self.session(&names, &token).await;
            if began.elapsed() > QUIET {
                wait = WAITS.0;
            }
            let (status, pause) = match ended {
                Ended::Cancelled => break,
                Ended::Resting => {
                    self.frames.broke(StreamStatus::Waiting);
                    self.frames.clear();
                    continue;
                }
                Ended::Absent => (StreamStatus::Absent, LONG_WAIT),
                Ended::Forbidden(why) => (StreamStatus::Away(why), LONG_WAIT),
                Ended::Broken(why) => {
                    let pause = wait.mul_f64(0.75 + 0.5 * fastrand::f64());
                    wait = (wait * 2).min(WAITS.1);
                    (StreamStatus::Away(why), pause)
                }
            };
            tracing::debug!(endpoint = %self.connector.endpoint(), ?status, ?pause, "state stream ended");
            self.frames.broke(status);
            if token
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                break;
            }
        }
        self.frames.broke(StreamStatus::Away("ended".into()));
    }

    /// All connections of one time; ends with the first that breaks, for then all coverage ends.
    async fn session(&mut self, first: &BTreeSet<String>, token: &CancellationToken) -> Ended {
        let (mut names, mut rest) = (self.names.clone(), self.names.clone());
        let epoch = tokio::select! {
            biased;
            () = token.cancelled() => return Ended::Cancelled,
            () = nobody(&mut rest) => return Ended::Resting,
            epoch = self.epoch() => epoch,
        };
        let epoch = match epoch {
            Ok(epoch) => epoch,
            Err(ended) => return ended,
        };
        self.frames.begin(epoch.clone());
        let mut heard = BTreeSet::new();
        let mut ears = FuturesUnordered::new();
        let everybody = first.len() <= NAMES;
        for ear in if everybody {
            vec![Ear::Everybody]
        } else {
            lists(first, &mut heard)
        } {
            ears.push(self.listen(ear, epoch.as_ref()));
        }
        let most = 2 * ears.len() + 4;
        let mut told = true;
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Ended::Cancelled,
                () = nobody(&mut rest) => return Ended::Resting,
                Some(ended) = ears.next() => return ended,
                changed = names.changed(), if !everybody && told => {
                    told = changed.is_ok();
                    let Some(now) = names.borrow_and_update().clone() else { continue };
                    for ear in lists(&now, &mut heard) {
                        ears.push(self.listen(ear, epoch.as_ref()));
                    }
                    if ears.len() > most {
                        return Ended::Broken("the names are put on new lists".into());
                    }
                }
            }
        }
    }

    /// The run of the server that answers now, where it says one.
    async fn epoch(&self) -> Result<Option<Arc<str>>, Ended> {
        match self.client.project_state().await {
            Ok(state) => Ok(state
                .and_then(|(state, _)| Server::from_state(state).epoch())
                .map(Into::into)),
            Err(error) => Err(refused(&error)),
        }
    }

    /// A connection to this run of the server and no other.
    async fn connect_to(
        &self,
        ear: &Ear,
        epoch: Option<&Arc<str>>,
    ) -> Result<WebSocketStream<Box<dyn Pipe>>, Ended> {
        let stream = self.connect(ear).await?;
        if self.epoch().await?.as_ref() == epoch {
            Ok(stream)
        } else {
            Err(Ended::Broken("the server began again meanwhile".into()))
        }
    }

    async fn listen(&self, ear: Ear, epoch: Option<&Arc<str>>) -> Ended {
        let mut stream = match self.connect_to(&ear, epoch).await {
            Ok(stream) => stream,
            Err(ended) => return ended,
        };
        let everybody = ear == Ear::Everybody;
        let _standing = self.standing();
        let mut settled = !everybody;
        let mut asked = false;
        loop {
            let limit = if settled { QUIET } else { SETTLED };
            let message = match tokio::time::timeout(limit, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Ended::Broken(clean(&error.to_string(), 200)),
                Ok(None) => return Ended::Broken("the server closed the state stream".into()),
                Err(_) if !settled => {
                    settled = true;
                    self.frames.hears_all();
                    continue;
                }
                Err(_) if asked => return Ended::Broken("the state stream went silent".into()),
                Err(_) => {
                    asked = true;
                    if let Err(error) = stream.send(Message::ping("")).await {
                        return Ended::Broken(clean(&error.to_string(), 200));
                    }
                    continue;
                }
            };
            asked = false;
            let mut changed = self.hear(&message, everybody);
            // what lies ready already is one piece of news
            while let Some(Some(Ok(message))) = stream.next().now_or_never() {
                changed |= self.hear(&message, everybody);
            }
            if changed {
                settled = true;
                (self.nudge)();
            }
        }
    }

    fn hear(&self, message: &Message, everybody: bool) -> bool {
        let Some(text) = message.as_text() else {
            return false;
        };
        match WireFrame::decode(text) {
            Ok(frame) => self.frames.push(&frame, (self.clock)(), everybody),
            Err(odd) => {
                tracing::debug!(why = %odd.why, "a frame of the state stream cannot be read");
                self.frames.lost(odd.name.as_deref());
                true
            }
        }
    }

    async fn connect(&self, ear: &Ear) -> Result<WebSocketStream<Box<dyn Pipe>>, Ended> {
        let limit = Duration::from_secs(10);
        let stream = self
            .connector
            .connect()
            .await
            .map_err(|error| refused(&error))?;
        let endpoint = self.connector.endpoint();
        let query = match ear {
            Ear::Everybody => String::new(),
            Ear::List(_, list) => format!("?name={list}"),
        };
        let uri = format!(
            "ws://{}{}/process/states/ws{query}",
            endpoint.authority(),
            endpoint.prefix()
        );
        let odd = |_| Ended::Broken("its address makes no WebSocket URL".into());
        let mut builder = ClientBuilder::new()
            .uri(&uri)
            .map_err(odd)?
            .limits(Limits::default().max_payload_len(Some(FRAME_LIMIT)));
        if let Some(token) = self.token.current() {
            let named = builder.add_header(HeaderName::from_static(TOKEN_HEADER), token);
            builder = named.map_err(|error| Ended::Broken(clean(&error.to_string(), 200)))?;
        }
        match tokio::time::timeout(limit, builder.connect_on(stream)).await {
            Ok(Ok((stream, _))) => Ok(stream),
            Ok(Err(error)) => Err(refused_upgrade(&error)),
            Err(_) => Err(Ended::Broken(
                "no answer to the state stream's handshake".into(),
            )),
        }
    }

    /// Counts a standing connection for as long as the answer lives.
    fn standing(&self) -> Standing<'_> {
        self.frames.count_connection(true);
        Standing(&self.frames)
    }
}

impl fmt::Debug for StateStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStream")
            .field("endpoint", self.connector.endpoint())
            .finish_non_exhaustive()
    }
}

struct Standing<'a>(&'a Frames);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.count_connection(false);
    }
}

async fn first_names(names: &mut watch::Receiver<Names>) -> Option<Arc<BTreeSet<String>>> {
    names.wait_for(Option::is_some).await.ok()?.clone()
}

/// Waits until the looks name nobody any more.
async fn nobody(names: &mut watch::Receiver<Names>) {
    if names.wait_for(Option::is_none).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn refused(error: &ClientError) -> Ended {
    match error.kind() {
        Kind::Unauthorized | Kind::Forbidden => Ended::Forbidden(error.found().to_owned()),
        _ => Ended::Broken(error.found().to_owned()),
    }
}

fn refused_upgrade(error: &tokio_websockets::Error) -> Ended {
    match error {
        tokio_websockets::Error::Upgrade(
            tokio_websockets::upgrade::Error::DidNotSwitchProtocols(status),
        ) => match status {
            404 => Ended::Absent,
            401 | 403 => Ended::Forbidden(format!("the state stream answers {status}")),
            _ => Ended::Broken(format!("the state stream answers {status}")),
        },
        _ => Ended::Broken(clean(&error.to_string(), 200)),
    }
}

/// Lists for all names not heard yet, which are heard from now on. A name with a comma, or one too long for a request,
/// cannot be listed and stays uncovered.
fn lists(names: &BTreeSet<String>, heard: &mut BTreeSet<String>) -> Vec<Ear> {
    let mut ears = Vec::new();
    let (mut listed, mut list) = (Vec::new(), String::new());
    let mut close = |listed: &mut Vec<String>, list: &mut String| {
        if !listed.is_empty() {
            ears.push(Ear::List(std::mem::take(listed), std::mem::take(list)));
        }
    };
    for name in names {
        let escaped = percent_encoded(name);
        if heard.contains(name)
            || name.is_empty()
            || name.contains(',')
            || escaped.len() > LIST_BYTES
        {
            continue;
        }
        if listed.len() == NAMES || list.len() + escaped.len() + 1 > LIST_BYTES {
            close(&mut listed, &mut list);
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&escaped);
        listed.push(name.clone());
        heard.insert(name.clone());
    }
    close(&mut listed, &mut list);
    ears
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_once_in_lists_the_server_can_carry() {
        let mut heard = BTreeSet::new();
        let names: BTreeSet<String> = (0..450).map(|n| format!("w-{n:03}")).collect();
        let sizes: Vec<_> = lists(&names, &mut heard)
            .iter()
            .map(|ear| match ear {
                Ear::List(names, _) => names.len(),
                Ear::Everybody => 0,
            })
            .collect();
        assert_eq!(sizes, [200, 200, 50]);
        assert!(lists(&names, &mut heard).is_empty());
        let more = BTreeSet::from([
            "a b*".into(),
            "c,d".into(),
            "é".repeat(LIST_BYTES),
            "z/z".into(),
        ]);
        let expected = vec![Ear::List(
            vec!["a b*".into(), "z/z".into()],
            "a%20b%2A,z%2Fz".into(),
        )];
        assert_eq!(lists(&more, &mut heard), expected);
    }
}
