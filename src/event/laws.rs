//! What must hold for whatever stands in a stream or in a subject; held by the property tests and by the fuzz targets.

use super::envelope::Envelope;
use super::filter::{Filter, Pattern};
use super::glance::Glance;
use super::payload::Kind;
use super::subject::{
    MAX_TOKEN, Prefix, Token, decode_token, encode_filter_token, encode_token, fnv1a,
};

/// The text of an event: read, written, read again. Gives it, if it is one.
pub(crate) fn event(bytes: &[u8]) -> Option<Envelope> {
    let event = Envelope::parse(bytes);
    if let Some(glance) = Glance::of(bytes) {
        assert_eq!(event.as_ref().ok().map(Envelope::glance), Some(glance));
    }
    let event = event.ok()?;
    let mut text = Vec::new();
    assert!(event.write_json(&mut text).is_ok());
    assert!(!text.contains(&b'\n'), "an event is a line");
    assert_eq!(serde_json::to_vec(&event).ok().as_ref(), Some(&text));
    let again = Envelope::parse(&text);
    assert!(
        again.is_ok(),
        "{:?}: {}",
        again.err(),
        String::from_utf8_lossy(&text)
    );
    let mut twice = Vec::new();
    // Times lose what is finer than a millisecond, once.
    assert!(again.is_ok_and(|again| again.write_json(&mut twice).is_ok()));
    assert_eq!(
        String::from_utf8_lossy(&text),
        String::from_utf8_lossy(&twice)
    );
    let _all = event.namespaces().count();
    assert!(Filter::all().matches(&event));
    if let Some(Ok(literal)) = event.process.as_deref().map(Pattern::parse)
        && literal.literal().is_some()
    {
        assert!(literal.matches(event.process.as_deref().unwrap_or_default()));
    }
    Some(event)
}

/// A name: its token is one token, and the name comes back; no other text is taken for a token.
pub(crate) fn name(text: &str) {
    let token = encode_token(text);
    assert!(is_token(&token), "{token}");
    match decode_token(&token) {
        Some(Token::Whole(back)) => assert_eq!(back, text),
        Some(Token::Cut { prefix, hash }) => {
            assert!(text.starts_with(&prefix) && hash == fnv1a(text.as_bytes()));
        }
        None => assert!(decode_token(&token).is_some(), "{token} is no token"),
    }
    if let Some(Token::Whole(name)) = decode_token(text) {
        assert_eq!(encode_token(&name), text, "one spelling for a name");
    }
    let filter = encode_filter_token(text);
    assert!(filter == "*" || filter == token);
    let prefixes = [
        Prefix::for_reading(text),
        Prefix::for_writing(text, text, text),
    ];
    for prefix in prefixes.into_iter().flatten() {
        assert_eq!(subject(&prefix, text, text), prefix.tokens() + 4);
    }
    assert_eq!(subject(&Prefix::default(), text, text), 5);
    if let Ok(pattern) = Pattern::parse(text) {
        let _matches = pattern.matches(text);
    }
}

fn is_token(token: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=".contains(&byte);
    !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(fit)
}

/// How many tokens the subject of an event has.
fn subject(prefix: &Prefix, namespace: &str, name: &str) -> usize {
    let subject = prefix.process_event(namespace, name, &Kind::Other(name.into()));
    // The server drops the connection near 4 kB.
    assert!(subject.len() < 1024, "{} bytes", subject.len());
    subject.split('.').count()
}
