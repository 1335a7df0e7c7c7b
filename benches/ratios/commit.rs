//! P3, P4: from the outlet to the broker's word, many changes and one, against bare batches of bytes made before.

use async_nats::Client;
use observe::event::draft::Draft;
use observe::event::store::MAX_MESSAGES;
use observe::event::subject::Prefix;
use observe::event::tell::Tell as _;
use observe::process::event::{ProcessEvent, TellProcess};
use tokio::time::Instant;

use super::Size;
use super::batches::{Ready, send, send_pair};
use super::body::Change;
use super::figure::{Figure, Goal, Unit};
use super::look::stamp;
use super::measure::{self, Spread, in_turn_async, medians, quantile};
use super::nats;
use super::outlet::{Look, Looks, Outlet, block_on, with_headers};
use super::server::Server;

/// Messages of one batch of the bare loop.
pub const BATCH: usize = 1_000;
/// Processes that all change at once: ten thousand events, eleven parts.
const MANY: usize = 5_000;
/// How the nats command does the same.
const COMMAND: &str = "nats bench js pub atomic --batch 1000, as many subjects in the same stream";
/// Looks of one measurement.
fn looks(size: Size) -> usize {
    if size == Size::Quick { 1 } else { 3 }
}
/// Processes of a small stack.
const FEW: usize = 10;

/// P3 and P4.
pub fn figures(size: Size) -> Vec<Figure> {
    let mut figures = vec![
        many(size, Load::Bytes),
        many(size, Load::Headers),
        many(size, Load::Head),
        contract(size),
        match nats::missing(size) {
            None => many(size, Load::Command),
            Some(why) => Figure::missing("P3", "the same", COMMAND, why),
        },
    ];
    figures.extend(one(size));
    figures
}

fn many(size: Size, load: Load) -> Figure {
    let looks = looks(size);
    let (pairs, bytes) = block_on(pairs(load, looks, size.repetitions()));
    let rates: Vec<_> = pairs.iter().map(|(ours, bare)| (*bare, *ours)).collect();
    let (ours, bare) = medians(&pairs);
    let events = (2 * MANY * looks) as f64;
    let loops =
        |what| format!("a bare loop of atomic batches of {BATCH}, the same bytes prebuilt{what}");
    let (reference, goal) = match load {
        Load::Bytes => (loops(""), Goal::AtLeast(0.90)),
        Load::Headers => (loops(", and the headers of ours"), Goal::Told),
        Load::Head => (
            loops(", the headers and the head of ours"),
            Goal::AtLeast(0.85),
        ),
        Load::Command => (COMMAND.to_owned(), Goal::AtLeast(0.85)),
    };
    Figure {
        name: "P3",
        subject: format!(
            "{} events a look from the outlet to acknowledged, parts of 990, rate",
            2 * MANY
        ),
        reference,
        unit: Unit::Times,
        found: Ok(Spread::of_ratios(&rates)),
        goal,
        absolute: format!(
            "{:.0} against {:.0} events/s of {bytes} B",
            events / ours,
            events / bare
        ),
    }
}

/// What a bare loop loses that keeps the contract on the wire.
fn contract(size: Size) -> Figure {
    let looks = looks(size);
    let pairs = block_on(bare_pairs(looks, size.repetitions()));
    let rates: Vec<_> = pairs.iter().map(|(with, bare)| (*bare, *with)).collect();
    let (with, bare) = medians(&pairs);
    let events = (2 * MANY * looks) as f64;
    Figure {
        name: "P3",
        subject: "the same of a bare loop with the headers and the head of ours".to_owned(),
        reference: "the bare loop without them".to_owned(),
        unit: Unit::Times,
        found: Ok(Spread::of_ratios(&rates)),
        goal: Goal::Told,
        absolute: format!("{:.0} against {:.0} events/s", events / with, events / bare),
    }
}

/// A broker to which many have told one change each, what follows, and that change as messages.
async fn many_told() -> (Server, Outlet, Looks, Vec<Ready>) {
    let server = Server::start();
    let mut outlet = Outlet::begin(&server, "shop").await;
    let mut source = Looks::at(MANY);
    outlet.tell(&source.next(Change::All)).await;
    let sample = source.next(Change::All);
    outlet.tell(&sample).await;
    (server, outlet, source, sample.messages())
}

