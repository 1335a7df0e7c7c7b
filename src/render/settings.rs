//! The settings that are in force and where each came from: a line for each, and one object for machines.

use serde::Serialize;

use super::json::shown;
use super::outlay::{Cell, Outlay};
use super::standings::{Columns, Drawing, Titles};
use super::style::Role;
use crate::event::envelope::SCHEMA;

/// JSON Schema (draft 2020-12) of the object that `observe config show -o json` prints.
pub const SETTINGS: &str = include_str!("../../docs/schema/settings.v1.json");

/// The most columns a text takes.
const TEXT: usize = 500;

/// All settings that are in force.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Settings {
    /// Always `settings`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// The file of settings, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Each setting that has a value.
    pub settings: Vec<Setting>,
    /// The stacks the file names.
    pub sources: Vec<Stack>,
    /// The folders of sockets the file names.
    pub directories: Vec<Stack>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Setting {
    /// Its key in the file.
    pub key: &'static str,
    /// Its flag.
    pub flag: String,
    /// Its value; a secret is `***`, and a variable stands as the file has it.
    pub value: String,
    /// Where the value came from: the path of the file, the variable, or `default`.
    pub from: String,
}

/// A stack, or a folder of stacks, that the file names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stack {
    /// What it is called; a folder has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is, as the file has it.
    pub at: String,
    /// The file that holds its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Time between two looks, where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Whether its state stream is listened to, where that is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<&'static str>,
    /// Which of its events are not told, where any are left out: `include type=crashed; exclude name=noisy-*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

impl Stack {
    fn words(&self) -> String {
        let more = [
            self.interval.as_ref().map(|every| format!("every {every}")),
            self.evidence.map(|word| format!("evidence {word}")),
            self.token_file
                .as_ref()
                .map(|path| format!("token in {path}")),
            self.left_out.clone(),
        ];
        let all = std::iter::once(self.at.clone()).chain(more.into_iter().flatten());
        all.collect::<Vec<_>>().join(", ")
    }
}

impl Settings {
    /// Nothing yet.
    pub fn none() -> Self {
        Self {
            kind: "settings",
            schema: SCHEMA,
            file: None,
            settings: Vec::new(),
            sources: Vec::new(),
            directories: Vec::new(),
        }
    }

    /// The lines, each with its line break.
    pub fn lines(&self, drawing: &Drawing) -> Vec<String> {
        let outlay = Outlay {
            titles: vec!["SETTING", "VALUE", "FROM"],
            elastic: 1,
            numbers: Vec::new(),
        };
        let clean = |text: &str| drawing.style.clean(text, TEXT).into_owned();
        let row = |key: &str, value: &str, from: &str| -> Vec<Cell> {
            let role = if from == "default" {
                Role::Quiet
            } else {
                Role::Plain
            };
            vec![
                (role, clean(key)),
                (role, clean(value)),
                (Role::Quiet, clean(from)),
            ]
        };
        let is_wide = drawing.columns == Columns::Wide;
        let terminal = drawing.terminal.filter(|_| !is_wide);
        let file = self.file.as_deref().unwrap_or_default();
        // A terminal has room for its values rather than for one path again and again.
        let name = file.rsplit('/').next().unwrap_or_default();
        let place = |from| match terminal {
            Some(_) if from == file => name,
            _ => from,
        };
        let settings = self.settings.iter();
        let mut rows: Vec<_> = settings
            .map(|one| row(one.key, &one.value, place(&one.from)))
            .collect();
        for stack in &self.sources {
            let name = stack.name.as_deref().unwrap_or_default();
            rows.push(row(&format!("source {name}"), &stack.words(), place(file)));
        }
        let directories = self.directories.iter();
        rows.extend(directories.map(|stack| row("directory", &stack.words(), place(file))));
        let titled = drawing.titles == Titles::Shown;
        let widths = outlay.widths(rows.iter(), titled, terminal);
        let head = titled.then(|| outlay.head(&widths, drawing.style));
        let rows = rows
            .iter()
            .map(|row| outlay.line(row, &widths, drawing.style));
        head.into_iter().chain(rows).collect()
    }

    /// One JSON object in one line.
    ///
    /// # Errors
    ///
    /// None that this build knows of; trying again does not help.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        Ok(shown(&serde_json::to_vec(self)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::render::door::{Charset, width};
    use crate::render::style::Style;
    use crate::render::time::{TimeStyle, Times};

    fn settings() -> Settings {
        let setting = |key, flag: &str, value: &str, from: &str| Setting {
            key,
            flag: flag.to_owned(),
            value: value.to_owned(),
            from: from.to_owned(),
        };
        let stack = Stack {
            name: Some("shop".to_owned()),
            at: "localhost:9090".to_owned(),
            token_file: Some("${HOME}/token".to_owned()),
            interval: Some("5s".to_owned()),
            evidence: Some("off"),
            left_out: Some("exclude name=noisy-*".to_owned()),
        };
        Settings {
            file: Some("/etc/observe.yaml".to_owned()),
            settings: vec![
                setting("broker.server", "--server", "nats://***@b:4222", "NATS_URL"),
                setting(
                    "broker.password_file",
                    "--password",
                    "***",
                    "/etc/observe.yaml",
                ),
                setting("interval", "--interval", "2s", "default"),
            ],
            sources: vec![stack],
            directories: vec![Stack {
                name: None,
                at: "/run/stacks\u{1b}[2J".to_owned(),
                token_file: None,
                interval: None,
                evidence: None,
                left_out: None,
            }],
            ..Settings::none()
        }
    }

    #[test]
    fn each_setting_says_where_it_came_from() {
        let utf8 = Style {
            colored: false,
            charset: Charset::Utf8,
        };
        for (name, style, terminal) in [
            ("settings", Style::PLAIN, None),
            ("settings_80", utf8, Some(80)),
            ("settings_200", utf8, Some(200)),
            ("settings_ascii", Style::PLAIN, Some(60)),
        ] {
            let drawing = Drawing {
                style,
                times: Times::new(TimeStyle::Utc),
                terminal,
                columns: Columns::Usual,
                titles: Titles::Shown,
            };
            let lines = settings().lines(&drawing);
            let most = terminal.unwrap_or(usize::MAX);
            assert!(lines.iter().all(|line| width(line.trim_end()) <= most));
            insta::assert_snapshot!(name, lines.concat());
        }
    }

    #[test]
    fn the_object_is_one_line_with_everything() {
        let object: Value = serde_json::from_slice(&settings().json().unwrap()).unwrap();
        insta::assert_json_snapshot!("settings_object", object);
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let mut schema = schemars::schema_for!(Settings).to_value();
        schema["$id"] = json!("urn:observe:schema:settings:1");
        schema["title"] = json!("observe config show, contract number 1");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/settings.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(SETTINGS, text, "UPDATE_SCHEMA=1 cargo test writes it");
    }
}
