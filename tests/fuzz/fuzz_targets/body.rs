//! An application's reads of a body that comes in any parts: they give the bytes in their order, as a
//! file would, and what is said to need no pull needs none.
#![no_main]
#![allow(dead_code)]

#[path = "../../../daemon/worker/src/body.rs"]
mod body;

use body::{Body, Part, Source};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;
use wsgid_fuzz::input::Input;
use wsgid_proto::bounds;

/// Parts to come; with none left, the client has gone.
struct Parts {
    parts: VecDeque<Part>,
    pulls: usize,
}

impl Source for Parts {
    fn pull(&mut self, max: u32) -> Result<Part, String> {
        assert!((1..=bounds::CHUNK).contains(&(max as usize)));
        self.pulls += 1;
        self.parts.pop_front().ok_or_else(|| "gone".into())
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    let (first, complete, cut_short) = (input.bytes(), input.flag(), input.flag());
    let mut text = first.to_vec();
    let mut parts: VecDeque<Part> = (0..input.number() % 16)
        .map(|_| Part { data: Bytes::copy_from_slice(input.bytes()), last: false })
        .collect();
    if complete {
        parts.clear();
    }
    parts.iter().for_each(|part| text.extend_from_slice(&part.data));
    if let (Some(part), false) = (parts.back_mut(), cut_short) {
        part.last = true;
    }
    let whole = complete || parts.back().is_some_and(|part| part.last);
    let mut source = Parts { parts, pulls: 0 };
    let mut body = Body::new(Bytes::copy_from_slice(first), complete);
    let mut at = 0;
    while !input.is_empty() {
        let (is_line, size) = (input.flag(), size(&mut input));
        let pulls = source.pulls;
        let needs_none = if is_line { body.has_line(size) } else { body.has(size) };
        let got = match is_line {
            true => body.line(size, &mut source),
            false => body.read(size, &mut source),
        };
        assert!(!needs_none || source.pulls == pulls);
        let Ok(got) = got else {
            assert!(!whole && body.fault() == Some("gone"));
            assert!(body.read(Some(1), &mut source).is_err() && body.line(None, &mut source).is_err());
            return;
        };
        let due = due(&text[at..], is_line, size);
        // Without an end, reads go well as long as what has come suffices.
        assert_eq!(got.concat(), due);
        at += due.len();
    }
});

fn size(input: &mut Input<'_>) -> Option<usize> {
    match input.number() {
        0xff => None,
        number => Some(number.into()),
    }
}

fn due(rest: &[u8], is_line: bool, size: Option<usize>) -> &[u8] {
    let reach = &rest[..size.unwrap_or(usize::MAX).min(rest.len())];
    match reach.iter().position(|&b| b == b'\n').filter(|_| is_line) {
        Some(end) => &reach[..=end],
        None => reach,
    }
}
