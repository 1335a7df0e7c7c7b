//! Files as people write them, and how they get them wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{Config, Evidence, Severity, Type};
use super::parse::{host_and_port, is_ours, parse};
use super::search::search;
use super::text::Glob;

fn env(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/me".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn wrong(text: &str) -> String {
    parse(text, &env).unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_read() {
    let config: Config = parse(
        "
version: 1
sources:
  - name: shop
    address: localhost:9090
    interval: 5s
    include: {types: [crashed, restarted], severity: warning}
    exclude:
      names: [noisy-*, '{a,b}']
      namespaces: [batch]
  - {name: lab, socket: '${HOME}/lab.sock', token_file: lab.token, evidence: off}
directories:
  - path: ${HOME}/stacks
interval: 500ms
broker:
  server: nats://broker:4222
  creds: ${HOME}/me.creds
  tls: {ca: ca.pem, first: true}
stream: {name: EVENTS, subject_prefix: 'edge.{host}', setup: check, retention: 48h, max_bytes: 2097152}
spool: {max: 1048576, dir: spool}
output: {format: 'template={time} {type}', time: utc, color: never}
",
        &env,
    )
    .unwrap();
    let [shop, lab] = config.sources.as_slice() else {
        panic!("two sources");
    };
    assert_eq!(shop.name.as_str(), "shop");
    assert_eq!(
        shop.interval.as_ref().unwrap().span(),
        Duration::from_secs(5)
    );
    let (include, exclude) = (
        shop.include.as_ref().unwrap(),
        shop.exclude.as_ref().unwrap(),
    );
    assert_eq!(include.types, [Type::Crashed, Type::Restarted]);
    assert_eq!(include.severity, Some(Severity::Warning));
    let names: Vec<_> = exclude.names.iter().map(Glob::as_str).collect();
    assert_eq!(names, ["noisy-*", "{a,b}"]);
    assert_eq!(lab.exclude, None);
    assert_eq!(lab.socket.as_ref().unwrap().as_str(), "/home/me/lab.sock");
    assert_eq!(lab.evidence, Some(Evidence::Off));
    let folder = Path::new("/etc/observe");
    let path = |text: &Option<super::text::Text>| text.as_ref().unwrap().path(folder);
    assert_eq!(path(&lab.token_file), Path::new("/etc/observe/lab.token"));
    assert_eq!(path(&config.broker.creds), Path::new("/home/me/me.creds"));
    assert!(config.broker.tls.first);
    assert_eq!(
        config.stream.retention.unwrap().span(),
        Duration::from_secs(172_800)
    );
}

#[test]
fn the_least_file_is_a_version() {
    let config = parse("version: 1\n", &env).unwrap();
    assert!(config.sources.is_empty() && config.broker.server.is_none());
}

fn is_wrong(text: &str, wanted: &str) {
    let said = wrong(text);
    assert!(said.contains(wanted), "{text}\n{said}\n{wanted}");
    assert!(!said.contains('\n'), "{said}");
}

#[test]
fn a_key_that_is_not_known_is_named_with_its_place_and_what_was_meant() {
    for (text, wanted) in [
        (
            "version: 1\nbrokre: {}\n",
            "2:1: there is no key \"brokre\"; did you mean broker?",
        ),
        (
            "version: 1\nsources:\n  - name: a\n    adress: x:1\n",
            "4:5: there is no key \"adress\"; did you mean address?",
        ),
        (
            "version: 1\nsources:\n  - name: a\n    colour: red\n",
            "4:5: there is no key \"colour\" here, only name, address",
        ),
        (
            "version: 1\nbroker:\n  password: x\n",
            "3:3: there is no key \"password\" here, only server",
        ),
        (
            "version: 1\nsources:\n  - address: h:1\n",
            "3:5: the key name is missing",
        ),
        ("version: 2\n", "version 2 is not known to this build"),
        ("sources: []\n", "the key version is missing"),
        ("version: 1\nsources: {\n", ""),
        ("version: 1\nversion: 1\n", "2:1: "),
        ("version: 1\nstream: {max_bytes: many}\n", "2:21: "),
        (
            "version: 1\nstream: {max_bytes: 12}\n",
            "2:21: a stream takes at least 1048576 bytes",
        ),
    ] {
        is_wrong(text, wanted);
    }
}

#[test]
fn a_value_that_cannot_be_is_named_with_its_place_and_what_can() {
    for (text, wanted) in [
        (
            "version: 1\noutput:\n  time: utcc\n",
            "3:9: \"utcc\" is none of the words here; did you mean utc?",
        ),
        (
            "version: 1\noutput:\n  format: yaml\n",
            "3:11: \"yaml\" is no format; there are text",
        ),
        (
            "version: 1\ninterval: 2\n",
            "2:11: \"2\" is no span of time; write for example",
        ),
        (
            "version: 1\ninterval: 10ms\n",
            "2:11: looks come at most every 250ms",
        ),
        (
            "version: 1\nsources:\n  - name: a\n",
            "3:11: nothing says where a is",
        ),
        (
            "version: 1\nsources:\n  - name: a\n    address: h:1\n    socket: /s\n",
            "5:13: a is said to be in two places",
        ),
        (
            "version: 1\nsources:\n  - {name: a, address: here}\n",
            "3:24: no address; write HOST:PORT",
        ),
        (
            "version: 1\nsources:\n  - {name: a, address: /run/a.sock}\n",
            "3:24: no address but a path; a unix socket is written as socket:",
        ),
        (
            "version: 1\nsources:\n  - {name: a b, address: '1'}\n",
            "3:12: \"a b\" cannot be the name of a source",
        ),
        (
            "version: 1\nsources:\n  - {name: a, address: '1'}\n  - {name: a, address: '2'}\n",
            "4:12: two sources are called \"a\"",
        ),
    ] {
        is_wrong(text, wanted);
    }
}

#[test]
fn what_is_left_out_is_said_in_known_words_and_never_by_an_empty_rule() {
    let source =
        |rule: &str| format!("version: 1\nsources:\n  - name: a\n    socket: /s\n    {rule}\n");
    for (rule, wanted) in [
        (
            "exclude: {name: [x]}",
            "5:15: there is no key \"name\"; did you mean names?",
        ),
        (
            "exclude: {types: [crash]}",
            "5:23: \"crash\" is none of the words here; did you mean crashed?",
        ),
        (
            "exclude: {types: [restart]}",
            "5:23: \"restart\" is none of the words here; did you mean restarted?",
        ),
        (
            "exclude: {types: [gap]}",
            "5:23: \"gap\" is none of the words here",
        ),
        (
            "include: {severity: warn}",
            "5:25: \"warn\" is none of the words here",
        ),
        ("include: {names: ['[']}", "5:23: \"[\" is no pattern: "),
        (
            "include: {names: ['']}",
            "5:23: an empty pattern fits nothing",
        ),
        (
            "include: {}",
            "nothing is named here; give at least one of names",
        ),
        ("exclude: {names: []}", "nothing is named here"),
        (
            "excludes: {names: [a]}",
            "5:5: there is no key \"excludes\"; did you mean exclude?",
        ),
    ] {
        is_wrong(&source(rule), wanted);
    }
}

#[test]
fn variables_are_replaced_where_that_is_said_and_their_values_are_not_repeated() {
    let broker = |server: &str| format!("version: 1\nbroker: {{server: '{server}'}}\n");
    let config = parse(&broker("nats://${SECRET}@b:4222"), &env).unwrap();
    let server = config.broker.server.as_ref().unwrap();
    assert_eq!(server.as_str(), "nats://hunter2@b:4222");
    assert_eq!(server.written(), "nats://${SECRET}@b:4222");
    assert!(!format!("{config:?}").contains("hunter2"));
    for (server, wanted) in [
        ("nats://${UNSET}", "2:18: the variable UNSET is not set"),
        ("nats://${EMPTY}", "2:18: the variable EMPTY is not set"),
        ("nats://${a b}", "names no variable"),
        ("nats://${HOME", "without its }"),
    ] {
        assert!(wrong(&broker(server)).contains(wanted), "{server}");
    }
    let name = "version: 1\nsources:\n  - {name: '${SECRET}', address: '1'}\n";
    let said = wrong(name);
    assert!(
        said.contains("cannot be the name") && !said.contains("hunter2"),
        "{said}"
    );
    let plain = parse(&broker("nats://b/$HOME"), &env).unwrap();
    assert_eq!(plain.broker.server.unwrap().as_str(), "nats://b/$HOME");
}

#[test]
fn settings_that_only_moved_are_the_same_settings() {
    let one = "version: 1\nsources:\n  - {name: a, socket: /a.sock}\n";
    let moved = "# why\n\nversion: 1\nsources:\n  - name: a\n    socket: /a.sock\n";
    assert_eq!(parse(one, &env).unwrap(), parse(moved, &env).unwrap());
}

#[test]
fn addresses_are_a_host_and_a_port() {
    for (text, wanted) in [
        ("9090", Some(("localhost", 9090))),
        ("box:1", Some(("box", 1))),
        ("[::1]:8080", Some(("::1", 8080))),
        ("box", None),
        ("box:0", None),
        (":80", None),
        ("me@box:80", None),
        ("http://box:80", None),
    ] {
        let wanted = wanted.map(|(host, port)| (host.to_owned(), port));
        assert_eq!(host_and_port(text), wanted, "{text}");
    }
}

#[test]
fn a_file_is_ours_by_its_version_also_where_the_rest_is_broken() {
    for text in [
        "version: 1\n",
        "version: \"1\" # ours\nx: [\n",
        "{version: 1}\n",
        "x: {\nversion: 1\n",
    ] {
        assert!(is_ours(text), "{text}");
    }
    for text in [
        "",
        "version: 2\n",
        "version: 1.2\n",
        "services: {}\n",
        "a:\n  version: 1\n",
    ] {
        assert!(!is_ours(text), "{text}");
    }
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("observe-config-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn the_nearest_file_that_is_ours_is_found_and_what_is_passed_over_is_said() {
    let me = rustix::process::geteuid().as_raw();
    let root = scratch("search");
    let here = root.join("a/b");
    fs::create_dir_all(&here).unwrap();
    assert_eq!(search(&here, me).found, None);
    fs::write(root.join("observe.yaml"), "version: 1\n").unwrap();
    fs::write(root.join("a/observe.yaml"), "receivers: []\n").unwrap();
    fs::create_dir(here.join("observe.yaml")).unwrap();
    let found = search(&here, me);
    assert_eq!(found.found.unwrap().path, root.join("observe.yaml"));
    let [(path, why)] = found.passed_over.as_slice() else {
        panic!("{:?}", found.passed_over);
    };
    assert_eq!(*path, root.join("a/observe.yaml"));
    assert!(why.contains("version: 1"), "{why}");
    if me != 0 {
        let foreign = search(&here, me + 1);
        assert_eq!(foreign.found, None);
        assert!(foreign.passed_over[0].1.contains("another user"));
    }
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn the_file_in_the_guide_is_sound() {
    let guide = include_str!("../../docs/guide.md");
    let files: Vec<&str> = guide
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|text| is_ours(text))
        .collect();
    assert!(!files.is_empty());
    for file in files {
        let env = |_: &str| Some("/somewhere".to_owned());
        parse(file, &env).unwrap();
    }
}
