use super::super::settings::Secret;
use super::*;

#[test]
fn servers_without_atomic_batches_are_refused_with_the_way_out() {
    for old in ["2.9.10", "2.11.14", "1.4.1", "", "x.y"] {
        let line = judge_version(old, "nats://h:1").unwrap_err().to_string();
        assert!(
            line.contains("nats-server")
                && line.contains("2.12 or newer")
                && line.contains("--server"),
            "{line}"
        );
    }
    for new in ["2.12.0", "2.12.0-RC.1", "2.15.1", "3.0.0"] {
        assert_eq!(judge_version(new, "nats://h:1"), Ok(()), "{new}");
    }
}

#[test]
fn what_proves_who_we_are_is_taken_from_a_text_or_refused_without_it() {
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let jwt = |seed: Option<&str>| Pass::Jwt {
        jwt: Secret::new("eyJ0eXAiOiJKV1QifQ.eyJ4IjoxfQ.c2ln\n"),
        seed: seed.map(Secret::new),
    };
    let shown = |pass: &Pass| show(ConnectOptions::new(), pass).map(drop);
    assert!(shown(&jwt(Some(seed))).is_ok());
    assert!(shown(&jwt(None)).is_ok());
    for wrong in [
        jwt(Some("hunter2")),
        Pass::Credentials(Secret::new("hunter2")),
    ] {
        let error = shown(&wrong).unwrap_err().to_string();
        assert_eq!(error, "the credentials cannot be used");
    }
    let file = format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n");
    assert_eq!(super::seed(&file), seed);
    assert_eq!(super::seed(&format!(" {seed}\n")), seed);
}

#[test]
fn pauses_grow_to_their_limit_and_begin_at_once() {
    assert_eq!(pause(1), Duration::ZERO);
    assert!(pause(2) <= Duration::from_millis(20));
    assert!((Duration::from_secs(2)..=LONGEST_PAUSE).contains(&pause(1_000_000)));
}
