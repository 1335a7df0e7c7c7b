//! What was told last, in a bounded ring, and how far somebody has read. Pure.
//!
//! A *cursor* is a place in the ring of one run of the program: the run's random name and how many events it had told by
//! then, `3f9a1c22-42`. It means nothing to another run, and a place whose successors have fallen out of the ring is
//! gone: both are said, never passed over.

use std::collections::VecDeque;
use std::sync::Arc;

/// So many events are kept at the most.
const MOST: usize = 4096;
/// So many bytes of them; the newest is kept whatever it weighs.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// An event as it was told.
#[derive(Debug, Clone)]
pub struct Told {
    /// What is watched.
    pub source: Arc<str>,
    /// The JSON text, as the broker has it.
    pub text: Arc<[u8]>,
}

/// The newest events.
#[derive(Debug)]
pub struct Ring {
    run: String,
    kept: VecDeque<Told>,
    bytes: usize,
    /// How many were told, those that are gone included.
    last: u64,
}

/// What somebody wants to read.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Where they stopped; nothing for all that is kept.
    pub after: Option<&'a str>,
    /// So many events at the most.
    pub limit: usize,
    /// Of this source only.
    pub source: Option<&'a str>,
}

/// What they are given.
#[derive(Debug)]
pub struct Page {
    /// In their order.
    pub events: Vec<Told>,
    /// Where to go on.
    pub cursor: String,
    /// Whether there is more by now.
    pub more: bool,
    /// Events before these that were told in this run and are no longer kept; only where nobody said where they stopped.
    pub dropped: u64,
}

/// Why they are given nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// It is no cursor.
    Odd,
    /// It is one of another run of the program.
    OtherRun {
        /// The place before all that is kept.
        oldest: String,
    },
    /// What followed it is no longer kept.
    Gone {
        /// How many events of all sources are missing.
        missing: u64,
        /// The place before all that is kept.
        oldest: String,
    },
}

impl Ring {
    /// An empty ring of a run that has this name.
    pub fn new(run: String) -> Self {
        Self {
            run,
            kept: VecDeque::new(),
            bytes: 0,
            last: 0,
        }
    }

    /// The name of the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Keeps one more, and forgets the oldest that find no room any more.
    pub fn push(&mut self, told: Told) {
        self.last += 1;
        self.bytes += told.text.len();
        self.kept.push_back(told);
        while self.kept.len() > 1 && (self.kept.len() > MOST || self.bytes > MOST_BYTES) {
            if let Some(told) = self.kept.pop_front() {
                self.bytes -= told.text.len();
            }
        }
    }

    /// How many are no longer kept.
    fn gone(&self) -> u64 {
        self.last - self.kept.len() as u64
    }

    fn cursor(&self, place: u64) -> String {
        format!("{}-{place}", self.run)
    }

    fn place(&self, cursor: &str) -> Result<u64, Lost> {
        let oldest = || self.cursor(self.gone());
        let (run, place) = cursor.rsplit_once('-').ok_or(Lost::Odd)?;
        let is_plain = place.bytes().all(|byte| byte.is_ascii_digit());
        let place: u64 = place.parse().map_err(|_| Lost::Odd)?;
        if !is_plain || run.is_empty() {
            return Err(Lost::Odd);
        }
        if run != self.run || place > self.last {
            return Err(Lost::OtherRun { oldest: oldest() });
        }
        match self.gone().checked_sub(place) {
            Some(missing) if missing > 0 => Err(Lost::Gone {
                missing,
                oldest: oldest(),
            }),
            _ => Ok(place),
        }
    }

