//! The sources a broker knows: a line for each, and one object for machines.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::json::shown;
use super::outlay::{Cell, Outlay};
use super::standings::object::sight_word;
use super::standings::{Columns, Drawing, Titles, or_dash};
use super::style::{Role, Style};
use super::time::since;
use super::words::{age, setting};
use crate::event::envelope::SCHEMA;
use crate::event::payload::{Kind, millis};
use crate::event::store::Root;
use crate::process::moment::Sighted;

/// JSON Schema (draft 2020-12) of the object that `observe source ls -o json` prints.
pub const SOURCES: &str = include_str!("../../docs/schema/sources.v1.json");

/// The most columns a name takes.
const NAME: usize = 255;

/// One source, as its head says it.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// What is watched.
    pub source: &'a str,
    /// How well it is in sight.
    pub sighted: Sighted,
    /// The root of its head, where it can be read.
    pub root: Option<&'a Root>,
    /// How many processes it has, where that can be read.
    pub processes: Option<u64>,
}

/// All of them.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Each source.
    pub listed: &'a [Listed<'a>],
    /// The present.
    pub now: DateTime<Utc>,
}

impl Sources<'_> {
    /// The lines, each with its line break; none where there is no source.
    pub fn lines(&self, drawing: &Drawing) -> Vec<String> {
        let wide = drawing.columns == Columns::Wide;
        let mut titles = vec!["", "SOURCE", "SIGHT", "LOOKED", "PROCESSES", "TOLD BY"];
        if wide {
            titles.extend(["EVENTS", "EVERY", "PROJECT", "HOST", "AT"]);
        }
        let outlay = Outlay {
            titles,
            elastic: 1,
            numbers: vec!["PROCESSES", "EVENTS"],
        };
        let rows = self
            .listed
            .iter()
            .map(|listed| self.row(listed, wide, drawing.style));
        let rows: Vec<Vec<Cell>> = rows.collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let titled = drawing.titles == Titles::Shown;
        let terminal = drawing.terminal.filter(|_| !wide);
        let widths = outlay.widths(rows.iter(), titled, terminal);
        let head = titled.then(|| outlay.head(&widths, drawing.style));
        let rows = rows
            .iter()
            .map(|row| outlay.line(row, &widths, drawing.style));
        head.into_iter().chain(rows).collect()
    }

    fn row(&self, listed: &Listed<'_>, wide: bool, style: Style) -> Vec<Cell> {
        let (symbol, role, word) = match listed.sighted {
            Sighted::Seen(_) => (style.symbol(&Kind::Started), Role::Good, "seen"),
            Sighted::Lost(_) => (
                style.symbol(&Kind::Disconnected),
                Role::Warning,
                "out of sight",
            ),
            Sighted::Unreadable => ("?", Role::Warning, "unreadable"),
            _ => ("?", Role::Quiet, "nobody looks"),
        };
        let root = listed.root;
        let clean = |text: &str| style.clean(text, NAME).into_owned();
        let ago = root.map(|root| format!("{} ago", age(since(root.looked_at, self.now))));
        let mut row = vec![
            (role, symbol.to_owned()),
            (Role::Plain, clean(listed.source)),
            (role, word.to_owned()),
            (Role::Plain, or_dash(ago)),
            (
                Role::Plain,
                or_dash(listed.processes.map(|number| number.to_string())),
            ),
            (Role::Quiet, or_dash(root.map(|root| clean(&root.adapter)))),
        ];
        if wide {
            let every =
                root.map(|root| setting(std::time::Duration::from_millis(root.interval_ms)));
            let identity = root.map(|root| &root.identity);
            row.extend(
                [
                    root.map(|root| root.seq.to_string()),
                    every,
                    identity.map(|identity| clean(&identity.project)),
                    identity.map(|identity| clean(&identity.host)),
                    identity.map(|identity| clean(&identity.endpoint)),
                ]
                .map(|text| (Role::Quiet, or_dash(text.filter(|text| !text.is_empty())))),
            );
        }
        row
    }

    /// One JSON object in one line.
    ///
    /// # Errors
    ///
    /// None that this build knows of; trying again does not help.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        let object = Object {
            kind: "sources",
            schema: SCHEMA,
            at: self.now,
            sources: self.listed.iter().map(One::of).collect(),
        };
        Ok(shown(&serde_json::to_vec(&object)?))
    }
}

