//! The least rights: what an adapter and a reader send and listen to, as subjects for the broker's permissions. Pure.
//!
//! The lists follow what this module really does; a test runs both with exactly these rights, and then without each of
//! them.

use super::settings::{BusSettings, DEFAULT_API, StreamSetup};
use crate::event::subject::encode_token;

/// What a right lets its user do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Send to the subject.
    Publish,
    /// Listen to the subject.
    Subscribe,
}

/// Who needs rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who tells about a source: `observe adapter`.
    Adapter,
    /// Who reads along: `observe watch`.
    Reader,
    /// Who reads along under a name that the broker remembers: `observe watch --durable`.
    Durable,
    /// Who reads back: `observe history`.
    History,
    /// Who reads back how everything stood: `observe stats`, `state --at` and `diff`.
    Past,
    /// Who asks something of processes: `observe process`.
    Process,
}

/// How much a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Without it nothing works.
    Must,
    /// Without it what people ask of processes is told as if nobody had asked.
    Asked,
}

impl Role {
    /// Whether it answers others, and so must be let answer wherever they listen.
    pub fn answers(self) -> bool {
        self == Self::Adapter
    }
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// What it lets its user do.
    pub verb: Verb,
    /// The subject, perhaps with wildcards.
    pub subject: String,
    /// What the right must be called instead on a server of the named domain itself, which takes the domain out before it
    /// looks at the rights.
    pub within: Option<String>,
    /// What it is needed for, as a fragment.
    pub why: &'static str,
    /// How much.
    pub need: Need,
}

/// The least rights for a role on the stream of these settings. Without a source they hold for every source.
pub fn rights(role: Role, settings: &BusSettings, source: Option<&str>) -> Vec<Right> {
    let mut rights = match role {
        Role::Adapter => of_adapter(settings, source),
        Role::Reader => of_reader(settings),
        Role::Durable => of_durable(settings),
        Role::History => of_history(settings),
        Role::Past => of_past(settings),
        Role::Process => of_process(settings, source),
    };
    rights.push(Right {
        verb: Verb::Subscribe,
        ..publish(format!("{}.>", settings.inbox()), "hear the answers")
    });
    rights
}

fn of_adapter(settings: &BusSettings, source: Option<&str>) -> Vec<Right> {
    let prefix = &settings.prefix;
    let source = source.map_or_else(|| "*".to_owned(), encode_token);
    let api = |verb, why| api(settings, verb, "", why);
    let mut rights = Vec::new();
    if settings.setup != StreamSetup::Never {
        rights.push(api(
            "STREAM.INFO",
            "compare the stream with what it must be",
        ));
    }
    if settings.setup == StreamSetup::Ensure {
        rights.push(api("STREAM.CREATE", "create the stream"));
        rights.push(api("STREAM.UPDATE", "keep a stream of its own up to date"));
    }
    rights.push(api("STREAM.MSG.GET", "read what was told last"));
    rights.extend([
        publish(format!("{prefix}.head.{source}"), "remember what was told"),
        publish(
            format!("{prefix}.head.{source}.*"),
            "remember the table of processes",
        ),
        publish(prefix.all_process_events(), "tell of processes"),
        publish(
            format!("{prefix}.source.{source}.*"),
            "tell of the source itself",
        ),
        Right {
            verb: Verb::Subscribe,
            ..asked(settings, &source, "hear what observe process asks for")
        },
    ]);
    rights
}

/// The subject on which an adapter is told what people ask of processes.
fn asked(settings: &BusSettings, source: &str, why: &'static str) -> Right {
    Right {
        need: Need::Asked,
        ..publish(format!("{}.control.{source}.adapter", settings.prefix), why)
    }
}

fn of_process(settings: &BusSettings, source: Option<&str>) -> Vec<Right> {
    let source = source.map_or_else(|| "*".to_owned(), encode_token);
    let api = |verb, why| api(settings, verb, "", why);
    vec![
        api("STREAM.INFO", "find the stream and who tells into it"),
        api("STREAM.MSG.GET", "find the adapter that looks at the stack"),
        asked(settings, &source, "tell it what is asked of processes"),
    ]
}

fn of_past(settings: &BusSettings) -> Vec<Right> {
    who_reads_back(settings, "begin from how each source stands")
}

fn of_history(settings: &BusSettings) -> Vec<Right> {
    who_reads_back(settings, "say what the adapters leave out")
}

fn of_reader(settings: &BusSettings) -> Vec<Right> {
    let api = |verb, rest, why| api(settings, verb, rest, why);
    vec![
        api("STREAM.INFO", "", "find the stream and who tells into it"),
        api("STREAM.MSG.GET", "", "say how each source stands"),
        api("CONSUMER.CREATE", ".*", "read the events"),
        publish(
            format!("$JS.FC.{}.>", settings.stream),
            "go on reading a long stretch (flow control)",
        ),
    ]
}

