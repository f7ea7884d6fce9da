//! Protobuf's fields, read where they lie and written where they belong: the two heads of a request
//! pass here once for every request, and nothing is allocated for a field. All other messages go
//! through prost, with which tests compare this.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

/// One field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A varint.
    Number(u64),
    /// Anything with a length.
    Bytes(&'a [u8]),
    /// A value of a wire type that no field of ours has; passed over where the field is unknown.
    Other,
}

/// The fields of a message, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// The next field, or what is wrong with the bytes where it should be.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, String> {
        match self.short_field() {
            Some(field) => Ok(Some(field)),
            None => self.any_field(),
        }
    }

    /// What nearly every field of a head is: a key of one byte, a length of one or two, the value.
    #[inline]
    fn short_field(&mut self) -> Option<(u32, Value<'a>)> {
        let (key, length, value) = match *self.rest {
            [key, length @ 0..=0x7f, ref value @ ..] => (key, usize::from(length), value),
            [key, low @ 0x80..=0xff, high @ 1..=0x7f, ref value @ ..] => {
                (key, usize::from(low & 0x7f) | usize::from(high) << 7, value)
            }
            _ => return None,
        };
        // Tags from 1 to 15, of the wire type that has a length.
        if key & 0x87 != WireType::LengthDelimited as u8 || key < 8 {
            return None;
        }
        let (value, rest) = value.split_at_checked(length)?;
        self.rest = rest;
        Some((u32::from(key >> 3), Value::Bytes(value)))
    }

    fn any_field(&mut self) -> Result<Option<(u32, Value<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (tag, wire_type) = decode_key(&mut self.rest).map_err(|e| e.to_string())?;
        let value = match wire_type {
            WireType::Varint => Value::Number(self.number()?),
            WireType::LengthDelimited => Value::Bytes(self.bytes()?),
            other => {
                skip_field(other, tag, &mut self.rest, DecodeContext::default())
                    .map_err(|e| e.to_string())?;
                Value::Other
            }
        };
        Ok(Some((tag, value)))
    }

    fn number(&mut self) -> Result<u64, String> {
        decode_varint(&mut self.rest).map_err(|e| e.to_string())
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (value, rest) = self.rest.split_at_checked(length).ok_or("ends within a field")?;
        self.rest = rest;
        Ok(value)
    }
}

/// The values of one repeated field as pairs. For bytes that were read to their end once: what is
/// wrong with them ends the list.
#[derive(Debug, Clone)]
pub(crate) struct Pairs<'a> {
    fields: Fields<'a>,
    tag: u32,
}

impl<'a> Pairs<'a> {
    pub(crate) fn of(payload: &'a [u8], tag: u32) -> Self {
        Self { fields: Fields::of(payload), tag }
    }

    #[inline]
    fn value(&mut self) -> Option<&'a [u8]> {
        loop {
            match self.fields.field().ok()?? {
                (tag, Value::Bytes(value)) if tag == self.tag => return Some(value),
                _ => {}
            }
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.value()?, self.value()?))
    }
}

/// Is this count of names and values one of whole pairs, and not of too many?
pub(crate) fn check_pairs(values: usize) -> Result<(), String> {
    if values % 2 != 0 {
        return Err("has a name without a value".into());
    }
    if values / 2 > crate::bounds::PAIRS {
        return Err(format!("has more than {} entries", crate::bounds::PAIRS));
    }
    Ok(())
}

/// Begins a field of so many bytes; they are the caller's to append.
#[inline]
pub(crate) fn put_length(out: &mut Vec<u8>, tag: u32, length: usize) {
    let key = (tag << 3 | WireType::LengthDelimited as u32) as u8;
    match length {
        0..=0x7f if tag < 16 => out.extend_from_slice(&[key, length as u8]),
        0x80..=0x3fff if tag < 16 => out.extend_from_slice(&[key, length as u8 | 0x80, (length >> 7) as u8]),
        _ => {
            encode_key(tag, WireType::LengthDelimited, out);
            encode_varint(length as u64, out);
        }
    }
}

/// Appends an entry of a repeated field: empty ones too.
#[inline]
pub(crate) fn put_entry(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    put_length(out, tag, value.len());
    out.extend_from_slice(value);
}

/// Appends a single field. Default values are left out, as proto3 does.
pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    if !value.is_empty() {
        put_entry(out, tag, value);
    }
}

/// The same for a number.
pub(crate) fn put_number(out: &mut Vec<u8>, tag: u32, value: u64) {
    if value != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(value, out);
    }
}
