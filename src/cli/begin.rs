//! The beginning of an adapter: the head is read first, and decides how it goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::adapter::error::{AdapterError, AdapterErrorKind};
use crate::adapter::settings::{Hooks, PENDING_BYTES, Settings};
use crate::adapter::start::{Begun, Parts};
use crate::bus::connect::Bus;
use crate::bus::publish::JetStreamStore;
use crate::event::store::refresh_every;
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
use super::terminal::{say, words};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) type Durable = Begun<JetStreamStore, TellProcess, ProcessRows>;

/// Reads the head and decides how to go on; `None` where the wait was cancelled.
pub(super) async fn begin(
    contact: &Contact,
    bus: &Bus,
    plan: &Plan,
    (memory, lost): (&Memory, &Lost),
    token: &CancellationToken,
) -> Result<Option<Durable>, Failure> {
    let store = JetStreamStore::new(bus.clone(), &plan.broker.stream, plan.broker.prefix.clone());
    let parts = Parts {
        store: Arc::new(store.remade_by(plan.broker.clone())),
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
        },
        hooks: hooks(contact, plan, memory, lost),
        remembered: memory.remembered(),
    };
    let mut epoch = contact.server.epoch();
    let (mut doubt, mut said) = (Doubt::new(plan.args.interval), false);
    loop {
        let Some(read) = token
            .run_until_cancelled(parts.read(epoch.as_deref()))
            .await
        else {
            return Ok(None);
        };
        match read {
            Ok(found) => return Ok(Some(parts.begin(found))),
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
            Err(error) => wait_or_end(error, plan.patience, &mut said)?,
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

/// What passes is waited out, and said once; everything else ends.
fn wait_or_end(error: AdapterError, patience: Patience, said: &mut bool) -> Result<(), Failure> {
    match (error.kind(), patience) {
        (AdapterErrorKind::Transient, Patience::Wait) => {
            if !std::mem::replace(said, true) {
                let why = format!("{:#}", anyhow::Error::from(error));
                say(&format!("{}; waiting", words().clean(&why, 400)));
            }
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
        broker: &plan.broker.display_url(),
        stream: &plan.broker.stream,
        interval: plan.args.interval,
    };
    say(&line.line(words()));
}

/// What the adapter calls back: one line for everything a person should know.
fn hooks(contact: &Contact, plan: &Plan, memory: &Memory, lost: &Lost) -> Hooks {
    let (source, address) = (contact.source.as_str().to_owned(), contact.client.place());
    let (broker, verbose) = (plan.broker.display_url(), plan.verbose);
    let mut lines = Lines::new([source, address, broker], verbose);
    let keeper = memory.clone();
    let (patience, lost) = (plan.patience, lost.clone());
    Hooks {
        word: Box::new(error_word),
        acknowledged: Box::new(move |acknowledged| keeper.remember(acknowledged)),
        notice: Box::new(move |notice| {
            if let Some(line) = lines.line(&notice) {
                say(&line);
            }
            if patience == Patience::End {
                lost.note(&notice);
            }
        }),
        ..Hooks::quiet()
    }
}
