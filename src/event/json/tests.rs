use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;

use super::*;

/// Whatever a value may be made of.
#[derive(Debug, Clone, Serialize)]
enum Shape {
    Nothing,
    Truth(bool),
    Whole(i64),
    Natural(u64),
    Small(i8, u16, f32),
    Broken(f64),
    Text(String),
    Sign(char),
    Bytes(Vec<u8>),
    Pair((u8, Option<i32>)),
    List(Vec<Shape>),
    Named(BTreeMap<String, Shape>),
    Row {
        first: Option<Box<Shape>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        second: Option<u32>,
        unit: (),
    },
    Empty {},
    New(New),
    Two(Two),
    Blank(Blank),
}

#[derive(Debug, Clone, Serialize)]
struct New(String);

#[derive(Debug, Clone, Serialize)]
struct Two(i16, String);

#[derive(Debug, Clone, Serialize)]
struct Blank;

fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        Just(Shape::Empty {}),
        Just(Shape::Blank(Blank)),
        any::<bool>().prop_map(Shape::Truth),
        any::<i64>().prop_map(Shape::Whole),
        any::<u64>().prop_map(Shape::Natural),
        any::<(i8, u16, f32)>().prop_map(|(a, b, c)| Shape::Small(a, b, c)),
        any::<f64>().prop_map(Shape::Broken),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)]
            .prop_map(Shape::Broken),
        any::<String>().prop_map(Shape::Text),
        "[ -~]{0,40}".prop_map(Shape::Text),
        any::<char>().prop_map(Shape::Sign),
        any::<Vec<u8>>().prop_map(Shape::Bytes),
        any::<(u8, Option<i32>)>().prop_map(Shape::Pair),
        any::<String>().prop_map(|text| Shape::New(New(text))),
        any::<(i16, String)>().prop_map(|(a, b)| Shape::Two(Two(a, b))),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let first = proptest::option::of(inner.clone());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Shape::List),
            proptest::collection::btree_map(any::<String>(), inner, 0..4).prop_map(Shape::Named),
            (first, any::<Option<u32>>()).prop_map(|(first, second)| Shape::Row {
                first: first.map(Box::new),
                second,
                unit: (),
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_what_serde_json_writes(shape in shapes(), before in "[a-z]{0,9}") {
        let mut out = before.clone().into_bytes();
        write(&mut out, &shape).unwrap();
        let wanted = before + &serde_json::to_string(&shape).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}

#[test]
fn the_ends_of_the_numbers_are_written() {
    let mut out = Vec::new();
    write(&mut out, &(i64::MIN, i64::MAX, u64::MAX, 0, -1)).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "[-9223372036854775808,9223372036854775807,18446744073709551615,0,-1]"
    );
}

/// Writes a little and then refuses.
struct Broken;

impl Serialize for Broken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        serializer.serialize_seq(None)?.serialize_element("half")?;
        Err(S::Error::custom("no"))
    }
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let mut out = b"before".to_vec();
    assert_eq!(write(&mut out, &Broken).unwrap_err().to_string(), "no");
    let nameless = BTreeMap::from([(vec![1], 1)]);
    let ours = write(&mut out, &nameless).unwrap_err();
    let theirs = serde_json::to_string(&nameless).unwrap_err();
    assert_eq!(ours.to_string(), theirs.to_string());
    assert_eq!(out, b"before");
}

#[test]
fn much_that_stood_there_before_is_not_doubled() {
    let mut out = Vec::with_capacity((1 << 20) + 2 * ROOM);
    out.resize(1 << 20, b' ');
    let room = out.capacity();
    write(&mut out, &"short").unwrap();
    assert_eq!((out.len(), out.capacity()), ((1 << 20) + 7, room));
}
