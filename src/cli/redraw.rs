//! A table that follows what happens: redrawn in place on a terminal, one object for each change in a pipe.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::head::last_events;
use crate::bus::settings::BusSettings;
use crate::event::envelope::Envelope;
use crate::event::filter::Filter;
use crate::process::difference::differences;
use crate::process::moment::Moment;
use crate::render::standings::{Drawing, Standings};

use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::heads::Heads;
use super::sources::{Own, Step};
use super::terminal::{self, Output};

/// The least time between two drawings.
const PACE: Duration = Duration::from_millis(250);

/// What is followed.
pub(super) enum Live {
    /// One source, by looks of our own.
    Own(Own),
    /// Those that tell into a broker.
    Told(Box<Told>),
}

/// The heads of sources, and the last event of each process.
pub(super) struct Told {
    heads: Heads,
    bus: Bus,
    settings: BusSettings,
    last: BTreeMap<(String, String), Envelope>,
    is_filled: bool,
}

impl Live {
    /// Follows what is told into a broker.
    pub(super) fn told(bus: Bus, settings: BusSettings, filter: &Filter) -> Self {
        Self::Told(Box::new(Told {
            heads: Heads::begin(bus.clone(), settings.clone(), filter.clone(), true),
            bus,
            settings,
            last: BTreeMap::new(),
            is_filled: false,
        }))
    }

    /// Waits until there may be something new.
    async fn next(&mut self) -> Result<(), Failure> {
        match self {
            Self::Own(own) => own.next().await.map(|_| ()),
            Self::Told(told) => told.next().await,
        }
    }

    /// How everything stands, as soon as that is known.
    fn moments(&self) -> Option<Vec<Moment>> {
        match self {
            Self::Own(own) => own.moment().map(|moment| vec![moment]),
            Self::Told(told) => told.moments(),
        }
    }

    async fn end(self) -> Result<(), Failure> {
        match self {
            Self::Own(own) => own.end().await,
            Self::Told(_) => Ok(()),
        }
    }
}

impl Told {
    async fn next(&mut self) -> Result<(), Failure> {
        if let Step::Record(record) = self.heads.next().await? {
            self.note(record.envelope);
        }
        if !self.is_filled
            && let Some(moments) = self.heads.moments()
        {
            self.fill(&moments).await;
            self.is_filled = true;
        }
        Ok(())
    }

    fn note(&mut self, event: Envelope) {
        if let Some(name) = &event.process {
            let key = (event.source.clone(), name.clone());
            self.last.insert(key, event);
        }
    }

    /// Asks for the last event of each process. Without an answer their numbers stay unknown until the next event.
    async fn fill(&mut self, moments: &[Moment]) {
        let all = moments.iter().flat_map(|moment| &moment.processes);
        let names = all.map(|found| {
            let namespace = found.namespaces.first().map(ToString::to_string);
            (namespace.unwrap_or_default(), found.name.to_string())
        });
        let (stream, prefix) = (&self.settings.stream, &self.settings.prefix);
        let events = last_events(&self.bus, stream, prefix, names.collect()).await;
        for event in events.into_iter().flatten().flatten() {
            self.note(event);
        }
    }

    fn moments(&self) -> Option<Vec<Moment>> {
        let mut moments = self.heads.moments()?;
        for moment in &mut moments {
            let source = &moment.source;
            for found in moment.processes.iter_mut().filter(|found| found.is_up()) {
                let key = (source.clone(), found.name.to_string());
                if let Some(event) = self.last.get(&key) {
                    found.used_as_of(event);
                }
            }
        }
        Some(moments)
    }
}

/// How what is followed is shown.
pub(super) struct Screen<'a> {
    /// How the table is drawn at the moment.
    pub(super) drawing: &'a dyn Fn() -> Drawing,
    /// Whether machines read it.
    pub(super) json: bool,
    /// What of it is shown, and how many sources are left out.
    pub(super) choose: &'a dyn Fn(Vec<Moment>, DateTime<Utc>) -> (Vec<Moment>, u64),
}

/// Follows until the reader leaves or we are asked to end.
pub(super) async fn redraw(
    mut live: Live,
    screen: &Screen<'_>,
    token: &CancellationToken,
) -> Outcome {
    let output = Output::open();
    let reader = output.reader();
    let left = reader.left();
    tokio::pin!(left);
    let in_place = !screen.json && !terminal::is_dumb();
    let (mut due, mut shown) = (Instant::now(), None::<Vec<Moment>>);
    let mut before = String::new();
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            () = &mut left => break,
            next = live.next() => next?,
        }
        if Instant::now() < due {
            continue;
        }
        let Some(moments) = live.moments() else {
            continue;
        };
        due = Instant::now() + PACE;
        let now = Utc::now();
        let (moments, hidden) = (screen.choose)(moments, now);
        let is_news = shown.as_ref().is_none_or(|shown| differ(shown, &moments));
        if !in_place && !is_news {
            continue;
        }
        let standings = Standings {
            moments: &moments,
            at: None,
            now,
            hidden,
        };
        let text = if screen.json {
            String::from_utf8_lossy(&standings.json().or_exit(Exit::Refused)?).into_owned()
        } else {
            let lines = standings.lines(&(screen.drawing)());
            if in_place {
                page(&lines, terminal::height(), shown.is_none())
            } else {
                // A terminal that cannot be redrawn gets one table after the other.
                format!("{}\n", lines.concat())
            }
        };
        shown = Some(moments);
        if text == before && in_place {
            continue;
        }
        if output.line(text.clone().into_bytes()).await.is_err() {
            break;
        }
        before = text;
    }
    live.end().await?;
    output.finish().await?;
    Ok(Exit::Done)
}

/// Whether something happened, and not only time passed.
fn differ(before: &[Moment], after: &[Moment]) -> bool {
    let sights = |moments: &[Moment]| -> Vec<_> {
        let sight = |moment: &Moment| std::mem::discriminant(&moment.sighted);
        moments
            .iter()
            .map(|m| (m.source.clone(), sight(m)))
            .collect()
    };
    sights(before) != sights(after) || !differences(before, after).is_empty()
}

/// What draws these lines over those that stand there, cut to the height of the terminal.
fn page(lines: &[String], height: usize, first: bool) -> String {
    let mut out = String::new();
    out.push_str(if first { "\x1b[2J\x1b[H" } else { "\x1b[H" });
    let room = height.saturating_sub(1).max(1);
    let fits = lines.len() <= room;
    let most = if fits { lines.len() } else { room - 1 };
    for line in &lines[..most] {
        out.push_str(line.trim_end_matches('\n'));
        out.push_str("\x1b[K\n");
    }
    if !fits {
        // Writing to a string cannot fail.
        let _infallible = writeln!(out, "({} more lines)\x1b[K", lines.len() - most);
    }
    out.push_str("\x1b[J");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_to_the_height_of_the_terminal() {
        let lines: Vec<String> = (1..=5).map(|n| format!("{n}\n")).collect();
        assert_eq!(
            page(&lines, 6, true),
            "\x1b[2J\x1b[H1\x1b[K\n2\x1b[K\n3\x1b[K\n4\x1b[K\n5\x1b[K\n\x1b[J"
        );
        assert_eq!(
            page(&lines, 4, false),
            "\x1b[H1\x1b[K\n2\x1b[K\n(3 more lines)\x1b[K\n\x1b[J"
        );
        assert_eq!(page(&lines, 0, false), "\x1b[H(5 more lines)\x1b[K\n\x1b[J");
    }
}
