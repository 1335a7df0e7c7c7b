//! Times on the wire: RFC 3339, UTC, exactly three fractional digits.

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, Timelike as _, Utc};
use serde::de::value::StrDeserializer;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a time.
///
/// # Errors
///
/// Whatever the serializer fails with.
pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    match written(time).as_ref().map(|text| std::str::from_utf8(text)) {
        Some(Ok(text)) => serializer.serialize_str(text),
        _ => serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
    }
}

/// A time as we write it, `2026-08-20T07:18:04.120Z`, without the general writer, which takes ten times as long; nothing for
/// a year of more digits and for a leap second.
fn written(time: &DateTime<Utc>) -> Option<[u8; 24]> {
    let year = u32::try_from(time.year()).ok();
    let year = year.filter(|year| *year <= 9999)?;
    let millis = Some(time.timestamp_subsec_millis()).filter(|millis| *millis < 1000)?;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    text[..4].copy_from_slice(&digits::<4>(year));
    text[5..7].copy_from_slice(&digits::<2>(time.month()));
    text[8..10].copy_from_slice(&digits::<2>(time.day()));
    text[11..13].copy_from_slice(&digits::<2>(time.hour()));
    text[14..16].copy_from_slice(&digits::<2>(time.minute()));
    text[17..19].copy_from_slice(&digits::<2>(time.second()));
    text[20..23].copy_from_slice(&digits::<3>(millis));
    Some(text)
}

/// A number in so many digits.
#[inline]
fn digits<const N: usize>(mut number: u32) -> [u8; N] {
    let mut digits = [0; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// Reads a time of any offset and precision.
///
/// # Errors
///
/// A text that is no RFC 3339 time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let Time(time) = Time::deserialize(deserializer)?;
    within(time).ok_or_else(|| D::Error::custom("a year that RFC 3339 cannot write"))
}

/// RFC 3339 has years of four digits. Whoever wrote another one wrote no time of ours, and counting from it would end
/// beyond the calendar.
fn within(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (1..=9998).contains(&time.year()).then_some(time)
}

/// A time of any year.
struct Time(DateTime<Utc>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 formatted date and time string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        let time = match ours(text) {
            Some(time) => time,
            None => DateTime::<Utc>::deserialize(StrDeserializer::new(text))?,
        };
        Ok(Time(time))
    }
}

/// A time as we write it, `2026-08-20T07:18:04.120Z`; an event has half a dozen of them, and reading whatever else is a
/// time takes ten times as long.
fn ours(text: &str) -> Option<DateTime<Utc>> {
    of_digits(text.as_bytes().try_into().ok()?)
}

fn of_digits(text: &[u8; 24]) -> Option<DateTime<Utc>> {
    let marks = [
        text[4], text[7], text[10], text[13], text[16], text[19], text[23],
    ];
    if marks != *b"--T::.Z" {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_u32, |number, byte| {
            byte.is_ascii_digit()
                .then(|| number * 10 + u32::from(byte - b'0'))
        })
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    Some(
        date.and_hms_milli_opt(hour, minute, second, number(20, 23)?)?
            .and_utc(),
    )
}

/// A time as we write it, of a year that counts as one; nothing for any other text, whether it is a time or not.
pub(in crate::event) fn plain(text: &[u8; 24]) -> Option<DateTime<Utc>> {
    of_digits(text).and_then(within)
}

/// The same for times that may be absent.
pub mod option {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a time or null.
    ///
    /// # Errors
    ///
    /// Whatever the serializer fails with.
    pub fn serialize<S: Serializer>(
        time: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a time or null.
    ///
    /// # Errors
    ///
    /// A text that is no RFC 3339 time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        let time = Option::<super::Time>::deserialize(deserializer)?;
        Ok(time.and_then(|time| super::within(time.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_as_we_write_it_is_read_as_any_other_time_is() {
        for text in [
            "2026-08-20T07:18:04.120Z",
            "2024-02-29T23:59:59.999Z",
            "0001-01-01T00:00:00.000Z",
            "9998-12-31T00:00:00.001Z",
            "2026-12-31T23:59:59.000Z",
        ] {
            let wanted: DateTime<Utc> = text.parse().unwrap();
            assert_eq!(ours(text), Some(wanted), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_time_is_written_as_the_general_writer_writes_it(
            seconds in -70_000_000_000_i64..260_000_000_000, nanos in 0..2_000_000_000_u32,
        ) {
            let Some(time) = DateTime::from_timestamp(seconds, nanos) else { return Ok(()) };
            let mut out = serde_json::Serializer::new(Vec::new());
            serialize(&time, &mut out).unwrap();
            let wanted = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            assert_eq!(String::from_utf8(out.into_inner()).unwrap(), format!("{wanted:?}"));
            let short = (0..=9999).contains(&time.year()) && nanos < 1_000_000_000;
            assert_eq!(written(&time).is_some(), short);
        }
    }

    #[test]
    fn what_is_not_as_we_write_it_is_left_to_who_knows_every_form() {
        for text in [
            "",
            "2026-08-20T07:18:04.12Z",
            "2026-08-20T07:18:04.1200Z",
            "2026-08-20T07:18:04.120z",
            "2026-08-20 07:18:04.120Z",
            "2026-08-20T07:18:04,120Z",
            "2026-02-29T07:18:04.120Z",
            "2026-13-20T07:18:04.120Z",
            "2026-08-20T24:00:00.000Z",
            "2026-06-30T23:59:60.000Z",
            "2026-08-20T07:60:04.120Z",
            "+026-08-20T07:18:04.120Z",
            "2026-08-20T07:18:04.1 0Z",
            "2026-08-20T07:18:04+00:0",
        ] {
            assert_eq!(ours(text), None, "{text}");
            let quoted = format!("{text:?}");
            let read = |text: &str| {
                let mut source = serde_json::Deserializer::from_str(text);
                deserialize(&mut source).map_err(|error| error.to_string())
            };
            let wanted = serde_json::from_str::<DateTime<Utc>>(&quoted);
            assert_eq!(read(&quoted), wanted.map_err(|error| error.to_string()));
        }
    }
}
