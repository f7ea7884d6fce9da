//! Frames: `u32 length (little-endian), u8 kind, payload`, the same on every socket. The length
//! counts the payload alone and is compared with the bound of its kind as soon as the five bytes of
//! the header are there, before room is made for the rest.

use crate::bounds;
use bytes::{Buf, Bytes, BytesMut};

/// Bytes before the payload.
pub const HEADER: usize = 5;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $bound:expr;)*) => {
        /// What a frame holds. The numbers are the wire's and are never given a second meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name = $number),* }

        impl Kind {
            /// The kind behind a number of the wire.
            pub fn from_number(number: u8) -> Option<Kind> {
                match number { $($number => Some(Kind::$name),)* _ => None }
            }

            /// The most bytes a payload of this kind may have.
            pub fn bound(self) -> usize {
                match self { $(Kind::$name => $bound),* }
            }
        }
    };
}

kinds! {
    /// Shim → worker: [`crate::request::RequestHead`].
    RequestHead = 1, bounds::HEAD;
    /// Shim → worker: raw body bytes; more follow when wanted.
    BodyChunk = 2, bounds::CHUNK;
    /// Shim → worker: raw body bytes, the last (possibly none).
    BodyLast = 3, bounds::CHUNK;
    /// Shim → worker: the client's body could not be read.
    BodyError = 4, bounds::SMALL;
    /// Shim → worker: [`crate::hook::Answer`].
    Answer = 5, bounds::ANSWER;
    /// Worker → shim: send a part of the body.
    BodyWanted = 16, bounds::SMALL;
    /// Worker → shim: a line for the request's error log.
    Log = 17, bounds::LOG + bounds::CALL_SITE + 64;
    /// Worker → shim: [`crate::response::ResponseHead`].
    ResponseHead = 18, bounds::RESPONSE_HEAD;
    /// Worker → shim: raw response bytes.
    Chunk = 19, bounds::CHUNK;
    /// Worker → shim: a file to send; its descriptor rides on this frame.
    File = 20, bounds::SMALL;
    /// Worker → shim: the response is whole.
    End = 21, bounds::SMALL;
    /// Worker → shim: the response will never be whole.
    Abort = 22, bounds::SMALL;
    /// Worker → shim: [`crate::hook::Verdict`], which is all of the answer.
    Verdict = 23, bounds::VERDICT;
    /// Worker → shim: [`crate::hook::Ask`].
    Ask = 24, bounds::SMALL;
    /// Apache parent → daemon: [`crate::control::Configure`].
    Configure = 32, bounds::CONFIGURE;
    /// Daemon → Apache parent: accepted, or why not.
    Configured = 33, bounds::CONFIGURE;
    /// Apache parent → daemon: is this instance's configuration known?
    Known = 34, bounds::SMALL;
    /// Daemon → Apache parent.
    KnownReply = 35, bounds::SMALL;
    /// Apache parent → daemon: [`crate::control::PostScores`].
    PostScores = 36, bounds::ANSWER + bounds::SMALL;
    /// Apache child → daemon: [`crate::broker::OpenPool`].
    OpenPool = 48, bounds::SMALL;
    /// Daemon → Apache child: the board's descriptor rides on this frame.
    PoolOpened = 49, bounds::SMALL;
    /// Daemon → Apache child.
    PoolRefused = 50, bounds::SMALL;
    /// Apache child → daemon: what became of a worker?
    AskFate = 51, bounds::SMALL;
    /// Daemon → Apache child.
    Fate = 52, bounds::SMALL;
    /// wsgictl → daemon.
    StatusQuery = 64, bounds::SMALL;
    /// Daemon → wsgictl.
    Status = 65, bounds::STATUS;
    /// wsgictl → daemon.
    ReloadGroup = 66, bounds::SMALL;
    /// Daemon → wsgictl.
    Done = 67, bounds::SMALL;
    /// Worker → daemon: the application is imported, requests may come.
    Ready = 80, bounds::SMALL;
    /// Worker → daemon: the code on disk has changed.
    ReloadWanted = 81, bounds::SMALL;
    /// Daemon → worker: finish what you have and end.
    Retire = 82, bounds::SMALL;
    /// Worker → daemon: a line for the daemon's log.
    Note = 83, bounds::LOG + 64;
    /// Worker → daemon: it should be replaced.
    Worn = 84, bounds::SMALL;
    /// Daemon → worker: a request has taken too long.
    Interrupt = 85, bounds::SMALL;
    /// Worker → the next daemon: the descriptors of its board and its pulse ride on this frame.
    Attach = 86, bounds::SMALL;
    /// Daemon → worker: a descriptor for its output rides on this frame.
    Attached = 87, bounds::SMALL;
    /// Daemon → template: the descriptors of a worker to be ride on this frame.
    Fork = 88, bounds::SMALL;
    /// Forked worker → daemon.
    Born = 89, bounds::SMALL;
    /// Template → daemon: how a worker that it forked has ended.
    Buried = 90, bounds::SMALL;
    /// Daemon → launcher: [`crate::launch::LaunchPlan`].
    LaunchPlan = 96, bounds::PLAN;
    /// Daemon → worker: [`crate::launch::WorkerPlan`].
    WorkerPlan = 97, bounds::PLAN;
    /// Daemon → the next daemon, by way of a file: [`crate::launch::WorkerRecord`].
    WorkerRecord = 98, bounds::PLAN;
}

