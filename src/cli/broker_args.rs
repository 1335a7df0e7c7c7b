//! The flags that say which broker is meant, and the order in which it is chosen.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::broker::{self, Lease, Places};
use crate::bus::context::Server;
use crate::bus::settings::{
    BusSettings, DEFAULT_STREAM, DEFAULT_URL, FirstConnect, Secret, StreamSetup, Tls,
};
use crate::event::subject::Prefix;

use super::broker::warden_command;
use super::context;
use super::exit::{Exit, Failure, OrExit as _};
use super::kept::holding;
use super::source_args::duration;
use super::terminal::{say, words};

/// How to reach a broker; as the `nats` command has it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct BrokerArgs {
    /// Addresses of NATS servers, with commas between them
    #[arg(
        short = 's',
        long,
        value_name = "URL",
        env = "NATS_URL",
        hide_env_values = true
    )]
    pub(super) server: Option<String>,
    /// Context of the nats command: what it says stands below the single flags and variables
    #[arg(long, value_name = "NAME", env = "NATS_CONTEXT")]
    pub(super) context: Option<String>,
    /// Take no context, neither one that is named nor the one that is selected
    #[arg(long, overrides_with = "context")]
    pub(super) no_context: bool,
    /// User name
    #[arg(long, env = "NATS_USER", hide_env_values = true)]
    pub(super) user: Option<String>,
    /// Password
    #[arg(long, env = "NATS_PASSWORD", hide_env_values = true)]
    pub(super) password: Option<String>,
    /// Token
    #[arg(long, value_name = "TOKEN", env = "NATS_TOKEN", hide_env_values = true)]
    pub(super) nats_token: Option<String>,
    /// Credentials file
    #[arg(long, value_name = "PATH", env = "NATS_CREDS")]
    pub(super) creds: Option<PathBuf>,
    /// File with an NKEY seed
    #[arg(long, value_name = "PATH", env = "NATS_NKEY")]
    pub(super) nkey: Option<PathBuf>,
    /// Certificate authority to trust
    #[arg(long, value_name = "PATH", env = "NATS_CA")]
    pub(super) tlsca: Option<PathBuf>,
    /// Certificate of this client
    #[arg(long, value_name = "PATH", env = "NATS_CERT")]
    pub(super) tlscert: Option<PathBuf>,
    /// Key of this client
    #[arg(long, value_name = "PATH", env = "NATS_KEY")]
    pub(super) tlskey: Option<PathBuf>,
    /// Speak TLS before the server's greeting
    #[arg(long)]
    pub(super) tlsfirst: bool,
    /// JetStream domain
    #[arg(long, value_name = "DOMAIN")]
    pub(super) js_domain: Option<String>,
    /// Prefix of the JetStream API
    #[arg(long, value_name = "PREFIX", conflicts_with = "js_domain")]
    pub(super) js_api_prefix: Option<String>,
    /// Prefix of reply subjects
    #[arg(long, value_name = "PREFIX")]
    pub(super) inbox_prefix: Option<String>,
    /// Name under which the broker lists this connection
    #[arg(long, value_name = "NAME")]
    pub(super) connection_name: Option<String>,
    /// Name of the stream
    #[arg(long, value_name = "NAME", default_value = DEFAULT_STREAM)]
    pub(super) stream: String,
    /// First tokens of every subject; {source} and {host} are replaced
    #[arg(long, value_name = "PREFIX", default_value = "core")]
    pub(super) subject_prefix: String,
    /// The nats-server to run where no broker is configured
    #[arg(long, value_name = "PATH")]
    pub(super) nats_server: Option<PathBuf>,
}

/// What may be done about the stream's settings; for those who write into it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Stream")]
pub(super) struct StreamArgs {
    /// Whether the stream may be created and changed, only compared, or not even that
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(super) stream_setup: Setup,
    /// How long events are kept
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration, allow_hyphen_values = true)]
    pub(super) retention: Duration,
    /// How many bytes the stream may take
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1_048_576..))]
    pub(super) max_bytes: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Setup {
    /// Create it, and keep it as it must be; never change one that somebody else created
    #[default]
    Ensure,
    /// Compare it and refuse what cannot do
    Check,
    /// Take it as it is
    Never,
}

