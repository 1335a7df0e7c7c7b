use super::*;

#[test]
fn no_name_leaves_its_segment() {
    assert_eq!(
        percent_encoded("a.b *>/+%é\n"),
        "a.b%20%2A%3E%2F%2B%25%C3%A9%0A"
    );
    assert!(
        format!("/{}", percent_encoded(&"ü".repeat(5000)))
            .parse::<Uri>()
            .is_ok()
    );
}
