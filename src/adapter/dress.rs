//! Dressing: what a domain says, or what the adapter itself has to say about the source, becomes numbered envelopes.

use chrono::{DateTime, Utc};

use crate::event::draft::Draft;
use crate::event::envelope::{Envelope, SourceNotice, Stamp};
use crate::event::payload::{Gap, Kind, LEFT_OUT, Occurred, Origin, Payload, Severity, Word};
use crate::event::sieve::{LeftOut, Sieve};
use crate::event::store::Outgoing;
use crate::event::subject::Prefix;
use crate::observation::delta;

use super::block::Block;
use super::gap::Owed;
use super::pending::Standing;

/// How many failed looks in a row it takes until a source counts as out of sight.
pub(super) const FAILED_LOOKS: u32 = 3;
/// How long they must have lasted, in seconds.
pub(super) const FAILED_SECONDS: i64 = 5;

/// What all events of one look have in common, and the number of the last one dressed.
#[derive(Debug)]
pub(super) struct Pen<'a> {
    pub(super) prefix: &'a Prefix,
    pub(super) source: &'a str,
    pub(super) journal: &'a str,
    pub(super) epoch: &'a str,
    pub(super) origin: Origin,
    pub(super) at: DateTime<Utc>,
    pub(super) seq: u64,
    pub(super) block: Block,
}

impl<'a> Pen<'a> {
    /// Dresses an event of the domain; nothing where it is left out, and then no number is given.
    pub(super) fn process<'p>(
        &mut self,
        payload: &'p Payload,
        sieve: Option<&Sieve>,
    ) -> Option<Draft<'p>>
    where
        'a: 'p,
    {
        let draft = Draft::dress(payload, &self.next());
        if sieve.is_some_and(|sieve| sieve.leaves_out(&draft.glance())) {
            self.seq -= 1;
            return None;
        }
        Some(draft)
    }

    /// Dresses an event of the domain for somebody who wants more of it than its text.
    pub(super) fn envelope(&mut self, payload: Payload) -> Envelope {
        Envelope::dress(payload, &self.next())
    }

    /// Encodes an event, once, for its way to the broker.
    pub(super) fn encode(&mut self, draft: &Draft<'_>) -> serde_json::Result<Outgoing> {
        let (subject, id) = (draft.subject(), draft.id());
        let texts = self.block.write(|out| {
            out.extend_from_slice(subject.as_bytes());
            out.extend_from_slice(id.as_bytes());
            draft.write_json(out)
        })?;
        Ok(Outgoing::of(texts, (subject, id), draft.origin().as_str()))
    }

    /// Dresses an event about the source.
    pub(super) fn notice(&mut self, notice: SourceNotice) -> Envelope {
        let mut stamp = self.next();
        if notice.kind == Kind::Restarted {
            stamp.origin = Origin::Resync;
        }
        Envelope::notice(notice, &stamp)
    }

    fn next(&mut self) -> Stamp<'a> {
        self.seq += 1;
        Stamp {
            prefix: self.prefix,
            source: self.source,
            journal: self.journal,
            seq: self.seq,
            epoch: self.epoch,
            origin: self.origin,
            timestamp: self.at,
        }
    }
}

/// The wire's word for what a delta was compared with.
pub(super) fn wire_origin(origin: delta::Origin) -> Origin {
    match origin {
        delta::Origin::Initial => Origin::Initial,
        delta::Origin::Change => Origin::Change,
        delta::Origin::Resync => Origin::Resync,
    }
}

/// Whether so many failed looks since then are enough to speak of a source out of sight.
pub(super) fn is_out_of_sight(count: u32, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    count >= FAILED_LOOKS && (now - since).num_seconds() >= FAILED_SECONDS
}

/// What the adapter itself has to tell at a successful look, in order: gaps, the source in sight, the source anew.
pub(super) fn own_words(
    before: &Standing,
    is_first: bool,
    gaps: &[Owed],
    (epoch, at): (&str, DateTime<Utc>),
) -> Vec<SourceNotice> {
    let mut words: Vec<_> = gaps.iter().map(|gap| gap.notice(at)).collect();
    let after = (!is_first).then_some(before.looked_at);
    if !before.connected {
        let reason = if is_first {
            "first_contact"
        } else {
            "returned"
        };
        words.push(connected(reason, after, at));
    }
    let is_known = !before.epoch.is_empty() && !epoch.is_empty();
    if !is_first && is_known && epoch != &*before.epoch {
        words.push(restarted(epoch, after, at));
    }
    words
}

/// Something else is left out from now on than before, if that is so.
pub(super) fn turned(
    before: &Standing,
    now: Option<&LeftOut>,
    at: DateTime<Utc>,
) -> Option<SourceNotice> {
    let (was, is) = (before.sieve(), now.map(|now| &now.sieve));
    if was == is {
        return None;
    }
    let since = before.left_out.as_deref().or(now).map(|it| it.since);
    let to = if was.is_some() {
        at
    } else {
        since.unwrap_or(at)
    };
    let mut told = notice(Kind::Gap, Severity::Info, LEFT_OUT, since, to);
    told.gap = Some(Gap {
        from: since,
        to,
        why: LEFT_OUT,
        events: None,
        sieve: was.cloned(),
        next_sieve: is.cloned(),
    });
    Some(told)
}

/// The source was reached for the first time ever, or again.
fn connected(
    reason: &'static str,
    after: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> SourceNotice {
    notice(Kind::Connected, Severity::Info, reason.into(), after, at)
}

/// The source cannot be seen; it left between the last good look and the first failed one.
pub(super) fn disconnected(
    reason: Word,
    after: Option<DateTime<Utc>>,
    since: DateTime<Utc>,
) -> SourceNotice {
    notice(
        Kind::Disconnected,
        Severity::Error,
        reason,
        after.map(|after| after.min(since)),
        since,
    )
}

/// The supervisor itself runs anew; its epoch is its start time, where it is a time.
fn restarted(epoch: &str, after: Option<DateTime<Utc>>, at: DateTime<Utc>) -> SourceNotice {
    let mut told = notice(
        Kind::Restarted,
        Severity::Warning,
        "source_restarted".into(),
        after,
        at,
    );
    told.occurred.at = epoch.parse().ok();
    told
}

fn notice(
    kind: Kind,
    severity: Severity,
    reason: Word,
    after: Option<DateTime<Utc>>,
    before: DateTime<Utc>,
) -> SourceNotice {
    SourceNotice {
        kind,
        severity,
        reason,
        occurred: Occurred {
            after,
            before,
            at: None,
        },
        gap: None,
    }
}
