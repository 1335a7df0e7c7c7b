//! The beginning of an adapter: the head is read first, and decides how it goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::adapter::error::{AdapterError, AdapterErrorKind};
use crate::adapter::settings::{Hooks, PENDING_BYTES, Settings, SpoolPlace};
use crate::adapter::start::{Begun, Outset, Parts};
use crate::bus::connect::Bus;
use crate::bus::publish::JetStreamStore;
use crate::event::store::refresh_every;
use crate::listen::board::Account;
use crate::process::event::TellProcess;
use crate::process::rows::ProcessRows;
use crate::process_compose::error::ClientError;
use crate::process_compose::server::{Server, identify};
use crate::render::notice;

use super::contact::{Contact, Patience};
use super::direct::error_word;
use super::durable::{Lost, Plan};
use super::exit::{Exit, Failure};
use super::lines::Lines;
use super::memory::Memory;
use super::open::Way;
use super::terminal::{say, words};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) type Durable = Begun<JetStreamStore, TellProcess, ProcessRows>;

/// What an adapter keeps, and where.
pub(super) struct Keeping<'a> {
    pub(super) memory: &'a Memory,
    pub(super) lost: &'a Lost,
    pub(super) spool: Option<SpoolPlace>,
    /// What is counted of it, if anybody wants to know.
    pub(super) account: Option<&'a Account>,
}

/// Reads the head and decides how to go on. Where the broker is away and may be, that is done later. `None` where it was
/// cancelled.
pub(super) async fn begin(
    contact: &Contact,
    way: Way,
    plan: &Plan,
    keeping: Keeping<'_>,
    token: &CancellationToken,
) -> Result<Option<Durable>, Failure> {
    let (bus, is_away) = match way {
        Way::Open(bus) => (bus, false),
        Way::Away(bus) => (bus, true),
    };
    let lines = lines(contact, plan);
    let outset = parts(contact, (bus, is_away), plan, keeping, &lines).outlet();
    let waiting = outset.waiting();
    if waiting > 0 {
        say(&format!(
            "{}: {waiting} events wait from an earlier run",
            contact.source.as_str()
        ));
    }
    if is_away {
        return Ok(Some(begin_late(outset, &lines)));
    }
    read(contact, outset, plan, &lines, token).await
}

/// What is said of this source, for hooks and for whoever begins.
type Said = Arc<Mutex<Lines>>;

fn lines(contact: &Contact, plan: &Plan) -> Said {
    let (source, address) = (contact.source.as_str().to_owned(), contact.client.place());
    let names = [source, address, plan.broker.display_url()];
    let lines = Lines::new(names, plan.verbose).together(plan.common.clone());
    Arc::new(Mutex::new(lines))
}

/// Begins without the broker, which was said already, so that its coming back is said too.
fn begin_late(outset: Outset<JetStreamStore, TellProcess, ProcessRows>, lines: &Said) -> Durable {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.broker_is_away();
    drop(lines);
    outset.begin_late()
}

fn parts(
    contact: &Contact,
    (bus, is_away): (Bus, bool),
    plan: &Plan,
    keeping: Keeping<'_>,
    lines: &Said,
) -> Parts<JetStreamStore, TellProcess, ProcessRows> {
    let store = JetStreamStore::new(bus, &plan.broker.stream, plan.broker.prefix.clone());
    let store = store.remade_by(plan.broker.clone());
    let Keeping {
        memory,
        lost,
        spool,
        account,
    } = keeping;
    Parts {
        store: Arc::new(if is_away { store.unseen() } else { store }),
        tell: TellProcess,
        rows: ProcessRows,
        settings: Settings {
            source: contact.source.as_str().to_owned(),
            adapter: memory.adapter().to_owned(),
            interval: plan.args.interval,
            identity: contact.identity(),
            prefix: plan.broker.prefix.clone(),
            claim: plan.claim,
            pending_bytes: PENDING_BYTES,
            spool,
            sieve: plan.sieve.clone(),
        },
        hooks: Hooks {
            told: account.map(Account::hears),
            pulse: account.map_or_else(Arc::default, |account| Arc::clone(&account.pulse)),
            ..hooks(plan, (memory, lost), Arc::clone(lines))
        },
        remembered: memory.remembered(),
    }
}

