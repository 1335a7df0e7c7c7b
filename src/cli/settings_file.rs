//! The file of settings while a program runs: read again when it changes, kept as it was where it is wrong.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::adapter::settings::Claim;
use crate::config::Config;
use crate::config::file::{self, Directory, Rule, Source};
use crate::config::text::{Glob, Interval, Text};
use crate::event::sieve::{Sieve, Wording};
use crate::observation::source::SourceId;
use crate::process_compose::settings::{Evidence, TokenSource};

use super::conf::{self, InForce};
use super::exit::{Exit, Failure, OrExit as _};
use super::folders::Folder;
use super::source_args::endpoint;
use super::stacks::{Stack, Usual, Wanted};
use super::terminal::{say, words};

/// By what is seen that a file changed.
type Stamp = (u64, u64, u64, i64, i64);

/// The file, what it last said, and what was said of it.
pub(super) struct SettingsFile {
    in_force: InForce,
    stamp: Option<Stamp>,
    usual: Usual,
    /// Nothing but this one.
    only: Option<SourceId>,
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some((
        about.dev(),
        about.ino(),
        about.len(),
        about.mtime(),
        about.mtime_nsec(),
    ))
}

impl SettingsFile {
    /// The file that was read at the start. `usual` is what the flags say of stacks that say nothing of their own.
    pub(super) fn new(
        in_force: InForce,
        usual: Usual,
        only: Option<SourceId>,
    ) -> Result<Self, Failure> {
        let file = Self {
            stamp: stamp(&in_force.path),
            in_force,
            usual,
            only,
        };
        file.wanted()?;
        Ok(file)
    }

    /// Reads it again where it changed or somebody asked for it; what it names.
    pub(super) fn refresh(&mut self, asked: bool) -> Vec<Wanted> {
        let now = stamp(&self.in_force.path);
        if asked || now != self.stamp {
            self.stamp = now;
            if let Err(failure) = self.read() {
                let line = format!("{}; what was in force stays", failure.line());
                say(&words().clean(&line, 2000));
            }
        }
        self.wanted().unwrap_or_default()
    }

    fn read(&mut self) -> Result<(), Failure> {
        let read = conf::read(&self.in_force.path)?;
        let former = std::mem::replace(&mut self.in_force, read);
        if let Err(failure) = self.wanted() {
            self.in_force = former;
            return Err(failure);
        }
        let (was, is) = (&former.config, &self.in_force.config);
        let path = self.in_force.path.display();
        if was == is {
            return Ok(());
        }
        let more = if is_rest_equal(was, is) {
            ""
        } else {
            "; what it says of broker, stream, spool and the usual interval counts from the next start"
        };
        say(&words().clean(&format!("{path} was read again{more}"), 1000));
        Ok(())
    }

    /// The stacks it names.
    fn wanted(&self) -> Result<Vec<Wanted>, Failure> {
        let mut all = Vec::new();
        for source in &self.in_force.config.sources {
            let name: SourceId = super::contact::check_name(source.name.as_str())?;
            if self.only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            let place = endpoint(source, self.in_force.folder())?;
            let stack = Stack {
                sieve: sieve(source)?.map(Arc::new),
                ..self.usual(source).stack(place, true)
            };
            all.push(Wanted {
                name: Some(name),
                stack,
            });
        }
        Ok(all)
    }

    /// The folders it names.
    pub(super) fn directories(&self) -> Vec<Folder> {
        if self.only.is_some() {
            return Vec::new();
        }
        let folder = self.in_force.folder();
        let directories = self.in_force.config.directories.iter();
        directories
            .map(|directory| Folder {
                path: directory.path.path(folder),
                usual: self.usual(directory),
            })
            .collect()
    }

    fn usual(&self, of: &impl Own) -> Usual {
        let (token, interval, evidence) = of.own();
        let token = token.map(|token| TokenSource::File(token.path(self.in_force.folder())));
        let evidence = evidence.map(|evidence| match evidence {
            file::Evidence::Auto => Evidence::Auto,
            file::Evidence::Off => Evidence::Off,
        });
        Usual {
            token,
            interval: interval.map_or(self.usual.interval, Interval::span),
            evidence: evidence.unwrap_or(self.usual.evidence),
            claims: self.usual.claims,
        }
    }
}

/// What stacks and folders may say of themselves.
trait Own {
    fn own(&self) -> (Option<&Text>, Option<&Interval>, Option<file::Evidence>);
}

impl Own for Source {
    fn own(&self) -> (Option<&Text>, Option<&Interval>, Option<file::Evidence>) {
        (
            self.token_file.as_ref(),
            self.interval.as_ref(),
            self.evidence,
        )
    }
}

impl Own for Directory {
    fn own(&self) -> (Option<&Text>, Option<&Interval>, Option<file::Evidence>) {
        (
            self.token_file.as_ref(),
            self.interval.as_ref(),
            self.evidence,
        )
    }
}

/// What an adapter of this stack leaves out.
pub(super) fn sieve(source: &Source) -> Result<Option<Sieve>, Failure> {
    if source.include.is_none() && source.exclude.is_none() {
        return Ok(None);
    }
    let wording = |rule: &Rule| {
        let texts = |globs: &[Glob]| globs.iter().map(|it| it.as_str().to_owned()).collect();
        Wording {
            names: texts(&rule.names),
            namespaces: texts(&rule.namespaces),
            types: rule.types.iter().map(|it| it.word().to_owned()).collect(),
            severity: rule.severity.map(|it| it.word().to_owned()),
        }
    };
    let (include, exclude) = (source.include.as_ref(), source.exclude.as_ref());
    let sieve = Sieve::new(include.map(wording), exclude.map(wording));
    sieve.or_exit(Exit::Usage).map(Some)
}

/// Whether two files say the same of everything that is only read at the start.
fn is_rest_equal(one: &Config, other: &Config) -> bool {
    let rest = |config: &Config| Config {
        sources: Vec::new(),
        directories: Vec::new(),
        ..config.clone()
    };
    rest(one) == rest(other)
}

/// How firmly the names of stacks are ours.
pub(super) fn claims(adopt: bool) -> (Claim, Claim) {
    if adopt {
        (Claim::Adopt, Claim::Adopt)
    } else {
        (Claim::Given, Claim::Derived)
    }
}
