//! What differs between two moments.

use std::collections::{BTreeMap, BTreeSet};

use super::moment::{Found, Known, Moment, Sighted};

/// One process that stood differently at two moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What is watched.
    pub source: String,
    /// How it stood at the first moment; absent where there was none of this name.
    pub before: Option<Found>,
    /// How it stood at the second moment; absent where there was none of this name.
    pub after: Option<Found>,
}

impl Difference {
    /// The name of the process.
    pub fn name(&self) -> &str {
        let either = self.after.as_ref().or(self.before.as_ref());
        either.map_or("", |found| &found.name)
    }

    /// How many restarts of the supervisor's policy lie between; nothing where one of the two is not known. Below zero
    /// where counting began anew.
    pub fn restarts(&self) -> Option<i64> {
        let restarts = |found: &Option<Found>| Some(found.as_ref()?.now()?.restarts);
        let after = restarts(&self.after)?;
        Some(after.saturating_sub(restarts(&self.before)?))
    }

    /// Whether both are known and another run goes on, or ended last.
    pub fn is_another_run(&self) -> bool {
        let pid = |found: &Option<Found>| found.as_ref()?.now()?.pid;
        matches!((pid(&self.before), pid(&self.after)), (Some(one), Some(other)) if one != other)
    }
}

/// What differs, by source and name. What is known at neither moment differs in nothing.
pub fn differences(before: &[Moment], after: &[Moment]) -> Vec<Difference> {
    let all = before.iter().chain(after);
    let sources: BTreeSet<&str> = all.map(|moment| moment.source.as_str()).collect();
    let mut found = Vec::new();
    for source in sources {
        let (is_known, was_known) = (is_known(after, source), is_known(before, source));
        let (before, after) = (by_name(before, source), by_name(after, source));
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let (one, other) = (before.get(name).copied(), after.get(name).copied());
            // Of a source that nobody watched it is not known that it lacked something.
            let stands_for = |like: Option<&Found>| like.cloned().map(Found::nothing);
            let before = one
                .cloned()
                .or_else(|| stands_for(other.filter(|_| !was_known)));
            let after = other
                .cloned()
                .or_else(|| stands_for(one.filter(|_| !is_known)));
            if differ(before.as_ref(), after.as_ref()) {
                let source = source.to_owned();
                found.push(Difference {
                    source,
                    before,
                    after,
                });
            }
        }
    }
    found
}

/// Whether it is known which processes a source had.
fn is_known(moments: &[Moment], source: &str) -> bool {
    use Sighted::{Lost, Seen, Unwatched};
    let mut of_it = moments.iter().filter(|moment| moment.source == source);
    of_it.any(|moment| matches!(moment.sighted, Seen(_) | Unwatched(_) | Lost(_)))
}

fn by_name<'m>(moments: &'m [Moment], source: &str) -> BTreeMap<&'m str, &'m Found> {
    let of_it = moments.iter().filter(|moment| moment.source == source);
    let processes = of_it.flat_map(|moment| &moment.processes);
    processes.map(|found| (&*found.name, found)).collect()
}

fn differ(before: Option<&Found>, after: Option<&Found>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return true;
    };
    match (before.known, after.known) {
        (Known::Now, Known::Now) => key(before) != key(after),
        (Known::Now, _) | (_, Known::Now) => true,
        _ => false,
    }
}

type Key<'f> = (&'f str, &'f str, i64, Option<i64>, bool);

fn key(found: &Found) -> Option<Key<'_>> {
    let state = found.state.as_ref()?;
    let health = if state.is_running {
        &*state.is_ready
    } else {
        "-"
    };
    Some((
        &state.status,
        health,
        state.restarts,
        state.pid,
        state.is_running,
    ))
}
