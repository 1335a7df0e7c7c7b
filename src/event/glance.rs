//! A glance at an event: what a filter asks about it, borrowed from its text.
//!
//! Reading an event whole makes some twenty strings of it, and most readers of the past look at a few of them or at none. A
//! glance is taken of a text that stands exactly as [`Envelope::write_json`] writes it, keys in their order and nothing
//! between them, which nearly all do. Of such a text it is known that it is an event; of any other a glance says nothing,
//! and whoever must know reads it whole.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::envelope::Envelope;
use super::payload::{Kind, Origin, Severity, millis};
use super::plain::is_literal;

/// What a filter asks about an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance<'a> {
    /// What happened.
    pub kind: Cow<'a, Kind>,
    /// The process it happened to; absent in events about the source.
    pub process: Option<&'a str>,
    /// The configured name of the process, where it is known.
    pub group: Option<&'a str>,
    /// The first namespace of the process.
    pub namespace: Option<&'a str>,
    pub(super) namespaces: Names<'a>,
    /// When it was observed.
    pub timestamp: DateTime<Utc>,
    /// How much attention it deserves.
    pub severity: Severity,
    /// What is watched.
    pub source: &'a str,
    /// The journal its number belongs to.
    pub journal: &'a str,
    /// Its number there.
    pub seq: u64,
    /// Where the difference comes from.
    pub origin: Origin,
    /// Why; empty where it says nothing.
    pub reason: &'a str,
    /// How sure that is.
    pub certainty: &'a str,
}

/// Names that stand in a list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names<'a> {
    List(&'a [String]),
    /// As they stand in a text, between the first quotation mark and the last, without any other but those between them.
    Text(&'a str),
}

impl<'a> Names<'a> {
    fn iter(self) -> impl Iterator<Item = &'a str> {
        let (list, text) = match self {
            Self::List(list) => (list, None),
            Self::Text(text) => (&[][..], Some(text)),
        };
        let listed = list.iter().map(String::as_str);
        listed.chain(text.into_iter().flat_map(|text| text.split("\",\"")))
    }
}

impl PartialEq for Names<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Glance<'a> {
    /// A glance at a text; nothing where it does not stand as we write it, whether it is an event or not.
    pub fn of(text: &'a [u8]) -> Option<Self> {
        let is_whole = |byte: &u8| !matches!(*byte, 0..=0x1f | b'\\');
        let is_text = || text.iter().all(is_whole) && std::str::from_utf8(text).is_ok();
        // So that a string ends with the next quotation mark.
        if !(is_literal(text) || is_text()) {
            return None;
        }
        let mut text = Text(text);
        let glance = text.event()?;
        text.0.is_empty().then_some(glance)
    }

    /// Every namespace of the process; the first one perhaps twice.
    pub(super) fn every_namespace(&self) -> impl Iterator<Item = &'a str> {
        self.namespace.into_iter().chain(self.namespaces.iter())
    }
}

impl Envelope {
    /// What a filter asks about it.
    pub fn glance(&self) -> Glance<'_> {
        let state = self.state.as_ref();
        Glance {
            kind: Cow::Borrowed(&self.kind),
            process: self.process.as_deref(),
            group: self.group(),
            namespace: self.namespace.as_deref(),
            namespaces: Names::List(state.map_or(&[], |state| state.namespaces.as_slice())),
            timestamp: self.timestamp,
            severity: self.severity,
            source: &self.source,
            journal: &self.journal,
            seq: self.seq,
            origin: self.origin,
            reason: &self.reason,
            certainty: &self.certainty,
        }
    }
}

/// Where the first quotation mark stands, eight bytes at a time.
fn quote(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let mut rest = text;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        // A byte is nought where a mark stands, and only above the first of those may another seem to be.
        let eight = u64::from_le_bytes(*eight) ^ (ONES * u64::from(b'"'));
        let marks = eight.wrapping_sub(ONES) & !eight & (ONES << 7);
        if marks != 0 {
            return Some(text.len() - rest.len() + marks.trailing_zeros() as usize / 8);
        }
        rest = behind;
    }
    let within = rest.iter().position(|byte| *byte == b'"')?;
    Some(text.len() - rest.len() + within)
}

