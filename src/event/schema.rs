//! The schema of an event, for readers in any language. It is generated from the types; a test says when the two part.

/// JSON Schema (draft 2020-12) of one event of contract number 1.
pub const EVENT: &str = include_str!("../../docs/schema/event.v1.json");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Map, Value, json};

    use super::super::envelope::{Envelope, SCHEMA};
    use super::super::payload::Kind;
    use super::EVENT;

    /// Reasons a reader will meet today; the vocabulary is open.
    const REASONS: [&str; 26] = [
        "present",
        "added",
        "removed",
        "renamed",
        "requested",
        "policy",
        "watch",
        "schedule",
        "dependency_met",
        "dependency_failed",
        "unknown",
        "exit",
        "signal",
        "exited",
        "unhealthy",
        "spawn_failed",
        "missed",
        "replaced",
        "restart_cancelled",
        "probe",
        "starting",
        "status",
        "source_restarted",
        "adapter_down",
        "source_unreachable",
        "rolled_back",
    ];
    const STATUSES: [&str; 8] = [
        "Pending",
        "Running",
        "Terminating",
        "Restarting",
        "Completed",
        "Skipped",
        "Error",
        "Scheduled",
    ];

    /// The schema as the types say it, with what only the contract says.
    fn generated() -> Value {
        let mut schema = schemars::schema_for!(Envelope).to_value();
        let root = schema.as_object_mut().unwrap();
        root.insert("title".into(), json!("observe event, contract number 1"));
        root.insert("$id".into(), json!("urn:observe:schema:event:1"));
        root.insert(
            "description".into(),
            json!(
                "One event as it is stored in the stream and printed by `observe watch --json`. Keys are added \
                 freely within a contract number: readers pass over keys, and keep words, that they do not know."
            ),
        );
        add_words(&mut schema);
        schema
    }

    /// Examples for open words, constants and what is always there.
    fn add_words(schema: &mut Value) {
        let kinds = Kind::PROCESS.iter().chain(&Kind::SOURCE[..2]);
        let kinds: Vec<&str> = kinds.chain(&Kind::SOURCE[3..]).map(Kind::as_str).collect();
        let certainties = ["certain", "inferred", "ambiguous"];
        let whys = [
            "adapter_down",
            "source_unreachable",
            "spool_full",
            "spool_corrupt",
            "superseded",
            "rolled_back",
            "stream_lost",
            "fell_behind",
            "left_out",
        ];
        say(schema, "/properties/type", "examples", json!(kinds));
        say(schema, "/properties/schema", "const", json!(SCHEMA));
        say(schema, "/properties/seq", "minimum", json!(1));
        say(schema, "/properties/count", "minimum", json!(1));
        say(schema, "/properties/reason", "examples", json!(REASONS));
        say(
            schema,
            "/properties/certainty",
            "examples",
            json!(certainties),
        );
        for place in ["State", "Previous"] {
            let at = format!("/$defs/{place}/properties");
            say(schema, &format!("{at}/status"), "examples", json!(STATUSES));
            let ready = json!(["Ready", "Not Ready", "-"]);
            say(schema, &format!("{at}/is_ready"), "examples", ready);
        }
        say(schema, "/$defs/Gap/properties/why", "examples", json!(whys));
        // These are written as null where they are not known, never left out.
        let exit = json!(["code", "expected", "signal"]);
        say(schema, "/$defs/Exit", "required", exit);
        say(
            schema,
            "/$defs/Gap",
            "required",
            json!(["from", "to", "why"]),
        );
    }

    fn say(schema: &mut Value, at: &str, key: &str, what: Value) {
        let place = schema.pointer_mut(at).and_then(Value::as_object_mut);
        place.unwrap().insert(key.into(), what);
    }

    #[test]
    fn the_schema_that_is_shipped_is_the_one_the_types_say() {
        let text = format!("{:#}\n", generated());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/event.v1.json");
            std::fs::write(file, text).unwrap();
            return;
        }
        assert!(
            EVENT == text,
            "docs/schema/event.v1.json is not what the types say; UPDATE_SCHEMA=1 cargo test --lib schema rewrites it"
        );
    }

    #[test]
    fn closed_words_are_enumerated_and_open_ones_are_not() {
        let schema = generated();
        let words = |name: &str| -> Vec<String> {
            let def = &schema["$defs"][name];
            let one_by_one = def["oneOf"].as_array().into_iter().flatten();
            let listed = def["enum"].as_array().into_iter().flatten();
            one_by_one
                .map(|one| &one["const"])
                .chain(listed)
                .map(|word| word.as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(words("Severity"), ["info", "warning", "error", "critical"]);
        assert_eq!(words("Origin"), ["initial", "change", "resync"]);
        for open in ["type", "reason", "certainty"] {
            let property = &schema["properties"][open];
            assert_eq!(property["type"], "string", "{open}");
            assert!(property["enum"].is_null(), "{open}");
        }
    }

    #[test]
    fn every_key_is_described() {
        let schema = generated();
        let mut places = vec![&schema["properties"]];
        let defs = schema["$defs"].as_object().unwrap();
        places.extend(defs.values().map(|def| &def["properties"]));
        for properties in places.into_iter().filter_map(Value::as_object) {
            for (key, property) in properties {
                assert!(property["description"].is_string(), "{key}");
            }
        }
    }

    /// Says where a value does not fit; knows the words of JSON Schema that the schema uses.
    fn misfit(root: &Value, schema: &Value, value: &Value) -> Option<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            return misfit(root, target, value);
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(all) = schema[choice].as_array() {
                let fits = all.iter().any(|one| misfit(root, one, value).is_none());
                return (!fits).then(|| format!("{value} fits none of {choice}"));
            }
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        if !types.is_empty() && !types.iter().any(|t| is_of(t.as_str().unwrap(), value)) {
            return Some(format!("{value} is not {types:?}"));
        }
        let wrong_word = |words: &Vec<Value>| !words.contains(value);
        if schema["enum"].as_array().is_some_and(wrong_word)
            || schema.get("const").is_some_and(|word| word != value)
        {
            return Some(format!("{value} is no word of the schema"));
        }
        let object = value.as_object()?;
        misfit_of_keys(root, schema, object)
    }

    fn misfit_of_keys(root: &Value, schema: &Value, object: &Map<String, Value>) -> Option<String> {
        for key in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(key.as_str().unwrap()) {
                return Some(format!("{key} is missing"));
            }
        }
        object.iter().find_map(|(key, value)| {
            let property = schema["properties"].get(key);
            match property {
                None => Some(format!("{key} is not in the schema")),
                Some(property) => misfit(root, property, value).map(|why| format!("{key}: {why}")),
            }
        })
    }

    fn is_of(kind: &str, value: &Value) -> bool {
        match kind {
            "null" => value.is_null(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            _ => value.is_object(),
        }
    }

    #[test]
    fn events_fit_the_schema_that_is_shipped_and_broken_ones_do_not() {
        let schema: Value = serde_json::from_str(EVENT).unwrap();
        let crashed = json!({
            "type":"crashed","process":"api","namespace":"default","timestamp":"2026-08-20T07:18:04.120Z",
            "subject":"core.process.default.api.crashed","severity":"error",
            "state":{"name":"api","namespace":"default","status":"Completed","is_ready":"Ready",
                "has_ready_probe":true,"restarts":0,"exit_code":7,"is_running":false,"replicas":1,
                "namespaces":["default"],"pid":18768,"age_ms":181_004,"mem_bytes":20_185_088,"cpu_percent":3.1,
                "ended_at":"2026-08-20T07:18:03.900Z"},
            "schema":1,"id":"shop.3f9a1c22.42","source":"shop","journal":"3f9a1c22","seq":42,"process_seq":7,
            "epoch":"2026-08-20T07:15:02.707Z","origin":"change","reason":"exit","certainty":"certain",
            "occurred":{"after":"2026-08-20T07:18:02.100Z","before":"2026-08-20T07:18:04.100Z"},
            "exit":{"code":7,"signal":null,"expected":false},"count":1,
            "previous":{"status":"Running","is_ready":"Ready","restarts":0,"pid":18768}
        });
        let gap = json!({
            "type":"gap","timestamp":"2026-08-20T07:18:04.120Z","subject":"core.source.shop.gap",
            "severity":"warning","schema":1,"id":"shop.3f9a1c22.1","source":"shop","journal":"3f9a1c22","seq":1,
            "origin":"resync","reason":"adapter_down","certainty":"certain",
            "occurred":{"before":"2026-08-20T07:18:04.100Z"},"count":1,
            "gap":{"from":null,"to":"2026-08-20T07:18:04.000Z","why":"adapter_down"}
        });
        for event in [&crashed, &gap] {
            let read: Envelope = serde_json::from_value(event.clone()).unwrap();
            let written = serde_json::to_value(read).unwrap();
            assert_eq!(misfit(&schema, &schema, &written), None);
        }
        for (at, wrong) in [
            ("/severity", json!("dreadful")),
            ("/origin", json!("elsewhere")),
            ("/schema", json!(2)),
            ("/seq", json!("42")),
            ("/state/pid", json!("18768")),
            ("/exit", json!({"code": 7, "expected": false})),
        ] {
            let mut broken = crashed.clone();
            *broken.pointer_mut(at).unwrap() = wrong;
            assert!(misfit(&schema, &schema, &broken).is_some(), "{at}");
        }
    }
}
