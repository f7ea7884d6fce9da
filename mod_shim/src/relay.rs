//! From the delivered head to the end of the answer: frames of the worker become calls of the door,
//! and parts of the body go to the worker when it asks for them.
//!
//! Nothing is held back for long: what has been appended is passed on as soon as the worker has
//! nothing more at hand, and before anything is waited for.

use crate::channel::{Channel, ReceiveError};
use crate::door::{BodyPart, Door};
use crate::fault::Fault;
use bytes::Bytes;
use std::time::Duration;
use wsgid_proto::exchange::{Exchange, Phase};
use wsgid_proto::frame::{self, Frame, Kind};
use wsgid_proto::request::{BodyError, BodyWanted};
use wsgid_proto::response::{Abort, AbortCause, File, Log, ResponseHead};
use wsgid_proto::{DecodeError, Message, bounds};

/// How the exchange went.
#[derive(Debug)]
pub enum Outcome {
    /// The response is whole and has been appended; the channel may serve another request.
    Whole,
    /// The client went away; the worker learns it from the closed channel.
    ClientGone,
    /// The worker went away without having read the head: another one may have it.
    Undelivered,
}

/// One relay.
#[derive(Debug)]
pub struct Relay<'a, D: Door + ?Sized> {
    channel: &'a mut Channel,
    door: &'a mut D,
    exchange: Exchange,
    group: &'a str,
    silence: Duration,
    spoken: bool,
    appended: bool,
    body_fault: Option<Fault>,
    buffer: Vec<u8>,
}

/// A fault, or the end of all trying.
enum Stop {
    Fault(Fault),
    ClientGone,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl<'a, D: Door + ?Sized> Relay<'a, D> {
    /// Begins after the head has been sent. `silence` is the channel's time-out, for messages.
    pub fn new(
        channel: &'a mut Channel,
        door: &'a mut D,
        group: &'a str,
        silence: Duration,
        body_complete: bool,
    ) -> Self {
        let mut exchange = Exchange::default();
        // A fresh exchange takes a head: this can't be out of turn.
        let _ = exchange.head(body_complete);
        Self {
            channel,
            door,
            exchange,
            group,
            silence,
            spoken: false,
            appended: false,
            body_fault: None,
            buffer: Vec::new(),
        }
    }

    /// Has the response been begun? Then a fault can only cut it short.
    pub fn answering(&self) -> bool {
        matches!(self.exchange.phase(), Phase::Answering | Phase::Finished)
    }

    /// Runs to the end.
    pub fn run(&mut self) -> Result<Outcome, Fault> {
        loop {
            let frame = match self.receive() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(Outcome::Undelivered),
                Err(Stop::ClientGone) => return Ok(Outcome::ClientGone),
                Err(Stop::Fault(fault)) => return Err(fault),
            };
            self.spoken = true;
            match self.handle(frame) {
                Ok(()) if self.exchange.phase() == Phase::Finished => return Ok(Outcome::Whole),
                Ok(()) => {}
                Err(Stop::ClientGone) => return Ok(Outcome::ClientGone),
                Err(Stop::Fault(fault)) => return Err(fault),
            }
        }
    }

    /// The next frame; `None` when the worker closed without having read the head.
    fn receive(&mut self) -> Result<Option<Frame>, Stop> {
        let frame = match self.channel.at_hand() {
            Ok(None) => {
                self.flush()?;
                self.channel.receive()
            }
            Ok(Some(frame)) => Ok(frame),
            Err(error) => Err(error),
        };
        match frame {
            Ok(frame) => Ok(Some(frame)),
            Err(ReceiveError::Reset) if !self.spoken => Ok(None),
            Err(error) => Err(self.channel_fault(error).into()),
        }
    }

    fn channel_fault(&self, error: ReceiveError) -> Fault {
        let group = self.group.to_string();
        match error {
            ReceiveError::Closed | ReceiveError::Reset | ReceiveError::Io(_) => Fault::WorkerDied(group),
            ReceiveError::Silent => Fault::WorkerSilent { group, seconds: self.silence.as_secs() as u32 },
            ReceiveError::Frame(error) => Fault::Protocol { group, what: error.to_string() },
        }
    }

