//! Moments as people write them: `1h`, `10 min ago`, `today`, `yesterday 18:30`, RFC 3339, `@unix`.

use std::time::Duration;

use chrono::{DateTime, Days, Local, LocalResult, NaiveDate, NaiveDateTime, NaiveTime};
use chrono::{TimeDelta, TimeZone, Utc};

use super::door::{Charset, clean_for};
use super::time::Zone;

/// A text that names no moment; the message has the forms there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no time; write 1h, 90m or 2d, '10 min ago', today, yesterday, 18:30, 'yesterday 18:30:05', 2026-08-20, \
     2026-08-20T18:30:05Z or @1787212800"
)]
pub struct NoMoment {
    text: Box<str>,
}

/// The moment that a text means: a duration counts back from `now`, a date or a time of day is told by the wall clock of
/// `zone`, and what the wall clock shows twice is the earlier of the two.
///
/// # Errors
///
/// A text that names no moment, or one beyond what can be counted; trying again does not help.
pub fn moment(text: &str, now: DateTime<Utc>, zone: Zone) -> Result<DateTime<Utc>, NoMoment> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = instant(&words, now)
        .or_else(|| wall(&words, now, zone))
        .or_else(|| back(&words, now));
    found.ok_or_else(|| NoMoment {
        text: clean_for(Charset::Ascii, text, 60).into(),
    })
}

/// What needs no wall clock.
fn instant(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if text == "now" {
        return Some(now);
    }
    if let Some(unix) = text.strip_prefix('@') {
        return seconds(unix);
    }
    // Long enough to be no duration that lacks its unit.
    let whole = text.split('.').next()?;
    if whole.len() >= 9 && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return seconds(text);
    }
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.with_timezone(&Utc))
}

/// Seconds since 1970 with up to nine decimals.
fn seconds(text: &str) -> Option<DateTime<Utc>> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    DateTime::from_timestamp(whole.parse().ok()?, format!("{part:0<9}").parse().ok()?)
}

/// What the wall clock of a zone says.
fn wall(text: &str, now: DateTime<Utc>, zone: Zone) -> Option<DateTime<Utc>> {
    let today = match zone {
        Zone::Local => now.with_timezone(&Local).date_naive(),
        Zone::Utc => now.date_naive(),
        Zone::Fixed(offset) => now.with_timezone(&offset).date_naive(),
    };
    let (date, time) = if let Some(time) = text.strip_prefix("today") {
        (today, time)
    } else if let Some(time) = text.strip_prefix("yesterday") {
        (today.checked_sub_days(Days::new(1))?, time)
    } else if let Some(time) = clock(text) {
        return resolve(today.and_time(time), zone);
    } else {
        let (day, time) = text.split_at_checked(10)?;
        let time = time.strip_prefix(['T', 't']).map(|time| format!(" {time}"));
        let time = time.as_deref().unwrap_or(&text[10..]);
        return resolve(date(day)?.and_time(behind(time)?), zone);
    };
    resolve(date.and_time(behind(time)?), zone)
}

/// A time of day behind a blank, or midnight where there is neither.
fn behind(text: &str) -> Option<NaiveTime> {
    match text.strip_prefix(' ') {
        None if text.is_empty() => Some(NaiveTime::MIN),
        None => None,
        Some(time) => clock(time),
    }
}

/// Exactly `2026-08-20`: the parser behind it would also take `26-8-20`.
fn date(text: &str) -> Option<NaiveDate> {
    let shape = text.len() == 10 && text.is_ascii();
    shape.then(|| text.parse().ok()).flatten()
}

