//! What is lost when our own queue is dropped for the head of an adapter that was faster.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::store::{EventStore, Head, Root};
use crate::event::tell::{Restored, Rows, Tell};

use super::commit::Committer;
use super::gap::{self, Owed};
use super::table::{Changes, Row, changes};

impl<St: EventStore, T: Tell, R: Rows> Committer<St, T, R> {
    /// The gap for the events that readers here were shown and that the head does not cover; none where nothing is lost.
    /// A row that is gone from our own state is covered by nothing: there is no row left to compare.
    pub(super) fn superseded(&self, head: &Head, root: &Root) -> Option<Owed> {
        if self.pending.waiting() == 0 {
            return None;
        }
        let theirs = self.rows_of(head, root);
        // Whoever covers the last word on a row covers those before it.
        let mut last: BTreeMap<Arc<str>, Option<Row>> = BTreeMap::new();
        self.pending.each_seen(|frame| {
            for (key, row) in frame.pieces.iter().flat_map(|piece| &piece.rows) {
                last.insert(Arc::clone(key), row.clone());
            }
        });
        let covered = |key: &Arc<str>| match (theirs.get(key), last.get(key)) {
            (Some(Some(theirs)), Some(Some(ours))) => self.rows.covers(&theirs.bytes, &ours.bytes),
            _ => false,
        };
        let mut lost: Option<Owed> = None;
        let mut seen: u64 = 0;
        self.pending.each_seen(|frame| {
            let pieces = frame.pieces.iter().filter(|piece| piece.told > 0);
            seen += pieces.clone().map(|piece| piece.told).sum::<u64>();
            let events: u64 = pieces
                .filter(|piece| {
                    piece.rows.is_empty() || !piece.rows.iter().all(|(key, _)| covered(key))
                })
                .map(|piece| piece.told)
                .sum();
            if events == 0 {
                return;
            }
            let gap = lost.get_or_insert_with(|| Owed::since(Some(frame.before), gap::SUPERSEDED));
            gap.to = Some(frame.standing.looked_at);
            gap.events = Some(gap.events.unwrap_or(0) + events);
        });
        // What cannot be read back is covered by nothing either.
        let unread = self.pending.waiting().saturating_sub(seen);
        if unread > 0 {
            let gap = lost.get_or_insert_with(|| {
                Owed::since(Some(self.base.standing.looked_at), gap::SUPERSEDED)
            });
            gap.to = Some(self.tail().standing.looked_at);
            gap.events = Some(gap.events.unwrap_or(0) + unread);
        }
        lost
    }

    /// Whether a head has the rows of our base.
    pub(super) fn has_rows_of(&self, head: &Head, root: &Root) -> bool {
        let theirs = self.rows_of(head, root);
        let is_theirs = |key: &Arc<str>, ours: &Row| {
            let theirs = theirs.get(key).and_then(Option::as_ref);
            theirs.is_some_and(|theirs| theirs.bytes == ours.bytes)
        };
        let mut count = 0;
        self.table.rows().all(|(key, row)| {
            count += 1;
            is_theirs(key, row)
        }) && count == theirs.len()
    }

    /// The rows of a head by their keys; none where they cannot be compared with ours.
    fn rows_of(&self, head: &Head, root: &Root) -> Changes {
        if root.journal != self.base.journal {
            return Changes::new();
        }
        let restored = Restored {
            epoch: &root.epoch,
            resync: false,
            first: false,
            looked_at: root.looked_at,
        };
        match self.rows.decode(&mut head.rows(), restored) {
            Ok(state) => changes(&self.rows, &state, &BTreeMap::new()),
            Err(_) => Changes::new(),
        }
    }
}
