//! Whoever wants bare texts is told the same as whoever wants records: no event more, none less, and every hole.

use observe::bus::read::{Begin, Reader, Told};
use observe::bus::settings::DEFAULT_STREAM;
use observe::event::filter::Filter;
use observe::event::glance::Glance;
use observe::event::subject::Prefix;
use serde_json::json;

use super::read::told;
use super::*;
use crate::support::nats::NatsServer;

/// What is told up to where nothing more is stored, in words; and how many were bare texts.
async fn words(mut reader: Reader) -> (Vec<String>, usize) {
    let (mut words, mut texts) = (Vec::new(), 0);
    loop {
        let word = match told(&mut reader).await {
            Told::CaughtUp(_) => return (words, texts),
            Told::Text(text) => {
                texts += 1;
                String::from_utf8_lossy(text.bytes()).into_owned()
            }
            Told::Record(record) => String::from_utf8_lossy(&record.raw).into_owned(),
            Told::Unreadable { sequence, .. } => format!("unreadable {sequence}"),
            other => format!("{other:?}"),
        };
        words.push(word);
    }
}

#[tokio::test]
async fn bare_texts_are_told_where_records_would_be_and_nothing_else_is_different() {
    let server = NatsServer::start();
    let (bus, store) = open(&server).await;
    let first = commit(&store, 0, 1, 6).await.unwrap();
    ask(
        &bus,
        "STREAM.MSG.DELETE.PROCESS_EVENTS",
        json!({ "seq": first + 3 }),
    )
    .await;
    // Of another source: as we write it, but about sight; not as we write it; and no event at all.
    let connected = r#"{"type":"connected","timestamp":"2026-08-20T07:18:04.120Z","subject":"s","severity":"info","schema":1,"id":"i","source":"lab","journal":"l","seq":1,"origin":"change","reason":"first_contact","certainty":"certain","occurred":{"before":"2026-08-20T07:18:04.120Z"},"count":1}"#;
    assert!(Glance::of(connected.as_bytes()).is_some());
    let sight = ("core.source.lab.connected".to_owned(), connected.to_owned());
    let other = |kind: &str, seq: u64| {
        let event = json!({
            "type": kind, "timestamp": "2026-08-20T07:18:04Z", "subject": "s", "severity": "info", "schema": 1,
            "id": "i", "source": "lab", "journal": "l", "seq": seq, "origin": "change", "reason": "r",
            "certainty": "certain", "count": 1, "later": true,
            "occurred": { "after": null, "before": "2026-08-20T07:18:04Z" }
        });
        (format!("core.source.lab.{kind}"), event.to_string())
    };
    let html = ("core.process.a.b.started".to_owned(), "<html>".to_owned());
    for (subject, text) in [sight, html, other("gap", 4)] {
        let published = bus.client().publish(subject, text.into());
        published.await.unwrap();
    }
    ask(&bus, "INFO", json!({})).await;
    for (filter, bare) in [
        (Filter::all(), 5),
        (Filter::all().and_blindness(), 5),
        (Filter::all().kind("crashed").unwrap().and_blindness(), 0),
        (Filter::all().grep("shop").unwrap(), 0),
    ] {
        let read = || {
            let (prefix, begin) = (Prefix::default(), Begin::Sequence(1));
            Reader::live(&bus, DEFAULT_STREAM, &prefix, filter.clone(), begin)
        };
        let (records, none) = words(read()).await;
        let (texts, some) = words(read().with_texts()).await;
        assert_eq!(texts, records);
        assert_eq!((none, some), (0, bare), "{filter:?}");
        let (last, _) = words(Reader::live(
            &bus,
            DEFAULT_STREAM,
            &Prefix::default(),
            filter.clone(),
            Begin::Last(3),
        ))
        .await;
        let tail = Reader::live(
            &bus,
            DEFAULT_STREAM,
            &Prefix::default(),
            filter.clone(),
            Begin::Last(3),
        );
        assert_eq!(words(tail.with_texts()).await.0, last);
    }
}
