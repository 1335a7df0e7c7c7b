//! `observe stats`: crashes, restarts and uptime, out of what was told.

use std::io::IsTerminal as _;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::bus::connect::Bus;
use crate::bus::past::Extent;
use crate::bus::settings::BusSettings;
use crate::event::filter::{Filter, Pattern};
use crate::process::reading::Vitals;
use crate::render::door::Charset;
use crate::render::stats::{Face, PIECES};
use crate::render::stats_json::object;
use crate::render::style::ColorChoice;
use crate::render::time::{TimeStyle, Times as Shown};
use crate::stats::fold::Stats as Figures;
use crate::stats::report::{By, Question, Range, Report, Selection};

use super::broker_args::BrokerArgs;
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::kept::kept;
use super::open::broker_failure;
use super::opening::stands;
use super::progress::Progress;
use super::terminal::{self, Output, say};
use super::walk::{Ground, Times, Walk};

const EXAMPLES: &str = "\
Examples:
  observe stats                                    each process, in the last 24 hours
  observe stats --since 1h api 'web-*'             these processes or groups, in the last hour
  observe stats -S yesterday -U today --by namespace
  observe stats -o json | jq '.lines[] | select(.figures.crashes.total > 0)'

up is a share of the time that is known; MTBF the time up for each crash, MTTR the time from a crash to the next run, both
on average; ~ stands where something was inferred or is ambiguous. What nobody watched is unknown, neither up nor down.";

