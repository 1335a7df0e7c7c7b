//! Heads of many sources, each whole.

use futures_util::{StreamExt as _, stream as futures};

use super::connect::Bus;
use super::error::BusError;
use super::head::{AT_ONCE, Stored, Who, parse, roots, whole_of};
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
    let mut found = roots(bus, stream, prefix).await?;
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
    Ok(found.into_iter().flatten().collect())
}
