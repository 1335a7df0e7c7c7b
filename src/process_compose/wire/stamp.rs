//! Times as the server writes them.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};

/// A time as the server wrote it, read only when somebody asks: most are never needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp<'a>(pub(super) Option<Cow<'a, str>>);

impl Stamp<'_> {
    /// The time; nothing where it is absent, unreadable or the zero time.
    pub fn utc(&self) -> Option<DateTime<Utc>> {
        let text = self.0.as_deref()?;
        let time = usual(text.as_bytes()).or_else(|| {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(time.to_utc())
        })?;
        (time.year() > 1).then_some(time)
    }

    /// The text as it came.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(super) fn into_owned(self) -> Stamp<'static> {
        Stamp(self.0.map(|text| Cow::Owned(text.into_owned())))
    }
}

/// `2026-08-20T09:15:02.832895929+02:00`, as Go writes it: a table holds two of these for each process, and a general
/// parser would take a good part of a look. Nothing for whatever is written otherwise.
fn usual(text: &[u8]) -> Option<DateTime<Utc>> {
    let (date, rest) = text.split_at_checked(10)?;
    let (&[b'T', ref clock @ ..], rest) = rest.split_at_checked(9)? else {
        return None;
    };
    let ([_, _, _, _, b'-', _, _, b'-', _, _], [_, _, b':', _, _, b':', _, _]) = (date, clock)
    else {
        return None;
    };
    let day = NaiveDate::from_ymd_opt(
        i32::try_from(number(&date[..4])?).ok()?,
        number(&date[5..7])?,
        number(&date[8..])?,
    )?;
    let (hour, minute, second) = (
        number(&clock[..2])?,
        number(&clock[3..5])?,
        number(&clock[6..])?,
    );
    let (nanos, zone) = fraction(rest)?;
    // A leap second is the general parser's.
    if second == 60 {
        return None;
    }
    let time = day.and_hms_nano_opt(hour, minute, second, nanos)?.and_utc();
    time.checked_sub_signed(chrono::TimeDelta::minutes(offset(zone)?))
}

/// The nanoseconds behind the point, if there is one, and what follows.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.', rest @ ..] = text else {
        return Some((0, text));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let scale = 10_u32.pow(9 - u32::try_from(digits).ok()?);
    Some((number(&rest[..digits])? * scale, &rest[digits..]))
}

/// Minutes east of Greenwich.
fn offset(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), ref hours @ .., b':', m, n] if hours.len() == 2 => {
            let (hours, minutes) = (number(hours)?, number(&[m, n])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = i64::from(60 * hours + minutes);
            Some(if sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

/// A number of at most nine digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum: u32, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u32::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_server_writes_is_read_without_the_general_parser() {
        for text in [
            "2026-08-20T09:15:02.832895929+02:00",
            "2026-11-21T07:54:36.81891733+01:00",
            "2026-08-20T07:15:02Z",
            "2024-02-29T23:59:59.5-03:30",
            "0001-01-01T00:00:00Z",
        ] {
            let general = DateTime::parse_from_rfc3339(text).unwrap().to_utc();
            assert_eq!(usual(text.as_bytes()), Some(general), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-08-20T24:00:00Z",
            "2026-08-20T09:15:02.Z",
            "2026-08-20T09:15:02+2:00",
            "2026-08-20T09:15:02+24:00",
            "2026-08-20T09:15:02",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(Stamp(Some(text.into())).utc(), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_nothing_otherwise_than_the_general_parser(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2}|)") {
            let general = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc());
            if let Some(time) = usual(text.as_bytes()) {
                prop_assert_eq!(Some(time), general);
            }
        }
    }
}