fn clock(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S%.f", "%H:%M"]
        .into_iter()
        .find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

fn resolve(at: NaiveDateTime, zone: Zone) -> Option<DateTime<Utc>> {
    match zone {
        Zone::Utc => Some(at.and_utc()),
        Zone::Fixed(offset) => earliest(&offset, at),
        Zone::Local => earliest(&Local, at),
    }
}

fn earliest<Z: TimeZone>(zone: &Z, at: NaiveDateTime) -> Option<DateTime<Utc>> {
    let found = match zone.from_local_datetime(&at) {
        LocalResult::Single(found) | LocalResult::Ambiguous(found, _) => found,
        // Clocks were put forward over it: the same distance from the hour before.
        LocalResult::None => {
            let before = at.checked_sub_signed(TimeDelta::hours(1))?;
            let found = zone.from_local_datetime(&before).earliest()?;
            found.checked_add_signed(TimeDelta::hours(1))?
        }
    };
    Some(found.with_timezone(&Utc))
}

/// A duration back from now.
fn back(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let text = text.strip_suffix(" ago").unwrap_or(text);
    let text = text.strip_prefix('-').unwrap_or(text);
    let duration: Duration = humantime::parse_duration(text).ok()?;
    now.checked_sub_signed(TimeDelta::from_std(duration).ok()?)
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, SecondsFormat};
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-08-20T07:18:04.120Z";

    fn berlin() -> Zone {
        Zone::Fixed(FixedOffset::east_opt(7200).unwrap())
    }

    fn read(text: &str) -> Option<String> {
        let found = moment(text, NOW.parse().unwrap(), berlin()).ok()?;
        Some(found.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    #[test]
    fn every_form_means_its_moment() {
        for (text, wanted) in [
            ("now", "2026-08-20T07:18:04.120Z"),
            ("1h", "2026-08-20T06:18:04.120Z"),
            ("90m", "2026-08-20T05:48:04.120Z"),
            ("1h30m", "2026-08-20T05:48:04.120Z"),
            ("1d3h5m2s", "2026-08-19T04:13:02.120Z"),
            ("2d", "2026-08-18T07:18:04.120Z"),
            ("-5s", "2026-08-20T07:17:59.120Z"),
            ("10 min ago", "2026-08-20T07:08:04.120Z"),
            ("2 hours 5 min ago", "2026-08-20T05:13:04.120Z"),
            (" 1 day  ago ", "2026-08-19T07:18:04.120Z"),
            ("today", "2026-08-19T22:00:00Z"),
            ("today 06:30", "2026-08-20T04:30:00Z"),
            ("yesterday", "2026-08-18T22:00:00Z"),
            ("yesterday 18:30", "2026-08-19T16:30:00Z"),
            ("yesterday 18:30:05", "2026-08-19T16:30:05Z"),
            ("09:00", "2026-08-20T07:00:00Z"),
            ("09:00:01.5", "2026-08-20T07:00:01.500Z"),
            ("9:00", "2026-08-20T07:00:00Z"),
            ("2026-08-20", "2026-08-19T22:00:00Z"),
            ("2026-08-19 18:30", "2026-08-19T16:30:00Z"),
            ("2026-08-19T18:30:05", "2026-08-19T16:30:05Z"),
            ("2026-08-19T18:30:05.250", "2026-08-19T16:30:05.250Z"),
            ("2026-08-19T18:30:05Z", "2026-08-19T18:30:05Z"),
            ("2026-08-19 18:30:05+05:30", "2026-08-19T13:00:05Z"),
            ("@1787212800", "2026-08-20T08:00:00Z"),
            ("@1787212800.25", "2026-08-20T08:00:00.250Z"),
            ("1787212800.000000001", "2026-08-20T08:00:00.000000001Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_names_no_moment_is_refused_with_the_forms_there_are() {
        for text in [
            "",
            " ",
            "1",
            "60",
            "soon",
            "today18",
            "todayx",
            "yesterdays",
            "25:00",
            "7",
            "12:61",
            "@",
            "@x",
            "@1.",
            "@-1",
            "@1.1234567890",
            "2026-02-30",
            "26-08-20",
            "2026-8-2",
            "2026-08-20T",
            "ago",
            "-",
            "1h ago ago",
            "99999999999999d",
            "@99999999999999999",
            "9999999999999999999999",
            "\u{202e}1h",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        let error = moment("tee\ntime", NOW.parse().unwrap(), berlin()).unwrap_err();
        let said = error.to_string();
        assert!(!said.contains('\n') && !said.contains("  "), "{said}");
        for form in [
            "'10 min ago'",
            "90m",
            "today",
            "'yesterday 18:30:05'",
            "@1787212800",
        ] {
            assert!(said.contains(form), "{form} is not in {said}");
        }
    }

    #[test]
    fn the_forms_an_error_shows_are_all_understood() {
        for form in [
            "1h",
            "90m",
            "2d",
            "10 min ago",
            "today",
            "yesterday",
            "18:30",
            "yesterday 18:30:05",
            "2026-08-20",
            "2026-08-20T18:30:05Z",
            "@1787212800",
        ] {
            assert!(read(form).is_some(), "{form}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", shape in "[-@0-9:.TZ dhmsagoyetr]{0,30}") {
            let now = NOW.parse().unwrap();
            for text in [&text, &shape] {
                for zone in [Zone::Utc, Zone::Local, berlin()] {
                    drop(moment(text, now, zone));
                }
            }
        }

        #[test]
        fn a_moment_in_full_means_itself(millis in 0_i64..4_000_000_000_000) {
            let at = DateTime::from_timestamp_millis(millis).unwrap();
            let now = NOW.parse().unwrap();
            prop_assert_eq!(moment(&at.to_rfc3339(), now, berlin()), Ok(at));
            let wall = at.with_timezone(&FixedOffset::east_opt(7200).unwrap()).naive_local();
            prop_assert_eq!(moment(&wall.format("%F %T%.3f").to_string(), now, berlin()), Ok(at));
            let unix = format!("@{}.{:03}", millis / 1000, millis % 1000);
            prop_assert_eq!(moment(&unix, now, berlin()), Ok(at));
        }

        #[test]
        fn a_duration_counts_back(seconds in 0_u64..10_000_000) {
            let now: DateTime<Utc> = NOW.parse().unwrap();
            let wanted = now - TimeDelta::seconds(i64::try_from(seconds).unwrap());
            let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
            prop_assert_eq!(moment(&text, now, Zone::Utc), Ok(wanted));
            prop_assert_eq!(moment(&format!("{text} ago"), now, Zone::Utc), Ok(wanted));
        }
    }
}
