//! Any bytes, cut anywhere, are the frames and end in the error that they are uncut. A length over its
//! bound is refused from the header alone, and no room is made for it.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wsgid_fuzz::input::Input;
use wsgid_proto::frame::{self, Frame, FrameError, Kind};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    let step = usize::from(input.number()) + 1;
    let stream = input.rest();
    let whole = read([stream]);
    assert_eq!(read(stream.chunks(step)), whole);

    let mut again = Vec::new();
    for frame in &whole.0 {
        frame::put(&mut again, frame.kind, &frame.payload);
    }
    assert!(stream.starts_with(&again));
    let rest = &stream[again.len()..];
    assert_eq!(whole.1, due(rest));
});

/// The error that is due where no frame could be taken: none if the frame is not all there.
fn due(rest: &[u8]) -> Option<FrameError> {
    let [a, b, c, d, number] = *rest.first_chunk()?;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let Some(kind) = Kind::from_number(number) else { return Some(FrameError::UnknownKind(number)) };
    if length > kind.bound() {
        return Some(FrameError::Oversize { kind, length });
    }
    assert!(rest.len() < frame::HEADER + length, "a whole frame was left");
    None
}

/// The frames of a stream that comes in pieces, and what ended it before its end.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        let room = input.capacity();
        loop {
            match frame::take(&mut input) {
                Ok(Some(frame)) => {
                    assert!(frame.payload.len() <= frame.kind.bound());
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(input.capacity() <= room, "room was made for what is refused");
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}
