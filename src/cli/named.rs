//! Which processes the names on a command line mean: one look at the stack, and its configuration where a group is meant.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use crate::event::filter::Pattern;
use crate::process::phase::Phase;
use crate::process::reading::Reading;
use crate::process_compose::client::Client;
use crate::process_compose::error::ClientError;
use crate::process_compose::wire;

use super::exit::{Exit, Failure, OrExit as _};
use super::terminal::words;

/// So many names are listed where one is not found.
const LISTED: usize = 12;

/// One process as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) pid: Option<i64>,
    pub(super) phase: Phase,
}

/// All processes of a stack, by name.
pub(super) type Stack = BTreeMap<String, Standing>;

/// Looks once; once more where the first look met a change.
pub(super) async fn look(client: &Client) -> Result<Stack, ClientError> {
    let body = match client.processes().await {
        Err(error) if error.kind() == crate::process_compose::error::Kind::ServerError => {
            client.processes().await?
        }
        body => body?,
    };
    let rows =
        wire::decode_as::<Reading<'_>>(&body.bytes).map_err(|error| client.undecodable(error))?;
    let readings = rows.rows.into_iter();
    Ok(readings
        .map(|reading| {
            let standing = Standing {
                pid: reading.pid,
                phase: reading.phase,
            };
            (reading.name.into_owned(), standing)
        })
        .collect())
}

/// The patterns that names on a command line are.
pub(super) fn patterns(names: &[String]) -> Result<Vec<Pattern>, Failure> {
    let parsed = names.iter().map(|name| Pattern::parse(name));
    parsed.collect::<Result<_, _>>().or_exit(Exit::Usage)
}

/// What the names mean.
#[derive(Debug, Default)]
pub(super) struct Meant {
    /// The processes.
    pub(super) names: std::collections::BTreeSet<String>,
    /// Whether a glob matched more than one, so that a person had better look at them.
    pub(super) is_broad: bool,
}

/// Finds out what names mean: processes, groups, globs.
pub(super) async fn meant(
    client: &Client,
    source: &str,
    stack: &Stack,
    patterns: &[Pattern],
) -> Result<Meant, Failure> {
    let mut meant = Meant::default();
    for pattern in patterns {
        let mut found: Vec<String> = stack
            .keys()
            .filter(|name| pattern.matches(name))
            .cloned()
            .collect();
        if let Some(literal) = pattern.literal().filter(|_| found.is_empty()) {
            let members = group(client, stack, literal).await?;
            found = members.into_values().collect();
        } else if pattern.literal().is_none() {
            meant.is_broad |= found.len() > 1;
        }
        if found.is_empty() {
            return Err(nobody(source, stack, pattern));
        }
        meant.names.extend(found);
    }
    Ok(meant)
}

/// The members of a group by their numbers. Its own name is one where it has but one.
pub(super) async fn group(
    client: &Client,
    stack: &Stack,
    group: &str,
) -> Result<BTreeMap<u32, String>, Failure> {
    let may_be = |name: &&String| *name == group || is_replica(name, group);
    let mut members = BTreeMap::new();
    for name in stack.keys().filter(may_be) {
        let info = client.process_info(name).await.or_exit(Exit::Source)?;
        if let Some(info) = info.filter(|info| info.group == group) {
            members.insert(info.replica, name.clone());
        }
    }
    Ok(members)
}

/// Whether a name may be that of a replica; only its configuration knows.
pub(super) fn is_replica(name: &str, group: &str) -> bool {
    name.strip_prefix(group)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn nobody(source: &str, stack: &Stack, pattern: &Pattern) -> Failure {
    let style = words();
    let names: Vec<_> = stack
        .keys()
        .take(LISTED)
        .map(|name| style.clean(name, 40).into_owned())
        .collect();
    let rest = stack.len().saturating_sub(names.len());
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    let there = if names.is_empty() {
        "there are none".to_owned()
    } else {
        format!("there are {}{more}", names.join(", "))
    };
    Failure::say(
        Exit::Refused,
        format!(
            "{} has no process or group {}; {there}",
            style.clean(source, 60),
            style.clean(pattern.text(), 60)
        ),
    )
}

/// Asks the person on the terminal whether it is meant; without one nobody can be asked.
pub(super) async fn confirm(action: &str, source: &str, meant: &Meant) -> Result<bool, Failure> {
    let style = words();
    let count = meant.names.len();
    let (input, said) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !said.is_terminal() {
        return Err(Failure::say(
            Exit::Usage,
            format!(
                "a pattern matches {count} processes and nobody can be asked; add --yes to {action} them all"
            ),
        ));
    }
    let names: Vec<_> = meant
        .names
        .iter()
        .map(|name| style.clean(name, 60).into_owned())
        .collect();
    let source = style.clean(source, 60);
    let question = format!(
        "{action} {count} processes of {source}: {}\ngo on? [y/N] ",
        names.join(", ")
    );
    let asked = tokio::task::spawn_blocking(move || {
        let mut said = said.lock();
        said.write_all(question.as_bytes())?;
        said.flush()?;
        let mut answer = String::new();
        input.read_line(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    });
    let answer = asked.await.or_exit(Exit::Refused)?.or_exit(Exit::Refused)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_makes_a_replica() {
        for (name, wanted) in [
            ("web-0", true),
            ("web-12", true),
            ("web", false),
            ("web-", false),
            ("web-a", false),
            ("webs-0", false),
            ("web-1-2", false),
        ] {
            assert_eq!(is_replica(name, "web"), wanted, "{name}");
        }
    }
}
