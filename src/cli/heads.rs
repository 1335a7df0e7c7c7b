//! The sources that tell into a broker: each one's head, as it moves, and the events behind it.
//!
//! The seam between the two is exact. Reading begins before the heads are read, so that no event falls between; what a
//! head contains already is no news; and a head is shown only when everything it contains has been read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, sleep_until};

use crate::bus::connect::Bus;
use crate::bus::error::BusError;
use crate::bus::head::{heads, read_head_at};
use crate::bus::read::{Begin, Reader, Told};
use crate::bus::settings::BusSettings;
use crate::event::envelope::Envelope;
use crate::event::filter::Filter;
use crate::event::store::{Head, Root};
use crate::event::tell::{Restored, Rows as _};
use crate::process::moment::{Moment, Sighted};
use crate::process::rows::ProcessRows;
use crate::process::table::Table;
use crate::render::time::since;
use crate::render::words::age;

use super::exit::Failure;
use super::open::broker_failure;
use super::recall::sighted;
use super::sources::{Stand, Step, View};
use super::terminal::{say, words};

/// How often the roots are looked at.
const TICK: Duration = Duration::from_millis(500);
/// The same after an event: its head stands there already.
const SOON: Duration = Duration::from_millis(20);
/// How long a head may wait for an event it contains; one that cannot be read must not hold up everything.
const BEHIND: Duration = Duration::from_secs(5);

/// How much longer than two intervals a head may stand still before a look of our own, where one can be had, is better.
const DOUBT: Duration = Duration::from_secs(1);

/// One source's head.
struct Seen {
    sequence: u64,
    root: Root,
    table: Option<Arc<Table>>,
    stale_at: Instant,
    doubted_at: Instant,
    was_fresh: bool,
    /// Since when events are missing that it contains.
    behind: Option<Instant>,
}

/// The heads of all sources that are wanted.
pub(super) struct Heads {
    bus: Bus,
    settings: BusSettings,
    filter: Filter,
    /// Whether somebody said which sources are wanted.
    chosen: bool,
    reader: Reader,
    caught_up: bool,
    begun: bool,
    seen: BTreeMap<String, Seen>,
    /// What the heads held when the waiting began: journal and number.
    base: BTreeMap<String, (String, u64)>,
    /// How far each source's events were read.
    told: BTreeMap<String, (String, u64)>,
    passed_over: BTreeSet<String>,
    /// Why the stream cannot be read, where it cannot.
    lost: Option<String>,
    due: Instant,
}

impl Heads {
    /// Begins to read what the sources that pass the filter tell.
    pub(super) fn begin(bus: Bus, settings: BusSettings, filter: Filter, chosen: bool) -> Self {
        let reader = Reader::live(
            &bus,
            &settings.stream,
            &settings.prefix,
            filter.clone(),
            Begin::Now,
        );
        Self {
            bus,
            settings,
            filter,
            chosen,
            reader,
            caught_up: false,
            begun: false,
            seen: BTreeMap::new(),
            base: BTreeMap::new(),
            told: BTreeMap::new(),
            passed_over: BTreeSet::new(),
            lost: None,
            due: Instant::now(),
        }
    }

    /// Whether the broker is away at the moment.
    pub(super) fn is_away(&self) -> bool {
        !self.bus.is_connected()
    }

    /// How much later than it happens something may be told.
    pub(super) fn lag(&self) -> Duration {
        let lags = self.seen.values().map(|seen| seen.root.interval_ms);
        Duration::from_millis(lags.max().unwrap_or_default())
    }

    /// Where it is, without secrets.
    pub(super) fn address(&self) -> String {
        self.settings.display_url()
    }

    /// Whether the broker is there and what it holds cannot be told from what a dead adapter left: nothing at all, or one
    /// source whose last look is longer ago than an adapter at work lets pass, but for refreshes.
    pub(super) fn is_doubtful(&self) -> bool {
        let in_view = || {
            let seen = self.seen.iter();
            seen.filter(|(source, _)| !self.passed_over.contains(*source))
        };
        let now = Instant::now();
        self.begun
            && self.bus.is_connected()
            && in_view().count() <= 1
            && in_view().all(|(_, seen)| seen.doubted_at <= now)
    }

    /// Whether nothing in view may be judged by.
    pub(super) fn is_stale(&self) -> bool {
        let now = Instant::now();
        self.seen.values().all(|seen| seen.stale_at <= now)
    }

    /// Why what is known of a source is in doubt, in words.
    pub(super) fn doubt(&self, source: &str) -> String {
        let style = words();
        let name = style.clean(source, 60);
        if let Some(seen) = self.seen.get(source) {
            let ago = age(since(seen.root.looked_at, Utc::now()));
            return format!("the last look at {name} that was told is {ago} old");
        }
        let address = self.address();
        let address = style.clean(&address, 200);
        format!("nobody tells anything of {name} into the broker at {address}")
    }

