//! `observe history`: what was told, from the stream.

use std::collections::VecDeque;
use std::future::ready;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::pin::{Pin, pin};

use chrono::{DateTime, Utc};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::head::heads;
use crate::bus::past::Extent;
use crate::bus::settings::BusSettings;
use crate::event::filter::Filter;
use crate::event::record::Record;
use crate::event::store::Root;
use crate::render::format::Format;
use crate::render::time::Times as Shown;

use super::broker_args::BrokerArgs;
use super::cursor::Cursor;
use super::exit::{Exit, Failure, Outcome};
use super::face_args::{FaceArgs, FilterArgs};
use super::kept::kept;
use super::open::broker_failure;
use super::opening::{Depth, opening, tell_left_out};
use super::progress::Progress;
use super::sheet::{Sheet, Stretch};
use super::terminal::{ReaderWatch, say};
use super::view::{Blind, Viewed};
use super::walk::{Found, Ground, Times, Walk};

/// How many events a terminal shows where no range was asked for.
const LAST: usize = 100;
/// The most that `--last` may ask for, because they are held in memory.
const MOST_LAST: u64 = 10_000;

const EXAMPLES: &str = "\
Examples:
  observe history                                  the last hundred; in a pipe everything that is kept
  observe history --since 1h api 'web-*'           these processes or groups, in the last hour
  observe history -S yesterday -U today --type crashed
  observe history -S 'yesterday 9:00' -U '10 min ago' --severity warning
  observe history -n 20 --reverse -o wide          the last twenty, the newest first
  observe history --json --cursor-file mailed.cursor | jq .process

Times mean when a change was observed. A time is 1h, 90m, 2d, '10 min ago', today, yesterday, 18:30, 'yesterday 18:30:05',
2026-08-20, 2026-08-20T18:30:05Z or @1787212800, by the wall clock that --time shows. Nothing found is no failure.";

/// Prints past events.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct History {
    #[command(flatten)]
    filter: FilterArgs,
    /// Not what was observed before this time
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Not what was observed after this time
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Only the last so many events that match
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_LAST))]
    last: Option<u64>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The newest first
    #[arg(short, long)]
    reverse: bool,
    /// Only what is stored behind this place
    #[arg(long, value_name = "CURSOR", conflicts_with = "cursor_file")]
    after_cursor: Option<String>,
    /// Say at the end, on stderr, behind which place to go on
    #[arg(long, conflicts_with_all = ["reverse", "until"])]
    show_cursor: bool,
    /// Go on behind the place this file holds, and write the new one there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reverse", "until"])]
    cursor_file: Option<PathBuf>,
    /// In JSON, also print the events that tell of an unwatched stretch
    #[arg(long, conflicts_with = "no_gaps")]
    gaps: bool,
    /// In text, leave unwatched stretches out
    #[arg(long)]
    no_gaps: bool,
    #[command(flatten)]
    face: FaceArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// Shows what was told, and ends.
pub(super) async fn run(args: History, token: CancellationToken) -> Outcome {
    let wish = args.wish(Utc::now())?;
    let kept = Box::pin(kept("observe history", &args.broker));
    let Some(kept) = token.run_until_cancelled(kept).await else {
        return Ok(Exit::Done);
    };
    let (bus, settings, _lease) = kept?;
    args.show(&wish, &bus, &settings, &token).await
}

/// What was asked for, checked before anybody is asked.
struct Wish {
    filter: Filter,
    times: Times,
    cursor: Option<Cursor>,
    last: Option<usize>,
}

impl History {
    fn wish(&self, now: DateTime<Utc>) -> Result<Wish, Failure> {
        let cursor = match (&self.after_cursor, &self.cursor_file) {
            (Some(text), _) => Some(Cursor::given(text)?),
            (None, Some(path)) => Cursor::read(path)?,
            (None, None) => None,
        };
        let (since, until) = (self.since.as_deref(), self.until.as_deref());
        let times = Times::given(since, until, self.face.time, now)?;
        let bounded = self.since.is_some() || self.until.is_some() || self.marks();
        let person = std::io::stdout().is_terminal() && self.face.format() == Format::Text;
        let usual = (person && !bounded && self.after_cursor.is_none()).then_some(LAST);
        let last = self.last.and_then(|last| usize::try_from(last).ok());
        Ok(Wish {
            filter: self.filter.filter()?,
            times,
            cursor,
            last: last.or(usual),
        })
    }

