//! The schema that is shipped, held against the types.

use serde_json::json;

use super::LISTEN;
use super::events::{Problem, Reading};
use super::health::Health;
use super::manifest::Manifest;
use super::snapshot::Snapshot;

/// Whatever is answered; told apart by `type`.
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is wanted")]
enum Answer<'a> {
    Manifest(Manifest<'a>),
    Health(Health),
    Snapshot(Snapshot<'a>),
    Events(Reading<'a>),
    Problem(Problem),
}

#[test]
fn the_schema_that_is_shipped_is_the_one_of_the_types() {
    let mut schema = schemars::schema_for!(Answer<'_>).to_value();
    schema["$id"] = json!("urn:observe:schema:listen:1");
    schema["title"] = json!("observe adapter --listen, contract number 1");
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/listen.v1.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(LISTEN == text, "UPDATE_SCHEMA=1 cargo test writes it");
}
