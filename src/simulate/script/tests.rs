use super::*;

#[test]
fn a_stack_reads_with_ranges_conditions_and_steps() {
    let stack = Stack::parse(
        "name: shop\nprocesses:\n  web: {namespace: [a, b], ready: {after: 2s, fails: [{at: 20s, for: 5s}]}, depends_on: {job: process_completed_successfully}}\n  \
         job: {life: [{run: 1s..2s, exit: 0}], restart: on_failure, backoff: 2s}\nscript:\n  - {at: 10s, do: kill, process: web}\n",
    )
    .unwrap();
    let web = &stack.processes["web"];
    assert_eq!(web.namespace.all(), ["a", "b"]);
    assert!(!web.ready.as_ref().unwrap().finds(Duration::from_secs(1)));
    assert!(web.ready.as_ref().unwrap().finds(Duration::from_secs(3)));
    assert!(!web.ready.as_ref().unwrap().finds(Duration::from_secs(24)));
    assert!(web.ready.as_ref().unwrap().finds(Duration::from_secs(25)));
    assert_eq!(web.depends_on["job"], Condition::CompletedSuccessfully);
    assert_eq!(stack.script[0].deed, Deed::Kill);
    assert!(stack.keep);
}

#[test]
fn an_unknown_key_is_an_error_that_names_its_line() {
    let wrong = Stack::parse("processes:\n  web:\n    restrat: always\n").unwrap_err();
    assert!(
        matches!(&wrong, StackError::Syntax { line: 3, .. }),
        "{wrong:?}"
    );
    assert!(wrong.to_string().contains("restrat"), "{wrong}");
    assert!(matches!(
        Stack::parse("processes:\n  web: {}\n  job:\n    backoff: 2x\n").unwrap_err(),
        StackError::Syntax { line: 4, .. }
    ));
}

#[test]
fn namespaces_named_like_truth_values_are_names() {
    let stack =
        Stack::parse("processes: {a: {namespace: y}, b: {namespace: [on, x]}, y: {}}").unwrap();
    assert_eq!(stack.processes["a"].namespace.all(), ["y"]);
    assert_eq!(stack.processes["b"].namespace.all(), ["on", "x"]);
    assert!(stack.processes.contains_key("y"));
}

#[test]
fn a_stack_that_makes_no_sense_is_refused() {
    for text in [
        "processes: {a: {depends_on: {b: healthy}}}",
        "processes: {a: {replicas: 2}, a-1: {}}",
        "processes: {a: {replicas: 2, schedule: {interval: 3s}}}",
        "script: [{at: 1s, do: stop}]",
        "processes: {a: {}}\nscript: [{at: 1s, do: scale, process: a}]",
    ] {
        assert!(
            matches!(Stack::parse(text), Err(StackError::Sense(_))),
            "{text}"
        );
    }
}

#[test]
fn replica_names_are_padded_to_the_width_of_their_count() {
    assert_eq!(Stack::replica_name("w", 0, 1), "w");
    assert_eq!(Stack::replica_name("w", 0, 9), "w-0");
    assert_eq!(Stack::replica_name("w", 3, 10), "w-03");
    assert_eq!(Stack::replica_name("w", 7, 100), "w-007");
}
