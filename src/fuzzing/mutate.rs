//! Real samples, spoilt.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

/// The lines of all recordings in files of this name, at most so many of each.
pub(super) fn recorded(file: &str, most: usize) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if let Ok(text) = fs::read_to_string(entry.path().join(file)) {
            lines.extend(text.lines().take(most).map(str::to_owned));
        }
    }
    assert!(!lines.is_empty(), "no recording has {file}");
    lines.sort();
    lines
}

/// The values of one key of recorded lines, as JSON.
pub(super) fn recorded_values(file: &str, key: &str, most: usize) -> Vec<Vec<u8>> {
    let lines = recorded(file, most).into_iter().filter_map(|line| {
        let value: serde_json::Value = serde_json::from_str(&line).ok()?;
        let part = value.get(key)?;
        Some(serde_json::to_vec(part).unwrap())
    });
    lines.collect()
}

/// One way to spoil bytes.
#[derive(Debug, Clone)]
pub(super) enum Spoil {
    Flip(Index, u8),
    Cut(Index),
    /// A stretch stands there twice.
    Twice(Index, Index),
    /// A stretch is gone.
    Without(Index, Index),
    Insert(Index, Vec<u8>),
    /// The so many-th number becomes this text.
    Number(Index, &'static str),
    /// The so many-th string becomes this text.
    Text(Index, Vec<u8>),
    /// The so many-th value is wrapped in so many brackets.
    Deep(Index, usize),
}

const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "-0",
    "1e400",
    "-1e308",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e19",
    "4294967295",
    "4294967296",
    "2147483648",
    "255",
    "256",
    "null",
    "true",
    "\"7\"",
    "[]",
    "{}",
    "NaN",
    "123456789012345678901234567890123456789012345678901234567890",
];

const HARM: &[&[u8]] = &[
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\u0000",
    b"\\\"",
    b"\x1b[2J",
    b"\xc2\x9b",
    b"\r\n",
    b"\"",
    b"}",
    b"]]]]",
    b",",
    b"\x1e",
    b"\n",
    b"\n~",
    b"\"name\":\"a\",",
    b"\"status\":\"Running\",",
    b"0001-01-01T00:00:00Z",
    b"+262142-12-31T23:59:59.999Z",
    b"-262143-01-01T00:00:00Z",
    b"9999-12-31T23:59:60Z",
    b"2026-02-30T00:00:00Z",
    b"2026-08-20T09:15:02+23:59",
    b"Restarting",
    b"Terminating",
    b"Completed",
    b"Error",
    b"Not Ready",
    "\u{202e}\u{200b}e\u{301}".as_bytes(),
    b"$JS.API.STREAM.DELETE.S",
    b"../../etc/passwd",
    b"%2e%2e%2f",
    b"=2E=2A==0123456789abcdef",
    b"*.>",
];

pub(super) fn spoil() -> impl Strategy<Value = Spoil> {
    let at = any::<Index>;
    let harm = prop_oneof![
        3 => prop::sample::select(HARM).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (prop::sample::select(HARM), 1_usize..2000).prop_map(|(part, times)| part.repeat(times)),
    ];
    let text = prop_oneof![
        3 => prop::sample::select(HARM).prop_map(<[u8]>::to_vec),
        1 => any::<String>().prop_map(String::into_bytes),
    ];
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, with)| Spoil::Flip(at, with)),
        1 => at().prop_map(Spoil::Cut),
        2 => (at(), at()).prop_map(|(a, b)| Spoil::Twice(a, b)),
        2 => (at(), at()).prop_map(|(a, b)| Spoil::Without(a, b)),
        2 => (at(), harm).prop_map(|(at, harm)| Spoil::Insert(at, harm)),
        6 => (at(), prop::sample::select(NUMBERS)).prop_map(|(at, text)| Spoil::Number(at, text)),
        6 => (at(), text).prop_map(|(at, text)| Spoil::Text(at, text)),
        1 => (at(), 1_usize..3000).prop_map(|(at, deep)| Spoil::Deep(at, deep)),
    ]
}

/// One of the samples, spoilt a few times; or bytes that are like none of them.
pub(super) fn spoilt(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    assert!(!samples.is_empty());
    let real = (
        prop::sample::select(samples),
        prop::collection::vec(spoil(), 0..6),
    );
    prop_oneof![
        8 => real.prop_map(|(bytes, spoils)| spoils.iter().fold(bytes, applied)),
        1 => prop::collection::vec(any::<u8>(), 0..400),
        1 => "[\\[\\]{}\",:0-9a-z~\n\u{1e} ]{0,400}".prop_map(String::into_bytes),
    ]
}

fn stretch(bytes: &[u8], a: Index, b: Index) -> std::ops::Range<usize> {
    let (a, b) = (a.index(bytes.len() + 1), b.index(bytes.len() + 1));
    a.min(b)..a.max(b)
}

fn applied(mut bytes: Vec<u8>, spoil: &Spoil) -> Vec<u8> {
    let length = bytes.len();
    match spoil {
        Spoil::Flip(at, with) if length > 0 => bytes[at.index(length)] ^= with,
        Spoil::Cut(at) => bytes.truncate(at.index(length + 1)),
        Spoil::Twice(a, b) if length < 100_000 => {
            let range = stretch(&bytes, *a, *b);
            let copy = bytes[range.clone()].to_vec();
            drop(bytes.splice(range.end..range.end, copy));
        }
        Spoil::Flip(..) | Spoil::Twice(..) => {}
        Spoil::Without(a, b) => drop(bytes.drain(stretch(&bytes, *a, *b))),
        Spoil::Insert(at, harm) => {
            let at = at.index(length + 1);
            drop(bytes.splice(at..at, harm.iter().copied()));
        }
        Spoil::Number(at, text) => replace(&mut bytes, &numbers, *at, text.as_bytes()),
        Spoil::Text(at, text) => replace(&mut bytes, &strings, *at, text),
        Spoil::Deep(at, deep) => {
            let wrapped = [b"[".repeat(*deep), b"1".to_vec(), b"]".repeat(*deep)].concat();
            replace(&mut bytes, &numbers, *at, &wrapped);
        }
    }
    bytes
}

type Places<'a> = &'a dyn Fn(&[u8]) -> Vec<std::ops::Range<usize>>;

fn replace(bytes: &mut Vec<u8>, places: Places<'_>, at: Index, with: &[u8]) {
    let places = places(bytes);
    if !places.is_empty() {
        let place = places[at.index(places.len())].clone();
        drop(bytes.splice(place, with.iter().copied()));
    }
}

/// Where the numbers stand that are values.
fn numbers(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 1 < bytes.len() {
        if matches!(bytes[at], b':' | b',' | b'[' | b' ')
            && (bytes[at + 1] == b'-' || bytes[at + 1].is_ascii_digit())
        {
            let more = bytes[at + 1..]
                .iter()
                .take_while(|b| b.is_ascii_digit() || b"+-.eE".contains(b));
            let end = at + 1 + more.count();
            found.push(at + 1..end);
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// Where the insides of strings stand, of keys and of values.
fn strings(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let quotes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'"');
    let quotes: Vec<usize> = quotes.map(|(at, _)| at).collect();
    quotes
        .chunks_exact(2)
        .map(|pair| pair[0] + 1..pair[1])
        .collect()
}
