//! One request's conversation with its Apache child.
//!
//! The request's thread, `wsgi.input`, `wsgi.errors` and `start_response` share a [`Talk`]. Whoever
//! does I/O with it must not hold the GIL, and whoever holds the GIL must not wait for its lock; both
//! follow from going through [`Talk::io`] or [`Talk::now`]. Nothing inside the lock touches Python.
//! When the request ends, the conversation is taken out: what the application kept finds it over.

use crate::body::{Part, Source};
use crate::connection::{Broken, Connection};
use crate::lines::Lines;
use crate::meter::Meter;
use crate::worker::{self, Active, Duty};
use crate::{locked, records};
use bytes::Bytes;
use pyo3::Python;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, OnceLock, TryLockError};
use std::time::Instant;
use wsgid_proto::exchange::{Exchange, Phase};
use wsgid_proto::frame::Kind;
use wsgid_proto::hook::{Answer, Ask, Verdict};
use wsgid_proto::request::{BodyError, BodyWanted, RequestHead};
use wsgid_proto::response::{Abort, AbortCause, CallSite, End, File, Level, Log};
use wsgid_proto::{Message, bounds};

/// Up to here bytes are copied behind the frames before them, so that all leave in one piece.
pub(crate) const SMALL_CHUNK: usize = 64 << 10;

/// A conversation that may be over.
pub(crate) struct Talk {
    conversation: Mutex<Option<Conversation>>,
    meter: OnceLock<Box<Meter>>,
}

/// The request has ended, and its conversation with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over;

/// How a request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The response is whole.
    Whole,
    /// There is no response, but what a hook's function says.
    Judged(Verdict),
    /// It is not, and never will be.
    Aborted(AbortCause, String),
}

impl Talk {
    /// Begins with a connection whose head has been read.
    pub(crate) fn new(conversation: Conversation) -> Self {
        Self { conversation: Mutex::new(Some(conversation)), meter: OnceLock::new() }
    }

    /// From now on it is counted what the request costs.
    pub(crate) fn measure(&self, meter: Meter) {
        let _ = self.meter.set(Box::new(meter));
    }

    /// What it has cost so far, if anybody counts.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.meter.get().map(AsRef::as_ref)
    }

    /// Works without the GIL, and counts how long it takes to have it back.
    pub(crate) fn detached<R: Send>(&self, py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
        let Some(meter) = self.meter() else { return py.detach(work) };
        let (result, done) = py.detach(|| (work(), Instant::now()));
        meter.gil.add(0, done.elapsed());
        result
    }

    /// Works on the conversation without the GIL; may wait for the peer.
    pub(crate) fn io<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Conversation) -> R + Send,
    ) -> Result<R, Over> {
        self.detached(py, || self.with(work))
    }

    /// Works on the conversation where that is short and sends nothing: keeps the GIL if nobody else
    /// is at it.
    pub(crate) fn now<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Conversation) -> R + Send,
    ) -> Result<R, Over> {
        here()?;
        match self.conversation.try_lock() {
            Ok(mut guard) => return present(&mut guard).map(work),
            Err(TryLockError::Poisoned(guard)) => return present(&mut guard.into_inner()).map(work),
            Err(TryLockError::WouldBlock) => {}
        }
        self.detached(py, || self.with(work))
    }

    /// As [`Talk::io`], for a thread that does not hold the GIL.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Conversation) -> R) -> Result<R, Over> {
        here()?;
        present(&mut locked(&self.conversation)).map(work)
    }

    /// Takes the conversation out. Whoever comes later finds it over.
    pub(crate) fn take(&self) -> Option<Conversation> {
        locked(&self.conversation).take()
    }
}

/// In a forked child every request is over. Asked before a lock is taken: a thread that held it may not
/// have come along to give it back.
pub(crate) fn here() -> Result<(), Over> {
    if worker::forked() { Err(Over) } else { Ok(()) }
}

fn present(conversation: &mut Option<Conversation>) -> Result<&mut Conversation, Over> {
    conversation.as_mut().ok_or(Over)
}

/// The connection during one request, and everything that must be in turn on it.
pub(crate) struct Conversation {
    connection: Connection,
    exchange: Exchange,
    lines: Lines,
    lost: bool,
    duty: Option<Duty>,
    _active: Active,
}

impl Conversation {
    /// Begins after a head.
    pub(crate) fn new(
        connection: Connection,
        head: &RequestHead,
        (duty, active): (Duty, Active),
    ) -> Result<Self, Broken> {
        let mut exchange = Exchange::default();
        match head.hook {
            Some(_) => exchange.hook()?,
            None => exchange.head(head.body_complete)?,
        }
        let lines = Lines::default();
        Ok(Self { connection, exchange, lines, lost: false, duty: Some(duty), _active: active })
    }

    /// Puts the response's head; it leaves with what follows.
    pub(crate) fn head(&mut self, payload: &[u8]) -> Result<(), Broken> {
        self.put(Kind::ResponseHead, payload)
    }

    /// Puts body bytes that are few; they leave with what follows.
    pub(crate) fn small_chunk(&mut self, data: &[u8]) -> Result<(), Broken> {
        self.put(Kind::Chunk, data)
    }

