//! Every reader against real samples that were spoilt, and against bytes that are like none.

use std::path::PathBuf;

use proptest::test_runner::{Config, TestError, TestRunner};

use super::mutate::spoilt;
use super::{TARGETS, samples};

/// How often each reader is tried; `FUZZ_CASES` says otherwise.
fn cases() -> u32 {
    let said = std::env::var("FUZZ_CASES").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(300)
}

fn hold(target: &str) {
    let (_, law) = *TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let samples = samples::of(target);
    for sample in &samples {
        law(sample);
    }
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&spoilt(samples), |bytes| {
        law(&bytes);
        Ok(())
    });
    if let Err(TestError::Fail(why, bytes)) = &outcome {
        panic!("{why}\non {}", bytes.escape_ascii());
    }
    outcome.unwrap();
}

#[test]
fn any_body_is_a_table_or_an_error() {
    hold("table");
}

#[test]
fn any_looks_and_frames_behind_any_head_are_compared_and_shown() {
    hold("looks");
}

#[test]
fn any_answer_about_a_project_or_a_configuration_is_read_or_refused() {
    hold("answers");
}

#[test]
fn any_state_stream_is_heard_within_bounds() {
    hold("frames");
}

#[test]
fn any_entry_of_a_spool_is_read_as_it_was_written_or_refused() {
    hold("spool");
}

#[test]
fn any_bytes_of_a_connection_are_an_answer_or_an_error() {
    hold("exchange");
}

#[test]
fn any_root_is_gone_on_from_or_refused_in_a_line() {
    hold("head");
}

#[test]
fn any_stored_text_is_an_event_that_reads_back_or_none() {
    hold("event");
}

#[test]
fn any_answer_or_delivery_of_the_broker_is_read_or_refused() {
    hold("broker_answers");
}

#[test]
fn any_file_of_a_managed_broker_is_read_or_passed_over() {
    hold("broker_files");
}

#[test]
fn any_context_is_taken_or_refused_and_never_shown() {
    hold("contexts");
}

#[test]
fn any_stack_file_is_played_or_refused_with_a_line() {
    hold("stack");
}

#[test]
fn any_name_stays_within_its_token() {
    hold("names");
}

#[test]
fn every_target_has_its_file() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let text = std::fs::read_to_string(fuzz.join(format!("targets/{name}.rs"))).unwrap();
        assert!(text.contains(&format!("fuzzing::{name}(bytes)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
    assert_eq!(
        std::fs::read_dir(fuzz.join("targets")).unwrap().count(),
        TARGETS.len()
    );
}

#[test]
#[ignore = "writes the samples as seeds into the folder FUZZ_SEEDS; scripts/fuzz.sh calls it"]
fn seeds() {
    let folder = PathBuf::from(std::env::var_os("FUZZ_SEEDS").unwrap());
    for (target, _) in TARGETS {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, sample) in samples::of(target).iter().enumerate() {
            std::fs::write(folder.join(format!("{number:04}")), sample).unwrap();
        }
    }
}
