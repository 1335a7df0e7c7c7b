//! Readers of single values: null for what is absent, and either form where versions differ.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::{Namespaces, Stamp};

/// A text that may be null, borrowed where it holds no escapes.
struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

pub(super) fn text<'de, D: Deserializer<'de>>(input: D) -> Result<Cow<'de, str>, D::Error> {
    Ok(input.deserialize_any(Words)?.unwrap_or_default())
}

pub(super) fn stamp<'de, D: Deserializer<'de>>(input: D) -> Result<Stamp<'de>, D::Error> {
    input.deserialize_any(Words).map(Stamp)
}

/// Any number, or null for none.
struct Number;

enum Read {
    Whole(i64),
    Real(f64),
}

impl Visitor<'_> for Number {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or null")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Read, E> {
        Ok(Read::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Read, E> {
        Ok(Read::Whole(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Read, E> {
        Ok(Read::Real(number))
    }

    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read::Whole(0))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast to an integer saturates"
)]
pub(super) fn whole<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    match input.deserialize_any(Number)? {
        Read::Whole(number) => Ok(number),
        Read::Real(number) if number.fract() == 0.0 => Ok(number as i64),
        Read::Real(number) => Err(de::Error::invalid_value(
            de::Unexpected::Float(number),
            &"a whole number",
        )),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage needs no 53 bits")]
pub(super) fn real<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    Ok(match input.deserialize_any(Number)? {
        Read::Whole(number) => number as f64,
        Read::Real(number) => number,
    })
}

pub(super) fn list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<i64>, D::Error> {
    Ok(Option::<Vec<i64>>::deserialize(input)?.unwrap_or_default())
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Namespaces<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a namespace, a list of them, or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(one(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(one(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Namespaces::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(Element(name)) = elements.next_element()? {
            if !name.is_empty() {
                names.push(name);
            }
        }
        Ok(match names.len() {
            0 => Namespaces::default(),
            1 => Namespaces::One(names.remove(0)),
            _ => Namespaces::Many(names),
        })
    }
}

fn one(name: Cow<'_, str>) -> Namespaces<'_> {
    if name.is_empty() {
        Namespaces::default()
    } else {
        Namespaces::One(name)
    }
}

struct Element<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        text(input).map(Element)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Namespaces<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(OneOrMany)
    }
}
