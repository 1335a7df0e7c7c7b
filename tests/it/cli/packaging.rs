//! What lies in `packaging/` calls the program as it can be called.

use std::path::Path;

use super::run::Home;

/// The words behind `observe` in each file that starts it, with the marks around them.
const STARTS: [(&str, &str); 6] = [
    ("systemd/system/observe@.service", "ExecStart=observe "),
    (
        "systemd/user/observe@.service",
        "ExecStart=%h/.local/bin/observe ",
    ),
    ("process-compose/observe.yaml", "command: exec observe "),
    ("launchd/observe.adapter.plist", "bin/observe</string>"),
    ("Containerfile", "ENTRYPOINT [\"observe\"]"),
    ("homebrew/observe.rb", "run [opt_bin/\"observe\", "),
];

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// What follows the mark: on its line, or in the list that goes on below it.
fn words(name: &str, mark: &str) -> Vec<String> {
    let text = file(name);
    let (_, rest) = text
        .split_once(mark)
        .unwrap_or_else(|| panic!("{name} has no {mark}"));
    let end = match name {
        "launchd/observe.adapter.plist" => "</array>",
        "Containerfile" => "]",
        _ => "\n",
    };
    let (line, _) = rest.split_once(end).unwrap();
    let bare = line
        .replace("<string>", " ")
        .replace("</string>", " ")
        .replace("CMD", " ")
        .replace(['[', ']', '"', ','], " ")
        .replace("%i", "shop");
    bare.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn every_file_of_packaging_calls_the_program_as_it_can_be_called() {
    let home = Home::new();
    for (name, mark) in STARTS {
        let mut words = words(name, mark);
        assert_eq!(
            words.first().map(String::as_str),
            Some("adapter"),
            "{name}: {words:?}"
        );
        words.push("--help".to_owned());
        let mut run = home.run(&words);
        assert_eq!(run.ends().await, 0, "{name}: {:?}", run.err.all());
    }
}

#[test]
fn the_formula_has_no_checksum_of_its_own() {
    let formula = file("homebrew/observe.rb");
    for place in ["@URL@", "@VERSION@", "@SHA256@"] {
        assert!(formula.contains(place), "{place}");
    }
    let digits = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(!formula.split('"').any(digits), "make dist fills it in");
}