    /// Gives what was wished for.
    ///
    /// # Errors
    ///
    /// What was to follow is not here: whoever wants it reads the stream.
    pub fn read(&self, wish: Wish<'_>) -> Result<Page, Lost> {
        let gone = self.gone();
        let mut place = match wish.after {
            Some(cursor) => self.place(cursor)?,
            None => gone,
        };
        let behind = usize::try_from(place - gone).unwrap_or(usize::MAX);
        let is_wanted = |told: &Told| wish.source.is_none_or(|source| *told.source == *source);
        let mut rest = self.kept.iter().skip(behind);
        let mut events = Vec::new();
        while events.len() < wish.limit {
            let Some(told) = rest.next() else { break };
            place += 1;
            if is_wanted(told) {
                events.push(told.clone());
            }
        }
        Ok(Page {
            events,
            cursor: self.cursor(place),
            more: rest.any(is_wanted),
            dropped: if wish.after.is_some() { 0 } else { gone },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(source: &str, text: &str) -> Told {
        Told {
            source: source.into(),
            text: text.as_bytes().into(),
        }
    }

    fn ring(told_so_far: usize) -> Ring {
        let mut ring = Ring::new("r".into());
        for number in 1..=told_so_far {
            let source = if number % 2 == 0 { "even" } else { "odd" };
            ring.push(told(source, &number.to_string()));
        }
        ring
    }

    fn wish(after: Option<&str>, limit: usize) -> Wish<'_> {
        Wish {
            after,
            limit,
            source: None,
        }
    }

    fn texts(page: &Page) -> Vec<u64> {
        let text = |told: &Told| std::str::from_utf8(&told.text).unwrap().parse().unwrap();
        page.events.iter().map(text).collect()
    }

    #[test]
    fn whoever_goes_on_where_they_stopped_reads_each_event_once() {
        let mut ring = ring(5);
        let page = ring.read(wish(None, 2)).unwrap();
        assert_eq!(
            (texts(&page), page.more, page.dropped),
            (vec![1, 2], true, 0)
        );
        let page = ring.read(wish(Some(&page.cursor), 9)).unwrap();
        assert_eq!((texts(&page), page.more), (vec![3, 4, 5], false));
        let page = ring.read(wish(Some(&page.cursor), 9)).unwrap();
        assert_eq!((texts(&page), page.more), (vec![], false));
        ring.push(told("odd", "6"));
        assert_eq!(texts(&ring.read(wish(Some(&page.cursor), 9)).unwrap()), [6]);
    }

    #[test]
    fn a_source_alone_is_read_without_the_others() {
        let ring = ring(6);
        let mut wish = Wish {
            after: None,
            limit: 2,
            source: Some("even"),
        };
        let page = ring.read(wish).unwrap();
        assert_eq!((texts(&page), page.more), (vec![2, 4], true));
        wish.after = Some(&page.cursor);
        let page = ring.read(wish).unwrap();
        assert_eq!((texts(&page), page.more), (vec![6], false));
        wish.source = Some("nobody");
        let page = ring.read(wish).unwrap();
        assert_eq!((texts(&page), &*page.cursor), (vec![], "r-6"));
    }

    #[test]
    fn a_place_that_is_gone_is_said_to_be_gone() {
        let ring = ring(MOST + 10);
        let lost = |cursor| ring.read(wish(Some(cursor), 9)).unwrap_err();
        let oldest = || "r-10".to_owned();
        assert_eq!(
            lost("r-9"),
            Lost::Gone {
                missing: 1,
                oldest: oldest()
            }
        );
        assert_eq!(
            lost("r-0"),
            Lost::Gone {
                missing: 10,
                oldest: oldest()
            }
        );
        assert_eq!(texts(&ring.read(wish(Some("r-10"), 1)).unwrap()), [11]);
        assert_eq!(ring.read(wish(None, 1)).unwrap().dropped, 10);
        assert_eq!(lost("s-11"), Lost::OtherRun { oldest: oldest() });
        assert_eq!(lost("r-99999"), Lost::OtherRun { oldest: oldest() });
        for odd in [
            "",
            "r",
            "r-",
            "-5",
            "r-x",
            "r-+5",
            "r-99999999999999999999999",
        ] {
            assert_eq!(lost(odd), Lost::Odd, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn bounds_hold_and_nothing_is_passed_over_in_silence(
            weights in proptest::collection::vec(1_usize..600_000, 1..60),
            limit in 1_usize..5,
        ) {
            let (mut ring, mut cursor, mut met) = (Ring::new("r".into()), None, 0);
            for (number, weight) in weights.iter().enumerate() {
                ring.push(Told { source: "s".into(), text: vec![b'x'; *weight].into() });
                prop_assert!(ring.bytes <= MOST_BYTES || ring.kept.len() == 1);
                if number % 4 == 3 {
                    match ring.read(wish(cursor.as_deref(), limit)) {
                        Ok(page) => {
                            met += page.events.len() as u64 + page.dropped;
                            cursor = Some(page.cursor);
                        }
                        Err(Lost::Gone { missing, oldest }) => {
                            met += missing;
                            cursor = Some(oldest);
                        }
                        Err(other) => prop_assert!(false, "{other:?}"),
                    }
                    prop_assert_eq!(cursor.as_deref(), Some(&*format!("r-{met}")));
                }
            }
        }
    }
}
