//! The room that the readings of one look leave to those of the next; the system would have to find it anew each time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::process::reading::Reading;

/// The room of the last readings, without them.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    list: Vec<Reading<'static>>,
    /// The most readings that ever stood there: more than this was never written to, so it is no memory yet.
    most: usize,
}

impl Room {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there for the next readings.
    pub(super) fn take(&self) -> Vec<Reading<'static>> {
        std::mem::take(&mut self.kept().list)
    }

    /// Keeps that of readings that are done with, unless the stack became much smaller than it was.
    pub(super) fn keep(&self, readings: Vec<Reading<'_>>) {
        let (mut kept, count) = (self.kept(), readings.len());
        *kept = if count < kept.most / 4 {
            Kept::default()
        } else {
            Kept {
                most: kept.most.max(count),
                list: Reading::room(readings),
            }
        };
    }

    /// Nobody looks for a while.
    pub(super) fn forget(&self) {
        *self.kept() = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use crate::process_compose::wire::decode_as;

    use super::*;

    fn look(room: &Room, processes: usize) -> usize {
        let row = r#"{"name":"a","status":"Running","pid":7}"#;
        let body = format!(r#"{{"data":[{}]}}"#, vec![row; processes].join(","));
        let rows = decode_as::<Reading<'_>>(body.as_bytes()).unwrap().rows;
        room.keep(rows);
        room.kept().list.capacity()
    }

    #[test]
    fn room_is_kept_until_the_stack_is_much_smaller_than_it_was() {
        let room = Room::default();
        for (processes, is_kept) in [(100, true), (40, true), (25, true), (24, false), (24, true)] {
            assert_eq!(look(&room, processes) > 0, is_kept, "{processes}");
            assert!(room.kept().list.is_empty());
        }
        room.forget();
        assert_eq!(room.take().capacity(), 0);
    }
}
