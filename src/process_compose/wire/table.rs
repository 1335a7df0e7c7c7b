//! The table as a whole: read in one go, and element by element only where that fails.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::error::clean;
use super::rows::Rows;
use super::{DecodeError, Odd, Reading, WireRow, name_of, why};

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
pub(super) enum Data<L> {
    #[default]
    Missing,
    Rows(L),
}

impl<'de, L: Deserialize<'de> + Default> Deserialize<'de> for Data<L> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(Self::Rows(Option::deserialize(input)?.unwrap_or_default()))
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
    decode_into(bytes, Vec::new())
}

/// The same, in a list that may have room from the last time; what stands in it is dropped.
///
/// # Errors
/// As [`decode`].
pub fn decode_into<'a, R: From<WireRow<'a>>>(
    bytes: &'a [u8],
    room: Vec<R>,
) -> Result<Reading<R>, DecodeError> {
    match Rows::read(bytes, room) {
        Ok((data, error)) => {
            let Rows { rows, excess } = present_rows(data, error)?;
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
