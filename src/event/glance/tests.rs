use proptest::prelude::*;

use super::*;
use crate::event::payload::{Exit, Occurred, Previous, State};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A name as anybody may give one.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z][a-z0-9-]{0,12}",
        1 => Just(String::new()),
        1 => "[ ,:{}\\[\\]]{1,6}",
        1 => any::<String>(),
    ]
}

fn time() -> impl Strategy<Value = DateTime<Utc>> {
    (0_i64..4_000_000_000_000).prop_map(|millis| DateTime::from_timestamp_millis(millis).unwrap())
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![3 => -2_i64..300, 1 => -9_007_199_254_740_991..9_007_199_254_740_991_i64, 1 => any::<i64>()]
}

fn state() -> impl Strategy<Value = State> {
    let names = (name(), name(), name(), name(), prop::option::of(name()));
    let numbers = (number(), number(), number(), any::<bool>(), any::<bool>());
    let few = (
        prop::option::of(number()),
        prop::option::of(number()),
        prop::option::of(prop_oneof![any::<f64>(), 0.0..100.0]),
        prop::collection::vec(name(), 0..4),
    );
    let times = (prop::option::of(time()), prop::option::of(time()));
    (names, numbers, few, times).prop_map(|(names, numbers, few, times)| State {
        name: names.0,
        namespace: names.1,
        status: names.2.into(),
        is_ready: names.3.into(),
        group: names.4,
        restarts: numbers.0,
        exit_code: numbers.1,
        replicas: numbers.2,
        has_ready_probe: numbers.3,
        is_running: numbers.4,
        replica: few.0,
        pid: few.0,
        age_ms: few.1,
        mem_bytes: few.1,
        cpu_percent: few.2.filter(|number| number.is_finite()),
        namespaces: few.3,
        started_at: times.0,
        ready_at: times.1,
        ended_at: times.0,
    })
}

prop_compose! {
    fn event()(
        state in prop::option::of(state()),
        kind in 0_usize..12,
        (severity, origin) in (0_usize..4, 0_usize..3),
        words in (name(), name(), name(), name(), name(), name()),
        (seq, process_seq, count) in (any::<u64>(), prop::option::of(0_u64..90), any::<u32>()),
        (timestamp, before, after, at) in (time(), time(), prop::option::of(time()), prop::option::of(time())),
        (code, pid, with) in (prop::option::of(number()), prop::option::of(number()), any::<[bool; 3]>()),
    ) -> Envelope {
        let kinds = Kind::PROCESS.into_iter().chain(Kind::SOURCE);
        let previous = Previous {
            name: words.0.get(..1).map(str::to_owned),
            status: words.1.clone().into(),
            is_ready: words.2.clone().into(),
            restarts: 3,
            pid,
        };
        Envelope {
            kind: kinds.chain([Kind::Other("hibernated".into())]).nth(kind).unwrap(),
            process: state.as_ref().map(|state| state.name.clone()),
            namespace: state.as_ref().map(|state| state.namespace.clone()),
            timestamp,
            subject: words.3,
            severity: Severity::ALL[severity],
            state,
            schema: 1,
            id: words.4,
            source: words.5.clone(),
            journal: words.5,
            seq,
            process_seq,
            epoch: words.0,
            origin: [Origin::Initial, Origin::Change, Origin::Resync][origin],
            reason: words.1.into(),
            certainty: words.2.into(),
            occurred: Occurred { after, before, at },
            exit: with[0].then_some(Exit { code, signal: pid, expected: with[1] }),
            count,
            previous: with[2].then_some(previous),
            gap: None,
        }
    }
}

fn written(event: &Envelope) -> Vec<u8> {
    let mut text = Vec::new();
    event.write_json(&mut text).unwrap();
    text
}