    /// Sends body bytes, and all that was put before them.
    pub(crate) fn chunk(&mut self, data: &[u8]) -> Result<(), Broken> {
        for piece in data.chunks(bounds::CHUNK) {
            if piece.len() <= SMALL_CHUNK {
                self.small_chunk(piece)?;
                self.flush()?;
            } else {
                self.exchange.step(Kind::Chunk)?;
                let sent = self.connection.flush_with(Kind::Chunk, piece);
                self.noticed(sent)?;
            }
        }
        Ok(())
    }

    /// Sends a part of a file, and all that was put before it.
    pub(crate) fn file(
        &mut self,
        descriptor: BorrowedFd<'_>,
        offset: u64,
        length: u64,
    ) -> Result<(), Broken> {
        self.exchange.step(Kind::File)?;
        let file = File { offset, length }.encode();
        let sent = self.connection.flush_with_descriptor(Kind::File, &file, descriptor);
        self.noticed(sent)
    }

    /// Sends all that was put.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        let sent = self.connection.flush();
        self.noticed(sent)
    }

    /// Sends the whole lines of a text to the request's error log, and holds the rest.
    pub(crate) fn log(&mut self, text: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(text, |line| self.log_line(Level::Error, None, line));
        self.lines = lines;
        self.send_log();
    }

    /// Sends the lines of a whole text to the request's error log. A line that is not whole yet waits on.
    pub(crate) fn record(&mut self, level: Level, site: Option<&CallSite>, text: &[u8]) {
        records::each_line(text, |line| self.log_line(level, site, line));
        self.send_log();
    }

    /// Sends a line that is not whole yet.
    pub(crate) fn flush_log(&mut self) {
        if !self.lines.is_empty() {
            let mut lines = std::mem::take(&mut self.lines);
            lines.flush(|line| self.log_line(Level::Error, None, line));
            self.send_log();
        }
    }

    /// Puts a warning for the request's error log; it leaves with what follows.
    pub(crate) fn warn(&mut self, text: &[u8]) {
        records::each_line(text, |line| self.log_line(Level::Warning, None, line));
    }

    /// A line that can't go to its own log must not vanish: it goes to the daemon's.
    fn log_line(&mut self, level: Level, site: Option<&CallSite>, line: &[u8]) {
        let log = Log { level, text: Bytes::copy_from_slice(line), site: site.cloned() };
        if self.put(Kind::Log, &log.encode()).is_err() {
            worker::note(level, line);
        }
    }

    fn send_log(&mut self) {
        // Nothing but log lines is sent here unasked: a head that waits for its first chunk is not
        // put before that chunk is.
        let _ = self.flush();
    }

    /// Ends the request. The connection comes back if it can serve another.
    pub(crate) fn settle(mut self, ending: &Ending) -> Option<Connection> {
        self.flush_log();
        let put = match ending {
            Ending::Whole => self.put(Kind::End, &End {}.encode()),
            Ending::Judged(verdict) => self.put(Kind::Verdict, &verdict.encode()),
            Ending::Aborted(cause, detail) => {
                let detail = detail.chars().take(bounds::SMALL / 8).collect();
                self.put(Kind::Abort, &Abort { cause: *cause, detail }.encode())
            }
        };
        // Before the write: whoever is woken by the answer finds this thread free. But it is not free as long as the
        // write has to wait for a client that is slow.
        if self.connection.has_room() {
            self.duty = None;
        }
        let whole = matches!(ending, Ending::Whole | Ending::Judged(_)) && put.is_ok();
        let sent = self.flush();
        self.duty = None;
        (whole && sent.is_ok() && self.exchange.phase() == Phase::Finished).then_some(self.connection)
    }

    /// Asks what only httpd knows, and waits for the answer.
    pub(crate) fn ask(&mut self, ask: &Ask) -> Result<Option<Bytes>, Broken> {
        self.put(Kind::Ask, &ask.encode())?;
        let answer = self.answer();
        self.lost |= answer.is_err();
        answer
    }

    fn answer(&mut self) -> Result<Option<Bytes>, Broken> {
        self.connection.unwatch()?;
        self.connection.flush()?;
        let frame = self.connection.frame()?;
        self.exchange.step(frame.kind)?;
        Ok(Answer::from_frame(frame)?.value)
    }

    fn put(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Broken> {
        if self.lost {
            return Err(Broken::Closed);
        }
        self.exchange.step(kind)?;
        self.connection.put(kind, payload);
        Ok(())
    }

    fn noticed(&mut self, outcome: Result<(), Broken>) -> Result<(), Broken> {
        self.lost |= outcome.is_err();
        outcome
    }

    fn fetch(&mut self, max: u32) -> Result<Part, Broken> {
        self.put(Kind::BodyWanted, &BodyWanted { max }.encode())?;
        self.connection.unwatch()?;
        self.connection.flush()?;
        let frame = self.connection.frame()?;
        self.exchange.step(frame.kind)?;
        match frame.kind {
            Kind::BodyError => {
                let reason = BodyError::from_frame(frame)?.reason;
                Err(Broken::Io(std::io::Error::other(reason)))
            }
            kind => Ok(Part { data: frame.payload, last: kind == Kind::BodyLast }),
        }
    }
}

impl Source for Conversation {
    fn pull(&mut self, max: u32) -> Result<Part, String> {
        if self.lost {
            return Err(Broken::Closed.to_string());
        }
        self.fetch(max).map_err(|broken| {
            // After a BodyError the connection is as good as before; after all else it is not.
            self.lost |= !self.exchange.body_spent();
            broken.to_string()
        })
    }
}
