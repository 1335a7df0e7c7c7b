//! Lengths of time as a person writes them: `5s`, `1m30s`, `2.5s`, `20s..40s`, `forever`.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Why a text is no length of time; fix the text, trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time (write 500ms, 5s, 1m30s, 2h, 20s..40s or forever)")]
pub struct SpanError(String);

/// A length of time drawn anew for each life: exact, between two bounds, or without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    least: Duration,
    most: Duration,
}

impl Span {
    /// A span that never ends.
    pub const FOREVER: Self = Self::exactly(Duration::MAX);

    /// A span that is always `length`.
    pub const fn exactly(length: Duration) -> Self {
        Self {
            least: length,
            most: length,
        }
    }

    /// A span drawn evenly between `least` and `most`.
    pub const fn between(least: Duration, most: Duration) -> Self {
        Self { least, most }
    }

    /// One length out of the span; `None` when it never ends.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Option<Duration> {
        if self.least == Duration::MAX {
            return None;
        }
        if self.least >= self.most {
            return Some(self.least);
        }
        let range =
            u64::try_from(self.most.saturating_sub(self.least).as_micros()).unwrap_or(u64::MAX - 1);
        Some(self.least + Duration::from_micros(rng.u64(0..=range)))
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        if text.trim() == "forever" {
            return Ok(Self::FOREVER);
        }
        let Some((least, most)) = text.split_once("..") else {
            return parse(text).map(Self::exactly);
        };
        let (least, most) = (parse(least)?, parse(most)?);
        if least > most {
            return Err(SpanError(text.to_owned()));
        }
        Ok(Self { least, most })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Reads one exact length such as `1m30s` or `2.5s`.
///
/// # Errors
///
/// A text without a unit, with an unknown unit, or with anything else in it.
pub fn parse(text: &str) -> Result<Duration, SpanError> {
    let wrong = || SpanError(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    Ok(total)
}

/// Reads an exact length in a stack file.
///
/// # Errors
///
/// As [`parse`], in the words of the deserializer.
pub fn length<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// Reads an exact length that may be left out.
///
/// # Errors
///
/// As [`parse`], in the words of the deserializer.
pub fn maybe_length<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    length(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_a_person_writes_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("2.5s", 2_500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            (" 1d ", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5x",
            "-1s",
            "1s 2",
            "forever",
            "99999999999999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_is_drawn_within_its_bounds_and_forever_never_ends() {
        let mut rng = fastrand::Rng::with_seed(7);
        let span: Span = "20s..40s".parse().unwrap();
        let drawn: Vec<_> = (0..100).filter_map(|_| span.draw(&mut rng)).collect();
        assert!(drawn.iter().all(|d| (20..=40).contains(&d.as_secs())));
        assert!(drawn.iter().any(|d| d.as_secs() > 30) && drawn.iter().any(|d| d.as_secs() < 30));
        assert_eq!("forever".parse::<Span>().unwrap().draw(&mut rng), None);
        assert!("40s..20s".parse::<Span>().is_err());
    }
}