    /// Whether a place is kept for the next time.
    fn marks(&self) -> bool {
        self.show_cursor || self.cursor_file.is_some()
    }

    fn blind(&self) -> Blind {
        let text = matches!(self.face.format(), Format::Text | Format::Wide);
        match () {
            () if text && self.no_gaps => Blind::AddUp,
            () if text || self.gaps => Blind::Show,
            () => Blind::AddUp,
        }
    }

    async fn show(
        &self,
        wish: &Wish,
        bus: &Bus,
        settings: &BusSettings,
        token: &CancellationToken,
    ) -> Outcome {
        let extent = Extent::of(bus, &settings.stream)
            .await
            .map_err(broker_failure)?;
        let behind = wish.behind(&settings.stream, &extent)?;
        let roots = roots(bus, settings).await?;
        let filter = wish.filter.clone().and_blindness();
        let ground = Ground::new(bus, settings, &filter, (&extent, behind), wish.times);
        let backward = self.reverse || wish.last.is_some();
        let walk = if backward {
            Walk::backward(ground)
        } else {
            Walk::forward(ground)
        };
        let folds =
            std::io::stdout().is_terminal() && self.face.format() == Format::Text && !self.marks();
        let shape = (self.count, folds);
        let mut sheet = Sheet::open(&self.face, &wish.filter, self.blind(), shape, token);
        let texts = self.face.format().shows_text_alone();
        let viewed = match wish.last {
            Some(last) => {
                self.show_last((last, wish), walk, &mut sheet, token)
                    .await?
            }
            None => show_all((walk, texts), extent.last, &mut sheet, token).await?,
        };
        let viewed = match sheet.flush().await {
            Err(ended) => viewed.or(Some(ended)),
            Ok(()) => viewed,
        };
        let whole = viewed.is_none();
        if sheet.found() > 0 {
            for root in &roots {
                tell_left_out(root, &wish.filter);
            }
        }
        if whole && sheet.found() == 0 {
            let stretch = Stretch {
                times: (wish.times.since, wish.times.until),
                empty: extent.last < extent.first.max(1),
                first_stored: extent.first_stored(bus, &settings.stream).await,
                shown: Shown::new(self.face.time),
            };
            say(&sheet.nothing(&stretch));
            // How it stands says who has not looked lately.
            opening(bus, settings, &wish.filter, (None, Depth::Counts)).await?;
        }
        let last = whole.then_some(extent.last);
        let place = last.or_else(|| sheet.place());
        let written = sheet.end(viewed.unwrap_or(Viewed::Enough)).await?;
        if written && let Some(place) = place.or(behind) {
            self.mark(Cursor::behind(place, &settings.stream, &extent))?;
        }
        Ok(Exit::Done)
    }

    /// Shows the last so many.
    async fn show_last(
        &self,
        (last, wish): (usize, &Wish),
        mut walk: Walk,
        sheet: &mut Sheet,
        token: &CancellationToken,
    ) -> Result<Option<Viewed>, Failure> {
        let (mut found, mut left) = (VecDeque::new(), last);
        let mut over = pin!(over(sheet.reader(), token));
        while left > 0
            && let Some(next) = next(&mut walk, over.as_mut()).await?
        {
            let record = match next {
                Ok(record) => record,
                Err(viewed) => return Ok(Some(viewed)),
            };
            if wish.filter.matches(&record.envelope) {
                left -= 1;
            } else if found.len() > 2 * last {
                continue;
            }
            if self.reverse {
                found.push_back(record);
            } else {
                found.push_front(record);
            }
        }
        let usual = self.last.is_none() && left == 0;
        sheet.gather();
        for record in found {
            if let Err(viewed) = sheet.take(record).await {
                return Ok(Some(viewed));
            }
        }
        if usual {
            if let Err(viewed) = sheet.written().await {
                return Ok(Some(viewed));
            }
            say(&format!("the last {last}; more with --since or -n"));
        }
        Ok(None)
    }

