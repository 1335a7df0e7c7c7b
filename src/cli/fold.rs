//! Folding: repeats of one event, or of a crash and its restart in turn, become one line with a count.

use std::collections::VecDeque;

use crate::event::envelope::Envelope;
use crate::event::record::Record;

/// How many different events of one process may take turns.
const TURNS: usize = 2;

/// Holds what may be repeated, until something else comes.
#[derive(Debug, Default)]
pub(super) struct Fold {
    held: VecDeque<Record>,
}

impl Fold {
    /// Takes the next record, and gives those that cannot be repeated any more.
    pub(super) fn take(&mut self, record: Record) -> Vec<Record> {
        let event = &record.envelope;
        if let Some(held) = self
            .held
            .iter_mut()
            .find(|held| repeats(&held.envelope, event))
        {
            let count = held.envelope.count.saturating_add(event.count);
            if event.timestamp >= held.envelope.timestamp {
                *held = record;
            }
            held.envelope.count = count;
            return Vec::new();
        }
        let same = |held: &Record| {
            held.envelope.process == event.process && held.envelope.source == event.source
        };
        let mut out = Vec::new();
        if event.process.is_none() || !self.held.iter().all(same) {
            out.extend(self.rest());
        } else if self.held.len() == TURNS {
            out.extend(self.held.pop_front());
        }
        if event.process.is_none() {
            out.push(record);
        } else {
            self.held.push_back(record);
        }
        out
    }

    /// What is still held.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Record> + '_ {
        self.held.drain(..)
    }
}

/// Whether a line would say the same again.
fn repeats(one: &Envelope, other: &Envelope) -> bool {
    let key = |event: &Envelope| {
        (
            event.kind.clone(),
            event.reason.clone(),
            event.origin,
            event.certainty.clone(),
        )
    };
    one.process.is_some()
        && (&one.process, &one.namespace, &one.source)
            == (&other.process, &other.namespace, &other.source)
        && key(one) == key(other)
        && one.exit == other.exit
        && one.journal == other.journal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::record::Position;

    fn record(seq: u64, kind: &str, process: &str) -> Record {
        let process = match process {
            "" => String::new(),
            name => format!(r#""process":"{name}","#),
        };
        let text = format!(
            r#"{{"type":"{kind}",{process}"timestamp":"2026-08-20T07:18:{seq:02}Z","subject":"s","severity":"info","schema":1,
            "id":"i","source":"shop","journal":"j","seq":{seq},"origin":"change","reason":"r",
            "certainty":"certain","occurred":{{"after":null,"before":"2026-08-20T07:18:04Z"}},"count":1}}"#
        );
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        let position = Position {
            stream: "".into(),
            sequence: seq,
            stored_at: envelope.timestamp,
        };
        Record {
            envelope,
            raw: text.into_bytes().into(),
            position,
        }
    }

    fn folded(events: &[(&str, &str)]) -> Vec<String> {
        let (mut fold, mut out) = (Fold::default(), Vec::new());
        for (seq, (kind, process)) in (1..).zip(events) {
            out.extend(fold.take(record(seq, kind, process)));
        }
        out.extend(fold.rest());
        out.iter()
            .map(|r| {
                format!(
                    "{} {} {}x {}",
                    r.envelope.kind.as_str(),
                    r.envelope.process.as_deref().unwrap_or("-"),
                    r.envelope.count,
                    r.envelope.seq
                )
            })
            .collect()
    }

    #[test]
    fn repeats_become_one_with_a_count_and_the_last_one_s_time() {
        assert_eq!(
            folded(&[("crashed", "api"), ("crashed", "api"), ("crashed", "api")]),
            ["crashed api 3x 3"]
        );
    }

    #[test]
    fn a_crash_and_its_restart_take_turns_and_become_two() {
        assert_eq!(
            folded(&[
                ("crashed", "api"),
                ("restarted", "api"),
                ("crashed", "api"),
                ("restarted", "api")
            ]),
            ["crashed api 2x 3", "restarted api 2x 4"]
        );
    }

    #[test]
    fn anything_else_between_ends_a_repetition() {
        assert_eq!(
            folded(&[("crashed", "api"), ("crashed", "web"), ("crashed", "api")]),
            ["crashed api 1x 1", "crashed web 1x 2", "crashed api 1x 3"]
        );
        assert_eq!(
            folded(&[
                ("crashed", "api"),
                ("gap", ""),
                ("gap", ""),
                ("crashed", "api")
            ]),
            [
                "crashed api 1x 1",
                "gap - 1x 2",
                "gap - 1x 3",
                "crashed api 1x 4"
            ]
        );
        assert_eq!(
            folded(&[
                ("crashed", "a"),
                ("restarted", "a"),
                ("healthy", "a"),
                ("crashed", "a")
            ]),
            [
                "crashed a 1x 1",
                "restarted a 1x 2",
                "healthy a 1x 3",
                "crashed a 1x 4"
            ]
        );
    }
}
