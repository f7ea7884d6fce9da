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
    let times = 1 << (input.number() % 10);
    let step = usize::from(input.large_number()) + 1;
    let text = input.rest().repeat(times);
    let lines = written([&text[..]]);
    let in_pieces = written(text.chunks(step));
    assert_eq!(content(&lines.concat()), content(&escaped(&text)));
    assert_eq!(content(&in_pieces.concat()), content(&escaped(&text)));
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
        let log = Log { level: Level::Error, text: Bytes::copy_from_slice(line) };
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
    let escape = |&byte| if byte == 0 { b"\\x00".to_vec() } else { vec![byte] };
    text.iter().flat_map(escape).collect()
}

/// All but what ends lines.
fn content(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|b| !b"\r\n".contains(b)).collect()
}