/// Whether nothing in it is of a kind that a glance leaves to others.
fn is_common(event: &Envelope, text: &[u8]) -> bool {
    let state = event.state.as_ref();
    let numbers = state.map_or([0; 6], |state| {
        let (replica, age) = (state.replica.unwrap_or(0), state.age_ms.unwrap_or(0));
        [
            state.restarts,
            state.exit_code,
            state.replicas,
            replica,
            age,
            0,
        ]
    });
    let exit = event.exit.and_then(|exit| exit.code).unwrap_or(0);
    let signal = event.exit.and_then(|exit| exit.signal).unwrap_or(0);
    let pid = event.previous.as_ref().and_then(|former| former.pid);
    let mut numbers = numbers.into_iter().chain([exit, signal, pid.unwrap_or(0)]);
    let processor = state.and_then(|state| state.cpu_percent).unwrap_or(0.0);
    let processor = serde_json::to_string(&processor).unwrap();
    let (whole, part) = processor.split_once('.').unwrap_or((&processor, ""));
    !matches!(event.kind, Kind::Other(_))
        && !text.contains(&b'\\')
        && numbers.all(|number| number.unsigned_abs() < 1_000_000_000_000_000_000)
        && event.seq < 1_000_000_000_000_000_000
        && event.count < 1_000_000_000
        && !processor.contains(['e', 'E'])
        && whole.trim_start_matches('-').len() <= 15
        && part.len() <= 17
}

proptest! {
    #[test]
    fn a_glance_at_what_we_wrote_sees_what_is_read(event in event()) {
        let text = written(&event);
        let read = Envelope::parse(&text).unwrap();
        let glance = Glance::of(&text);
        if let Some(glance) = &glance {
            prop_assert_eq!(glance, &read.glance());
        }
        prop_assert_eq!(glance.is_some(), is_common(&event, &text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn a_text_at_which_a_glance_can_be_taken_is_an_event(
        event in event(), at: prop::sample::Index, with in prop::collection::vec(
            prop::sample::select(b"\"\\,:{}[]0123456789-+.eEntrufals \x01\x7f\xff\xc3\xa4".to_vec()), 0..4,
        ), without in 0_usize..4,
    ) {
        let mut text = written(&event);
        let from = at.index(text.len());
        let to = text.len().min(from + without);
        text.splice(from..to, with);
        if let Some(glance) = Glance::of(&text) {
            let read = Envelope::parse(&text);
            prop_assert!(read.is_ok(), "{:?}: {}", read.err(), String::from_utf8_lossy(&text));
            prop_assert_eq!(Some(glance), read.as_ref().ok().map(Envelope::glance));
        }
    }
}

#[test]
fn a_glance_leaves_alone_what_does_not_stand_as_we_write_it() {
    let event = concat!(
        r#"{"type":"crashed","process":"api","namespace":"default","timestamp":"2026-08-20T07:18:04.120Z","#,
        r#""subject":"s","severity":"error","schema":1,"id":"i","source":"shop","journal":"j","seq":42,"#,
        r#""origin":"change","reason":"exit","certainty":"certain","occurred":{"before":"2026-08-20T07:18:04.100Z"},"#,
        r#""exit":{"code":7,"signal":null,"expected":false},"count":1}"#,
    );
    let glance = Glance::of(event.as_bytes()).unwrap();
    assert_eq!((glance.process, glance.source), (Some("api"), "shop"));
    assert_eq!(glance.timestamp, at("2026-08-20T07:18:04.120Z"));
    for (from, to) in [
        ("crashed", "hibernated"),
        ("\"api\"", "\"a\\u0070i\""),
        ("\"api\"", "\"a\tpi\""),
        ("04.120Z", "04.12Z"),
        ("2026-08-20T07:18:04.120Z", "9999-08-20T07:18:04.120Z"),
        ("2026-08-20T07:18:04.100Z", "2026-02-30T07:18:04.100Z"),
        ("\"seq\":42", "\"seq\":042"),
        ("\"seq\":42", "\"seq\":-42"),
        ("\"seq\":42", "\"seq\":4.2"),
        ("\"seq\":42", "\"seq\":"),
        ("\"code\":7", "\"code\":-0"),
        ("\"count\":1", "\"count\":4294967296"),
        ("\"count\":1", "\"count\":1,\"later\":1"),
        ("\"error\"", "\"errors\""),
        ("\"change\"", "\"CHANGE\""),
        ("\"schema\":1,", ""),
        ("\"count\":1}", "\"count\":1"),
        ("\"count\":1}", "\"count\":1}}"),
        ("\"count\":1}", "\"count\":1} "),
        ("{\"type\"", "{ \"type\""),
    ] {
        assert!(event.contains(from), "{from}");
        assert_eq!(Glance::of(event.replace(from, to).as_bytes()), None, "{to}");
    }
    assert_eq!(Glance::of(b"{\"type\":\"crashed\xff"), None);
}
