use proptest::prelude::*;

use super::*;

#[test]
fn plain_names_stay_readable_and_others_are_escaped() {
    for (name, token) in [
        ("api", "api"),
        ("web-2_x", "web-2_x"),
        ("web.v2", "web=2Ev2"),
        ("job *", "job=20=2A"),
        ("ä", "=C3=A4"),
        ("=", "=3D"),
        ("", "="),
        ("a>b\n", "a=3Eb=0A"),
    ] {
        assert_eq!(encode_token(name), token);
        assert_eq!(decode_token(token), Some(Token::Whole(name.to_owned())));
    }
}

#[test]
fn texts_that_no_name_encodes_to_are_refused() {
    for token in [
        "",
        "a.b",
        "a*",
        "=4",
        "=4g",
        "=41",
        "=c3=a4",
        "==",
        "a==12",
        "a==00000000000000zz",
        "a b",
        "=FF",
    ] {
        assert_eq!(decode_token(token), None, "{token}");
    }
}

#[test]
fn a_long_name_is_cut_behind_a_whole_escape_and_carries_its_hash() {
    let name = format!("a{}", "ä".repeat(300));
    let token = encode_token(&name);
    assert!(token.len() <= MAX_TOKEN);
    let Some(Token::Cut { prefix, hash }) = decode_token(&token) else {
        panic!("{token}")
    };
    assert!(name.starts_with(&prefix) && !prefix.is_empty());
    assert_eq!(hash, fnv1a(name.as_bytes()));
    assert_ne!(encode_token(&format!("{name}x")), token);
}

#[test]
fn a_name_of_exactly_the_limit_is_whole_and_one_more_is_cut() {
    assert_eq!(encode_token(&"a".repeat(MAX_TOKEN)), "a".repeat(MAX_TOKEN));
    assert!(encode_token(&"a".repeat(MAX_TOKEN + 1)).contains("=="));
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn a_head_says_under_which_prefix_its_source_is_asked() {
    let prefix = Prefix::for_writing("edge.{host}", "s", "w1").unwrap();
    let head = prefix.head_root("my.shop");
    assert_eq!(Prefix::of_head(&head), Ok(prefix.clone()));
    let control = prefix.control("my.shop");
    assert_eq!(control, "edge.w1.control.my=2Eshop.adapter");
    for subject in ["core.process.a", "head.shop", "", "core.head", "$JS.head.x"] {
        assert!(Prefix::of_head(subject).is_err(), "{subject}");
    }
}

#[test]
fn prefixes_are_checked() {
    assert_eq!(
        Prefix::for_writing("edge.{host}", "s", "web 1")
            .unwrap()
            .as_str(),
        "edge.web=201"
    );
    assert_eq!(
        Prefix::for_reading("edge.{host}").unwrap().as_str(),
        "edge.*"
    );
    assert_eq!(
        Prefix::for_writing("edge.*", "s", "h"),
        Err(PrefixError::BadByte)
    );
    assert_eq!(Prefix::for_reading("a..b"), Err(PrefixError::EmptyToken));
    assert_eq!(Prefix::for_reading("$JS.API"), Err(PrefixError::Reserved));
    assert_eq!(Prefix::for_reading(">"), Err(PrefixError::BadByte));
}

proptest! {
    #[test]
    fn any_name_round_trips_and_none_injects_a_token(name in any::<String>()) {
        let token = encode_token(&name);
        prop_assert!(!token.is_empty() && token.len() <= MAX_TOKEN);
        prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=".contains(&b)));
        match decode_token(&token) {
            Some(Token::Whole(back)) => prop_assert_eq!(back, name),
            Some(Token::Cut { prefix, hash }) => {
                prop_assert!(name.starts_with(&prefix));
                prop_assert_eq!(hash, fnv1a(name.as_bytes()));
            }
            None => prop_assert!(false, "not decoded"),
        }
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_token(token in "[A-Za-z0-9=_-]{1,40}") {
        if let Some(Token::Whole(name)) = decode_token(&token) {
            prop_assert_eq!(encode_token(&name), token);
        }
    }

    #[test]
    fn a_subject_always_has_five_tokens(ns in any::<String>(), name in any::<String>()) {
        let subject = Prefix::default().process_event(&ns, &name, &Kind::Crashed);
        prop_assert_eq!(subject.split('.').count(), 5);
        prop_assert!(subject.len() < 600);
    }
}
