//! `observe down`: ends what `observe up -d` began.

use std::path::Path;

use chrono::Utc;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::render::time::since;
use crate::render::words::age;

use super::background::{Card, end, folder, list};
use super::exit::{Exit, Failure, OrExit as _, Outcome};
use super::terminal::{say, words};

const EXAMPLES: &str = "\
Examples:
  observe down           the adapter that runs in the background
  observe down shop lab  those of these sources
  observe down --all     all of them

The stack is left as it is, and what was told stays. A broker of our own ends half a minute after its last user.";

/// Ends adapters that observe up -d left in the background.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Down {
    /// Sources, by name; may be left away where only one is told in the background
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// End all of them
    #[arg(short, long, conflicts_with = "sources")]
    all: bool,
}

/// Ends what was asked for, one after the other.
pub(super) async fn run(args: Down, token: CancellationToken) -> Outcome {
    let folder = folder()?;
    let cards = list(&folder).or_exit(Exit::Refused)?;
    let chosen = chosen(&args, cards)?;
    if chosen.is_empty() {
        say("nothing runs in the background");
    }
    let ended = token.run_until_cancelled(all(&folder, &chosen)).await;
    ended.unwrap_or(Ok(Exit::Done))
}

async fn all(folder: &Path, cards: &[Card]) -> Outcome {
    let mut exit = Exit::Done;
    for card in cards {
        let source = words().clean(&card.source, 200);
        let told = age(since(card.since, Utc::now()));
        if end(folder, card).await.or_exit(Exit::Refused)? {
            say(&format!(
                "{source}: ended after {told}; what was told is kept"
            ));
        } else {
            say(&format!(
                "observe: {source} does not end (pid {}); see {}",
                card.pid,
                card.log.display()
            ));
            exit = Exit::Refused;
        }
    }
    Ok(exit)
}

/// Those that are meant.
fn chosen(args: &Down, cards: Vec<Card>) -> Result<Vec<Card>, Failure> {
    let names = |cards: &[Card]| {
        let names: Vec<&str> = cards.iter().map(|card| card.source.as_str()).collect();
        words().clean(&names.join(", "), 1000).into_owned()
    };
    for source in &args.sources {
        if !cards.iter().any(|card| card.source == *source) {
            let others = match cards.as_slice() {
                [] => "nothing runs there".to_owned(),
                others => format!("what runs there: {}", names(others)),
            };
            return Err(Failure::say(
                Exit::Refused,
                format!("{source} is not told from the background; {others}"),
            ));
        }
    }
    if args.sources.is_empty() && !args.all && cards.len() > 1 {
        return Err(Failure::say(
            Exit::Usage,
            format!(
                "several run in the background: {}; say which, or --all",
                names(&cards)
            ),
        ));
    }
    let wanted = |card: &Card| args.sources.is_empty() || args.sources.contains(&card.source);
    Ok(cards.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chrono::DateTime;

    use super::*;

    fn card(source: &str) -> Card {
        Card {
            pid: 1,
            mark: PathBuf::new(),
            key: String::new(),
            source: source.into(),
            what: String::new(),
            stream: String::new(),
            broker: String::new(),
            managed: true,
            since: DateTime::UNIX_EPOCH,
            log: PathBuf::new(),
        }
    }

    #[test]
    fn one_is_meant_without_a_name_and_several_are_not() {
        let ends = |sources: &[&str], all: bool, run: &[&str]| {
            let args = Down {
                sources: sources.iter().map(ToString::to_string).collect(),
                all,
            };
            chosen(&args, run.iter().map(|name| card(name)).collect())
                .map(|cards| {
                    cards
                        .into_iter()
                        .map(|card| card.source)
                        .collect::<Vec<_>>()
                })
                .map_err(|failure| (failure.exit, failure.line()))
        };
        assert_eq!(ends(&[], false, &[]).unwrap(), Vec::<String>::new());
        assert_eq!(ends(&[], false, &["shop"]).unwrap(), ["shop"]);
        assert_eq!(ends(&[], true, &["lab", "shop"]).unwrap(), ["lab", "shop"]);
        assert_eq!(ends(&["shop"], false, &["lab", "shop"]).unwrap(), ["shop"]);
        let (exit, line) = ends(&[], false, &["lab", "shop"]).unwrap_err();
        assert_eq!(exit, Exit::Usage);
        assert!(line.contains("lab, shop"), "{line}");
        let (exit, line) = ends(&["x"], false, &["lab"]).unwrap_err();
        assert_eq!(exit, Exit::Refused);
        assert!(line.contains("what runs there: lab"), "{line}");
    }
}
