//! How times are shown.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Local, SecondsFormat, Utc};

use super::format::UnknownWord;
use super::words::{age, span};

/// What was asked for by `--time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeStyle {
    /// The wall clock of this machine.
    #[default]
    Local,
    /// UTC.
    Utc,
    /// How long ago.
    Relative,
    /// No time at all.
    None,
}

impl FromStr for TimeStyle {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "local" => Ok(Self::Local),
            "utc" => Ok(Self::Utc),
            "relative" => Ok(Self::Relative),
            "none" => Ok(Self::None),
            _ => Err(UnknownWord::new("time", word, "local, utc, relative, none")),
        }
    }
}

/// Whose wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// This machine's.
    Local,
    /// UTC.
    Utc,
    /// One with a fixed distance from UTC.
    Fixed(FixedOffset),
}

/// A style of times together with the wall clock it is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// What the column of times holds.
    pub style: TimeStyle,
    /// Whose wall clock, also for times in the text.
    pub zone: Zone,
}

impl Times {
    /// Times as `--time` asks for them; the text beside them follows this machine's clock unless UTC was asked for.
    pub fn new(style: TimeStyle) -> Self {
        let zone = if style == TimeStyle::Utc {
            Zone::Utc
        } else {
            Zone::Local
        };
        Self { style, zone }
    }

    fn wall(self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        match self.zone {
            Zone::Local => at.with_timezone(&Local).fixed_offset(),
            Zone::Utc => at.fixed_offset(),
            Zone::Fixed(offset) => at.with_timezone(&offset),
        }
    }

    /// The column of times: always of the same width for one style; empty for `none`.
    pub fn column(self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        match self.style {
            TimeStyle::Local => self.clock(at),
            TimeStyle::Utc => format!("{}Z", self.clock(at)),
            TimeStyle::Relative => format!("{:>6} ago", age(since(at, now))),
            TimeStyle::None => String::new(),
        }
    }

    /// The column of times with everything in it: date, milliseconds, distance from UTC.
    pub fn full(self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        match self.style {
            TimeStyle::Local | TimeStyle::Utc => self
                .wall(at)
                .to_rfc3339_opts(SecondsFormat::Millis, self.zone == Zone::Utc),
            TimeStyle::Relative | TimeStyle::None => self.column(at, now),
        }
    }

    /// A time of day to the second.
    pub fn clock(self, at: DateTime<Utc>) -> String {
        self.wall(at).format("%H:%M:%S").to_string()
    }

    /// A time of day to the second, with its day where that is another one than today's.
    pub fn clock_of(self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        format!("{}{}", self.day_before(at, now), self.clock(at))
    }

    /// A time of day to the millisecond, with its day where that is another one than the other's.
    pub fn moment(self, at: DateTime<Utc>, other: DateTime<Utc>) -> String {
        let day = self.day_before(at, other);
        format!("{day}{}", self.wall(at).format("%H:%M:%S%.3f"))
    }

    fn day_before(self, at: DateTime<Utc>, other: DateTime<Utc>) -> String {
        self.other_day(at, other)
            .map_or_else(String::new, |day| format!("{day} "))
    }

    /// The day, where it is another one than today's: `19 Aug`, of another year `2025-08-19`.
    pub fn other_day(self, at: DateTime<Utc>, now: DateTime<Utc>) -> Option<String> {
        let (day, today) = (self.wall(at).date_naive(), self.wall(now).date_naive());
        if day == today {
            None
        } else if day.format("%Y").to_string() == today.format("%Y").to_string() {
            Some(day.format("%-d %b").to_string())
        } else {
            Some(day.to_string())
        }
    }

    /// A stretch with its length: `14:02:11–14:05:40 (3 min 29 s)`.
    pub fn stretch(self, from: DateTime<Utc>, to: DateTime<Utc>, dash: &str) -> String {
        let day = self.day_before(from, to);
        format!(
            "{day}{}{dash}{} ({})",
            self.clock(from),
            self.clock(to),
            span(since(from, to))
        )
    }
}

/// The time from one to the other; none where the clock went back.
pub fn since(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_column_has_one_width_per_style() {
        let now = at("2026-08-20T07:18:04.120Z");
        let zone = Zone::Fixed(FixedOffset::east_opt(7200).unwrap());
        for (style, wanted, full) in [
            (
                TimeStyle::Local,
                "09:18:02",
                "2026-08-20T09:18:02.100+02:00",
            ),
            (TimeStyle::Relative, "   2 s ago", "   2 s ago"),
            (TimeStyle::None, "", ""),
        ] {
            let times = Times { style, zone };
            let then = at("2026-08-20T07:18:02.100Z");
            assert_eq!(times.column(then, now), wanted);
            assert_eq!(times.full(then, now), full);
        }
        let utc = Times::new(TimeStyle::Utc);
        assert_eq!(utc.column(now, now), "07:18:04Z");
        assert_eq!(utc.full(now, now), "2026-08-20T07:18:04.120Z");
        let ago = Times::new(TimeStyle::Relative);
        for seconds in [0, 59, 3599, 86_399, 8_639_999] {
            let then = now - chrono::Duration::seconds(seconds);
            assert_eq!(ago.column(then, now).len(), 10);
        }
    }

    #[test]
    fn a_stretch_over_midnight_says_its_first_day() {
        let utc = Times::new(TimeStyle::Utc);
        assert_eq!(
            utc.stretch(at("2026-08-20T14:02:11Z"), at("2026-08-20T14:05:40Z"), "–"),
            "14:02:11–14:05:40 (3 min 29 s)"
        );
        assert_eq!(
            utc.stretch(at("2026-08-19T23:58:11Z"), at("2026-08-20T00:05:40Z"), "-"),
            "19 Aug 23:58:11-00:05:40 (7 min 29 s)"
        );
        assert_eq!(
            utc.other_day(at("2025-12-31T23:59:59Z"), at("2026-01-01T00:00:00Z")),
            Some("2025-12-31".to_owned())
        );
    }

    #[test]
    fn a_clock_that_went_back_is_no_time_at_all() {
        let now = at("2026-08-20T14:02:11Z");
        assert_eq!(since(now + chrono::Duration::hours(1), now), Duration::ZERO);
    }
}
