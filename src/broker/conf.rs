//! The configuration of the server, as text (pure).

use std::fmt::Write as _;
use std::path::Path;

use super::card::Token;
use super::error::BrokerError;
use super::folder::Folder;

/// Bytes the store may grow to, over all streams.
const MAX_FILE: u64 = 4 << 30;
/// Bytes memory streams may take; nothing of ours uses one.
const MAX_MEMORY: u64 = 64 << 20;
/// Bytes after which the server begins a new log file; it keeps one old one.
const LOG_LIMIT: u64 = 8 << 20;

/// Writes the configuration for one start.
///
/// # Errors
/// A path that is not UTF-8 cannot be written into it.
pub(super) fn text(
    folder: &Folder,
    name: &str,
    token: &Token,
    port: Option<u16>,
) -> Result<String, BrokerError> {
    let port = port.map_or("-1".to_owned(), |port| port.to_string());
    let store = quoted(&folder.store())?;
    let ports = quoted(&folder.ports())?;
    let log = quoted(&folder.log())?;
    // `sync_interval: always`: an acknowledged event is on the disk. `port: -1`: any free one; it is told in
    // the ports file. No `http`: nothing here needs the monitoring port.
    // Nothing on advertising: a server without a cluster names no other address to its clients (tried with 2.15.1).
    Ok(format!(
        "# written by observe at every start; changes are lost\n\
         server_name: \"{name}\"\n\
         host: \"127.0.0.1\"\n\
         port: {port}\n\
         ports_file_dir: {ports}\n\
         authorization {{ token: \"{token}\" }}\n\
         jetstream {{\n  store_dir: {store}\n  sync_interval: always\n  max_file: {MAX_FILE}\n  max_mem: {MAX_MEMORY}\n}}\n\
         log_file: {log}\n\
         logfile_size_limit: {LOG_LIMIT}\n\
         logfile_max_num: 2\n",
        token = token.reveal(),
    ))
}

fn quoted(path: &Path) -> Result<String, BrokerError> {
    let Some(path) = path.to_str() else {
        return Err(BrokerError::OddPath {
            path: path.to_owned(),
        });
    };
    Ok(quote(path))
}

/// A double-quoted string of the server's configuration language.
fn quote(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    out.push('"');
    for c in word.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_ascii_control() => {
                // Writing into a String cannot fail.
                write!(out, "\\x{:02x}", u32::from(c)).unwrap_or_default();
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted() {
        let cases = [
            ("/a b", "\"/a b\""),
            ("/a\"b", "\"/a\\\"b\""),
            ("/a\\b", "\"/a\\\\b\""),
            ("/a\nb\tc\rd", "\"/a\\nb\\tc\\rd\""),
            ("/a\u{1}b", "\"/a\\x01b\""),
            ("/$HOME/ä", "\"/$HOME/ä\""),
        ];
        for (word, wanted) in cases {
            assert_eq!(quote(word), wanted);
        }
    }
}
