//! `observe diff`: what differs between two moments.

use chrono::{DateTime, Utc};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::process::difference::differences;
use crate::process::moment::{Choice, Known, Moment};
use crate::render::difference::Differences;
use crate::render::standings::{Drawing, Standings};
use crate::render::words::count;

use super::broker_args::BrokerArgs;
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::kept::kept;
use super::recall::fold_back;
use super::standing_args::{As, ChoiceArgs, TableArgs};
use super::terminal::{Output, say, words};

const EXAMPLES: &str = "\
Examples:
  observe diff 1h                           what changed since an hour ago
  observe diff 'yesterday 18:30' today      between two moments
  observe diff 10m --process 'web-*'        of these processes or groups
  observe diff 1h -o json | jq -r '.differences[].process'

Times are those of observe history --since. A process that stands as it stood is not shown, whatever happened between;
observe history shows that. Where one of the two moments is not known, the line says unknown.";

/// Shows what differs between two moments.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Diff {
    /// The first moment
    #[arg(value_name = "TIME", allow_hyphen_values = true)]
    from: String,
    /// The second moment; by default the present
    #[arg(value_name = "TIME2", allow_hyphen_values = true)]
    to: Option<String>,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// Shows it.
pub(super) async fn run(args: Diff, token: CancellationToken) -> Outcome {
    let choice = args.choice.choice(&[])?;
    let filter = args.choice.sources()?;
    let now = Utc::now();
    let from = args.table.moment(&args.from, now)?;
    let to = args.to.as_deref().map(|text| args.table.moment(text, now));
    let to = to.transpose()?;
    if to.is_some_and(|to| to < from) {
        let words = "the second moment lies before the first";
        return Err(Failure::say(Exit::Usage, words));
    }
    let kept = Box::pin(kept("observe diff", &args.broker));
    let Some(kept) = token.run_until_cancelled(kept).await else {
        return Ok(Exit::Done);
    };
    let (bus, settings, _lease) = kept?;
    // The present holds whatever is told, also by a clock ahead of ours.
    let moments = [from, to.unwrap_or(DateTime::<Utc>::MAX_UTC)];
    let folded = fold_back(&bus, &settings, &filter, &moments, &token).await?;
    let Some(folded) = folded else {
        return Ok(Exit::Done);
    };
    let mut folded = folded.into_iter().map(|moments| chosen(moments, &choice));
    let (before, after) = (
        folded.next().unwrap_or_default(),
        folded.next().unwrap_or_default(),
    );
    let found = differences(&before, &after);
    let shown = Differences {
        from,
        to: to.unwrap_or(now),
        found: &found,
    };
    let output = Output::open();
    let text = match args.table.format() {
        As::Json => shown.json().or_exit(Exit::Refused)?,
        As::Text | As::Wide => shown.lines(&args.table.drawing()).concat().into_bytes(),
    };
    if !text.is_empty() {
        // A reader that left has had enough.
        drop(output.line(text).await);
    }
    output.finish().await?;
    tell_left_out(&before, &after, now);
    if args.table.format() != As::Json {
        args.tell_blind((&before, Some(from)), now);
        args.tell_blind((&after, to), now);
        tell(found.is_empty(), &before, &after);
    }
    Ok(Exit::Done)
}

impl Diff {
    /// Says of which sources nothing, or nothing later, was known then.
    fn tell_blind(&self, (moments, at): (&[Moment], Option<DateTime<Utc>>), now: DateTime<Utc>) {
        let standings = Standings {
            moments,
            at,
            now,
            hidden: 0,
        };
        let drawing = Drawing {
            style: words(),
            ..self.table.drawing()
        };
        for line in standings.blind(&drawing) {
            say(&line);
        }
    }
}

/// Says at which of the two moments something is not known because it was left out on purpose.
fn tell_left_out(before: &[Moment], after: &[Moment], now: DateTime<Utc>) {
    let lines = |moments| {
        let standings = Standings {
            moments,
            at: None,
            now,
            hidden: 0,
        };
        standings.left_out(words())
    };
    let (mut first, second) = (lines(before), lines(after));
    first.extend(
        second
            .into_iter()
            .filter(|line| !lines(before).contains(line)),
    );
    for line in &first {
        say(line);
    }
}

fn chosen(moments: Vec<Moment>, choice: &Choice) -> Vec<Moment> {
    let chosen = moments.into_iter().map(|moment| moment.chosen(choice));
    chosen.collect()
}

/// What no line says.
fn tell(is_empty: bool, before: &[Moment], after: &[Moment]) {
    if before.is_empty() && after.is_empty() {
        say("nothing was ever told of such a source here");
        return;
    }
    let unknown = |moments: &[Moment]| -> Vec<_> {
        let of = |moment: &Moment| {
            let unknown = moment
                .processes
                .iter()
                .filter(|found| found.known != Known::Now);
            let named = unknown.map(|found| (moment.source.clone(), found.name.clone()));
            named.collect::<Vec<_>>()
        };
        moments.iter().flat_map(of).collect()
    };
    let (one, other) = (unknown(before), unknown(after));
    let both = one.iter().filter(|name| other.contains(name)).count();
    let both = u64::try_from(both).unwrap_or(u64::MAX);
    let unknown = format!(
        "of {} nothing is known at either moment",
        count(both, "process", "processes")
    );
    match (is_empty, both) {
        (true, 0) => say("nothing differs"),
        (true, _) => say(&format!("nothing that is known differs; {unknown}")),
        (false, 0) => {}
        (false, _) => say(&unknown),
    }
}
