//! What the targets share. A target reads its input as a few fields and lets a stranger's bytes loose on
//! one part of the code; what has to hold of the outcome stands in the target.
//!
//! * [`input`]: fields out of an input's bytes, and the same bytes out of fields, for seeds
//! * [`wire`]: prost's reading of the messages, to compare with
//! * [`socket`]: the far end of a socket pair, which says what it likes
//! * [`descriptors`]: none may leak

pub mod descriptors;
pub mod input;
pub mod socket;

/// The contract's own grammar: private there, so it is compiled here once more.
#[allow(missing_docs, dead_code, clippy::all)]
#[rustfmt::skip]
#[path = "../../../proto/src/generated/wsgid.rs"]
pub mod wire;