async fn bare_pairs(looks: usize, pairs: usize) -> Vec<(f64, f64)> {
    let (_server, outlet, _, messages) = many_told().await;
    let client = outlet.client.clone();
    let dressed: Vec<_> = messages.iter().cloned().map(with_headers).collect();
    let heads = heads(&client, messages.len().div_ceil(MAX_MESSAGES)).await;
    let (with, bare) = (
        in_batches(&dressed, heads),
        in_batches(&messages, Vec::new()),
    );
    let loops = async |batches: &[Vec<Ready>]| {
        let mut took = 0.0;
        for _ in 0..looks {
            took += send(&client, batches).await;
        }
        took
    };
    in_turn_async(
        pairs,
        async || loops(&with).await,
        async || loops(&bare).await,
    )
    .await
}

/// What the bare loop sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// The bytes of the events.
    Bytes,
    /// Their headers too.
    Headers,
    /// And in each batch a root and the shards that we write in one.
    Head,
    /// As many bytes on as many subjects, by the nats command.
    Command,
}

/// What telling so many looks takes at which every process crashes and runs again, and what the bare loop takes, in
/// seconds; and the bytes of one event.
async fn pairs(load: Load, looks: usize, pairs: usize) -> (Vec<(f64, f64)>, usize) {
    let (server, mut outlet, mut source, mut messages) = many_told().await;
    if load != Load::Bytes {
        messages = messages.into_iter().map(with_headers).collect();
    }
    let bytes = messages
        .iter()
        .map(|message| message.payload.len())
        .sum::<usize>()
        / messages.len();
    let client = outlet.client.clone();
    let heads = match load {
        Load::Head => heads(&client, messages.len().div_ceil(MAX_MESSAGES)).await,
        Load::Bytes | Load::Headers | Load::Command => Vec::new(),
    };
    let batches = in_batches(&messages, heads);
    let outlet = &mut outlet;
    let found = in_turn_async(
        pairs,
        async || {
            let looks: Vec<Look> = (0..looks).map(|_| source.next(Change::All)).collect();
            let mut took = 0.0;
            for look in &looks {
                assert_eq!(look.events(), messages.len());
                took += outlet.tell(look).await;
            }
            took
        },
        async || {
            if load == Load::Command {
                return nats::batches(&server, looks * messages.len(), (bytes, messages.len()));
            }
            let mut took = 0.0;
            for _ in 0..looks {
                took += send(&client, &batches).await;
            }
            took
        },
    )
    .await;
    (found, bytes)
}

/// The events in batches, each with its head in front where there are heads.
pub fn in_batches(messages: &[Ready], heads: Vec<Vec<Ready>>) -> Vec<Vec<Ready>> {
    if heads.is_empty() {
        return messages.chunks(BATCH).map(<[_]>::to_vec).collect();
    }
    let share = messages.len().div_ceil(heads.len());
    let parts = messages.chunks(share).map(<[_]>::to_vec);
    heads
        .into_iter()
        .zip(parts)
        .map(|(head, part)| [head, part].concat())
        .collect()
}

/// What we write besides the events of a large look that is told in so many parts: the root in each, and in each the shards
/// whose rows it tells, as they stand in the stream.
pub async fn heads(client: &Client, parts: usize) -> Vec<Vec<Ready>> {
    let context = async_nats::jetstream::new(client.clone());
    let stream = context
        .get_stream("PROCESS_EVENTS")
        .await
        .expect("a stream");
    let read = async |subject: String| {
        let found = stream
            .get_last_raw_message_by_subject(&subject)
            .await
            .ok()?;
        let told = [
            ("Nats-Expected-Stream", "PROCESS_EVENTS"),
            ("Nats-Rollup", "sub"),
            ("Nats-TTL", "never"),
        ];
        Some(Ready {
            subject: subject.replace("shop", "bare"),
            payload: found.payload,
            told: told.map(|(name, value)| (name, value.to_owned())).to_vec(),
        })
    };
    let root = read("core.head.shop".to_owned()).await.expect("a root");
    let mut shards = Vec::new();
    while let Some(shard) = read(format!("core.head.shop.{}", shards.len())).await {
        shards.push(shard);
    }
    let part = |index: usize| index * shards.len() / parts;
    (0..parts)
        .map(|index| {
            let end = (part(index + 1) + 1).min(shards.len());
            let mut head = vec![root.clone()];
            head.extend_from_slice(&shards[part(index)..end]);
            head
        })
        .collect()
}

