//! What must hold for whatever the broker answers; held by the property tests and by the fuzz targets.

use std::sync::Arc;

use crate::event::store::Root;

use super::consumer::Place;
use super::context::{Around, Context, Server};
use super::error::clean;
use super::opening::Numbers;
use super::settings::{BusSettings, DEFAULT_URL, Secret};
use super::{api, head, read};

/// The payload of a root; gives it, if it is one.
pub(crate) fn root(bytes: &[u8]) -> Option<Root> {
    match head::parse(bytes) {
        Ok(root) => {
            let places = head::places("core.head.shop", &root, u64::MAX - 1);
            assert_eq!(places.len(), root.shards.len());
            let text = serde_json::to_vec(&root);
            assert!(text.is_ok_and(|text| head::parse(&text).is_ok()));
            Some(root)
        }
        Err(why) => {
            assert_eq!(clean(&why), why);
            None
        }
    }
}

/// An answer of the API.
pub(crate) fn answer(bytes: &[u8]) {
    if let Err(error) = api::decode::<serde_json::Value>(bytes) {
        let text = format!("{error:?}");
        assert!(!text.contains('\n'));
    }
}

/// Messages of a consumer: each line is one; the first of them is the subject it is to be answered at.
pub(crate) fn messages(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let reply = lines.next().unwrap_or_default();
    let Some(place) = Place::parse(&String::from_utf8_lossy(reply)) else {
        return;
    };
    let stream: Arc<str> = "S".into();
    let mut numbers = Numbers::new(&crate::event::filter::Filter::all());
    for line in lines {
        match read::record(&stream, place, line) {
            Ok(record) => _ = numbers.check(&record.envelope.glance()),
            Err(why) => assert_eq!(clean(&why), why),
        }
    }
}

/// The text of a context.
pub(crate) fn context(bytes: &[u8]) {
    let variable = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
    let file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let around = Around {
        variable: &variable,
        file: &file,
    };
    let harmless = |text: &str| {
        assert_eq!(clean(text), text);
        assert!(!text.contains('\n'));
    };
    let context = match Context::parse(bytes) {
        Ok(context) => context,
        Err(error) => return harmless(&error.to_string()),
    };
    let shown = format!("{context:?}");
    assert_eq!(shown, format!("{:?}", context.with_secrets_replaced()));
    let given = BusSettings {
        token: Some(Secret::new("given")),
        ..BusSettings::default()
    };
    let kept = context.under(given, Server::Given, &around);
    assert!(
        kept.is_ok_and(|kept| kept.token == Some(Secret::new("given"))
            && kept.user.is_none()
            && kept.display_url() == DEFAULT_URL)
    );
    match context.under(BusSettings::default(), Server::OfContext, &around) {
        Ok(settings) => {
            for subject in [settings.api(), settings.inbox().to_owned()] {
                assert!(!subject.contains(|c: char| c.is_whitespace() || c.is_control()));
                assert!(
                    !subject.is_empty() && !subject.split('.').rev().skip(1).any(str::is_empty)
                );
            }
            if let Err(error) = settings.servers() {
                harmless(&error.to_string());
            }
        }
        Err(error) => harmless(&error.to_string()),
    }
}
