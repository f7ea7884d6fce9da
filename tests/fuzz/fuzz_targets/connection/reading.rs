//! One request of an application that reads as the input says and then answers in a few words. What
//! `talk` does in the worker is done here without Python: each frame is checked against the exchange.

use crate::body::{Body, Part, Source};
use crate::connection::{Broken, Connection};
use crate::shim;
use wsgid_fuzz::input::Input;
use wsgid_proto::Message;
use wsgid_proto::exchange::Exchange;
use wsgid_proto::frame::Kind;
use wsgid_proto::request::{BodyError, BodyWanted, RequestHead};
use wsgid_proto::response::{End, ResponseWriter};

pub(crate) struct Reading {
    body: Body,
    pulling: Pulling,
}

struct Pulling {
    connection: Connection,
    exchange: Exchange,
    lost: bool,
    /// The body so far.
    came: Vec<u8>,
}

impl Reading {
    pub(crate) fn new(connection: Connection, head: &RequestHead) -> Result<Self, Broken> {
        let mut exchange = Exchange::default();
        exchange.head(head.body_complete)?;
        let body = Body::new(head.body(), head.body_complete);
        Ok(Self { body, pulling: Pulling { connection, exchange, lost: false, came: head.body().to_vec() } })
    }

    /// Reads and answers; the connection comes back if it can serve another request.
    pub(crate) fn run(mut self, reads: &[u8]) -> Option<Connection> {
        let mut input = Input::of(reads);
        let mut at = 0;
        while !input.is_empty() {
            let (is_line, size) = (input.flag(), input.large_number());
            let size = (size != u16::MAX).then_some(usize::from(size));
            let read = match is_line {
                true => self.body.line(size, &mut self.pulling),
                false => self.body.read(size, &mut self.pulling),
            };
            match read {
                Ok(parts) => {
                    let bytes = parts.concat();
                    assert!(self.pulling.came[at..].starts_with(&bytes));
                    assert!(size.is_none_or(|size| bytes.len() <= size));
                    at += bytes.len();
                }
                Err(_) => assert!(self.body.fault().is_some()),
            }
        }
        self.pulling.answer().ok()
    }
}

impl Pulling {
    fn fetch(&mut self, max: u32) -> Result<Part, Broken> {
        self.exchange.step(Kind::BodyWanted)?;
        self.connection.put(Kind::BodyWanted, &BodyWanted { max }.encode());
        self.connection.unwatch()?;
        self.connection.flush()?;
        let frame = self.connection.frame()?;
        self.exchange.step(frame.kind)?;
        shim::heard(&frame);
        if frame.kind == Kind::BodyError {
            return Err(Broken::Io(std::io::Error::other(BodyError::from_frame(frame)?.reason)));
        }
        assert!(matches!(frame.kind, Kind::BodyChunk | Kind::BodyLast));
        self.came.extend_from_slice(&frame.payload);
        Ok(Part { data: frame.payload, last: frame.kind == Kind::BodyLast })
    }

    fn answer(mut self) -> Result<Connection, Broken> {
        if self.lost {
            return Err(Broken::Closed);
        }
        let head = ResponseWriter::new(Vec::new(), 200, b"OK").into_buffer();
        for (kind, payload) in [(Kind::ResponseHead, head), (Kind::End, End {}.encode())] {
            self.exchange.step(kind)?;
            self.connection.put(kind, &payload);
        }
        self.connection.flush()?;
        Ok(self.connection)
    }
}

impl Source for Pulling {
    fn pull(&mut self, max: u32) -> Result<Part, String> {
        assert!(!self.lost, "a body that failed is not pulled again");
        self.fetch(max).map_err(|broken| {
            self.lost |= !self.exchange.body_spent();
            broken.to_string()
        })
    }
}