/// Which broker was chosen.
#[derive(Debug)]
pub(super) enum Choice {
    /// Somebody said so: flag, environment or the file of settings.
    Configured(BusSettings),
    /// The context that is selected for the `nats` command, where nobody says anything.
    Selected(BusSettings),
    /// The managed broker, which runs and stays for as long as the lease is held.
    Managed(BusSettings, Lease),
    /// Nobody said anything: the usual address, where one may be or not.
    Usual(BusSettings),
}

impl Choice {
    /// The settings, and what keeps a managed broker.
    pub(super) fn into_parts(self) -> (BusSettings, Option<Lease>) {
        match self {
            Self::Configured(settings) | Self::Selected(settings) | Self::Usual(settings) => {
                (settings, None)
            }
            Self::Managed(settings, lease) => (settings, Some(lease)),
        }
    }

    /// Where the choice came from, for people.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Configured(settings) => configured(settings),
            Self::Selected(settings) => format!("{}, which is selected", configured(settings)),
            Self::Managed(..) => "the managed broker".to_owned(),
            Self::Usual(_) => "the usual address".to_owned(),
        }
    }
}

/// Where settings that somebody gave came from, for people.
pub(super) fn configured(settings: &BusSettings) -> String {
    let context = settings.context.as_ref();
    context.map_or_else(
        || "as configured".to_owned(),
        |name| format!("context {name}"),
    )
}

impl BrokerArgs {
    /// Whether flags, environment or the file of settings name a broker.
    pub(super) fn is_configured(&self) -> bool {
        self.server.is_some() || self.named_context().is_some()
    }

    fn named_context(&self) -> Option<&str> {
        let named = self.context.as_deref().filter(|name| !name.is_empty());
        named.filter(|_| !self.no_context)
    }

    /// What the selected context makes of settings, if there is one that may count.
    pub(super) fn under_selected(&self, settings: &BusSettings) -> Option<BusSettings> {
        if self.no_context {
            return None;
        }
        context::under_selected(settings)
    }

    /// The settings with what the context says that somebody named, if somebody did.
    pub(super) fn in_context(&self, settings: BusSettings) -> Result<BusSettings, Failure> {
        let Some(name) = self.named_context() else {
            return Ok(settings);
        };
        let server = match self.server {
            Some(_) => Server::Given,
            None => Server::OfContext,
        };
        context::named(name)?.under(settings, server)
    }

    /// The settings with what the selected context says, where there is one that can be used. Who only reads passes over
    /// a broker that holds nothing: it was selected for something else.
    async fn in_selected(&self, settings: &BusSettings) -> Option<BusSettings> {
        let selected = self.under_selected(settings)?;
        let why = format!("{}, which is selected", configured(&selected));
        if selected.first_connect == FirstConnect::MayWait {
            return Some(selected);
        }
        if let Err(error) = Box::pin(holding(&selected)).await {
            say(&words().clean(&format!("{why}, is passed over: {error}"), 1000));
            return None;
        }
        let line = format!("reading from {} ({why})", selected.display_url());
        say(&words().clean(&line, 1000));
        Some(selected)
    }

    /// Chooses: flag, environment, the file of settings, the selected context, the managed broker if one runs, the usual
    /// address.
    pub(super) async fn choose(
        &self,
        name: &str,
        prefix: Prefix,
        first: FirstConnect,
    ) -> Result<Choice, Failure> {
        let settings = self.settings(name, prefix, first);
        if self.is_configured() {
            return Ok(Choice::Configured(self.in_context(settings)?));
        }
        if let Some(settings) = self.in_selected(&settings).await {
            return Ok(Choice::Selected(settings));
        }
        match self.lease().await {
            Ok(Some(lease)) => {
                let settings = with_managed(settings, &lease.url, lease.token.reveal());
                Ok(Choice::Managed(settings, lease))
            }
            Ok(None) => Ok(Choice::Usual(settings)),
            Err(error) => {
                tracing::debug!(error = %error.line(), "no managed broker is found");
                Ok(Choice::Usual(settings))
            }
        }
    }

