//! Ourselves and the environment: names of variables only, never what they hold. Pure.

use std::collections::BTreeSet;

use super::finding::Finding;

/// Variables that decide something here.
const READ: [&str; 17] = [
    "NATS_URL",
    "NATS_CONTEXT",
    "NATS_CREDS",
    "NATS_NKEY",
    "NATS_USER",
    "NATS_PASSWORD",
    "NATS_TOKEN",
    "NATS_CA",
    "NATS_CERT",
    "NATS_KEY",
    "PC_ADDRESS",
    "PC_PORT_NUM",
    "PC_SOCKET_PATH",
    "PC_API_TOKEN",
    "PC_API_TOKEN_PATH",
    "_FLOX_SERVICES_SOCKET",
    "DEVENV_RUNTIME",
];

/// Of several that say the same thing, the first counts.
const RIVALS: [(&str, &[&str]); 3] = [
    (
        "who we are to the broker",
        &["NATS_CREDS", "NATS_NKEY", "NATS_USER", "NATS_TOKEN"],
    ),
    (
        "where process-compose is",
        &["PC_SOCKET_PATH", "PC_PORT_NUM"],
    ),
    (
        "the token of process-compose",
        &["PC_API_TOKEN", "PC_API_TOKEN_PATH"],
    ),
];

/// Variables of the `nats` command that decide where it goes and as whom, and that are not read here.
const ELSEWHERE: [&str; 2] = ["NATS_JWT", "NATS_SEED"];

/// Names that look like a variable and are none.
const TYPOS: [(&str, &str); 6] = [
    ("NATS_SERVER", "NATS_URL"),
    ("PC_HOST", "PC_ADDRESS"),
    ("PC_PORT", "PC_PORT_NUM"),
    ("PC_SOCKET", "PC_SOCKET_PATH"),
    ("PC_TOKEN", "PC_API_TOKEN"),
    ("PC_TOKEN_FILE", "PC_API_TOKEN_PATH"),
];

/// Whether anything but the environment says who the user of the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// A flag, the file of settings or a context does, or may.
    Said,
    /// Nothing does.
    Unsaid,
}

/// Judges the names of the variables that are set and not empty.
pub fn setup(set: &BTreeSet<String>, user: User) -> Vec<Finding> {
    let has = |name: &str| set.contains(name);
    let mut findings = vec![Finding::ok(
        "setup.version",
        concat!("this is observe ", env!("CARGO_PKG_VERSION")),
    )];
    let read: Vec<_> = READ.into_iter().filter(|name| has(name)).collect();
    if !read.is_empty() {
        findings.push(Finding::info(
            "setup.environment",
            format!(
                "set, and read where no flag says otherwise: {}",
                read.join(", ")
            ),
        ));
    }
    for (what, names) in RIVALS {
        let both: Vec<_> = names.iter().copied().filter(|name| has(name)).collect();
        if let [first, _, ..] = both.as_slice() {
            findings.push(Finding::warning(
                "setup.conflict",
                format!("{} all say {what}; {first} counts", both.join(", ")),
                "unset what is not meant",
            ));
        }
    }
    if has("NATS_PASSWORD") && !has("NATS_USER") && user == User::Unsaid {
        findings.push(Finding::warning(
            "setup.conflict",
            "NATS_PASSWORD is set without NATS_USER and counts only with --user",
            "set NATS_USER as well, or unset it",
        ));
    }
    for name in ELSEWHERE.into_iter().filter(|name| has(name)) {
        findings.push(Finding::warning(
            "setup.unread",
            format!("{name} is set, and observe does not read it"),
            "say the same by --server, --creds or --nkey",
        ));
    }
    for (typo, meant) in TYPOS.into_iter().filter(|(typo, _)| has(typo)) {
        findings.push(Finding::warning(
            "setup.unknown",
            format!("{typo} is set and means nothing to anybody"),
            format!("did you mean {meant}?"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    fn judged(names: &[&str]) -> Vec<Finding> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        setup(&names, User::Unsaid)
    }

    #[test]
    fn a_password_needs_a_user_wherever_that_is_said() {
        let names = BTreeSet::from(["NATS_PASSWORD".to_owned()]);
        let warned = |user| {
            let findings = setup(&names, user);
            findings.iter().any(|one| one.check == "setup.conflict")
        };
        assert!(warned(User::Unsaid) && !warned(User::Said));
    }

    #[test]
    fn variables_are_named_and_their_contradictions_too() {
        assert_eq!(judged(&[]).len(), 1);
        let findings = judged(&["NATS_URL", "PATH", "PC_CONFIG_FILES"]);
        assert_eq!(findings.len(), 2);
        assert!(findings[1].what.ends_with(": NATS_URL"), "{findings:?}");
        for (names, word) in [
            (&["NATS_USER", "NATS_CREDS"] as &[&str], "NATS_CREDS counts"),
            (&["PC_PORT_NUM", "PC_SOCKET_PATH"], "PC_SOCKET_PATH counts"),
            (
                &["PC_API_TOKEN", "PC_API_TOKEN_PATH"],
                "PC_API_TOKEN counts",
            ),
            (&["NATS_PASSWORD"], "without NATS_USER"),
            (&["NATS_JWT"], "does not read"),
            (&["PC_PORT"], "means nothing"),
        ] {
            let findings = judged(names);
            let bad: Vec<_> = findings
                .iter()
                .filter(|finding| finding.severity == Severity::Warning)
                .collect();
            assert_eq!(bad.len(), 1, "{findings:?}");
            assert!(
                bad[0].what.contains(word) && bad[0].fix.is_some(),
                "{bad:?}"
            );
        }
    }
}