    fn mark(&self, cursor: Cursor) -> Result<(), Failure> {
        if let Some(path) = &self.cursor_file {
            cursor.write(path)?;
        }
        if self.show_cursor {
            say(&format!("cursor: {}", cursor.text()));
        }
        Ok(())
    }
}

impl Wish {
    /// The sequence behind which reading begins; what was lost meanwhile is said.
    fn behind(&self, stream: &str, extent: &Extent) -> Result<Option<u64>, Failure> {
        let Some(cursor) = self.cursor else {
            return Ok(None);
        };
        let behind = cursor.sequence(stream, extent)?;
        if behind + 1 < extent.first {
            say(&format!(
                "what the stream held from {} to {} expired before it was read; whether events were among it is not known",
                behind + 1,
                extent.first - 1
            ));
        }
        Ok(Some(behind))
    }
}

/// What the sources say of themselves, asked before anything is shown: who may not ask must not take what is shown for all.
async fn roots(bus: &Bus, settings: &BusSettings) -> Result<Vec<Root>, Failure> {
    match heads(bus, &settings.stream, &settings.prefix).await {
        Ok(found) => Ok(found.into_iter().filter_map(|at| at.root.ok()).collect()),
        Err(error) if error.retry_helps() => {
            say(&format!(
                "whether events are left out is not known: {error}"
            ));
            Ok(Vec::new())
        }
        Err(error) => Err(broker_failure(error)),
    }
}

/// Shows all of a walk as it comes, perhaps by the bare text of events.
async fn show_all(
    (mut walk, texts): (Walk, bool),
    last: u64,
    sheet: &mut Sheet,
    token: &CancellationToken,
) -> Result<Option<Viewed>, Failure> {
    let mut over = pin!(over(sheet.reader(), token));
    let mut progress = Progress::begin(last);
    // A piece of a walk backward is read whole, and is small.
    let steady = matches!(walk, Walk::Forward(..));
    if steady {
        sheet.gather();
    }
    let viewed = loop {
        let place = walk.place();
        let gathers = sheet.gathers();
        let found = tokio::select! {
            biased;
            found = next_found(&mut walk, texts, over.as_mut()) => Some(found?),
            // Nothing follows at once: what was gathered waits no longer.
            () = ready(()), if gathers => {
                if let Err(viewed) = sheet.let_go().await {
                    break Some(viewed);
                }
                None
            }
            () = progress.due(), if steady => None,
        };
        progress.look(place, sheet.found());
        match found {
            None => {}
            Some(None) => break None,
            Some(Some(Err(viewed))) => break Some(viewed),
            Some(Some(Ok(found))) => {
                let taken = match found {
                    Found::Record(record) => sheet.take(*record).await,
                    Found::Text(text) => sheet.take_text(&text).await,
                };
                if let Err(viewed) = taken {
                    break Some(viewed);
                }
            }
        }
    };
    progress.end();
    Ok(viewed)
}

/// Waits until no more is wanted, and says why.
async fn over(reader: ReaderWatch, token: &CancellationToken) -> Viewed {
    tokio::select! {
        biased;
        () = token.cancelled() => Viewed::Asked,
        () = reader.left() => Viewed::ReaderLeft,
    }
}

/// The next record, or why no more is wanted; not to be asked again then.
async fn next(
    walk: &mut Walk,
    over: Pin<&mut impl Future<Output = Viewed>>,
) -> Result<Option<Result<Record, Viewed>>, Failure> {
    tokio::select! {
        biased;
        viewed = over => Ok(Some(Err(viewed))),
        found = walk.next() => Ok(found.map_err(broker_failure)?.map(Ok)),
    }
}

/// The same, perhaps as its bare text.
async fn next_found(
    walk: &mut Walk,
    texts: bool,
    over: Pin<&mut impl Future<Output = Viewed>>,
) -> Result<Option<Result<Found, Viewed>>, Failure> {
    if !texts {
        let found = next(walk, over).await?;
        return Ok(found.map(|found| found.map(|record| Found::Record(Box::new(record)))));
    }
    tokio::select! {
        biased;
        viewed = over => Ok(Some(Err(viewed))),
        found = walk.next_stored() => Ok(found.map_err(broker_failure)?.map(Ok)),
    }
}