    fn protocol(&self, what: impl std::fmt::Display) -> Fault {
        Fault::Protocol { group: self.group.to_string(), what: what.to_string() }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.appended) {
            self.door.pass().map_err(|_| Stop::ClientGone)?;
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame) -> Result<(), Stop> {
        self.exchange.step(frame.kind).map_err(|e| self.protocol(e))?;
        match frame.kind {
            Kind::Log => {
                let log = Log::decode(frame.payload).map_err(|e| self.protocol(e))?;
                self.door.log(log.level, &log.text);
                Ok(())
            }
            Kind::ResponseHead => self.response_head(frame.payload),
            Kind::Chunk => {
                if !frame.payload.is_empty() {
                    self.door.append(frame.payload);
                    self.appended = true;
                }
                Ok(())
            }
            Kind::File => self.file(frame.payload),
            Kind::BodyWanted => self.body_wanted(frame.payload),
            Kind::Abort => Err(self.aborted(frame.payload).into()),
            // End; the exchange lets nothing else come here.
            _ => Ok(()),
        }
    }

    fn response_head(&mut self, payload: Bytes) -> Result<(), Stop> {
        let head = ResponseHead::decode(payload).map_err(|e| self.protocol(e))?;
        self.door.set_status(head.status, &head.reason);
        for (name, value) in &head.headers {
            self.door.add_header(name, value);
        }
        self.appended = true;
        Ok(())
    }

    fn file(&mut self, payload: Bytes) -> Result<(), Stop> {
        let part = File::decode(payload).map_err(|e| self.protocol(e))?;
        let file = self
            .channel
            .take_descriptor()
            .ok_or_else(|| self.protocol("a file came without its descriptor"))?;
        // The two may not be added up beyond what a file offset can be.
        if part.offset.checked_add(part.length).is_none_or(|end| end > i64::MAX as u64) {
            return Err(self.protocol("a part of a file is beyond any file's end").into());
        }
        self.appended = true;
        self.door.append_file(file, part.offset, part.length).map_err(|_| Stop::ClientGone)
    }

    fn body_wanted(&mut self, payload: Bytes) -> Result<(), Stop> {
        let wanted = BodyWanted::decode(payload).map_err(|e: DecodeError| self.protocol(e))?;
        self.flush()?;
        let room = (wanted.max as usize).clamp(1, bounds::CHUNK);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(frame::HEADER + room, 0);
        let (kind, length) = match self.door.read_body(&mut buffer[frame::HEADER..]) {
            BodyPart::More(length) => (Kind::BodyChunk, length.min(room)),
            BodyPart::Last(length) => (Kind::BodyLast, length.min(room)),
            BodyPart::TimedOut => return self.body_failed(Fault::BodyTimeout),
            BodyPart::Failed => return self.body_failed(Fault::BodyFailed),
        };
        buffer[..frame::HEADER].copy_from_slice(&frame::header(kind, length));
        self.send(kind, &buffer[..frame::HEADER + length])?;
        self.buffer = buffer;
        Ok(())
    }

    fn body_failed(&mut self, fault: Fault) -> Result<(), Stop> {
        let error = BodyError { reason: fault.to_string() };
        self.body_fault = Some(fault);
        self.send(Kind::BodyError, &error.frame())
    }

    fn send(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), Stop> {
        self.exchange.step(kind).map_err(|e| self.protocol(e))?;
        self.channel.send(bytes).map_err(|e| self.channel_fault(e).into())
    }

    /// The worker gave up. If the body failed first, that is the reason the client is told.
    fn aborted(&mut self, payload: Bytes) -> Fault {
        let abort = match Abort::decode(payload) {
            Ok(abort) => abort,
            Err(error) => return self.protocol(error),
        };
        match self.body_fault.take() {
            Some(fault) if matches!(abort.cause, AbortCause::Body | AbortCause::Application) => fault,
            _ => Fault::Application(abort.detail),
        }
    }
}
