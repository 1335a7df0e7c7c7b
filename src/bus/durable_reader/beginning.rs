//! Where a name that nobody read under yet begins.

use super::super::connect::Bus;
use super::super::consumer::Start;
use super::super::error::BusError;
use super::super::read::{Begin, Reader, Told};
use super::super::stream::StreamInfo;
use super::Wanted;

/// Finds the place; the last so many events that match have to be looked for.
pub(super) async fn first_start(
    bus: &Bus,
    wanted: &Wanted,
    info: &StreamInfo,
) -> Result<Start, BusError> {
    let Wanted {
        stream,
        prefix,
        filter,
        ..
    } = wanted;
    match wanted.from {
        Begin::Now | Begin::Last(0) => Ok(Start::At(info.last + 1)),
        Begin::Sequence(first) => Ok(Start::At(first)),
        Begin::Time(time) => Ok(Start::Since(time)),
        Begin::Last(count) => {
            let last = Begin::Last(count);
            let mut reader = Reader::live(bus, stream, prefix, filter.clone(), last);
            loop {
                match reader.next().await? {
                    Told::Record(first) => return Ok(Start::At(first.position.sequence)),
                    Told::CaughtUp(sequence) => return Ok(Start::At(sequence + 1)),
                    _ => {}
                }
            }
        }
    }
}
