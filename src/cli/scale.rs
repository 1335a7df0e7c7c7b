//! `observe process scale`: another number of replicas for a group.
//!
//! The server wants the name of a replica, renames what runs when the number gets another width, and can die of a look
//! that comes at the wrong moment. So the group is found by its configuration, and the adapter is asked to look at
//! nothing meanwhile.

use clap::Args;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::event::filter::Pattern;
use crate::process::control::{Action, Run};
use crate::process_compose::control::Command;
use crate::render::deeds::{Became, Deed};

use super::awaited::{Awaited, Proof, wait_for};
use super::exit::{Exit, Failure, Outcome};
use super::named::{Stack, group, look};
use super::process::{Done, How, deed, intent, unseen};
use super::target::{Need, Target, TargetArgs};

/// The most replicas that are asked for: a slip of the finger starts no ten thousand processes.
const MOST: u32 = 1000;

#[derive(Debug, Args)]
pub(super) struct Scale {
    /// Groups and how many replicas they are to have: NAME=COUNT, or one NAME and its COUNT
    #[arg(value_name = "NAME=COUNT", required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    target: TargetArgs,
}

/// Scales.
pub(super) async fn run(args: Scale, token: &CancellationToken) -> Outcome {
    let wanted = wanted(&args.groups)?;
    let names: Vec<_> = wanted
        .iter()
        .map(|(name, _)| Pattern::literally(name))
        .collect();
    let Some(target) = args.target.find(&names, Need::Adapter, token).await? else {
        return Ok(Exit::Done);
    };
    if !args.how.force {
        target.is_recent().await?;
    }
    let began = Instant::now();
    let mut done = Done::new(Action::Scale, &target.source, false);
    for (name, to) in &wanted {
        one(name, *to, &target, &args.how, &mut done).await?;
    }
    if args.how.wait {
        let rest = args.how.timeout.saturating_sub(began.elapsed());
        let mut unmet = Vec::new();
        for (name, to) in wanted.iter().filter(|(name, _)| done.is_well(name)) {
            let stack = see(&target).await?;
            let members = group(&target.contact.client, &stack, name).await?;
            if members.len() != usize::try_from(*to).unwrap_or(usize::MAX) {
                unmet.push(Awaited {
                    name: name.clone(),
                    reason: format!("there are {}", members.len()),
                    in_time: true,
                });
                continue;
            }
            let names: Vec<_> = members.into_values().collect();
            let proof = Proof::new(Action::Scale, &args.how, rest);
            let place = &args.target.place;
            unmet.extend(wait_for(&proof, &names, &target.contact, place).await?);
        }
        done.weigh(unmet);
    }
    done.tell(&args.how).await
}

async fn see(target: &Target) -> Result<Stack, Failure> {
    let stack = look(&target.contact.client).await;
    stack.map_err(|error| unseen(&error))
}

/// Scales one group.
async fn one(
    name: &str,
    to: u32,
    target: &Target,
    how: &How,
    done: &mut Done<'_>,
) -> Result<(), Failure> {
    let client = &target.contact.client;
    let stack = see(target).await?;
    let members = group(client, &stack, name).await?;
    let from = u32::try_from(members.len()).unwrap_or(u32::MAX);
    let mut deed = Deed {
        from: Some(from),
        to: Some(to),
        ..deed(name)
    };
    let Some(replica) = members.values().next() else {
        return Err(no_group(name, &target.source, stack.contains_key(name)));
    };
    if from == to {
        deed.outcome = Became::Unchanged;
        done.add(deed, Ok(()));
        return Ok(());
    }
    let run = |(_, name): (&u32, &String)| {
        let pid = stack.get(name)?.pid?;
        Some(Run {
            name: name.clone(),
            pid,
        })
    };
    let removed = members.range(to..).filter_map(run).collect();
    let intent = intent(Action::Scale, how.timeout, removed);
    done.note(target.leave(&intent, true).await);
    let result = client
        .command(Command::Scale(replica, to), how.timeout)
        .await;
    let refused = match &result {
        Err(error) if !error.may_be_done() => intent.runs.iter().map(|r| r.name.clone()).collect(),
        _ => Vec::new(),
    };
    target.over(&intent.id, refused).await;
    done.add(deed, result);
    Ok(())
}

fn no_group(name: &str, source: &str, is_process: bool) -> Failure {
    let why = if is_process {
        "it is one replica of a group; name the group as it is configured"
    } else {
        "a group is named as it is configured: web for web-0, web-1"
    };
    let style = super::terminal::words();
    let (name, source) = (style.clean(name, 60), style.clean(source, 60));
    Failure::say(
        Exit::Refused,
        format!("{source} has no group {name}; {why}"),
    )
}

/// What the words on the command line ask for.
fn wanted(words: &[String]) -> Result<Vec<(String, u32)>, Failure> {
    let usage = |why: String| Failure::say(Exit::Usage, why);
    let count = |name: &str, text: &str| match text.parse::<u32>() {
        Ok(0) => Err(usage(format!(
            "a group has at least one replica; observe process stop {name} ends what runs"
        ))),
        Ok(count) if count <= MOST => Ok((name.to_owned(), count)),
        _ => Err(usage(format!(
            "{text} is no number of replicas; 1 to {MOST} are"
        ))),
    };
    if let [name, number] = words
        && !name.contains('=')
        && !number.contains('=')
    {
        return Ok(vec![count(name, number)?]);
    }
    let one = |word: &String| match word.rsplit_once('=') {
        Some((name, number)) if !name.is_empty() => count(name, number),
        _ => Err(usage(format!("{word} says no number; write {word}=3"))),
    };
    words.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_with_their_groups() {
        let read = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            wanted(&words).map_err(|failure| failure.line())
        };
        assert_eq!(read(&["web=3"]), Ok(vec![("web".into(), 3)]));
        assert_eq!(read(&["web", "3"]), Ok(vec![("web".into(), 3)]));
        let both = vec![("web".into(), 3), ("a=b".into(), 1)];
        assert_eq!(read(&["web=3", "a=b=1"]), Ok(both));
        for (words, why) in [
            (vec!["web"], "says no number"),
            (vec!["web", "db"], "no number of replicas"),
            (vec!["web=0"], "observe process stop web"),
            (vec!["web=-1"], "no number of replicas"),
            (vec!["web=100000"], "1 to 1000"),
            (vec!["=3"], "says no number"),
            (vec!["web=3", "db"], "write db=3"),
        ] {
            let error = read(&words).unwrap_err();
            assert!(error.contains(why), "{words:?}: {error}");
        }
    }
}
