//! Values as JSON, byte for byte as `serde_json` writes them, for what is written by the thousand: events, and the rows of a head.
//!
//! `serde_json` gives every mark, key and value to its sink by itself, some three hundred pieces for an event, and looks at each
//! byte of a text. Here a key goes with its marks into room that is there already, and whether a text stands for itself is found
//! eight bytes at a time. What is rare is left to `serde_json`: a text with something to escape, a number with a fraction.
//!
//! What none of our values has is refused where `serde_json` would write it: a map whose keys are numbers, a number of 128 bits. Its
//! own raw values are not known here.

use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};

use super::plain::needs_no_escape;

type Written = serde_json::Result<()>;

/// How much room is made at least: about an event.
const ROOM: usize = 1024;

/// Appends a value as JSON without a line break.
///
/// # Errors
///
/// Where the value itself refuses, or a map has keys that are no texts; nothing is appended then, and trying again does not help.
pub(crate) fn write<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Written {
    let start = out.len();
    let mut pen = Pen {
        start,
        end: start,
        out,
    };
    let written = value.serialize(&mut pen);
    let end = if written.is_ok() { pen.end } else { start };
    out.truncate(end);
    written
}

/// Where it is written: everything up to `end`, behind which there may be room.
struct Pen<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    end: usize,
}

