//! A spool file that was cut, bent or made up.

use std::fs;

use proptest::prelude::*;

use crate::adapter::settings::SpoolPlace;
use crate::adapter::spool::entry::decode;
use crate::adapter::spool::{Found, open};

use super::house::{Folder, House};
use super::race::paused;
use super::toy::Source;

/// What a spool holds after a few looks without a broker; the stream stands at event 3, the looks at 6.
async fn spooled(house: &House) -> (Vec<u8>, Source) {
    let mut source = Source::new(&[("api", 1), ("web", 1)]);
    let mut a = house.watcher("a").await;
    a.tell(&source).await;
    house.store.set_online(false);
    for key in ["api", "web", "api"] {
        source.grow(key);
        a.tell(&source).await;
    }
    (fs::read(house.spool_file("a")).unwrap(), source)
}

/// Starts from these bytes, with the broker away or there, and gives what is told in the end.
async fn told_from(bytes: &[u8], late: bool) -> Vec<String> {
    let house = House::with_spool();
    let (_, source) = spooled(&house).await;
    fs::write(house.spool_file("a"), bytes).unwrap();
    let mut a = if late {
        let mut a = house.start_late("a", None);
        a.tell(&source).await;
        house.store.set_online(true);
        a
    } else {
        house.store.set_online(true);
        house.watcher("a").await
    };
    a.tell(&source).await;
    a.tell(&source).await;
    let stream = house.store.stream.lock().unwrap();
    stream.check();
    for (key, value) in &source.values {
        let mut events = stream.events.iter().rev();
        let last = events.find(|e| e.process.as_ref() == Some(key)).unwrap();
        assert_eq!(last.state.as_ref().unwrap().restarts, *value, "{key}");
    }
    assert!(!house.spool_file("a").exists());
    stream.words()[3..].to_vec()
}

const WHOLE: [&str; 3] = [
    "4 restarted api change",
    "5 restarted web change",
    "6 restarted api change",
];

fn same(told: &[String]) -> usize {
    WHOLE.iter().zip(told).take_while(|(a, b)| *a == b).count()
}

/// Where something is worth a whole run: every place near an edge, and some between.
fn is_worth(bytes: &[u8], at: usize) -> bool {
    let edges = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, w)| w[1..] == *b"obs");
    let mut edges = edges.map(|(edge, _)| edge).chain([bytes.len()]);
    at.is_multiple_of(29) || edges.any(|edge| at + 3 >= edge && at < edge + 24)
}

fn read_through(bytes: &[u8]) -> Found {
    let folder = Folder::default();
    fs::create_dir_all(folder.path()).unwrap();
    let path = folder.path().join("spool");
    fs::write(&path, bytes).unwrap();
    let place = SpoolPlace { path, limit: 1 };
    open(&place, "shop", "a.run").unwrap()
}

#[test]
fn a_file_that_ends_anywhere_loses_only_what_was_never_written_whole() {
    let (bytes, _) = paused().block_on(async { spooled(&House::with_spool()).await });
    let (mut frames, mut whole) = (0, 0);
    for length in 1..=bytes.len() {
        match read_through(&bytes[..length]) {
            Found::Unreadable => assert_eq!(frames, 0),
            Found::Spool(opened) => {
                assert!(opened.frames >= frames && !opened.is_cut, "{length}");
                frames = opened.frames;
            }
            other => panic!("{length}: {other:?}"),
        }
        if !is_worth(&bytes, length) {
            continue;
        }
        let told = paused().block_on(told_from(&bytes[..length], length % 2 == 0));
        whole = same(&told);
        assert!(whole >= frames, "{length}: {told:?}");
        // Without even the first entry something may have been lost; what else is missing was answered to nobody.
        let gap = told.iter().any(|word| word.contains("gap spool_corrupt"));
        assert_eq!(
            gap,
            matches!(read_through(&bytes[..length]), Found::Unreadable)
        );
    }
    assert_eq!((frames, whole), (3, 3));
}

#[test]
fn a_file_with_any_bent_byte_is_told_up_to_there_and_then_the_difference_with_a_gap() {
    let (bytes, _) = paused().block_on(async { spooled(&House::with_spool()).await });
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        match read_through(&bent) {
            Found::Unreadable => {}
            Found::Spool(opened) => assert!(opened.is_cut && opened.frames < 3, "{at}"),
            other => panic!("{at}: {other:?}"),
        }
        if is_worth(&bytes, at) {
            let told = paused().block_on(told_from(&bent, at % 2 == 0));
            let whole = same(&told);
            let gap = told
                .get(whole)
                .is_some_and(|word| word.contains("gap spool_corrupt"));
            assert!(whole < 3 && gap, "{at}: {told:?}");
        }
    }
}

#[test]
fn a_file_of_a_later_build_is_kept_aside() {
    paused().block_on(async {
        let house = House::with_spool();
        let (_, source) = spooled(&house).await;
        let mut first = vec![1];
        first.extend_from_slice(&99u32.to_le_bytes());
        first.extend_from_slice(b"whatever it holds");
        let path = house.spool_file("a");
        crate::adapter::spool::file::SpoolFile::create(&path, std::iter::once(&first)).unwrap();
        house.store.set_online(true);
        let mut a = house.watcher("a").await;
        a.tell(&source).await;
        assert!(path.with_extension("format99").exists());
        assert!(!path.exists());
        assert_eq!(house.store.words()[3], "4 gap spool_corrupt resync");
    });
}

/// A measurement, not a test: `cargo test --lib cost_of_what_is_kept -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "it measures the disk under the folder for temporary files"]
async fn cost_of_what_is_kept() {
    use crate::adapter::spool::file::{SpoolFile, Sync};
    let folder = std::env::temp_dir().join(format!("observe-cost-{}", std::process::id()));
    for (events, bytes) in [(1, 1_200), (20, 24_000)] {
        let payload = vec![7; bytes];
        let path = folder.join("spool");
        let mut file = SpoolFile::create(&path, std::iter::once(&payload)).unwrap();
        let mut took = Vec::new();
        for _ in 0..1000 {
            let began = tokio::time::Instant::now();
            file.append(std::slice::from_ref(&payload), Sync::Now)
                .unwrap();
            took.push(began.elapsed());
        }
        took.sort();
        println!(
            "{events} events, {bytes} bytes: median {:?}, 99th of 100 {:?}",
            took[500], took[990]
        );
    }
    fs::remove_dir_all(folder).unwrap();
}

proptest! {
    #[test]
    fn whatever_bytes_are_read_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), tag in 0u8..6) {
        drop(decode(&bytes));
        let mut tagged = vec![tag];
        if tag == 1 {
            tagged.extend_from_slice(&1u32.to_le_bytes());
        }
        tagged.extend_from_slice(&bytes);
        drop(decode(&tagged));
    }
}
