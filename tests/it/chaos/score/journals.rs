//! Journals: one, and another one for each older store that came back.

use super::event::Event;
use crate::chaos::truth::{Restore, time};

/// Each journal behind the first begins with the gap of its restore.
pub(super) fn score(restores: &[Restore], events: &[Event], wrong: &mut Vec<String>) {
    let journals: Vec<&[Event]> = events
        .chunk_by(|a, b| a.raw["journal"] == b.raw["journal"])
        .collect();
    for (index, journal) in journals.iter().enumerate() {
        let name = &journal[0].raw["journal"];
        if (journals[..index].iter()).any(|earlier| earlier[0].raw["journal"] == *name) {
            wrong.push(format!("a journal goes on behind another: {}", journal[0]));
        }
    }
    let (begun, wanted) = (journals.len().saturating_sub(1), restores.len());
    if begun != wanted {
        wrong.push(format!(
            "{begun} journals behind the first, where {wanted} older stores came back"
        ));
    }
    for (journal, restore) in journals.iter().skip(1).zip(restores) {
        if !tells(&journal[0], restore) {
            wrong.push(format!(
                "a journal that does not begin with the gap of {restore:?}: {}",
                journal[0].raw
            ));
        }
    }
}

/// Whether an event is the gap of an older store: what is gone lies in it.
pub(super) fn tells(event: &Event, restore: &Restore) -> bool {
    let gap = &event.raw["gap"];
    let end = |key: &str| gap[key].as_str().map(time);
    event.kind == "gap"
        && gap["why"] == "rolled_back"
        && end("from").is_some_and(|from| from <= restore.copied)
        && end("to").is_some_and(|to| to >= restore.restored)
}
