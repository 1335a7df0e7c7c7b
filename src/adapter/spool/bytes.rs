//! Numbers, texts and times as bytes, and back. Pure. Little-endian; everything of variable length says how long it is.

use chrono::{DateTime, Utc};

/// Bytes that are not what an entry of ours looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foreign;

/// Appends values to bytes.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    pub(super) fn short(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn long(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn count(&mut self, value: usize) {
        // Nothing that is kept in memory comes near this number of parts; a reader would notice the difference.
        self.short(u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(super) fn time(&mut self, value: DateTime<Utc>) {
        self.0.extend_from_slice(&value.timestamp().to_le_bytes());
        self.short(value.timestamp_subsec_nanos());
    }

    pub(super) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Takes values from the front of bytes it does not trust.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Foreign> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(Foreign)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Foreign> {
        self.take(N)?.try_into().map_err(|_| Foreign)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Foreign> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn flag(&mut self) -> Result<bool, Foreign> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Foreign),
        }
    }

    pub(super) fn short(&mut self) -> Result<u32, Foreign> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn long(&mut self) -> Result<u64, Foreign> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Foreign> {
        let count = usize::try_from(self.short()?).map_err(|_| Foreign)?;
        self.take(count)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Foreign> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Foreign)
    }

    pub(super) fn time(&mut self) -> Result<DateTime<Utc>, Foreign> {
        let seconds = i64::from_le_bytes(self.array()?);
        DateTime::from_timestamp(seconds, self.short()?).ok_or(Foreign)
    }

    pub(super) fn maybe<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Foreign>,
    ) -> Result<Option<T>, Foreign> {
        self.flag()?.then(|| read(self)).transpose()
    }

    /// As many parts as are announced; each costs bytes, so no more memory is taken than there are bytes for.
    pub(super) fn many<T, C: FromIterator<T>>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Foreign>,
    ) -> Result<C, Foreign> {
        let count = self.short()?;
        (0..count).map(|_| read(self)).collect()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Foreign> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Foreign)
        }
    }
}
