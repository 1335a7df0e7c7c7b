//! Heads of many sources, each whole.

use futures_util::{StreamExt as _, stream as futures};

use super::connect::Bus;
use super::error::BusError;
use super::head::{AT_ONCE, Who, parse, roots, roots_at, whole_of};
use super::stored::Stored;
use crate::event::store::Head;
use crate::event::subject::Prefix;

/// The heads of the sources under a prefix whose names are wanted, each as [`super::head::read_head_at`] gives it, in the order of their
/// subjects. One that cannot be read is left out.
///
/// # Errors
///
/// As [`super::head::heads`], where it is not known which heads there are.
///
/// # Cancel safety
///
/// Reads only.
pub async fn read_heads(
    bus: &Bus,
    stream: &str,
    prefix: &Prefix,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Head>, BusError> {
    let found = roots(bus, stream, prefix).await?;
    Ok(read_wanted(bus, stream, found, is_wanted).await)
}

/// The same of those heads whose roots have these subjects.
///
/// # Errors
///
/// As [`super::head::heads`].
///
/// # Cancel safety
///
/// Reads only.
pub async fn read_heads_at(
    bus: &Bus,
    stream: &str,
    subjects: Vec<String>,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Head>, BusError> {
    let found = roots_at(bus, stream, subjects).await?;
    Ok(read_wanted(bus, stream, found, is_wanted).await)
}

async fn read_wanted(
    bus: &Bus,
    stream: &str,
    mut found: Vec<(String, Stored)>,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Head> {
    found.retain(|(_, stored)| parse(&stored.payload).is_ok_and(|root| is_wanted(&root.source)));
    let one = |(subject, stored): (String, Stored)| async move {
        let found = whole_of(bus, stream, (&subject, Who::Reader), Some(stored)).await;
        found.ok().flatten().map(|(head, _, _)| head)
    };
    let found: Vec<Option<Head>> = futures::iter(found)
        .map(one)
        .buffered(AT_ONCE)
        .collect()
        .await;
    found.into_iter().flatten().collect()
}