/// Why bytes are not a frame. The conversation ends with either.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// No message has this number.
    #[error("no message has the number {0}")]
    UnknownKind(u8),
    /// The announced length is over the bound of the kind.
    #[error("a {kind:?} of {length} bytes is over its bound of {}", kind.bound())]
    Oversize {
        /// What was announced.
        kind: Kind,
        /// Bytes announced.
        length: usize,
    },
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: Kind,
    /// Its bytes.
    pub payload: Bytes,
}

/// The header of a frame. The caller vouches that `length` is within the kind's bound.
pub fn header(kind: Kind, length: usize) -> [u8; HEADER] {
    debug_assert!(length <= kind.bound(), "{kind:?} of {length} bytes");
    let [a, b, c, d] = (length as u32).to_le_bytes();
    [a, b, c, d, kind as u8]
}

/// Reads a header.
pub fn parse_header(bytes: [u8; HEADER]) -> Result<(Kind, usize), FrameError> {
    let [a, b, c, d, number] = bytes;
    let kind = Kind::from_number(number).ok_or(FrameError::UnknownKind(number))?;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > kind.bound() {
        return Err(FrameError::Oversize { kind, length });
    }
    Ok((kind, length))
}

/// Appends a whole frame to `out`.
pub fn put(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    out.extend_from_slice(&header(kind, payload.len()));
    out.extend_from_slice(payload);
}

/// Takes one frame off the front of `input`, or `None` when it is not all there yet (`input` then
/// has room reserved for the rest).
pub fn take(input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(first) = input.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let (kind, length) = parse_header(*first)?;
    if input.len() < HEADER + length {
        input.reserve(HEADER + length - input.len());
        return Ok(None);
    }
    input.advance(HEADER);
    Ok(Some(Frame { kind, payload: input.split_to(length).freeze() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_being_cut_anywhere() {
        let mut whole = Vec::new();
        put(&mut whole, Kind::Chunk, b"hello");
        put(&mut whole, Kind::End, b"");
        for cut in 0..whole.len() {
            let mut input = BytesMut::from(&whole[..cut]);
            let mut seen = Vec::new();
            while let Some(frame) = take(&mut input).unwrap() {
                seen.push(frame);
            }
            input.extend_from_slice(&whole[cut..]);
            while let Some(frame) = take(&mut input).unwrap() {
                seen.push(frame);
            }
            assert_eq!(seen.len(), 2);
            assert_eq!(&seen[0].payload[..], b"hello");
            assert_eq!(seen[1].kind, Kind::End);
        }
    }

    #[test]
    fn an_oversize_length_is_refused_from_its_header_alone() {
        let mut input = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, Kind::Chunk as u8][..]);
        assert!(matches!(take(&mut input), Err(FrameError::Oversize { kind: Kind::Chunk, .. })));
        assert!(input.capacity() < 4096);
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let mut input = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
        assert_eq!(take(&mut input), Err(FrameError::UnknownKind(b'/')));
    }
}
