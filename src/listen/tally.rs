//! How many events of which sort were told of a source, and which of its processes crashed how often. Pure.
//!
//! Names come from outside, and there may be new ones for ever: so many processes have numbers of their own, the others
//! share one. What is counted is never lost: the numbers of a process that is gone go to the others when room is needed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::event::payload::{Kind, Origin};

/// So many processes of a source have numbers of their own.
pub(super) const MOST: usize = 256;
/// Longer names than this have none, in bytes.
const LONGEST: usize = 200;
/// What the others are called.
pub(super) const OTHER: &str = "(other)";

/// A namespace and a name.
type Name = (String, String);

/// What happened to a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) crashes: u64,
    pub(super) restarts: u64,
}

impl Ends {
    fn add(&mut self, more: Self) {
        self.crashes += more.crashes;
        self.restarts += more.restarts;
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    Process,
    Source,
}

impl About {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Source => "source",
        }
    }
}

/// The numbers of one source.
#[derive(Debug, Default)]
pub(super) struct Tally {
    types: BTreeMap<(About, Kind), u64>,
    processes: BTreeMap<Name, Ends>,
    others: Ends,
}

/// As much of an event as is counted.
#[derive(Deserialize)]
struct Brief<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(borrow, default)]
    process: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    origin: Origin,
    count: u32,
}

impl Tally {
    /// Counts an event as it was told; what is no event is not counted.
    pub(super) fn count(&mut self, text: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Brief<'_>>(text) else {
            return;
        };
        let about = match event.process {
            Some(_) => About::Process,
            None => About::Source,
        };
        *self.types.entry((about, event.kind.clone())).or_default() += 1;
        let Some(process) = event.process else {
            return;
        };
        let number = u64::from(event.count);
        let ends = match event.kind {
            // What a first look finds did not happen now.
            _ if event.origin == Origin::Initial => Ends::default(),
            Kind::Crashed => Ends {
                crashes: number,
                restarts: 0,
            },
            Kind::Restarted => Ends {
                crashes: 0,
                restarts: number,
            },
            _ => Ends::default(),
        };
        if ends != Ends::default() {
            self.of(&event.namespace.unwrap_or_default(), &process)
                .add(ends);
        }
    }

    /// The numbers of a process: its own, or those of the others.
    fn of(&mut self, namespace: &str, process: &str) -> &mut Ends {
        let name = (namespace.to_owned(), process.to_owned());
        let is_short = namespace.len().max(process.len()) <= LONGEST;
        let has_room = self.processes.len() < MOST || self.processes.contains_key(&name);
        if is_short && has_room {
            self.processes.entry(name).or_default()
        } else {
            &mut self.others
        }
    }

    /// Gives each process that there is numbers of its own, as far as there is room, so that its first crash is a
    /// difference; those of processes that are gone make room.
    pub(super) fn know<'a>(&mut self, all: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
        if self.processes.len() >= MOST {
            let there: std::collections::BTreeSet<_> = all.clone().collect();
            let others = &mut self.others;
            self.processes.retain(|(namespace, process), ends| {
                let stays = there.contains(&(namespace.as_str(), process.as_str()));
                if !stays {
                    others.add(*ends);
                }
                stays
            });
        }
        for (namespace, process) in all {
            self.of(namespace, process);
        }
    }

    /// How many events of each sort.
    pub(super) fn types(&self) -> impl Iterator<Item = (About, &Kind, u64)> {
        self.types
            .iter()
            .map(|((about, kind), n)| (*about, kind, *n))
    }

    /// What happened to each process, those without numbers of their own last.
    pub(super) fn processes(&self) -> impl Iterator<Item = (&str, &str, Ends)> {
        let own = self.processes.iter();
        let own = own.map(|((namespace, process), ends)| (&**namespace, &**process, *ends));
        own.chain([(OTHER, OTHER, self.others)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, process: &str, more: &str) -> Vec<u8> {
        format!(
            r#"{{"type":"{kind}","process":"{process}","namespace":"d","state":{{}},"origin":"change","count":1{more}}}"#
        )
        .into_bytes()
    }

    fn ends(tally: &Tally, process: &str) -> (u64, u64) {
        let mut all = tally.processes();
        let (_, _, ends) = all.find(|(_, name, _)| *name == process).unwrap();
        (ends.crashes, ends.restarts)
    }

    #[test]
    fn what_happened_is_counted_and_what_was_found_is_not() {
        let mut tally = Tally::default();
        tally.know([("d", "api"), ("d", "web")].into_iter());
        tally.count(&event("crashed", "api", ""));
        tally.count(&event("restarted", "api", "").replace_count(3));
        let found = String::from_utf8(event("crashed", "web", "")).unwrap();
        tally.count(found.replace("change", "initial").as_bytes());
        tally.count(br#"{"type":"restarted","origin":"change","count":1}"#);
        tally.count(b"nonsense");
        assert_eq!((ends(&tally, "api"), ends(&tally, "web")), ((1, 3), (0, 0)));
        assert_eq!(ends(&tally, OTHER), (0, 0));
        let types: Vec<_> = tally
            .types()
            .map(|(about, kind, n)| (about, kind.as_str().to_owned(), n))
            .collect();
        assert_eq!(
            types,
            [
                (About::Process, "crashed".into(), 2),
                (About::Process, "restarted".into(), 1),
                (About::Source, "restarted".into(), 1)
            ]
        );
    }

    trait Often {
        fn replace_count(self, count: u32) -> Self;
    }

    impl Often for Vec<u8> {
        fn replace_count(self, count: u32) -> Self {
            let text = String::from_utf8(self).unwrap();
            text.replace(r#""count":1"#, &format!(r#""count":{count}"#))
                .into()
        }
    }

    #[test]
    fn so_many_processes_have_numbers_of_their_own_and_no_crash_is_lost() {
        let mut tally = Tally::default();
        for number in 0..2 * MOST {
            tally.count(&event("crashed", &format!("p{number}"), ""));
        }
        tally.count(&event("crashed", &"x".repeat(LONGEST + 1), ""));
        let sum = |tally: &Tally| {
            tally
                .processes()
                .map(|(_, _, ends)| ends.crashes)
                .sum::<u64>()
        };
        assert_eq!(tally.processes().count(), MOST + 1);
        assert_eq!(ends(&tally, OTHER), (MOST as u64 + 1, 0));
        let all = 2 * MOST as u64 + 1;
        assert_eq!(sum(&tally), all);
        // They are gone, and others came.
        tally.know([("d", "p0"), ("d", "new")].into_iter());
        assert_eq!((ends(&tally, "p0"), ends(&tally, "new")), ((1, 0), (0, 0)));
        assert_eq!((tally.processes().count(), sum(&tally)), (3, all));
    }
}
