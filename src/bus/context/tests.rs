use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::settings::{BusSettings, Pass, Secret};
use super::*;

/// What lies around in these tests.
fn around<T>(work: impl FnOnce(&Around<'_>) -> T) -> T {
    let known = BTreeMap::from([
        ("HOME", "/home/me"),
        ("PLACE", "keys"),
        ("PW", "by-variable"),
    ]);
    let variable = |name: &str| known.get(name).map(|value| (*value).to_owned());
    let file = |path: &Path| match path.to_str() {
        Some("/home/me/pw") => Ok("by-file\r\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    work(&Around {
        variable: &variable,
        file: &file,
    })
}

/// What a context makes of settings to which nothing was given.
fn alone(text: &str) -> Result<BusSettings, ContextError> {
    beside(text, BusSettings::default(), Server::OfContext)
}

fn beside(text: &str, given: BusSettings, server: Server) -> Result<BusSettings, ContextError> {
    let context = Context::parse(text.as_bytes())?;
    around(|around| context.under(given, server, around))
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

fn path(text: &str) -> PathBuf {
    PathBuf::from(text)
}

#[test]
fn every_key_that_says_something_is_taken() {
    let settings = alone(
        r#"{"description":"d","url":"nats://a:1, nats://b:2","user":"joe","password":"pw","token":"t","cert":"~/c.pem",
            "key":"$HOME/k.pem","ca":"file:///ca.pem","tls_first":true,"inbox_prefix":"_MINE","jetstream_domain":"hub",
            "jetstream_api_prefix":"other","jetstream_event_prefix":"e","color_scheme":"x","nsc":"","socks_proxy":"",
            "windows_cert_store":"","windows_cert_match":"","windows_cert_match_by":"","windows_ca_certs_match":null,
            "user_jwt":"","tomorrow":{"a":[1]}}"#,
    )
    .unwrap();
    assert_eq!(settings.display_url(), "nats://a:1,nats://b:2");
    assert_eq!(settings.user.as_deref(), Some("joe"));
    assert_eq!(settings.password, Some(secret("pw")));
    assert_eq!(settings.token, Some(secret("t")));
    assert_eq!(settings.tls.ca, Some(path("/ca.pem")));
    assert_eq!(settings.tls.cert, Some(path("/home/me/c.pem")));
    assert_eq!(settings.tls.key, Some(path("/home/me/k.pem")));
    assert!(settings.tls.first);
    assert_eq!(settings.inbox(), "_MINE");
    assert_eq!(settings.api(), "$JS.hub.API");
}

#[test]
fn an_empty_context_is_the_usual_address() {
    for text in ["{}", r#"{"url":""}"#, r#"{"url":null,"token":""}"#] {
        let settings = alone(text).unwrap();
        assert_eq!(settings.display_url(), "nats://127.0.0.1:4222", "{text}");
        assert_eq!(settings.token, None);
    }
    let prefix = alone(r#"{"jetstream_api_prefix":"from.hub."}"#).unwrap();
    assert_eq!(prefix.api(), "from.hub");
}

#[test]
fn keys_are_known_in_any_case_and_the_very_key_goes_before() {
    let settings = alone(r#"{"URL":"nats://a:1","User":"x","user":"joe"}"#).unwrap();
    assert_eq!(settings.display_url(), "nats://a:1");
    assert_eq!(settings.user.as_deref(), Some("joe"));
}

#[test]
fn of_several_ways_in_the_first_counts() {
    let all =
        r#""user":"joe","password":"pw","creds":"c","nkey":"n","user_jwt":"j","user_seed":"s""#;
    let settings = alone(&format!("{{{all}}}")).unwrap();
    assert_eq!(settings.user.as_deref(), Some("joe"));
    assert!(settings.creds.is_none() && settings.nkey.is_none() && settings.pass.is_none());
    let settings = alone(r#"{"creds":"~/a/$PLACE/${NOT_SET}c","nkey":"n"}"#).unwrap();
    assert_eq!(settings.creds, Some(path("/home/me/a/keys/c")));
    assert!(settings.nkey.is_none());
    let settings = alone(r#"{"nkey":"file://~/n","user_jwt":"j"}"#).unwrap();
    assert_eq!(settings.nkey, Some(path("/home/me/n")));
    assert!(settings.pass.is_none());
    let jwt = |seed| Pass::Jwt {
        jwt: Secret::new("j"),
        seed,
    };
    let settings = alone(r#"{"user_jwt":"j","user_seed":"s"}"#).unwrap();
    assert_eq!(settings.pass, Some(jwt(Some(secret("s")))));
    let settings = alone(r#"{"user_jwt":"j"}"#).unwrap();
    assert_eq!(settings.pass, Some(jwt(None)));
}

#[test]
fn values_may_lie_elsewhere() {
    for (password, wanted) in [
        ("env://PW", "by-variable"),
        ("ENV://PW", "by-variable"),
        ("file://~/pw", "by-file"),
        ("data:;base64,aW5saW5l", "inline"),
        ("data:text/plain;base64,aW5saW5lCg==", "inline"),
        ("$PW", "$PW"),
        ("~/pw", "~/pw"),
    ] {
        let settings = alone(&format!(r#"{{"user":"u","password":"{password}"}}"#)).unwrap();
        assert_eq!(settings.password, Some(secret(wanted)), "{password}");
        let settings = alone(&format!(r#"{{"token":"{password}"}}"#)).unwrap();
        assert_eq!(settings.token, Some(secret(wanted)), "{password}");
    }
    let settings = alone(r#"{"creds":"data:;base64,aW5saW5l"}"#).unwrap();
    let credentials = Pass::Credentials(Secret::new("inline"));
    assert_eq!((settings.creds, settings.pass), (None, Some(credentials)));
    let settings = alone(r#"{"nkey":"env://PW"}"#).unwrap();
    let seed = Pass::Seed(Secret::new("by-variable"));
    assert_eq!((settings.nkey, settings.pass), (None, Some(seed)));
}

#[test]
fn what_was_given_goes_before_the_same_of_the_context() {
    let text = r#"{"url":"nats://a:1","user":"joe","password":"pw","ca":"/ca","cert":"/c","key":"/k","inbox_prefix":"_I",
        "jetstream_domain":"hub"}"#;
    let given = BusSettings {
        password: Some(secret("given")),
        js_api_prefix: Some("given".into()),
        tls: Tls {
            ca: Some(path("/given")),
            ..Tls::default()
        },
        ..BusSettings::default()
    };
    let settings = beside(text, given.at("nats://given:2"), Server::Given).unwrap();
    assert_eq!(settings.display_url(), "nats://given:2");
    assert_eq!(settings.user.as_deref(), Some("joe"));
    assert_eq!(settings.password, Some(secret("given")));
    assert_eq!(settings.tls.ca, Some(path("/given")));
    assert_eq!(settings.tls.cert, Some(path("/c")));
    assert_eq!((settings.api().as_str(), settings.inbox()), ("given", "_I"));
}

#[test]
fn another_way_in_that_was_given_leaves_none_of_the_context() {
    let text = r#"{"user":"joe","password":"env://NOT_SET","token":"t"}"#;
    let given = BusSettings {
        creds: Some(path("/given")),
        ..BusSettings::default()
    };
    let settings = beside(text, given, Server::OfContext).unwrap();
    assert_eq!((settings.user, settings.token), (None, None));
    let given = BusSettings {
        user: Some("given".into()),
        ..BusSettings::default()
    };
    let settings = beside(
        r#"{"creds":"c","token":"t"}"#,
        given.clone(),
        Server::OfContext,
    )
    .unwrap();
    assert_eq!((settings.creds, settings.token), (None, None));
    let text = r#"{"user":"joe","password":"pw"}"#;
    let settings = beside(text, given, Server::OfContext).unwrap();
    assert_eq!(settings.user.as_deref(), Some("given"));
    assert_eq!(settings.password, Some(secret("pw")));
    let named = BusSettings::default().at("nats://me:pw@given:1");
    let settings = beside(text, named, Server::Given).unwrap();
    assert_eq!((settings.user, settings.password), (None, None));
}

/// Each text is refused with a line that names the key and says this.
fn refused(all: &[(&str, &str, &str)]) {
    for (text, key, wanted) in all {
        let error = alone(text).unwrap_err().to_string();
        assert!(
            error.contains(key) && error.contains(wanted),
            "{text}: {error}"
        );
    }
}

#[test]
fn what_others_would_have_to_do_is_refused_with_what_to_write_instead() {
    refused(&[
        (r#"{"nsc":"nsc://o/a/u"}"#, "nsc", "creds"),
        (r#"{"creds":"nsc://o/a/u"}"#, "creds", "creds"),
        (
            r#"{"user":"u","password":"OP://v/i/f"}"#,
            "password",
            "env://",
        ),
        (
            r#"{"windows_cert_store":"user"}"#,
            "windows_cert_store",
            "ca",
        ),
        (r#"{"windows_ca_certs_match":["x"]}"#, "windows_ca", "ca"),
        (r#"{"socks_proxy":"socks5://h:1"}"#, "socks_proxy", "url"),
    ]);
}

#[test]
fn values_that_cannot_be_are_refused() {
    refused(&[
        (r#"{"ca":"env://CA"}"#, "ca", "path"),
        (
            r#"{"nkey":"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"}"#,
            "nkey",
            "path",
        ),
        (
            r#"{"creds":"-----BEGIN NATS USER JWT-----"}"#,
            "creds",
            "path",
        ),
        (r#"{"url":7}"#, "url", "text"),
        (r#"{"tls_first":"yes"}"#, "tls_first", "true"),
        (r#"{"inbox_prefix":"a b"}"#, "inbox_prefix", "tokens"),
        (
            r#"{"jetstream_domain":"a\r\nPUB x 0"}"#,
            "jetstream_domain",
            "tokens",
        ),
        (
            r#"{"jetstream_api_prefix":"a..b"}"#,
            "jetstream_api_prefix",
            "tokens",
        ),
        (r#"{"token":"env://NOT_SET"}"#, "token", "not set"),
        (r#"{"token":"data:,plain"}"#, "token", "base64"),
        (r#"{"token":"file:///nowhere"}"#, "token", "cannot be read"),
        ("[]", "JSON", "object"),
        ("", "JSON", "object"),
        (
            "{\"user\":\"u\",\n \"password\": hunter2}",
            "JSON",
            "line 2",
        ),
    ]);
    let large = vec![b' '; LARGEST + 1];
    assert!(matches!(
        Context::parse(&large),
        Err(ContextError::TooLarge)
    ));
}

#[test]
fn no_error_and_no_debug_output_repeats_a_value() {
    for text in [
        r#"{"url":"nats://u:hunter2@h","user":"u","password":"hunter2","token":"hunter2"}"#,
        r#"{"user":"u","password":"env://hunter2"}"#,
        r#"{"token":"data:hunter2"}"#,
        r#"{"token":"file:///hunter2"}"#,
        r#"{"tls_first":"hunter2"}"#,
        r#"{"password":"hunter2" "#,
        r#"{"inbox_prefix":"hunter2 "}"#,
        r#"{"nsc":"hunter2"}"#,
        r#"{"creds":"nsc://hunter2","user_seed":"hunter2"}"#,
    ] {
        let context = Context::parse(text.as_bytes());
        assert!(!format!("{context:?}").contains("hunter2"), "{text}");
        match alone(text) {
            Ok(settings) => assert!(!format!("{settings:?}").contains("hunter2"), "{text}"),
            Err(error) => {
                let said = format!("{error:?} {error}");
                assert!(!said.contains("hunter2"), "{said}");
            }
        }
    }
}

#[test]
fn variables_in_paths_are_replaced_as_a_shell_does() {
    for (text, wanted) in [
        ("/a/$PLACE/b", "/a/keys/b"),
        ("/a/${PLACE}b", "/a/keysb"),
        ("/a/$NOT_SET/b", "/a//b"),
        ("$PLACEX", ""),
        ("a$", "a$"),
        ("a$/b", "a$/b"),
        ("a${}b", "ab"),
        ("a${PLACE", "aPLACE"),
        ("a$1b", "ab"),
        ("$$PLACE", "PLACE"),
        ("~", "/home/me"),
        ("~/a~", "/home/me/a~"),
        ("/~/a", "/~/a"),
        ("ä$PLACEä", "äkeysä"),
    ] {
        let found = around(|around| path_of(text, around));
        assert_eq!(found, Path::new(wanted), "{text}");
    }
}
