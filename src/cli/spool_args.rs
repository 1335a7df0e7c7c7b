//! The flags of the spool: where what the broker has not taken waits, and how much of it.

use std::path::PathBuf;

use clap::Args;

use crate::adapter::settings::SPOOL_BYTES;

/// What is kept while the broker is away.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "While the broker is away")]
pub(super) struct SpoolArgs {
    /// How much waits on the disk before the net difference is told instead; 0 keeps a little in memory only
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size, allow_hyphen_values = true)]
    pub(super) spool_max: u64,
    /// Folder for what waits; by default in the state folder
    #[arg(long, value_name = "DIR")]
    pub(super) spool_dir: Option<PathBuf>,
}

impl Default for SpoolArgs {
    fn default() -> Self {
        Self {
            spool_max: SPOOL_BYTES,
            spool_dir: None,
        }
    }
}

/// A number of bytes, as people write it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "write for example 64MiB, 64M or 67108864".to_owned();
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, wanted) in [
            ("0", 0),
            ("67108864", 64 << 20),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1G", 1 << 30),
            ("5kB", 5_000),
        ] {
            assert_eq!(size(text), Ok(wanted), "{text}");
        }
        for text in ["", "-1", "64X", "MiB", "1.5M", "99999999999999G"] {
            assert!(size(text).unwrap_err().contains("64MiB"), "{text}");
        }
    }
}