/// Prints crashes, restarts and uptime.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Stats {
    /// Processes or groups, by name or glob
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The same as a NAME
    #[arg(long, value_name = "NAME", help_heading = "Filter")]
    process: Vec<String>,
    /// Namespaces, by name or glob
    #[arg(
        short = 'N',
        long,
        value_name = "NAMESPACE",
        value_delimiter = ',',
        help_heading = "Filter"
    )]
    namespace: Vec<String>,
    /// Sources, by name or glob
    #[arg(
        long,
        value_name = "SOURCE",
        value_delimiter = ',',
        help_heading = "Filter"
    )]
    source: Vec<String>,
    /// From this time on
    #[arg(
        short = 'S',
        long,
        value_name = "TIME",
        default_value = "24h",
        allow_hyphen_values = true
    )]
    since: String,
    /// Up to this time; otherwise up to now
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// What a line is about
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    by: Each,
    /// How it is written: text is a table, json is one object
    #[arg(
        short = 'o',
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    output: As,
    /// The same as -o json
    #[arg(long, conflicts_with = "output", help_heading = "Output")]
    json: bool,
    /// Whose wall clock times are told by: local or utc
    #[arg(
        long,
        value_name = "HOW",
        default_value = "local",
        help_heading = "Output"
    )]
    time: TimeStyle,
    /// When to use colour: auto, always or never
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    color: ColorChoice,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum As {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Each {
    #[default]
    Process,
    Namespace,
    Source,
}

/// What was asked for, checked before anybody is asked.
struct Wish {
    times: Times,
    sources: Filter,
    selection: Selection,
}

/// Shows the figures, and ends.
pub(super) async fn run(args: Stats, token: CancellationToken) -> Outcome {
    let wish = args.wish(Utc::now())?;
    let kept = Box::pin(kept("observe stats", &args.broker));
    let Some(kept) = token.run_until_cancelled(kept).await else {
        return Ok(Exit::Done);
    };
    let (bus, settings, _lease) = kept?;
    let report = args.report(wish, &bus, &settings);
    let Some(report) = token.run_until_cancelled(report).await else {
        return Ok(Exit::Done);
    };
    args.show(&report?, &token).await
}

impl Stats {
    fn wish(&self, now: DateTime<Utc>) -> Result<Wish, Failure> {
        let patterns = |texts: &mut dyn Iterator<Item = &String>| {
            let parsed = texts.map(|text| Pattern::parse(text));
            parsed.collect::<Result<Vec<_>, _>>().or_exit(Exit::Usage)
        };
        let mut sources = Filter::all();
        for source in &self.source {
            sources = sources.source(source).or_exit(Exit::Usage)?;
        }
        Ok(Wish {
            times: Times::given(Some(&self.since), self.until.as_deref(), self.time, now)?,
            sources,
            selection: Selection {
                names: patterns(&mut self.names.iter().chain(&self.process))?,
                namespaces: patterns(&mut self.namespace.iter())?,
            },
        })
    }

    /// Reads everything that was told of that time. How the sources stand is read first, so that no head is newer than
    /// the last event; what was told behind the time is read, too, since it may tell of a stretch within it.
    async fn report(
        &self,
        wish: Wish,
        bus: &Bus,
        settings: &BusSettings,
    ) -> Result<Report, Failure> {
        let stands = stands(bus, settings, &wish.sources, |_| {})
            .await
            .map_err(broker_failure)?;
        let extent = Extent::of(bus, &settings.stream)
            .await
            .map_err(broker_failure)?;
        let now = Utc::now();
        let range = Range {
            from: wish.times.since.unwrap_or(now),
            to: wish.times.until.map_or(now, |until| until.min(now)),
        };
        let mut figures = Figures::new(range);
        let ground = (&extent, None);
        let ground = Ground::new(bus, settings, &wish.sources, ground, wish.times);
        read(Walk::everything(ground), extent.last, &mut figures).await?;
        for (root, table) in &stands {
            let looks = now - root.looked_at;
            let is_fresh = looks.to_std().is_ok_and(|age| age <= root.stale_after());
            let until = if root.connected && is_fresh {
                now
            } else {
                root.looked_at
            };
            figures.is_known_until(&root.source, until);
            figures.leaves_out(&root.source, root.left_out.as_ref());
            for row in table.rows() {
                let state = row.state(&Vitals::default());
                let memory = &row.memory;
                figures.stands(&root.source, &state, (memory.open, memory.process_seq));
            }
        }
        let kept = extent.kept_since(bus, &settings.stream, now).await;
        let kept = kept.map_err(broker_failure)?;
        Ok(figures.report(&Question {
            selection: wish.selection,
            by: match self.by {
                Each::Process => By::Process,
                Each::Namespace => By::Namespace,
                Each::Source => By::Source,
            },
            buckets: PIECES,
            kept,
        }))
    }

    async fn show(&self, report: &Report, token: &CancellationToken) -> Outcome {
        let face = self.face();
        let lines = if self.json || self.output == As::Json {
            vec![object(report).or_exit(Exit::Refused)?]
        } else if report.lines.is_empty() {
            Vec::new()
        } else {
            let lines = face.table(report);
            lines.into_iter().map(String::into_bytes).collect()
        };
        say(&face.summary(report));
        for sight in &report.sources {
            if let Some(line) = face.unwatched(sight) {
                say(&line);
            }
        }
        if let Some(line) = face.left_out(report) {
            say(&line);
        }
        let output = Output::open();
        let written = async {
            for line in lines {
                // A reader that left has had enough.
                if output.line(line).await.is_err() {
                    break;
                }
            }
            output.finish().await
        };
        // A reader that stands still must not keep us from ending.
        token.run_until_cancelled(written).await.transpose()?;
        Ok(Exit::Done)
    }

    fn face(&self) -> Face {
        let is_terminal = std::io::stdout().is_terminal();
        let mut style = terminal::style(self.color, is_terminal);
        if is_terminal && std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            style.charset = Charset::Ascii;
        }
        Face {
            style,
            times: Shown::new(self.time),
            terminal: terminal::width(),
        }
    }
}

/// Reads a walk to its end.
async fn read(mut walk: Walk, last: u64, figures: &mut Figures) -> Result<(), Failure> {
    let (mut progress, mut found) = (Progress::begin(last), 0);
    loop {
        let place = walk.place();
        let next = tokio::select! {
            biased;
            next = walk.next() => Some(next.map_err(broker_failure)?),
            () = progress.due() => None,
        };
        progress.look(place, found);
        match next {
            None => {}
            Some(None) => break,
            Some(Some(record)) => {
                found += 1;
                figures.see(&record.envelope);
            }
        }
    }
    progress.end();
    Ok(())
}
