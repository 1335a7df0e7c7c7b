//! Numbers in words: durations, ages, bytes, signals.

use std::time::Duration;

/// A stretch of time in at most two units, rounded down: `400 ms`, `12 s`, `3 min 29 s`, `3 h 20 min`, `2 d 4 h`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if seconds == 0 {
        format!("{} ms", duration.as_millis())
    } else if minutes == 0 {
        format!("{seconds} s")
    } else if minutes < 10 {
        two(minutes, "min", seconds % 60, "s")
    } else if hours == 0 {
        format!("{minutes} min")
    } else if days == 0 {
        two(hours, "h", minutes % 60, "min")
    } else {
        two(days, "d", hours % 24, "h")
    }
}

/// A setting, as it was given: as [`span`], but nothing of a short one is rounded away: `250 ms`, `1.9 s`, `2 min`.
pub fn setting(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    if seconds == 0 || seconds >= 60 || millis == 0 {
        return span(duration);
    }
    let fraction = format!("{millis:03}");
    format!("{seconds}.{} s", fraction.trim_end_matches('0'))
}

/// How long ago something was, in one unit, rounded down: `0 s`, `14 min`, `3 h`, `2 d`.
pub fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// An amount of memory with one decimal: `512 B`, `1.5 kB`, `20.2 MB`.
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if amount < 1000 {
        return format!("{amount} B");
    }
    // In tenths of the unit, rounded half up.
    let (mut tenths, mut unit) = ((u128::from(amount) + 50) / 100, 0);
    let mut scale: u128 = 100;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        scale *= 1000;
        unit += 1;
        tenths = (u128::from(amount) + scale / 2) / scale;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A number with its noun: `1 process`, `12 processes`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The name of a signal by its number on Linux; other systems number some of them differently.
pub fn signal(number: i64) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_setting_is_shown_as_it_was_given() {
        for (ms, wanted) in [
            (250, "250 ms"),
            (1900, "1.9 s"),
            (2000, "2 s"),
            (2005, "2.005 s"),
            (90_500, "1 min 30 s"),
        ] {
            assert_eq!(setting(Duration::from_millis(ms)), wanted);
        }
    }

    #[test]
    fn stretches_take_two_units_at_most() {
        for (ms, wanted) in [
            (0, "0 ms"),
            (400, "400 ms"),
            (1000, "1 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (209_000, "3 min 29 s"),
            (599_999, "9 min 59 s"),
            (842_000, "14 min"),
            (3_600_000, "1 h"),
            (12_000_000, "3 h 20 min"),
            (86_400_000, "1 d"),
            (187_200_000, "2 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), wanted);
        }
    }

    #[test]
    fn ages_take_one_unit() {
        for (s, wanted) in [
            (0, "0 s"),
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (842, "14 min"),
            (3599, "59 min"),
            (12_000, "3 h"),
            (86_399, "23 h"),
            (187_200, "2 d"),
        ] {
            assert_eq!(age(Duration::from_secs(s)), wanted);
        }
    }

    #[test]
    fn bytes_carry_one_decimal() {
        for (amount, wanted) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1540, "1.5 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (20_185_088, "20.2 MB"),
            (1_900_000_000, "1.9 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(amount), wanted);
        }
    }

    #[test]
    fn signals_have_names_from_1_to_31() {
        for (number, wanted) in [
            (1, Some("SIGHUP")),
            (9, Some("SIGKILL")),
            (11, Some("SIGSEGV")),
            (15, Some("SIGTERM")),
            (31, Some("SIGSYS")),
            (0, None),
            (32, None),
            (-1, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ] {
            assert_eq!(signal(number), wanted);
        }
    }
}
