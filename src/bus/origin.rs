//! Heads in a stream that sources others: a root names its shards by their places in the stream it was written to, and
//! here they have other ones. The server notes on each message it sources where it stood before; by that, and by the
//! order in which they came, the shards of a root are known.

use futures_util::{StreamExt, TryStreamExt, stream as futures};

use super::connect::Bus;
use super::error::BusError;
use super::head::AT_ONCE;
use super::stored::{Stored, last};
use crate::event::store::{Root, ShardPlace};

/// The server's note on a message that it sourced: stream, sequence, and more that is of no use here.
const HEADER_SOURCED: &str = "Nats-Stream-Source";

/// A message that was sourced: where it stood, and where it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sourced {
    /// The stream it came from, by name and domain.
    stream: String,
    /// Its sequence there.
    sequence: u64,
    /// Its sequence here.
    here: u64,
}

impl Sourced {
    /// `None` where the message was published here.
    pub(super) fn of(stored: &Stored) -> Option<Self> {
        Self::parse(stored.header(HEADER_SOURCED)?, stored.sequence)
    }

    fn parse(note: &str, here: u64) -> Option<Self> {
        let (stream, rest) = note.split_once(' ')?;
        let sequence = rest.split(' ').next()?.parse().ok()?;
        Some(Self {
            stream: stream.to_owned(),
            sequence,
            here,
        })
    }

    /// Whether `shard` is the one that this root means by `place`. What one stream gave comes in its order, so what
    /// stood behind the root there stands behind it here; an older message of the same number, from before that stream
    /// was made anew, does not.
    fn means(&self, place: ShardPlace, shard: &Self) -> bool {
        let in_order = match place {
            ShardPlace::At(_) => shard.here < self.here,
            ShardPlace::Behind(_) => shard.here > self.here,
        };
        in_order && shard.stream == self.stream && shard.sequence == place.resolve(self.sequence)
    }
}

/// The payloads of the shards of a root that was sourced; `None` where one is missing or another than the root means,
/// perhaps because it has not come yet.
pub(super) async fn shards(
    bus: &Bus,
    stream: &str,
    (subject, at): (&str, &Sourced),
    root: &Root,
) -> Result<Option<Vec<Vec<u8>>>, BusError> {
    let one = |(number, place): (u32, ShardPlace)| async move {
        let found = last(bus, stream, &format!("{subject}.{number}")).await?;
        let is_meant =
            |stored: &Stored| Sourced::of(stored).is_some_and(|sourced| at.means(place, &sourced));
        Ok::<_, BusError>(found.filter(is_meant).map(|stored| stored.payload))
    };
    let found: Vec<Option<Vec<u8>>> = futures::iter((0..).zip(root.shards.iter().copied()))
        .map(one)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sourced(stream: &str, sequence: u64, here: u64) -> Sourced {
        Sourced {
            stream: stream.to_owned(),
            sequence,
            here,
        }
    }

    #[test]
    fn the_servers_note_says_stream_and_sequence() {
        let note = "PROCESS_EVENTS:GdAn74Cw 174 core.process.>\u{c}core.head.> >\u{c}> core.head.north 25P49I4S";
        let wanted = sourced("PROCESS_EVENTS:GdAn74Cw", 174, 307);
        assert_eq!(Sourced::parse(note, 307), Some(wanted));
        let short = sourced("EVENTS", 3, 9);
        assert_eq!(Sourced::parse("EVENTS 3", 9), Some(short));
        for note in ["", "EVENTS", "EVENTS x > >", "$JS.ACK.a.b.1.2.3.4.5"] {
            assert_eq!(Sourced::parse(note, 1), None, "{note}");
        }
    }

    #[test]
    fn a_shard_is_the_roots_by_its_place_before_and_its_order_now() {
        let root = sourced("E:north", 174, 300);
        for (place, shard, wanted) in [
            (ShardPlace::Behind(1), sourced("E:north", 175, 304), true),
            (ShardPlace::At(20), sourced("E:north", 20, 33), true),
            // Another site's, which happens to have the number.
            (ShardPlace::Behind(1), sourced("E:south", 175, 304), false),
            // The one of the commit before: the new one is still on its way.
            (ShardPlace::Behind(1), sourced("E:north", 161, 280), false),
            // The one of a later commit, whose root came after this one was read.
            (ShardPlace::Behind(1), sourced("E:north", 190, 320), false),
            (ShardPlace::At(20), sourced("E:north", 190, 320), false),
            // One of the same number, left from before the site's stream was made anew.
            (ShardPlace::Behind(1), sourced("E:north", 175, 90), false),
            (ShardPlace::At(20), sourced("E:north", 20, 301), false),
        ] {
            assert_eq!(root.means(place, &shard), wanted, "{place:?} {shard:?}");
        }
    }
}