impl Pen<'_> {
    /// Room for so many more bytes, which count as written.
    #[expect(
        clippy::inline_always,
        reason = "what is built for size would call it for each mark"
    )]
    #[inline(always)]
    fn take(&mut self, bytes: usize) -> &mut [u8] {
        if self.out.len() - self.end < bytes {
            self.grow(bytes);
        }
        let from = self.end;
        self.end += bytes;
        &mut self.out[from..from + bytes]
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        // What stood there before is not ours to double.
        let more = bytes.max(self.end - self.start).max(ROOM);
        self.out.resize(self.end + more, 0);
    }

    fn put(&mut self, text: &[u8]) {
        self.take(text.len()).copy_from_slice(text);
    }

    fn text(&mut self, text: &str) -> Written {
        let bytes = text.as_bytes();
        if !needs_no_escape(bytes) {
            return self.general(text);
        }
        if let [open, room @ .., close] = self.take(bytes.len() + 2) {
            (*open, *close) = (b'"', b'"');
            room.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn whole(&mut self, number: u64, is_negative: bool) {
        let (mut digits, mut from, mut rest) = ([0; 20], 20, number);
        while from == 20 || rest > 0 {
            from -= 1;
            digits[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if is_negative {
            self.put(b"-");
        }
        self.put(&digits[from..]);
    }

    /// As `serde_json` writes it.
    fn general<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.out.truncate(self.end);
        let written = serde_json::to_writer(&mut *self.out, value);
        self.end = self.out.len();
        written
    }

    /// A value that has a name: `{"name":value}`, closed by whoever writes the value.
    fn named(&mut self, name: &'static str) -> Written {
        self.put(b"{");
        self.text(name)?;
        self.put(b":");
        Ok(())
    }
}

/// A list, or an object, that has begun.
struct Several<'p, 'o> {
    pen: &'p mut Pen<'o>,
    /// What stands before the next: what opens it, then a comma.
    mark: u8,
    close: &'static [u8],
}

impl<'p, 'o> Several<'p, 'o> {
    fn list(pen: &'p mut Pen<'o>, close: &'static [u8]) -> Self {
        let mark = b'[';
        Self { pen, mark, close }
    }

    fn object(pen: &'p mut Pen<'o>, close: &'static [u8]) -> Self {
        let mark = b'{';
        Self { pen, mark, close }
    }

    fn next(&mut self) -> &mut Pen<'o> {
        let mark = std::mem::replace(&mut self.mark, b',');
        self.pen.put(&[mark]);
        self.pen
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        self.key(key);
        value.serialize(&mut *self.pen)
    }

    /// The keys of a struct are ours, and none has anything to escape.
    fn key(&mut self, key: &'static str) {
        let mark = std::mem::replace(&mut self.mark, b',');
        if let [before, open, room @ .., close, colon] = self.pen.take(key.len() + 4) {
            (*before, *open, *close, *colon) = (mark, b'"', b'"', b':');
            room.copy_from_slice(key.as_bytes());
        }
        debug_assert!(needs_no_escape(key.as_bytes()), "{key}");
    }

    fn finish(self) {
        if self.mark != b',' {
            self.pen.put(&[self.mark]);
        }
        self.pen.put(self.close);
    }
}

/// Numbers: each as the widest of its kind.
macro_rules! numbers {
    ($($method:ident: $number:ty => $as:ident),*) => {
        $(fn $method(self, value: $number) -> Written {
            self.$as(value.into())
        })*
    };
}

impl<'p, 'o> Serializer for &'p mut Pen<'o> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Several<'p, 'o>;
    type SerializeTuple = Several<'p, 'o>;
    type SerializeTupleStruct = Several<'p, 'o>;
    type SerializeTupleVariant = Several<'p, 'o>;
    type SerializeMap = Several<'p, 'o>;
    type SerializeStruct = Several<'p, 'o>;
    type SerializeStructVariant = Several<'p, 'o>;

    numbers!(
        serialize_i8: i8 => serialize_i64, serialize_i16: i16 => serialize_i64, serialize_i32: i32 => serialize_i64,
        serialize_u8: u8 => serialize_u64, serialize_u16: u16 => serialize_u64, serialize_u32: u32 => serialize_u64
    );

    fn serialize_i64(self, value: i64) -> Written {
        self.whole(value.unsigned_abs(), value < 0);
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Written {
        self.whole(value, false);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Written {
        self.general(&value)
    }

    fn serialize_f64(self, value: f64) -> Written {
        self.general(&value)
    }

    fn serialize_bool(self, value: bool) -> Written {
        self.put(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Written {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Written {
        self.text(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.put(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.named(variant)?;
        value.serialize(&mut *self)?;
        self.put(b"}");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> serde_json::Result<Several<'p, 'o>> {
        Ok(Several::list(self, b"]"))
    }

    fn serialize_tuple(self, _: usize) -> serde_json::Result<Several<'p, 'o>> {
        Ok(Several::list(self, b"]"))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> serde_json::Result<Several<'p, 'o>> {
        Ok(Several::list(self, b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> serde_json::Result<Several<'p, 'o>> {
        self.named(variant)?;
        Ok(Several::list(self, b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> serde_json::Result<Several<'p, 'o>> {
        Ok(Several::object(self, b"}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> serde_json::Result<Several<'p, 'o>> {
        debug_assert!(!name.starts_with('$'), "a raw value of serde_json's");
        Ok(Several::object(self, b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> serde_json::Result<Several<'p, 'o>> {
        self.named(variant)?;
        Ok(Several::object(self, b"}}"))
    }
}

/// Lists: each of their values behind a comma.
macro_rules! lists {
    ($($list:ident.$method:ident),*) => {
        $(impl ser::$list for Several<'_, '_> {
            type Ok = ();
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                value.serialize(self.next())
            }

            fn end(self) -> Written {
                self.finish();
                Ok(())
            }
        })*
    };
}

lists!(
    SerializeSeq.serialize_element,
    SerializeTuple.serialize_element,
    SerializeTupleStruct.serialize_field,
    SerializeTupleVariant.serialize_field
);

/// Objects whose keys stand in the program.
macro_rules! structs {
    ($($object:ident),*) => {
        $(impl ser::$object for Several<'_, '_> {
            type Ok = ();
            type Error = serde_json::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Written {
                self.field(key, value)
            }

            fn end(self) -> Written {
                self.finish();
                Ok(())
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Several<'_, '_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        let pen = self.next();
        let from = pen.end;
        key.serialize(&mut *pen)?;
        if pen.out.get(from) == Some(&b'"') {
            return Ok(());
        }
        Err(serde_json::Error::custom("key must be a string"))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.pen.put(b":");
        value.serialize(&mut *self.pen)
    }

    fn end(self) -> Written {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
