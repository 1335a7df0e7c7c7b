//! Is the server we look at the one whose head we found? Pure: it asks nobody.

use chrono::{DateTime, Utc};

use crate::event::store::{Identity, Root};

use super::settings::Claim;

/// Whether somebody keeps a root alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It moved lately: its adapter is at work.
    Fresh,
    /// It stands still: nobody looks.
    Stale,
}

/// The age of a root by its own word, at the start, when its movement cannot be watched yet. A root from the future is
/// fresh: clocks differ.
pub fn age_at_start(root: &Root, now: DateTime<Utc>) -> Age {
    match (now - root.looked_at).to_std() {
        Ok(still) if still >= root.stale_after() => Age::Stale,
        _ => Age::Fresh,
    }
}

/// Ourselves, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Us<'a> {
    /// The name of this adapter.
    pub adapter: &'a str,
    /// The server we look at.
    pub identity: &'a Identity,
    /// Its epoch; none where it could not be asked yet.
    pub epoch: Option<&'a str>,
    /// How firmly the source's name is ours.
    pub claim: Claim,
}

/// What follows from a comparison of the root with our server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The same server, as far as anybody can tell; the head is to be continued.
    Same,
    /// Another server, and a person said that its name shall be ours: continued as a new epoch. One line about it.
    TakeOver(String),
    /// Another server of the same name.
    Refuse {
        /// One line naming both and what to do.
        line: String,
        /// True where asking our server for its epoch once more may settle it.
        ask_again: bool,
    },
}

/// Compares the root that was found with the server we look at.
pub fn judge(root: &Root, age: Age, us: Us<'_>) -> Verdict {
    let other_project = !root.identity.project.is_empty()
        && !us.identity.project.is_empty()
        && root.identity.project != us.identity.project;
    let epochs = us
        .epoch
        .filter(|ours| !ours.is_empty() && !root.epoch.is_empty() && **ours != root.epoch);
    let earlier = epochs.is_some_and(|ours| is_earlier(ours, &root.epoch));
    let foreign = age == Age::Fresh && root.adapter != us.adapter;
    if !(other_project || earlier || foreign && epochs.is_some()) {
        return Verdict::Same;
    }
    if age == Age::Stale && us.claim != Claim::Derived {
        return Verdict::TakeOver(takes_over(root, us));
    }
    Verdict::Refuse {
        line: refusal(root, age, us, other_project),
        ask_again: !other_project,
    }
}

/// Whether an epoch lies before another; false where either is no time.
pub fn is_earlier(epoch: &str, other: &str) -> bool {
    match (
        epoch.parse::<DateTime<Utc>>(),
        other.parse::<DateTime<Utc>>(),
    ) {
        (Ok(epoch), Ok(other)) => epoch < other,
        _ => false,
    }
}

/// The line for two servers that take turns under one name: theirs by adapter and epoch, ours by identity and epoch.
pub(super) fn two_servers(
    source: &str,
    (adapter, epoch): (&str, &str),
    (identity, ours): (&Identity, &str),
) -> String {
    format!(
        "two process-composes call themselves {}: one started {}, watched by {}, and ours, {}; give one --source NAME",
        clean(source),
        clean(epoch),
        clean(adapter),
        server(identity, ours)
    )
}

fn refusal(root: &Root, age: Age, us: Us<'_>, other_project: bool) -> String {
    let source = clean(&root.source);
    let both = format!("{}, and ours, {}", theirs(root), ours(us));
    let fix = match age {
        Age::Fresh => "give one --source NAME",
        Age::Stale => "give one --source NAME, or take the name over by --adopt",
    };
    if other_project {
        format!("two projects are called {source}: {both}; {fix}")
    } else {
        format!("two process-composes call themselves {source}: {both}; {fix}")
    }
}

fn takes_over(root: &Root, us: Us<'_>) -> String {
    format!(
        "{} goes on as {}; it was {}",
        clean(&root.source),
        ours(us),
        theirs(root)
    )
}

fn theirs(root: &Root) -> String {
    format!(
        "{}, watched by {}",
        server(&root.identity, &root.epoch),
        clean(&root.adapter)
    )
}

fn ours(us: Us<'_>) -> String {
    server(us.identity, us.epoch.unwrap_or_default())
}

/// `shop on web1 (http://…), started 2026-…`, as far as it is known.
fn server(identity: &Identity, epoch: &str) -> String {
    let mut text = if identity.project.is_empty() {
        "one without a project name".to_owned()
    } else {
        format!("the one of project {}", clean(&identity.project))
    };
    for (word, value) in [
        (" on ", &*identity.host),
        (" at ", &identity.endpoint),
        (" started ", epoch),
    ] {
        if !value.is_empty() {
            text.push_str(word);
            text.push_str(&clean(value));
        }
    }
    text
}

/// Foreign text fit for one line: escaped and not longer than a line bears.
fn clean(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
