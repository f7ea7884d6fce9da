//! The Apache child: it says a piece of the input whenever the worker has nothing left to do but wait,
//! and closes its side when there are none left.

use bytes::BytesMut;
use std::cell::Cell;
use std::os::unix::net::UnixStream;
use wsgid_fuzz::input::Input;
use wsgid_fuzz::socket::{FarEnd, Riders};
use wsgid_proto::exchange::Exchange;
use wsgid_proto::frame::{self, Frame, Kind};

thread_local! {
    pub static SHIM: Cell<Option<Shim>> = const { Cell::new(None) };
}

pub struct Shim {
    end: FarEnd,
    pieces: Vec<Vec<u8>>,
    said: Vec<u8>,
    heard: Vec<Frame>,
}

impl Shim {
    pub fn new(stream: UnixStream, mut input: Input<'_>) -> Self {
        let mut pieces = Vec::new();
        while !input.is_empty() {
            pieces.push(input.bytes().to_vec());
        }
        pieces.reverse();
        Self { end: FarEnd::new(stream), pieces, said: Vec::new(), heard: Vec::new() }
    }

    fn go_on(&mut self) {
        self.end.listen();
        while let Some(piece) = self.pieces.pop() {
            let sent = self.end.say(&piece, Riders::None);
            self.said.extend_from_slice(&piece[..sent]);
            if sent > 0 {
                return;
            }
        }
        self.end.fall_silent();
    }

    /// What the worker heard was said, and what it said is in turn as far as it goes, whatever it was told.
    pub fn check(mut self) {
        let mut heard = self.heard.iter();
        let mut said = BytesMut::from(&self.said[..]);
        while heard.len() > 0 {
            let frame = frame::take(&mut said).expect("a frame was heard").expect("all of it was said");
            if frame.kind != Kind::RequestHead {
                assert_eq!(Some(&frame), heard.next());
            }
        }
        self.end.listen();
        let mut told = BytesMut::from(&self.end.told[..]);
        let mut exchange = begun();
        while let Some(frame) = frame::take(&mut told).expect("the worker speaks frames") {
            exchange.step(frame.kind).expect("the worker keeps its turn");
            match frame.kind {
                // Whatever came back, the worker says more only if it was an answer.
                Kind::BodyWanted => exchange.step(Kind::BodyChunk).expect("a part is due"),
                Kind::End => exchange = begun(),
                _ => {}
            }
        }
        assert!(told.is_empty());
    }
}

fn begun() -> Exchange {
    let mut exchange = Exchange::default();
    exchange.head(false).expect("a fresh exchange takes a head");
    exchange
}

/// The worker waits: it is the shim's turn.
pub fn go_on() {
    with(Shim::go_on);
}

/// The worker took a part of a body, or an error.
pub fn heard(frame: &Frame) {
    with(|shim| shim.heard.push(frame.clone()));
}

fn with(work: impl FnOnce(&mut Shim)) {
    let mut present = SHIM.take();
    if let Some(shim) = &mut present {
        work(shim);
    }
    SHIM.set(present);
}