    /// Whether a source in reach is one of those whose heads are stale, or there are none.
    pub(super) fn is_one_of_them(&self, source: &str, project: &str) -> bool {
        let same = |(name, seen): (&String, &Seen)| {
            name == source || seen.root.identity.project == project
        };
        self.filter.wants_source(source) && (self.seen.is_empty() || self.seen.iter().any(same))
    }

    /// Waits for an event or for the time to look again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Step, Failure> {
        loop {
            let told = tokio::select! {
                biased;
                told = self.reader.next() => told.map_err(broker_failure)?,
                () = sleep_until(self.due) => {
                    self.refresh().await;
                    self.due = Instant::now() + TICK;
                    return Ok(Step::Look);
                }
            };
            match told {
                Told::Record(record) => {
                    let is_news = self.note(&record.envelope);
                    self.due = self.due.min(Instant::now() + SOON);
                    if is_news {
                        return Ok(Step::Record(record));
                    }
                }
                Told::CaughtUp(_) => self.caught_up = true,
                Told::LinkLost { why } => self.lose(&why),
                Told::LinkBack => {
                    say("the stream can be read again");
                    self.lost = None;
                    self.due = Instant::now();
                }
                Told::Hole {
                    source,
                    journal,
                    before,
                    ..
                } => {
                    self.told
                        .insert(source, (journal, before.saturating_sub(1)));
                }
                // Bare texts are not asked for.
                Told::Text(_)
                | Told::StreamRenewed
                | Told::Expired { .. }
                | Told::Unreadable { .. } => {}
            }
        }
    }

    fn lose(&mut self, why: &str) {
        let style = words();
        let what = if self.bus.is_connected() {
            "cannot be read"
        } else {
            "is away"
        };
        say(&format!(
            "the broker at {} {what}: {}; waiting for it",
            style.clean(&self.settings.display_url(), 200),
            style.clean(why, 200)
        ));
        self.lost = Some(format!("the broker {what}: {why}"));
    }

    /// Notes how far was read; whether the event is news.
    fn note(&mut self, event: &Envelope) -> bool {
        let place = (event.journal.clone(), event.seq);
        self.told.insert(event.source.clone(), place);
        self.base
            .get(&event.source)
            .is_none_or(|(journal, seq)| *journal != event.journal || event.seq > *seq)
    }

    /// Looks at the roots, and reads the heads that moved.
    async fn refresh(&mut self) {
        let found = match heads(&self.bus, &self.settings.stream, &self.settings.prefix).await {
            Ok(found) => found,
            Err(BusError::NoStream(_)) => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, "the heads cannot be read");
                return;
            }
        };
        // What stands there before reading has begun may be followed by what is never read.
        if !self.caught_up && !found.is_empty() {
            return;
        }
        let mut is_whole = true;
        for at in found {
            let Ok(root) = at.root else { continue };
            let known = self.seen.get(&root.source);
            // What cannot be read may have come in part only, behind a root that stands.
            let is_new =
                known.is_none_or(|seen| seen.sequence != at.sequence || seen.table.is_none());
            if !self.filter.wants_source(&root.source) || !is_new {
                continue;
            }
            match read_head_at(&self.bus, &self.settings.stream, &at.subject).await {
                Ok(Some(head)) => self.take(&head),
                Ok(None) | Err(_) => is_whole = false,
            }
        }
        self.begun |= is_whole;
    }

    fn take(&mut self, head: &Head) {
        let Ok(root) = &head.root else { return };
        let source = root.source.clone();
        let place = (root.journal.clone(), root.seq);
        if !self.begun {
            self.base.insert(source.clone(), place.clone());
            self.told.entry(source.clone()).or_insert(place);
        }
        if let Some(seen) = self.seen.get_mut(&source)
            && seen.sequence == head.root_sequence
        {
            // It stood still: what is new is only that it can be read.
            seen.table = rows_of(head, root).map(Arc::new);
            return;
        }
        let before = self.seen.get(&source);
        // Afterwards a root that moves is fresh by our own clock, whatever that of the adapter says.
        let ago = match before {
            Some(_) => Duration::ZERO,
            None => since(root.looked_at, Utc::now()),
        };
        let doubt = Duration::from_millis(2 * root.interval_ms) + DOUBT;
        let seen = Seen {
            doubted_at: Instant::now() + doubt.saturating_sub(ago),
            sequence: head.root_sequence,
            table: rows_of(head, root).map(Arc::new),
            stale_at: Instant::now() + root.stale_after().saturating_sub(ago),
            was_fresh: before.is_some() || ago < root.stale_after(),
            behind: None,
            root: root.clone(),
        };
        self.seen.insert(source, seen);
    }

    /// How the sources stand; `None` while the events and the heads are not of one moment.
    pub(super) fn views(&mut self, began: Instant) -> Option<Vec<View>> {
        if !self.begun && self.lost.is_none() {
            return None;
        }
        self.pass_over();
        let now = Instant::now();
        let mut views = Vec::new();
        for (source, seen) in &mut self.seen {
            if self.passed_over.contains(source) {
                continue;
            }
            let stands = if let Some(why) = &self.lost {
                Err(why.clone())
            } else {
                if !is_of_one_moment(&seen.root, self.told.get(source)) {
                    let behind = *seen.behind.get_or_insert(now);
                    if now < behind + BEHIND {
                        return None;
                    }
                }
                seen.behind = None;
                stands(seen, now, began)
            };
            views.push(View {
                source: source.clone(),
                stands,
                sieve: seen.root.left_out.as_ref().map(|it| it.sieve.clone()),
            });
        }
        Some(views)
    }

    /// How every source stands by its head, fresh or not; nothing before the heads were read.
    pub(super) fn moments(&self) -> Option<Vec<Moment>> {
        if !self.begun {
            return None;
        }
        let now = Instant::now();
        let moments = self.seen.iter().map(|(source, seen)| match &seen.table {
            Some(table) => {
                let sighted = sighted(&seen.root, seen.stale_at <= now);
                Moment::of_table(source, sighted, table, None)
            }
            None => Moment {
                source: source.clone(),
                sighted: Sighted::Unreadable,
                processes: Vec::new(),
            },
        });
        Some(moments.collect())
    }

    /// Where nobody said which sources are wanted, one that nobody looks at is not waited for beside one that is.
    fn pass_over(&mut self) {
        if self.chosen || !self.seen.values().any(|seen| seen.was_fresh) {
            return;
        }
        for (source, seen) in &self.seen {
            if seen.was_fresh {
                self.passed_over.remove(source);
            } else if self.passed_over.insert(source.clone()) {
                let ago = age(since(seen.root.looked_at, Utc::now()));
                let name = words().clean(source, 60).into_owned();
                say(&format!(
                    "{name} was last looked at {ago} ago and is not waited for; name it with --source"
                ));
            }
        }
    }
}

