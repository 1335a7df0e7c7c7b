//! The table as a whole: read in one go, and element by element only where that fails.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::error::clean;
use super::{DecodeError, Odd, Reading, WireRow, name_of, why};
use crate::event::room::make_room;

/// A table; null in the place of its `data` is one without processes.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a, L: Deserialize<'de> + Default"))]
struct Table<'a, L> {
    #[serde(default)]
    data: Data<L>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Default)]
enum Data<L> {
    #[default]
    Missing,
    Rows(L),
}

impl<'de, L: Deserialize<'de> + Default> Deserialize<'de> for Data<L> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(Self::Rows(Option::deserialize(input)?.unwrap_or_default()))
    }
}

/// The rows of a table, each made into what is wanted of it as soon as it is read.
struct Rows<R> {
    rows: Vec<R>,
    /// Whether one of them is too much to be told.
    excess: bool,
}

impl<R> Default for Rows<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            excess: false,
        }
    }
}

impl<'de, R: From<WireRow<'de>>> Deserialize<'de> for Rows<R> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_seq(Self::default())
    }
}

impl<'de, R: From<WireRow<'de>>> Visitor<'de> for Rows<R> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of processes")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(row) = list.next_element::<WireRow<'_>>()? {
            self.excess |= row.excess().is_some();
            make_room(&mut self.rows, 1);
            self.rows.push(row.into());
        }
        Ok(self)
    }
}

/// Reads the answer to `GET /processes`.
///
/// # Errors
/// [`DecodeError`] where the body as a whole is no table, or no element of it a process.
pub fn decode(bytes: &[u8]) -> Result<Reading<WireRow<'_>>, DecodeError> {
    decode_as(bytes)
}

/// The same, each row made into what is wanted of it: what a row says takes more room than what is looked at.
///
/// # Errors
/// As [`decode`].
pub fn decode_as<'a, R: From<WireRow<'a>>>(bytes: &'a [u8]) -> Result<Reading<R>, DecodeError> {
    // Text that is checked as a whole is not checked again string by string; bytes that are no text may stand where nobody
    // reads.
    let table = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str::<Table<'_, Rows<R>>>(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    match table {
        Ok(table) => {
            let Rows { rows, excess } = present_rows(table.data, table.error)?;
            if excess {
                return decode_each(bytes);
            }
            let odd = Vec::new();
            Ok(Reading { rows, odd })
        }
        Err(_) => decode_each(bytes),
    }
}

pub(super) fn decode_each<'a, R: From<WireRow<'a>>>(
    bytes: &[u8],
) -> Result<Reading<R>, DecodeError> {
    let text = String::from_utf8_lossy(bytes);
    let table: Table<'_, Vec<&RawValue>> =
        serde_json::from_str(&text).map_err(|error| DecodeError::of(text.as_bytes(), error))?;
    let elements = present_rows(table.data, table.error)?;
    let mut reading = Reading {
        rows: Vec::new(),
        odd: Vec::new(),
    };
    for element in &elements {
        match serde_json::from_str::<WireRow<'_>>(element.get()) {
            Ok(row) => match row.excess() {
                None => reading.rows.push(row.into_owned().into()),
                Some(why) => reading.odd.push(Odd {
                    name: Some(row.name.into_owned()),
                    why,
                }),
            },
            Err(error) => reading.odd.push(Odd {
                name: name_of(element),
                why: why(&error),
            }),
        }
    }
    match reading.odd.first() {
        Some(odd) if reading.rows.is_empty() => Err(DecodeError::NoRow {
            count: elements.len(),
            first: odd.why.clone(),
        }),
        _ => Ok(reading),
    }
}

fn present_rows<L>(data: Data<L>, error: Option<&RawValue>) -> Result<L, DecodeError> {
    match (data, error) {
        (Data::Rows(rows), _) => Ok(rows),
        (Data::Missing, Some(error)) => {
            let text = serde_json::from_str::<String>(error.get())
                .unwrap_or_else(|_| error.get().to_owned());
            let text = clean(&text, 200);
            let said = if text.is_empty() {
                "without a word".to_owned()
            } else {
                text
            };
            Err(DecodeError::ServerError(said))
        }
        (Data::Missing, None) => Err(DecodeError::OtherJson),
    }
}
