//! Where a name that nobody read under yet begins.

use super::super::connect::Bus;
use super::super::consumer::Start;
use super::super::error::BusError;
use super::super::read::{Begin, Reader, Told};
use super::super::stream::StreamInfo;
use super::{DurableReader, Wanted};
use crate::bus::anchor::Known;

/// Finds the place; the last so many events that match have to be looked for.
pub(in crate::bus) async fn first_start(
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

impl DurableReader {
    /// Whether the stream is another than the one we read, or does not hold any more what we read last.
    pub(super) async fn is_another(&self, info: &StreamInfo) -> Result<bool, BusError> {
        let known = Known {
            stream: &self.stream,
            created: &self.created,
            floor: self.floor,
            anchor: self.anchor,
        };
        known.is_another(&self.bus, info).await
    }

    /// Where a consumer that is missing begins.
    pub(super) async fn start(&self, info: &StreamInfo, renewed: bool) -> Result<Start, BusError> {
        let first = self.created.is_empty();
        if renewed && !first && self.created != info.created {
            return Ok(Start::At(1));
        }
        match self.anchor {
            Some(anchor) if renewed || self.floor == 0 => Ok(anchor.behind()),
            _ if renewed => Ok(Start::At(info.last + 1)),
            _ if first => first_start(&self.bus, &self.wanted, info).await,
            _ => Ok(Start::At(self.floor + 1)),
        }
    }
}
