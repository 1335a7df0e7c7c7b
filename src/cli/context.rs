//! The contexts of the `nats` command: where they lie, which one is meant, and what they make of settings.
//!
//! One that is named counts like the flags it stands for. One that is merely selected was selected for another program: it
//! counts where nobody says anything, it is said, and it is passed over where it cannot be used.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::bus::context::{Around, Context, LARGEST, Server};
use crate::bus::settings::BusSettings;

use super::exit::{Exit, Failure};
use super::terminal::{say, words};

/// So many names are listed.
const LISTED: usize = 12;

/// A context that was read.
#[derive(Debug)]
pub(super) struct Found {
    /// Its name, fit to be shown.
    name: String,
    context: Context,
}

/// Reads the context that somebody named: by its name, or by the path of a file that ends in `.json`.
pub(super) fn named(name: &str) -> Result<Found, Failure> {
    let path = Path::new(name);
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    if is_json && path.is_file() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        return Found::read(&stem, path);
    }
    in_folder(name, folder().as_deref())
}

/// Reads the context that is selected, if one is.
pub(super) fn selected() -> Option<Result<Found, Failure>> {
    let folder = folder()?;
    let text = read(&folder.join("context.txt")).ok()?;
    let name = String::from_utf8_lossy(&text).trim().to_owned();
    (!name.is_empty()).then(|| in_folder(&name, Some(&folder)))
}

/// What the selected context makes of settings, if there is one. One that cannot be used is said and passed over.
pub(super) fn under_selected(settings: &BusSettings) -> Option<BusSettings> {
    let usable = selected()?.and_then(|found| found.under(settings.clone(), Server::OfContext));
    usable
        .inspect_err(|failure| {
            let line = format!("the selected context is passed over: {}", failure.line());
            say(&words().clean(&line, 1000));
        })
        .ok()
}

/// The names of all contexts.
pub(super) fn names() -> Vec<String> {
    folder().map_or_else(Vec::new, |folder| names_in(&folder))
}

fn in_folder(name: &str, folder: Option<&Path>) -> Result<Found, Failure> {
    if !is_name(name) {
        let words = format!(
            "{name:?} is no name of a context; nats context ls prints those there are, and a path must be that of a .json file"
        );
        return Err(Failure::say(Exit::Usage, words));
    }
    let file = folder.map(|folder| folder.join("context").join(format!("{name}.json")));
    match file {
        Some(file) if file.exists() => Found::read(name, &file),
        _ => {
            let all = folder.map_or_else(Vec::new, names_in);
            let words = format!("there is no context {name}; {}", listed(&all));
            Err(Failure::say(Exit::Usage, words))
        }
    }
}

fn listed(all: &[String]) -> String {
    match all.len() {
        0 => "there are none (nats context add makes one)".to_owned(),
        count if count > LISTED => {
            let more = count - LISTED;
            format!("there are {} and {more} more", all[..LISTED].join(", "))
        }
        _ => format!("there are {}", all.join(", ")),
    }
}

/// The folder in which the `nats` command keeps what it knows.
fn folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
    config.map(|config| config.join("nats"))
}

/// What cannot lead out of the folder.
fn is_name(name: &str) -> bool {
    let unfit = |c: char| c.is_control() || matches!(c, '/' | '\\');
    !name.is_empty() && !name.contains("..") && !name.contains(unfit)
}

fn names_in(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("context"));
    let files = files.into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .filter(|path| {
            path.metadata()
                .is_ok_and(|file| file.is_file() && file.len() > 0)
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| is_name(name))
        .collect();
    names.sort_unstable();
    names
}

/// The bytes of a file, one more than a context may have at most.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    std::fs::File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::other("it is no text"))
}

impl Found {
    fn read(name: &str, path: &Path) -> Result<Self, Failure> {
        let name = words().clean(name, 100).into_owned();
        let bytes = read(path).map_err(|error| unusable(&name, error))?;
        let context = Context::parse(&bytes).map_err(|error| unusable(&name, error))?;
        Ok(Self { name, context })
    }

    /// The settings that were given, and below them what the context says.
    pub(super) fn under(&self, given: BusSettings, server: Server) -> Result<BusSettings, Failure> {
        let around = Around {
            variable: &|name| std::env::var(name).ok(),
            file: &text,
        };
        let settings = self.context.under(given, server, &around);
        let settings = settings.map_err(|error| unusable(&self.name, error))?;
        Ok(BusSettings {
            context: Some(self.name.clone()),
            ..settings
        })
    }
}

fn unusable(name: &str, error: impl Into<anyhow::Error>) -> Failure {
    let words = format!("the context {name} cannot be used");
    Failure::new(Exit::Usage, error.into().context(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_the_files_of_the_nats_command() {
        let nats = std::env::temp_dir().join(format!("observe-contexts-{}", std::process::id()));
        let folder = nats.join("context");
        std::fs::create_dir_all(folder.join("folder.json")).unwrap();
        for name in ["prod.json", "lab.json", "ngs.js.json", "notes.txt"] {
            std::fs::write(folder.join(name), "{}").unwrap();
        }
        std::fs::write(folder.join("empty.json"), "").unwrap();
        assert_eq!(names_in(&nats), ["lab", "ngs.js", "prod"]);
        let missing = in_folder("nowhere", Some(&nats)).unwrap_err();
        assert_eq!(
            missing.line(),
            "there is no context nowhere; there are lab, ngs.js, prod"
        );
        std::fs::remove_dir_all(&nats).unwrap();
        assert_eq!(names_in(&nats), [""; 0]);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["", "..", "../x", "a/b", "/etc/x", "a\\b", "a\nb", "a..b"] {
            assert!(!is_name(name), "{name:?}");
            let failure = in_folder(name, None).unwrap_err();
            assert!(failure.line().contains("no name of a context"), "{name:?}");
        }
        for name in ["lab", "ngs.js", "my lab", "größe"] {
            assert!(is_name(name), "{name:?}");
        }
    }

    #[test]
    fn of_many_contexts_some_are_listed() {
        let many: Vec<_> = (0..15).map(|number| format!("c{number}")).collect();
        assert!(listed(&many).ends_with("c11 and 3 more"));
    }
}
