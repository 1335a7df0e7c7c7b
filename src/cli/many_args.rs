//! The flags that name several stacks at once, and the file of settings where they do not.

use std::path::PathBuf;

use clap::Args;

use crate::observation::source::SourceId;
use crate::process_compose::settings::Endpoint;
use crate::render::words::count;

use super::conf::{InForce, in_force};
use super::config::place_in_environment;
use super::contact::check_name;
use super::exit::{Exit, Failure};
use super::folders::{Folder, Folders};
use super::settings_file::{SettingsFile, claims};
use super::source_args::SourceArgs;
use super::stacks::{Stacks, Usual, Wanted, given};

/// Several stacks, in one process.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Several stacks")]
pub(super) struct ManyArgs {
    /// A stack, as [NAME=]PLACE with a port, HOST:PORT, a URL or the path of a socket; may be given several times
    #[arg(
        long = "stack",
        value_name = "STACK",
        value_parser = given,
        conflicts_with_all = ["address", "port", "unix_socket", "url", "name"]
    )]
    stacks: Vec<(Option<SourceId>, Endpoint)>,
    /// A folder in which every socket that ends in .sock and speaks process-compose is a stack; * stands for any part of a name
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["address", "port", "unix_socket", "url", "name"]
    )]
    source_dir: Vec<PathBuf>,
}

impl ManyArgs {
    /// The stacks that are meant, and in words where they come from; nothing where one stack is meant.
    pub(super) fn stacks(
        &self,
        source: &SourceArgs,
        name: Option<&str>,
        adopt: bool,
    ) -> Result<Option<(Stacks, String)>, Failure> {
        let usual = Usual {
            interval: source.interval,
            evidence: source.evidence,
            token: source.own_token(),
            claims: claims(adopt),
        };
        if !self.stacks.is_empty() || !self.source_dir.is_empty() {
            return Ok(Some(self.given(&usual)));
        }
        if source.is_given() || place_in_environment().is_some() {
            return Ok(None);
        }
        let Some(file) = in_force().filter(|file| {
            let config = &file.config;
            !(config.sources.is_empty() && config.directories.is_empty())
        }) else {
            return Ok(None);
        };
        let usual = Usual {
            token: None,
            ..usual
        };
        configured(file, usual, name).map(Some)
    }

    fn given(&self, usual: &Usual) -> (Stacks, String) {
        let stacks = self.stacks.iter().map(|(name, endpoint)| Wanted {
            name: name.clone(),
            stack: usual.stack(endpoint.clone(), name.is_some()),
        });
        let folders = self.source_dir.iter().map(|path| Folder {
            path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            usual: usual.clone(),
        });
        let mut parts = Vec::new();
        if !self.stacks.is_empty() {
            parts.push(count(number(self.stacks.len()), "stack", "stacks"));
        }
        let folders: Vec<_> = folders.collect();
        parts.extend(
            folders
                .iter()
                .map(|folder| format!("the sockets in {}", folder.path.display())),
        );
        let stacks = Stacks::new(stacks.collect(), Folders::new(folders), None);
        (stacks, parts.join(" and "))
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn configured(
    file: &InForce,
    usual: Usual,
    name: Option<&str>,
) -> Result<(Stacks, String), Failure> {
    let path = file.path.display();
    let sources = &file.config.sources;
    let only = name.map(check_name).transpose()?;
    if let Some(only) = &only
        && !sources
            .iter()
            .any(|source| source.name.as_str() == only.as_str())
    {
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        return Err(Failure::say(
            Exit::Usage,
            format!(
                "{path} has no source {only}; there are {}",
                names.join(", ")
            ),
        ));
    }
    let whence = match &only {
        Some(only) => format!("{only} of {path}"),
        None => format!("the stacks of {path}"),
    };
    let file = SettingsFile::new(file.clone(), usual, only)?;
    let stacks = Stacks::new(Vec::new(), Folders::default(), Some(file));
    Ok((stacks, whence))
}
