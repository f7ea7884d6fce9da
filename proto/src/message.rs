//! What every message has in common: a kind, and a way to bytes and back that checks.

use crate::frame::{self, Frame, Kind};
use bytes::Bytes;

/// Why a payload is not the message its kind promises.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf, or not of this shape.
    #[error("{0:?} does not decode: {1}")]
    Malformed(Kind, prost::DecodeError),
    /// Protobuf of the right shape with a value that is not allowed.
    #[error("{0:?} {1}")]
    Invalid(Kind, String),
    /// A message of another kind was due.
    #[error("{got:?} came where {due:?} was due")]
    Unexpected {
        /// What came.
        got: Kind,
        /// What was due.
        due: Kind,
    },
}

/// A message of one kind: a validated type that becomes a payload and is made from one.
pub trait Message: Sized {
    /// The kind of its frame.
    const KIND: Kind;

    /// The payload.
    fn encode(&self) -> Vec<u8>;

    /// From a payload, every value checked.
    fn decode(payload: Bytes) -> Result<Self, DecodeError>;

    /// The whole frame.
    fn frame(&self) -> Vec<u8> {
        let payload = self.encode();
        let mut out = Vec::with_capacity(frame::HEADER + payload.len());
        frame::put(&mut out, Self::KIND, &payload);
        out
    }

    /// From a frame, which must be of this kind.
    fn from_frame(frame: Frame) -> Result<Self, DecodeError> {
        if frame.kind != Self::KIND {
            return Err(DecodeError::Unexpected { got: frame.kind, due: Self::KIND });
        }
        Self::decode(frame.payload)
    }
}

/// Ties a domain type to its kind and its wire type; the two conversions are `From` and `TryFrom`.
macro_rules! message {
    ($domain:ty, $kind:ident, $wire:ty) => {
        impl crate::Message for $domain {
            const KIND: crate::frame::Kind = crate::frame::Kind::$kind;

            fn encode(&self) -> Vec<u8> {
                prost::Message::encode_to_vec(&<$wire>::from(self))
            }

            fn decode(payload: bytes::Bytes) -> Result<Self, crate::DecodeError> {
                let wire = <$wire as prost::Message>::decode(payload)
                    .map_err(|e| crate::DecodeError::Malformed(Self::KIND, e))?;
                Self::try_from(wire).map_err(|e| crate::DecodeError::Invalid(Self::KIND, e.to_string()))
            }
        }
    };
}

/// The same for a message whose fields are those of the wire, or convert to them. With `checked by`, a
/// function looks at what came and says what is wrong with it.
macro_rules! plain_message {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? } $(checked by $check:path)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type),* }

        impl From<&$name> for crate::wire::$name {
            fn from(from: &$name) -> Self {
                let _ = from;
                Self { $($field: from.$field.clone().into()),* }
            }
        }

        crate::message::plain_message!(@from $name { $($field),* } $($check)?);
        crate::message::message!($name, $name, crate::wire::$name);
    };
    (@from $name:ident { $($field:ident),* }) => {
        impl From<crate::wire::$name> for $name {
            fn from(from: crate::wire::$name) -> Self {
                let _ = &from;
                Self { $($field: from.$field.into()),* }
            }
        }
    };
    (@from $name:ident { $($field:ident),* } $check:path) => {
        impl TryFrom<crate::wire::$name> for $name {
            type Error = String;

            fn try_from(from: crate::wire::$name) -> Result<Self, String> {
                let made = Self { $($field: from.$field.into()),* };
                $check(&made).map(|()| made)
            }
        }
    };
}

pub(crate) use {message, plain_message};
