//! The schema of a report, for programs that read it. It is generated from the types; a test says when the two part.

/// JSON Schema (draft 2020-12) of one report of contract number 1.
pub const REPORT: &str = include_str!("../../docs/schema/doctor.v1.json");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::finding::{Report, SCHEMA};
    use super::REPORT;

    fn generated() -> Value {
        let mut schema = schemars::schema_for!(Report).to_value();
        schema["title"] = json!("observe doctor, contract number 1");
        schema["$id"] = json!("urn:observe:schema:doctor:1");
        schema["description"] = json!(
            "What `observe doctor -o json` prints. Keys and checks are added freely within a contract number: readers \
             pass over what they do not know."
        );
        schema["properties"]["schema"]["const"] = json!(SCHEMA);
        schema
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_the_types_say() {
        let text = format!("{:#}\n", generated());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/doctor.v1.json");
            std::fs::write(file, text).unwrap();
            return;
        }
        assert!(
            REPORT == text,
            "docs/schema/doctor.v1.json is not what the types say; UPDATE_SCHEMA=1 cargo test --lib schema rewrites it"
        );
    }
}