/// The sources a broker knows.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Object<'a> {
    /// Always `sources`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// The present.
    #[serde(with = "millis")]
    #[cfg_attr(test, schemars(with = "DateTime<Utc>"))]
    at: DateTime<Utc>,
    /// Each source, by name.
    sources: Vec<One<'a>>,
}

/// One source.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct One<'a> {
    /// What is watched.
    source: &'a str,
    /// How well it is in sight: `seen`; `unwatched`, where nobody looks any more; `lost`, where it cannot be seen;
    /// `unreadable`. What follows is absent where it cannot be read.
    sight: &'static str,
    /// The last look.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::option")]
    #[cfg_attr(test, schemars(with = "Option<DateTime<Utc>>", default))]
    looked_at: Option<DateTime<Utc>>,
    /// How many processes it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<u64>,
    /// The adapter that tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_by: Option<&'a str>,
    /// The time between two looks, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_ms: Option<u64>,
    /// The journal its events count in.
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<&'a str>,
    /// The number of its last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// The name of the project; empty where the server says none.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    /// The host; empty where the server says none.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    /// The address it is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
}

impl<'a> One<'a> {
    fn of(listed: &Listed<'a>) -> Self {
        let root = listed.root;
        Self {
            source: listed.source,
            sight: sight_word(listed.sighted).0,
            looked_at: root.map(|root| root.looked_at),
            processes: listed.processes,
            told_by: root.map(|root| &*root.adapter),
            interval_ms: root.map(|root| root.interval_ms),
            journal: root.map(|root| &*root.journal),
            seq: root.map(|root| root.seq),
            project: root.map(|root| &*root.identity.project),
            host: root.map(|root| &*root.identity.host),
            endpoint: root.map(|root| &*root.identity.endpoint),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::store::{HEAD_FORMAT, Identity};
    use crate::render::standings::tests::drawing;
    use crate::render::tests::{UTF8, at};

    fn root(source: &str, looked_at: &str) -> Root {
        Root {
            format: HEAD_FORMAT,
            source: source.into(),
            journal: "3f9a1c22".into(),
            seq: 42,
            epoch: "e".into(),
            connected: true,
            adapter: "web1-3f9a1c22".into(),
            commit: "c".into(),
            looked_at: at(looked_at),
            since: None,
            interval_ms: 2000,
            shards: Vec::new(),
            identity: Identity {
                project: "shop".into(),
                host: String::new(),
                endpoint: "localhost:8080".into(),
            },
            left_out: None,
        }
    }

    fn shown(run: impl FnOnce(&Sources<'_>)) {
        let (shop, lab) = (root("shop", "07:18:03"), root("lab\u{1b}[31m", "05:00:00"));
        let listed = |root, source, sighted, processes| Listed {
            source,
            sighted,
            root,
            processes,
        };
        let all = [
            listed(
                Some(&shop),
                "shop",
                Sighted::Seen(Some(shop.looked_at)),
                Some(8),
            ),
            listed(
                Some(&lab),
                &lab.source,
                Sighted::Unwatched(lab.looked_at),
                Some(2),
            ),
            listed(Some(&lab), "far", Sighted::Lost(lab.looked_at), Some(0)),
            listed(None, "odd", Sighted::Unreadable, None),
        ];
        run(&Sources {
            listed: &all,
            now: at("07:18:04.120"),
        });
    }

    #[test]
    fn each_source_has_a_line() {
        shown(|sources| {
            for (name, style, terminal) in [("80", UTF8, Some(80)), ("ascii", Style::PLAIN, None)] {
                let lines = sources.lines(&drawing(style, terminal)).concat();
                insta::assert_snapshot!(format!("sources_{name}"), lines);
            }
            let wide = Drawing {
                columns: Columns::Wide,
                ..drawing(UTF8, Some(80))
            };
            insta::assert_snapshot!("sources_wide", sources.lines(&wide).concat());
        });
    }

    #[test]
    fn the_object_is_one_line_with_everything() {
        shown(|sources| {
            let object: Value = serde_json::from_slice(&sources.json().unwrap()).unwrap();
            insta::assert_json_snapshot!("sources_object", object);
        });
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let mut schema = schemars::schema_for!(Object<'_>).to_value();
        schema["$id"] = json!("urn:observe:schema:sources:1");
        schema["title"] = json!("observe source ls, contract number 1");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/sources.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(SOURCES, text, "UPDATE_SCHEMA=1 cargo test writes it");
    }
}