fn of_durable(settings: &BusSettings) -> Vec<Right> {
    let mut rights = of_reader(settings);
    let api = |verb, why| api(settings, verb, ".*", why);
    rights.extend([
        api("CONSUMER.INFO", "find the place that was kept"),
        api("CONSUMER.MSG.NEXT", "ask for the events behind it"),
        api(
            "CONSUMER.DELETE",
            "begin anew in a stream that was made again",
        ),
        publish("$JS.ACK.>".to_owned(), "say what was read"),
    ]);
    rights
}

/// Where it may do more it also deletes the consumer that the server would otherwise forget by itself.
fn who_reads_back(settings: &BusSettings, heads: &'static str) -> Vec<Right> {
    let api = |verb, rest, why| api(settings, verb, rest, why);
    vec![
        api("STREAM.INFO", "", "find the stream and what it holds"),
        api("CONSUMER.CREATE", ".*", "find the events"),
        api("CONSUMER.MSG.NEXT", ".*", "ask for them"),
        api("STREAM.MSG.GET", "", heads),
    ]
}

fn publish(subject: String, why: &'static str) -> Right {
    Right {
        verb: Verb::Publish,
        subject,
        within: None,
        why,
        need: Need::Must,
    }
}

/// A question about the stream to the JetStream API.
fn api(settings: &BusSettings, question: &str, rest: &str, why: &'static str) -> Right {
    let suffix = format!("{question}.{}{rest}", settings.stream);
    let within = settings.js_domain.as_ref();
    Right {
        within: within.map(|_| format!("{DEFAULT_API}.{suffix}")),
        ..publish(format!("{}.{suffix}", settings.api()), why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(role: Role, settings: &BusSettings, source: Option<&str>) -> Vec<String> {
        let all = rights(role, settings, source);
        all.into_iter().map(|right| right.subject).collect()
    }

    #[test]
    fn rights_follow_stream_prefix_domain_inbox_and_source() {
        let settings = BusSettings {
            stream: "S".into(),
            js_domain: Some("hub".into()),
            inbox_prefix: Some("mine".into()),
            prefix: crate::event::subject::Prefix::for_writing("edge.w1", "s", "h").unwrap(),
            ..BusSettings::default()
        };
        let wanted = [
            "$JS.hub.API.STREAM.INFO.S",
            "$JS.hub.API.STREAM.CREATE.S",
            "$JS.hub.API.STREAM.UPDATE.S",
            "$JS.hub.API.STREAM.MSG.GET.S",
            "edge.w1.head.my=2Eshop",
            "edge.w1.head.my=2Eshop.*",
            "edge.w1.process.>",
            "edge.w1.source.my=2Eshop.*",
            "edge.w1.control.my=2Eshop.adapter",
            "mine.>",
        ];
        assert_eq!(subjects(Role::Adapter, &settings, Some("my.shop")), wanted);
        let all = rights(Role::Adapter, &settings, None);
        assert_eq!(all[0].within.as_deref(), Some("$JS.API.STREAM.INFO.S"));
        assert_eq!(all[5].within, None);
        let any = subjects(Role::Adapter, &settings, None);
        assert!(any.contains(&"edge.w1.head.*".to_owned()), "{any:?}");
    }

    #[test]
    fn what_is_asked_of_processes_is_heard_where_it_is_said() {
        let settings = BusSettings {
            prefix: crate::event::subject::Prefix::for_writing("edge.w1", "s", "h").unwrap(),
            ..BusSettings::default()
        };
        let wanted = settings.prefix.control("my.shop");
        for (role, verb) in [
            (Role::Adapter, Verb::Subscribe),
            (Role::Process, Verb::Publish),
        ] {
            let all = rights(role, &settings, Some("my.shop"));
            let found: Vec<_> = all.iter().filter(|r| r.need == Need::Asked).collect();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].verb, &found[0].subject), (verb, &wanted));
        }
    }

    #[test]
    fn who_must_not_change_the_stream_gets_no_right_to_it() {
        for (setup, info, create) in [
            (StreamSetup::Ensure, true, true),
            (StreamSetup::Check, true, false),
            (StreamSetup::Never, false, false),
        ] {
            let settings = BusSettings {
                setup,
                ..BusSettings::default()
            };
            let all = subjects(Role::Adapter, &settings, None).join(" ");
            assert_eq!(all.contains("STREAM.INFO"), info, "{all}");
            assert_eq!(all.contains("STREAM.CREATE"), create, "{all}");
            assert_eq!(all.contains("STREAM.UPDATE"), create, "{all}");
        }
        let reader = subjects(Role::Reader, &BusSettings::default(), None).join(" ");
        for never in ["STREAM.CREATE", "STREAM.UPDATE", "core.", "DELETE", "PURGE"] {
            assert!(!reader.contains(never), "{reader}");
        }
    }
}
