//! What this build is: a line for people, an object for machines.

use serde::Serialize;

use super::json::shown;
use crate::event::envelope::SCHEMA;

/// JSON Schema (draft 2020-12) of the object that `observe version -o json` prints.
pub const VERSION: &str = include_str!("../../docs/schema/version.v1.json");

/// A build.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Build {
    /// Always `version`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of the contract of events, which this object shares.
    schema: u32,
    /// The version.
    version: &'static str,
    /// The commit it was built from, where whoever built it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    /// What it runs on, as rustc calls it.
    target: &'static str,
    /// The number of each contract that others build on.
    schemas: Schemas,
}

/// The numbers of the contracts.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Schemas {
    /// One event.
    event: u32,
    /// What `doctor -o json` prints.
    doctor: u32,
    /// What `wait -o json` prints.
    wait: u32,
    /// What `state -o json` prints.
    state: u32,
    /// What `diff -o json` prints.
    diff: u32,
    /// What `source ls -o json` prints.
    sources: u32,
    /// What `stats -o json` prints.
    stats: u32,
    /// What `process -o json` prints.
    process: u32,
    /// A line of `process logs -o json`.
    log: u32,
    /// What `adapter --listen` answers.
    listen: u32,
    /// The file `observe.yaml`.
    config: u32,
    /// What `config show -o json` prints.
    settings: u32,
    /// This object.
    version: u32,
}

impl Build {
    /// This one.
    pub const THIS: Self = Self {
        kind: "version",
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("OBSERVE_COMMIT"),
        target: target(),
        schemas: Schemas {
            event: SCHEMA,
            doctor: 1,
            wait: SCHEMA,
            state: SCHEMA,
            diff: SCHEMA,
            sources: SCHEMA,
            stats: SCHEMA,
            process: SCHEMA,
            log: SCHEMA,
            listen: SCHEMA,
            config: 1,
            settings: SCHEMA,
            version: SCHEMA,
        },
    };

    /// The version.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// What it runs on, as rustc calls it.
    pub const fn target(&self) -> &'static str {
        self.target
    }

    /// One line without its line break: `observe 0.1.0 (1f2e3d4c), x86_64-unknown-linux-gnu`.
    pub fn line(&self) -> String {
        let commit = self.commit.map(|commit| format!(" ({commit})"));
        let commit = commit.unwrap_or_default();
        format!("observe {}{commit}, {}", self.version, self.target)
    }

    /// One JSON object in one line.
    ///
    /// # Errors
    ///
    /// Never; the signature is serde's.
    pub fn json(&self) -> serde_json::Result<Vec<u8>> {
        Ok(shown(&serde_json::to_vec(self)?))
    }
}

/// The target triple, as far as the compiler tells a program about it.
const fn target() -> &'static str {
    macro_rules! of {
        ($($arch:literal),*) => {
            $(
                if cfg!(all(target_arch = $arch, target_os = "linux", target_env = "gnu")) {
                    return concat!($arch, "-unknown-linux-gnu");
                }
                if cfg!(all(target_arch = $arch, target_os = "linux", target_env = "musl")) {
                    return concat!($arch, "-unknown-linux-musl");
                }
                if cfg!(all(target_arch = $arch, target_os = "macos")) {
                    return concat!($arch, "-apple-darwin");
                }
            )*
        };
    }
    of!("x86_64", "aarch64");
    "unknown"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_build_says_what_it_knows_and_nothing_else() {
        let build = Build {
            commit: None,
            version: "1.2.3",
            target: "x86_64-unknown-linux-musl",
            ..Build::THIS
        };
        assert_eq!(build.line(), "observe 1.2.3, x86_64-unknown-linux-musl");
        let with = Build {
            commit: Some("1f2e3d4c"),
            ..build
        };
        assert_eq!(
            with.line(),
            "observe 1.2.3 (1f2e3d4c), x86_64-unknown-linux-musl"
        );
        assert_eq!(
            serde_json::to_value(build).unwrap(),
            json!({
                "type": "version", "schema": 1, "version": "1.2.3", "target": "x86_64-unknown-linux-musl",
                "schemas": {
                    "event": 1, "doctor": 1, "wait": 1, "state": 1, "diff": 1, "sources": 1, "stats": 1, "process": 1,
                    "log": 1, "listen": 1, "config": 1, "settings": 1, "version": 1,
                },
            })
        );
    }

    #[test]
    fn every_schema_that_is_shipped_has_its_number() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
        let files = std::fs::read_dir(folder).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut shipped: Vec<String> = names.collect();
        shipped.sort_unstable();
        let told = serde_json::to_value(Build::THIS.schemas).unwrap();
        let told = told.as_object().unwrap().iter();
        let mut told: Vec<String> = told
            .map(|(name, number)| format!("{name}.v{number}.json"))
            .collect();
        told.sort_unstable();
        assert_eq!(told, shipped);
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let mut schema = schemars::schema_for!(Build).to_value();
        schema["$id"] = json!("urn:observe:schema:version:1");
        schema["title"] = json!("observe version, contract number 1");
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/version.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert!(VERSION == text, "UPDATE_SCHEMA=1 cargo test writes it");
    }
}
