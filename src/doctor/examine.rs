//! The examination: every area at its own pace, all within the time a person waits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use super::broker::{self, Chosen};
use super::finding::{Finding, Report};
use super::setup::User;
use super::source::{self, Whereabouts};
use super::{adapters, memory, rights, setup, stream};
use crate::bus::connect::Bus;
use crate::bus::settings::BusSettings;
use crate::event::subject::Prefix;

/// Where to look.
#[derive(Debug, Clone)]
pub struct Case {
    /// The source, as it was found.
    pub source: Whereabouts,
    /// The name a person gave it.
    pub name: Option<String>,
    /// The broker and the stream, with the prefix for reading.
    pub broker: BusSettings,
    /// Where the choice of the broker came from.
    pub chosen: Chosen,
    /// The prefix as it was given, and the name of this machine, for the prefix an adapter would write under.
    pub prefix: (String, String),
    /// The folder in which adapters remember; absent where there is none.
    pub memory: Option<PathBuf>,
    /// Another folder for what waits for the broker, where one was named.
    pub spool: Option<PathBuf>,
    /// The names of the variables that are set and not empty.
    pub variables: BTreeSet<String>,
}

/// Looks at everything. It never fails: what does not answer is a finding.
///
/// # Cancel safety
///
/// Reads only; dropped, it leaves nothing behind.
pub async fn examine(case: &Case) -> Report {
    let in_context = matches!(case.chosen, Chosen::Context(_) | Chosen::Selected(_));
    let user = match case.broker.user {
        None if !in_context => User::Unsaid,
        _ => User::Said,
    };
    let mut findings = setup::setup(&case.variables, user);
    let (mut of_source, mut of_broker) = (Vec::new(), Vec::new());
    let (server, bus, remembered) = tokio::join!(
        source::look(&case.source, &mut of_source),
        broker::greet(&case.broker, &case.chosen, &mut of_broker),
        memory::look(case.memory.clone(), case.spool.clone()),
    );
    let name = case.name.clone().or_else(|| {
        server
            .as_ref()
            .map(crate::process_compose::server::Server::source_name)
    });
    findings.extend(of_source);
    findings.extend(of_broker);
    if let Some(bus) = bus {
        findings.extend(Box::pin(beyond(&bus, case, name.as_deref())).await);
    }
    findings.extend(remembered);
    Report::new(findings)
}

/// What is only seen through a connection.
async fn beyond(bus: &Bus, case: &Case, name: Option<&str>) -> Vec<Finding> {
    let settings = &case.broker;
    let writing = name.and_then(|name| {
        let (text, host) = &case.prefix;
        let prefix = Prefix::for_writing(text, name, host).ok()?;
        let settings = BusSettings {
            prefix,
            ..settings.clone()
        };
        Some((settings, name))
    });
    let compared = writing.as_ref().map_or(settings, |(settings, _)| settings);
    let parts = tokio::join!(
        limited("broker", broker::look(bus, settings, &case.chosen)),
        limited("stream", stream::look(bus, compared)),
        limited(
            "rights",
            rights::look(
                bus,
                settings,
                writing.as_ref().map(|(settings, name)| (settings, *name))
            )
        ),
        limited("adapters", adapters::look(bus, settings, name)),
    );
    let (broker, mut stream, rights, adapters) = parts;
    // The broker's clock is seen where the stream is asked, and told where the broker is.
    let clock = stream
        .extract_if(.., |finding| finding.area() == "broker")
        .collect::<Vec<_>>();
    [broker, clock, stream, rights, adapters].concat()
}

async fn limited(area: &'static str, looking: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let check = match area {
        "broker" => "broker.answers",
        "stream" => "stream.answers",
        "rights" => "rights.answers",
        _ => "adapters.answers",
    };
    let what = match area {
        "broker" => "it lets us in, and then does not answer in time",
        "stream" => "the stream cannot be looked at, because the broker does not answer in time",
        "rights" => "our rights cannot be tried, because the broker does not answer in time",
        _ => "who tells what is unknown, because the broker does not answer in time",
    };
    let fix = "is the broker overloaded, frozen, or without a leader? Its log says more";
    match timeout(LIMIT, looking).await {
        Ok(findings) => findings,
        Err(_) => vec![Finding::error(check, what, fix)],
    }
}

/// How long each look through the connection may take.
const LIMIT: Duration = Duration::from_secs(2);
