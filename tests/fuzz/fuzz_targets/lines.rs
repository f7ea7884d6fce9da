//! Text for `wsgi.errors` in any pieces: the lines that come out are those of the whole, and each fits
//! into a record of a log.
#![no_main]

#[path = "../../../daemon/worker/src/lines.rs"]
mod lines;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lines::Lines;
use wsgid_fuzz::input::Input;
use wsgid_proto::frame::Kind;
use wsgid_proto::response::{Level, Log};
use wsgid_proto::{Message, bounds};

/// Below this, no line is cut.
const CERTAINLY_WHOLE: usize = bounds::LOG / 4;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    // Longer texts than inputs are: the same over and over.
    let times = 1 << (input.number() % 8);
    let step = usize::from(input.large_number()) + 1;
    let text = input.rest().repeat(times);
    let due = content(&escaped(&text));
    let lines = written([&text[..]]);
    let in_pieces = written(text.chunks(step));
    assert_eq!(content(&lines.concat()), due);
    assert_eq!(content(&in_pieces.concat()), due);
    if text.split(|&b| b == b'\n').all(|line| line.len() < CERTAINLY_WHOLE) {
        assert_eq!(in_pieces, lines);
        let ends = text.iter().filter(|&&b| b == b'\n').count();
        assert!((ends..=ends + 1).contains(&lines.len()));
    }
});

fn written<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut lines = Lines::default();
    let mut seen = Vec::new();
    let mut see = |line: &[u8]| {
        assert!(!line.contains(&b'\n') && !line.contains(&0));
        let log = Log { level: Level::Error, text: Bytes::copy_from_slice(line), site: None };
        assert!(log.encode().len() <= Kind::Log.bound());
        seen.push(line.to_vec());
    };
    for piece in pieces {
        lines.push(piece, &mut see);
    }
    lines.flush(&mut see);
    assert!(lines.is_empty());
    seen
}

/// As logs have it.
fn escaped(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(spelled).copied().collect()
}

fn spelled(byte: &u8) -> &[u8] {
    if *byte == 0 { b"\\x00" } else { std::slice::from_ref(byte) }
}

/// All but what ends lines.
fn content(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|b| !b"\r\n".contains(b)).collect()
}
