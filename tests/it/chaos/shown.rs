//! Holds what a reader was shown, who watched all the time, against what stands in the stream. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::truth::{Restore, Time, time};

/// How the two compare.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    /// So far, and more is to be shown.
    Behind(String),
    Wrong(String),
}

fn id(event: &Value) -> &str {
    event["id"].as_str().unwrap_or_default()
}

/// From the first event on that the reader was shown: all that stands in the stream, in its order, and no number with two
/// meanings. Beyond that only what went with an older store: shown after the copy, and within the gap that tells of it.
pub(super) fn compare(shown: &[Value], stream: &[Value], restores: &[Restore]) -> Verdict {
    let mut known: BTreeMap<&str, &Value> = stream.iter().map(|event| (id(event), event)).collect();
    for event in shown {
        if known
            .insert(id(event), event)
            .is_some_and(|other| other != event)
        {
            return Verdict::Wrong(format!("the number {} was given twice: {event}", id(event)));
        }
    }
    let stored: BTreeMap<&str, usize> = (stream.iter().map(id)).zip(0..).collect();
    for (index, event) in shown.iter().enumerate() {
        if !stored.contains_key(id(event)) && !is_lost_with_a_store(index, event, stream, restores)
        {
            return Verdict::Wrong(format!("shown as number {index} and gone untold: {event}"));
        }
    }
    let of_processes = |events: &[Value]| -> Vec<usize> {
        let events = events.iter().filter(|event| event["process"].is_string());
        events
            .filter_map(|event| stored.get(id(event)).copied())
            .collect()
    };
    let (shown, stream) = (of_processes(shown), of_processes(stream));
    let from = shown
        .first()
        .and_then(|first| stream.iter().position(|at| at == first));
    let wanted = from.map_or(&stream[..], |from| &stream[from..]);
    if let Some(at) = shown.iter().zip(wanted).position(|(a, b)| a != b) {
        return Verdict::Wrong(format!(
            "the reader was shown number {} of the stream where number {} stands",
            shown[at] + 1,
            wanted[at] + 1
        ));
    }
    let (shown, wanted) = (shown.len(), wanted.len());
    match shown.cmp(&wanted) {
        _ if shown == 0 => Verdict::Behind("the reader was shown nothing".to_owned()),
        std::cmp::Ordering::Less => {
            Verdict::Behind(format!("the reader was shown {shown} of {wanted} events"))
        }
        std::cmp::Ordering::Equal => Verdict::Same,
        std::cmp::Ordering::Greater => {
            Verdict::Wrong(format!("the reader was shown {shown}, {wanted} there are"))
        }
    }
}

/// Whether an event went with a store for which an older one came back, and a gap says so.
fn is_lost_with_a_store(
    index: usize,
    event: &Value,
    stream: &[Value],
    restores: &[Restore],
) -> bool {
    let text = |value: &Value| value.as_str().map(time);
    let told: Option<Time> = text(&event["timestamp"]);
    let spans =
        |gap: &Value, at: Time| text(&gap["from"]) <= Some(at) && Some(at) <= text(&gap["to"]);
    restores.iter().any(|restore| {
        let gaps = stream.iter().map(|event| &event["gap"]);
        let mut of_it = gaps.filter(|gap| {
            gap["why"] == "rolled_back"
                && spans(gap, restore.copied)
                && spans(gap, restore.restored)
        });
        index >= restore.shown && of_it.any(|gap| told.is_some_and(|told| spans(gap, told)))
    })
}