async fn read(
    contact: &Contact,
    outset: Outset<JetStreamStore, TellProcess, ProcessRows>,
    plan: &Plan,
    lines: &Said,
    token: &CancellationToken,
) -> Result<Option<Durable>, Failure> {
    let mut epoch = contact.server.epoch();
    let mut doubt = Doubt::new(plan.args.interval);
    loop {
        let Some(read) = token
            .run_until_cancelled(outset.read(epoch.as_deref()))
            .await
        else {
            return Ok(None);
        };
        match read {
            Ok(found) => return Ok(Some(outset.begin(found))),
            Err(AdapterError::OtherServer {
                ask_again: true, ..
            }) if doubt.may_last() => {
                let Some(answer) = token.run_until_cancelled(identify(&contact.client)).await
                else {
                    return Ok(None);
                };
                if let Some(server) = patiently(answer, plan.patience)? {
                    epoch = server.epoch();
                    if doubt.begins(contact.source.as_str()) {
                        continue;
                    }
                }
            }
            Err(error) => {
                wait_or_end(error, plan.patience)?;
                return Ok(Some(begin_late(outset, lines)));
            }
        }
        if token
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(None);
        }
    }
}

/// Whether another adapter's epoch is that of our server before it began again, or that of another server.
struct Doubt {
    questions: u32,
    since: Instant,
    /// By then the other adapter has told the new epoch, or has written the root once more in the old one, or is gone.
    limit: Duration,
}

impl Doubt {
    fn new(interval: Duration) -> Self {
        Self {
            questions: 0,
            since: Instant::now(),
            limit: refresh_every(interval) + 2 * interval,
        }
    }

    fn may_last(&self) -> bool {
        self.questions == 0 || self.since.elapsed() < self.limit
    }

    /// Our server has answered: true where that was the first time, so that its answer is to be tried at once.
    fn begins(&mut self, source: &str) -> bool {
        self.questions += 1;
        if self.questions == 1 {
            self.since = Instant::now();
        } else {
            tracing::info!(
                source,
                "another adapter tells of another run of the server; waiting whether it is ours, begun again"
            );
        }
        self.questions == 1
    }
}

/// A source that left between two questions is asked again when it is back.
fn patiently(
    answer: Result<Server, ClientError>,
    patience: Patience,
) -> Result<Option<Server>, Failure> {
    match answer {
        Ok(server) => Ok(Some(server)),
        Err(error) if error.is_fatal() || patience == Patience::End => {
            Err(Failure::say(Exit::Source, error))
        }
        Err(error) => {
            tracing::info!(%error, "the source cannot be asked for its epoch");
            Ok(None)
        }
    }
}

/// What passes is waited out, and said; everything else ends.
fn wait_or_end(error: AdapterError, patience: Patience) -> Result<(), Failure> {
    match (error.kind(), patience) {
        (AdapterErrorKind::Transient, Patience::Wait) => {
            let why = format!("{:#}", anyhow::Error::from(error));
            say(&format!(
                "{}; looking on, and waiting for it",
                words().clean(&why, 400)
            ));
            Ok(())
        }
        (AdapterErrorKind::Transient, Patience::End) => Err(Failure::new(Exit::Broker, error)),
        _ => Err(Failure::new(Exit::Refused, error)),
    }
}

pub(super) fn announce(contact: &Contact, plan: &Plan) {
    let evidence = match plan.args.evidence {
        crate::process_compose::settings::Evidence::Auto => {
            "with its state stream where it has one"
        }
        crate::process_compose::settings::Evidence::Off => "looks only",
    };
    let line = notice::Beginning {
        source: contact.source.as_str(),
        address: &contact.client.place(),
        supervisor: &contact.supervisor(),
        evidence,
        broker: &plan.broker.display_place(),
        stream: &plan.broker.stream,
        interval: plan.args.interval,
    };
    let line = line.line(words());
    say(&line);
    plan.service.status(&line);
    if let Some(sieve) = &plan.sieve {
        let (source, sieve) = (contact.source.as_str(), sieve.to_string());
        let sieve = words().clean(&sieve, 400).into_owned();
        say(&format!(
            "{source}: events are left out: {sieve}; its head shows everything"
        ));
    }
}

/// What the adapter calls back: one line for everything a person should know.
fn hooks(plan: &Plan, (memory, lost): (&Memory, &Lost), lines: Said) -> Hooks {
    let keeper = memory.clone();
    let (patience, lost, service) = (plan.patience, lost.clone(), plan.service.clone());
    Hooks {
        word: Box::new(error_word),
        acknowledged: Box::new(move |acknowledged| keeper.remember(acknowledged)),
        notice: Box::new(move |notice| {
            let line = lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .line(&notice);
            if let Some(line) = line {
                say(&line);
                service.status(&line);
            }
            if patience == Patience::End {
                lost.note(&notice);
            }
        }),
        ..Hooks::quiet()
    }
}
