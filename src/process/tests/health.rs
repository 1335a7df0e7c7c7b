//! Health belongs to the newest run and is unknown at its beginning, whatever a server repeats.

use super::stage::{a, before, nothing};

#[test]
fn what_a_server_repeats_of_the_former_run_is_not_told_as_healthy() {
    let was = || {
        nothing()
            .sticky()
            .probed_late(3, 2, 10)
            .after([a("Running").pid(5).ready().aged(60_000)])
            .tells(["started present", "healthy probe"])
            .after([a("Running").pid(6).ready().aged(1500)])
            .tells(["stopped replaced inferred", "restarted unknown"])
    };
    // no check can have been made before the initial delay has passed
    was()
        .after([a("Running").pid(6).ready().aged(3500)])
        .tells([])
        .after_ms(8000, [a("Running").pid(6).ready().aged(11_500)])
        .tells(["healthy probe ambiguous"])
        .after([a("Running").pid(6).ready().aged(13_500)])
        .tells([]);
    was()
        .after([a("Running").pid(6).not_ready().aged(11_000)])
        .tells(["unhealthy starting"]);
}

#[test]
fn a_first_ready_equal_to_the_former_last_word_is_ambiguous_on_servers_that_repeat_it() {
    nothing()
        .sticky()
        .after([a("Running").pid(5).ready()])
        .after([a("Running").pid(6).ready()])
        .tells([
            "stopped replaced inferred",
            "restarted unknown",
            "healthy probe ambiguous",
        ]);
    before([a("Running").pid(5).ready()])
        .after([a("Running").pid(6).ready()])
        .tells([
            "stopped replaced inferred",
            "restarted unknown",
            "healthy probe",
        ]);
}

#[test]
fn readiness_of_what_is_not_up_is_never_compared() {
    before([a("Running").pid(5).ready()])
        .after([a("Terminating").pid(5).not_ready()])
        .tells(["status_changed status"])
        .after([a("Completed").pid(5).not_ready()])
        .tells(["stopped requested code 0"]);
}

#[test]
fn health_counts_as_unknown_at_the_beginning_of_a_run() {
    before([])
        .after([a("Running").pid(5).ready()])
        .tells(["started added", "healthy probe"])
        .after([a("Running").pid(5)])
        .tells([])
        .after([a("Running").pid(5).ready()])
        .tells([]);
}