/// Whether the head holds exactly what was read: not an event more, which would be missing among the news, and none less,
/// which it would deny.
fn is_of_one_moment(root: &Root, told: Option<&(String, u64)>) -> bool {
    match told {
        Some((journal, seq)) => *journal == root.journal && *seq == root.seq,
        None => root.seq == 0,
    }
}

fn stands(seen: &Seen, now: Instant, began: Instant) -> Result<Stand, String> {
    let ago = age(since(seen.root.looked_at, Utc::now()));
    if seen.stale_at <= now {
        return Err(format!(
            "its head is stale, nobody has looked since {ago} ago"
        ));
    }
    if !seen.root.connected {
        return Err(format!("out of sight, last seen {ago} ago"));
    }
    let table = seen.table.clone();
    table
        .map(|table| Stand {
            table,
            at: now.saturating_duration_since(began),
            lag: Duration::from_millis(seen.root.interval_ms),
        })
        .ok_or_else(|| "its head cannot be read".to_owned())
}

/// The table that a head holds, where it is whole.
pub(super) fn rows_of(head: &Head, root: &Root) -> Option<Table> {
    head.shards.as_ref()?;
    let restored = Restored {
        epoch: &root.epoch,
        resync: false,
        first: false,
        looked_at: root.looked_at,
    };
    ProcessRows.decode(&mut head.rows(), restored).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_counts_only_together_with_exactly_the_events_it_holds() {
        let root = |seq| Root {
            format: 1,
            source: "shop".to_owned(),
            journal: "a".to_owned(),
            seq,
            epoch: String::new(),
            connected: true,
            adapter: String::new(),
            commit: String::new(),
            looked_at: Utc::now(),
            since: None,
            interval_ms: 2000,
            shards: Vec::new(),
            identity: crate::event::store::Identity::default(),
            left_out: None,
        };
        let told = |journal: &str, seq| Some((journal.to_owned(), seq));
        for (seq, told, wanted) in [
            (7, told("a", 7), true),
            (7, told("a", 6), false),
            (7, told("a", 8), false),
            (7, told("b", 7), false),
            (7, None, false),
            (0, None, true),
        ] {
            assert_eq!(
                is_of_one_moment(&root(seq), told.as_ref()),
                wanted,
                "{told:?}"
            );
        }
    }
}