/// What is left of a text. Whatever is taken from it says nothing where it does not stand there.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn has(&mut self, literal: &str) -> bool {
        let rest = self.0.strip_prefix(literal.as_bytes());
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip(&mut self, literal: &str) -> Option<()> {
        self.has(literal).then_some(())
    }

    /// The rest of a string and its end, where nobody asks what it says.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (string, rest) = self.0.split_at_checked(quote(self.0)?)?;
        self.0 = rest.get(1..)?;
        Some(string)
    }

    /// The rest of a string, and its end.
    fn string(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// The string of a key that may be absent goes into `string`.
    fn string_of(&mut self, key: &str, string: &mut Option<&'a str>) -> Option<()> {
        if self.has(key) {
            *string = Some(self.string()?);
        }
        Some(())
    }

    fn time(&mut self) -> Option<DateTime<Utc>> {
        let (time, rest) = self.0.split_first_chunk()?;
        self.0 = rest.strip_prefix(b"\"")?;
        millis::plain(time)
    }

    fn time_of(&mut self, key: &str) -> Option<()> {
        if self.has(key) {
            self.time()?;
        }
        Some(())
    }

    /// How many digits come next.
    fn digits(&self) -> usize {
        self.0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    }

    /// At most so many digits of a number, without a nought before others, and no more than a `u64` holds.
    fn natural(&mut self, most: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(self.digits())?;
        let is_number =
            (1..=most).contains(&digits.len()) && (digits.len() == 1 || !digits.starts_with(b"0"));
        self.0 = rest;
        let value = |value: u64, digit: &u8| value * 10 + u64::from(digit - b'0');
        is_number.then(|| digits.iter().fold(0, value))
    }

    /// A number that an `i64` holds; which one is no matter.
    fn integer(&mut self) -> Option<()> {
        if self.has("-") && self.0.starts_with(b"0") {
            return None;
        }
        self.natural(18)?;
        Some(())
    }

    fn integer_of(&mut self, key: &str) -> Option<()> {
        if self.has(key) {
            self.integer()?;
        }
        Some(())
    }

    fn decimal(&mut self) -> Option<()> {
        self.has("-");
        self.natural(15)?;
        if self.has(".") {
            let digits = self.digits();
            self.0 = self.0.get(digits..)?;
            (1..=17).contains(&digits).then_some(())?;
        }
        Some(())
    }

    fn truth(&mut self) -> Option<()> {
        (self.has("true") || self.has("false")).then_some(())
    }

    fn event(&mut self) -> Option<Glance<'a>> {
        self.skip(r#"{"type":""#)?;
        let kind = match Kind::parse(self.string()?) {
            Kind::Other(_) => return None,
            kind => Cow::Owned(kind),
        };
        let (mut process, mut namespace) = (None, None);
        self.string_of(r#","process":""#, &mut process)?;
        self.string_of(r#","namespace":""#, &mut namespace)?;
        self.skip(r#","timestamp":""#)?;
        let timestamp = self.time()?;
        self.skip(r#","subject":""#)?;
        self.bytes()?;
        let severity = self.severity()?;
        let (group, namespaces) = self.state()?;
        self.skip(r#","schema":"#)?;
        self.natural(9)?;
        self.skip(r#","id":""#)?;
        self.bytes()?;
        self.skip(r#","source":""#)?;
        let source = self.string()?;
        self.skip(r#","journal":""#)?;
        let journal = self.string()?;
        self.skip(r#","seq":"#)?;
        let seq = self.natural(18)?;
        if self.has(r#","process_seq":"#) {
            self.natural(18)?;
        }
        if self.has(r#","epoch":""#) {
            self.bytes()?;
        }
        let origin = self.origin()?;
        let mut reason = None;
        self.string_of(r#","reason":""#, &mut reason)?;
        self.skip(r#","certainty":""#)?;
        let certainty = self.string()?;
        self.occurred()?;
        self.exit()?;
        self.skip(r#","count":"#)?;
        self.natural(9)?;
        self.previous()?;
        self.skip("}")?;
        Some(Glance {
            kind,
            process,
            group,
            namespace,
            namespaces,
            timestamp,
            severity,
            source,
            journal,
            seq,
            origin,
            reason: reason.unwrap_or_default(),
            certainty,
        })
    }

    fn severity(&mut self) -> Option<Severity> {
        self.skip(r#","severity":""#)?;
        let word = self.string()?;
        let mut all = Severity::ALL.into_iter();
        all.find(|severity| severity.as_str() == word)
    }

    fn origin(&mut self) -> Option<Origin> {
        self.skip(r#","origin":""#)?;
        let word = self.string()?;
        let mut all = [Origin::Initial, Origin::Change, Origin::Resync].into_iter();
        all.find(|origin| origin.as_str() == word)
    }

    /// The group and the namespaces that the state names, where there is one.
    fn state(&mut self) -> Option<(Option<&'a str>, Names<'a>)> {
        if !self.has(r#","state":{"name":""#) {
            return Some((None, Names::List(&[])));
        }
        self.bytes()?;
        for key in [r#","namespace":""#, r#","status":""#, r#","is_ready":""#] {
            self.skip(key)?;
            self.bytes()?;
        }
        self.skip(r#","has_ready_probe":"#)?;
        self.truth()?;
        self.skip(r#","restarts":"#)?;
        self.integer()?;
        self.skip(r#","exit_code":"#)?;
        self.integer()?;
        self.skip(r#","is_running":"#)?;
        self.truth()?;
        self.skip(r#","replicas":"#)?;
        self.integer()?;
        let mut group = None;
        self.string_of(r#","group":""#, &mut group)?;
        self.integer_of(r#","replica":"#)?;
        let namespaces = if self.has(r#","namespaces":[""#) {
            self.names()?
        } else {
            Names::List(&[])
        };
        for key in [r#","pid":"#, r#","age_ms":"#, r#","mem_bytes":"#] {
            self.integer_of(key)?;
        }
        if self.has(r#","cpu_percent":"#) {
            self.decimal()?;
        }
        for key in [r#","started_at":""#, r#","ready_at":""#, r#","ended_at":""#] {
            self.time_of(key)?;
        }
        self.skip("}")?;
        Some((group, namespaces))
    }

    /// The rest of a list of strings.
    fn names(&mut self) -> Option<Names<'a>> {
        let begin = self.0;
        self.bytes()?;
        while self.has(",\"") {
            self.bytes()?;
        }
        let end = begin.len() - self.0.len() - 1;
        self.skip("]")?;
        let names = std::str::from_utf8(begin.get(..end)?).ok()?;
        Some(Names::Text(names))
    }

    fn occurred(&mut self) -> Option<()> {
        self.skip(r#","occurred":{"#)?;
        if self.has(r#""after":""#) {
            self.time()?;
            self.skip(",")?;
        }
        self.skip(r#""before":""#)?;
        self.time()?;
        self.time_of(r#","at":""#)?;
        self.skip("}")
    }

    fn exit(&mut self) -> Option<()> {
        if !self.has(r#","exit":{"code":"#) {
            return Some(());
        }
        self.number()?;
        self.skip(r#","signal":"#)?;
        self.number()?;
        self.skip(r#","expected":"#)?;
        self.truth()?;
        self.skip("}")
    }

    /// A number, or the word that it is not known.
    fn number(&mut self) -> Option<()> {
        if self.has("null") {
            Some(())
        } else {
            self.integer()
        }
    }

    fn previous(&mut self) -> Option<()> {
        if !self.has(r#","previous":{"#) {
            return Some(());
        }
        if self.has(r#""name":""#) {
            self.bytes()?;
            self.skip(",")?;
        }
        self.skip(r#""status":""#)?;
        self.bytes()?;
        self.skip(r#","is_ready":""#)?;
        self.bytes()?;
        self.skip(r#","restarts":"#)?;
        self.integer()?;
        self.integer_of(r#","pid":"#)?;
        self.skip("}")
    }
}

#[cfg(test)]
mod tests;
