//! Where the file is.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::parse::{VERSION, is_ours};

/// What the file is called.
pub const NAME: &str = "observe.yaml";

/// More than this is no file of settings, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

/// What the search came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The nearest file that is ours.
    pub found: Option<Found>,
    /// Files of that name which are not, nearest first, each with a reason.
    pub passed_over: Vec<(PathBuf, String)>,
}

/// Why a file cannot be read; for people.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says so.
    #[error("{} cannot be read", .0.display())]
    Io(PathBuf, #[source] std::io::Error),
    /// It is larger than settings are.
    #[error("{} is larger than a file of settings can be (1 MiB)", .0.display())]
    TooLarge(PathBuf),
}

/// Looks for the file from this folder upward. `me` is the user we are: a file of somebody else's, but for the
/// system's own, is passed over, because it says to whom our tokens are sent.
pub fn search(here: &Path, me: u32) -> Search {
    let mut search = Search::default();
    for folder in here.ancestors() {
        let path = folder.join(NAME);
        let owner = match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => about.uid(),
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            // A folder we may not look into has nothing for us.
            Err(error) => {
                if error.kind() != ErrorKind::PermissionDenied {
                    search.passed_over.push((path, error.to_string()));
                }
                continue;
            }
        };
        if owner != me && owner != 0 {
            let why = "it belongs to another user (--config takes it all the same)";
            search.passed_over.push((path, why.to_owned()));
            continue;
        }
        match read(&path) {
            Ok(text) if is_ours(&text) => {
                search.found = Some(Found { path, text });
                return search;
            }
            Ok(_) => {
                let why = format!(
                    "it has no `version: {VERSION}` at its top and is taken for somebody else's"
                );
                search.passed_over.push((path, why));
            }
            Err(ReadError::Io(_, error)) => search.passed_over.push((path, error.to_string())),
            Err(ReadError::TooLarge(_)) => {
                let why = "it is larger than a file of settings can be";
                search.passed_over.push((path, why.to_owned()));
            }
        }
    }
    search
}

/// Reads a file of settings.
///
/// # Errors
/// The system, or that it is too large.
pub fn read(path: &Path) -> Result<String, ReadError> {
    let wrong = |error| ReadError::Io(path.to_owned(), error);
    let file = std::fs::File::open(path).map_err(wrong)?;
    let mut text = String::new();
    file.take(LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    if text.len() as u64 > LIMIT {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    Ok(text)
}
