//! The schema of the file, for editors. It is generated from the types; a test says when the two part.

/// JSON Schema (draft 2020-12) of `observe.yaml`, contract number 1.
pub const CONFIG: &str = include_str!("../../docs/schema/config.v1.json");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::file::Config;
    use super::super::parse::VERSION;
    use super::CONFIG;

    fn generated() -> Value {
        let mut schema = schemars::schema_for!(Config).to_value();
        schema["title"] = json!("observe.yaml, contract number 1");
        schema["$id"] = json!("urn:observe:schema:config:1");
        schema["properties"]["version"]["const"] = json!(VERSION);
        let place = ["address", "url", "socket"].map(|key| json!({ "required": [key] }));
        schema["$defs"]["Source"]["oneOf"] = json!(place);
        schema
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_of_the_types() {
        let text = format!("{:#}\n", generated());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/config.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, text).unwrap();
            return;
        }
        assert!(
            CONFIG == text,
            "docs/schema/config.v1.json is not what the types say; UPDATE_SCHEMA=1 cargo test --lib schema rewrites it"
        );
    }
}
