//! The rows of a table, read in one go into a list that may have room already.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::WireRow;
use super::table::Data;
use crate::event::room::make_room;

/// The rows of a table, each made into what is wanted of it as soon as it is read.
pub(super) struct Rows<R> {
    pub(super) rows: Vec<R>,
    /// Whether one of them is too much to be told.
    pub(super) excess: bool,
}

/// The rows of a body, and what it says of an error.
type Said<'de, R> = (Data<Rows<R>>, Option<&'de RawValue>);

impl<'de, R: From<WireRow<'de>>> Rows<R> {
    pub(super) fn read(bytes: &'de [u8], mut room: Vec<R>) -> serde_json::Result<Said<'de, R>> {
        room.clear();
        let rows = Self {
            rows: room,
            excess: false,
        };
        // Text that is checked as a whole is not checked again string by string; bytes that are no text may stand where
        // nobody reads.
        if let Ok(text) = std::str::from_utf8(bytes) {
            let mut input = serde_json::Deserializer::from_str(text);
            let said = Body(rows).deserialize(&mut input)?;
            input.end().map(|()| said)
        } else {
            let mut input = serde_json::Deserializer::from_slice(bytes);
            let said = Body(rows).deserialize(&mut input)?;
            input.end().map(|()| said)
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Data,
    Error,
    #[serde(other)]
    Other,
}

/// The object around the table.
struct Body<R>(Rows<R>);

impl<'de, R: From<WireRow<'de>>> DeserializeSeed<'de> for Body<R> {
    type Value = Said<'de, R>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de, R: From<WireRow<'de>>> Visitor<'de> for Body<R> {
    type Value = Said<'de, R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of processes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut room, mut data, mut error) = (Some(self.0), Data::Missing, None::<Option<_>>);
        while let Some(key) = map.next_key()? {
            match key {
                Key::Data => {
                    let Some(rows) = room.take() else {
                        return Err(A::Error::duplicate_field("data"));
                    };
                    data = Data::Rows(map.next_value_seed(List(rows))?);
                }
                Key::Error if error.is_some() => return Err(A::Error::duplicate_field("error")),
                Key::Error => error = Some(map.next_value()?),
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok((data, error.flatten()))
    }
}

/// The table itself; null in its place is one without processes.
struct List<R>(Rows<R>);

impl<'de, R: From<WireRow<'de>>> DeserializeSeed<'de> for List<R> {
    type Value = Rows<R>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Rows<R>, D::Error> {
        input.deserialize_option(self)
    }
}

impl<'de, R: From<WireRow<'de>>> Visitor<'de> for List<R> {
    type Value = Rows<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of processes")
    }

    fn visit_none<E>(self) -> Result<Rows<R>, E> {
        Ok(self.0)
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<Rows<R>, D::Error> {
        input.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows<R>, A::Error> {
        let Self(mut found) = self;
        while let Some(row) = list.next_element::<WireRow<'_>>()? {
            found.excess |= row.excess().is_some();
            make_room(&mut found.rows, 1);
            found.rows.push(row.into());
        }
        Ok(found)
    }
}