    /// A share in the managed broker, where it runs: without one it would end under us.
    async fn lease(&self) -> Result<Option<Lease>, Failure> {
        let managed = self.managed();
        if broker::find(&managed)
            .await
            .or_exit(Exit::Broker)?
            .is_none()
        {
            return Ok(None);
        }
        broker::ensure(&managed, &warden_command()?)
            .await
            .map(Some)
            .or_exit(Exit::Broker)
    }

    /// The settings of the managed broker.
    pub(super) fn managed(&self) -> broker::Settings {
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let places = Places::from_env(|name| std::env::var_os(name), cwd);
        let mut settings = broker::Settings::new(places);
        settings.binary.clone_from(&self.nats_server);
        settings
    }

    /// The prefix for reading, where wildcards may stand.
    pub(super) fn reading_prefix(&self) -> Result<Prefix, Failure> {
        Prefix::for_reading(&self.subject_prefix).or_exit(Exit::Usage)
    }

    /// The prefix for writing about one source.
    pub(super) fn writing_prefix(&self, source: &str) -> Result<Prefix, Failure> {
        Prefix::for_writing(&self.subject_prefix, source, &host()).or_exit(Exit::Usage)
    }

    /// The settings for flags and environment as they stand.
    pub(super) fn settings(
        &self,
        name: &str,
        prefix: Prefix,
        first_connect: FirstConnect,
    ) -> BusSettings {
        let settings = BusSettings {
            user: self.user.clone(),
            password: self.password.clone().map(Secret::new),
            token: self.nats_token.clone().map(Secret::new),
            creds: self.creds.clone(),
            nkey: self.nkey.clone(),
            tls: Tls {
                ca: self.tlsca.clone(),
                cert: self.tlscert.clone(),
                key: self.tlskey.clone(),
                first: self.tlsfirst,
            },
            js_domain: self.js_domain.clone(),
            js_api_prefix: self.js_api_prefix.clone(),
            inbox_prefix: self.inbox_prefix.clone(),
            connection_name: self.connection_name.as_deref().unwrap_or(name).to_owned(),
            first_connect,
            stream: self.stream.clone(),
            prefix,
            ..BusSettings::default()
        };
        settings.at(self.server.as_deref().unwrap_or(DEFAULT_URL))
    }
}

/// The name of this machine.
pub(super) fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The same settings, pointed at the managed broker.
pub(super) fn with_managed(mut settings: BusSettings, url: &str, token: &str) -> BusSettings {
    settings.token = Some(Secret::new(token));
    settings.user = None;
    settings.password = None;
    settings.creds = None;
    settings.nkey = None;
    settings.pass = None;
    settings.context = None;
    settings.at(url)
}

impl StreamArgs {
    /// Takes these settings over.
    pub(super) fn apply(&self, settings: BusSettings) -> BusSettings {
        let setup = match self.stream_setup {
            Setup::Ensure => StreamSetup::Ensure,
            Setup::Check => StreamSetup::Check,
            Setup::Never => StreamSetup::Never,
        };
        BusSettings {
            setup,
            max_bytes: self.max_bytes,
            retention: Some(self.retention),
            ..settings
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_the_name_of_its_command_or_the_one_it_is_given() {
        let name = |given: Option<&str>| {
            let args = BrokerArgs {
                connection_name: given.map(str::to_owned),
                ..BrokerArgs::default()
            };
            let prefix = Prefix::default();
            let settings = args.settings("observe watch", prefix, FirstConnect::MayWait);
            settings.connection_name
        };
        assert_eq!(name(None), "observe watch");
        assert_eq!(name(Some("night shift")), "night shift");
    }

    #[test]
    fn no_context_goes_before_one_that_is_named() {
        let named = |no_context| {
            let args = BrokerArgs {
                context: Some("lab".to_owned()),
                no_context,
                ..BrokerArgs::default()
            };
            args.is_configured()
        };
        assert!(named(false) && !named(true));
    }
}