/// The CPU time of a look at which every process crashes and runs again, from the outlet to acknowledged; and that of a bare loop
/// which writes the same events by `serde_json` and sends them, under the headers of ours, into a stream of its own: in seconds, the
/// medians of some.
pub async fn cpu(processes: usize, looks: usize) -> (f64, f64) {
    let (server, other) = (Server::start(), Server::start());
    let mut outlet = Outlet::begin(&server, "shop").await;
    let client = Outlet::begin(&other, "bare").await.client;
    let mut source = Looks::at(processes);
    outlet.tell(&source.next(Change::All)).await;
    let mut found = Vec::new();
    for number in 0..=looks {
        let look = source.next(Change::All);
        let ours_first = number % 2 == 0;
        let bare = if ours_first {
            0.0
        } else {
            bare_cpu(&client, &look).await
        };
        let before = measure::cpu();
        outlet.tell(&look).await;
        let ours = measure::cpu().saturating_sub(before).as_secs_f64();
        let bare = if ours_first {
            bare_cpu(&client, &look).await
        } else {
            bare
        };
        found.push((ours, bare));
    }
    medians(&found[1..])
}

async fn bare_cpu(client: &Client, look: &Look) -> f64 {
    let before = measure::cpu();
    for (first, events) in (1..).step_by(BATCH).zip(look.told().chunks(BATCH)) {
        send(client, &[written(events, first)]).await;
    }
    measure::cpu().saturating_sub(before).as_secs_f64()
}

/// Events as messages, each written from where it stands.
fn written(events: &[ProcessEvent], first: u64) -> Vec<Ready> {
    let prefix = Prefix::default();
    let numbered = (first..).zip(events);
    let messages = numbered.map(|(number, event)| {
        let told = TellProcess.tell(event);
        let draft = Draft::dress(&told, &stamp("bare", &prefix, number));
        with_headers(Ready {
            subject: draft.subject().to_owned(),
            payload: serde_json::to_vec(&draft).expect("an event of ours").into(),
            told: Vec::new(),
        })
    });
    messages.collect()
}

/// P4: single commits in turn, many times; each repetition gives a median and a 99th percentile.
fn one(size: Size) -> Vec<Figure> {
    let commits = if size == Size::Quick { 200 } else { 500 };
    let repetitions: Vec<_> = (0..size.repetitions())
        .map(|_| block_on(commits_in_turn(commits)))
        .collect();
    [("P4", "p50", 0.5), ("P4", "p99", 0.99)]
        .into_iter()
        .map(|(name, word, part)| {
            let pairs: Vec<_> = repetitions
                .iter()
                .map(|pairs| {
                    let side = |side: fn(&(f64, f64)) -> f64| {
                        let mut numbers: Vec<_> = pairs.iter().map(side).collect();
                        numbers.sort_by(f64::total_cmp);
                        quantile(&numbers, part)
                    };
                    (side(|pair| pair.0), side(|pair| pair.1))
                })
                .collect();
            let (ours, bare) = medians(&pairs);
            Figure {
                name,
                subject: format!("one event to acknowledgement, {FEW} processes, {word}"),
                reference: "a bare atomic batch of a head and an event, prebuilt".to_owned(),
                unit: Unit::Times,
                found: Ok(Spread::of_ratios(&pairs)),
                goal: Goal::AtMost(1.15),
                absolute: format!("{:.2} against {:.2} ms", ours * 1e3, bare * 1e3),
            }
        })
        .collect()
}

async fn commits_in_turn(commits: usize) -> Vec<(f64, f64)> {
    let server = Server::start();
    let mut outlet = Outlet::begin(&server, "shop").await;
    let mut source = Looks::at(FEW);
    outlet.tell(&source.next(Change::Readiness)).await;
    let first = source.next(Change::Readiness);
    outlet.tell(&first).await;
    let (head, event) = (head(), first.messages().remove(0));
    let client = outlet.client.clone();
    let (outlet, mut expected) = (&mut outlet, 0);
    in_turn_async(
        commits,
        async || {
            let look = source.next(Change::Readiness);
            assert_eq!(look.events(), 1);
            outlet.tell(&look).await
        },
        async || {
            let began = Instant::now();
            expected = send_pair(&client, &head, &event, expected).await;
            began.elapsed().as_secs_f64()
        },
    )
    .await
}

/// A head as large as that of a small stack.
fn head() -> Ready {
    Ready {
        subject: "core.head.bare".to_owned(),
        payload: vec![b'x'; 4096].into(),
        told: Vec::new(),
    }
}
