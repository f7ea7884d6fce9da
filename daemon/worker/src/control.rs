//! The conversation with the supervisor: Ready, ReloadWanted, Worn and Note go out, Retire and Interrupt come in.

use crate::{journal, sys};
use bytes::BytesMut;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::launch::{Interrupt, Note, Ready, Reason, ReloadWanted, Retire, Worn};
use wsgid_proto::response::Level;
use wsgid_proto::{Message, bounds};

/// The worker's end of the control socket.
#[derive(Debug)]
pub(crate) struct Control {
    stream: UnixStream,
    input: Mutex<BytesMut>,
    sending: Mutex<()>,
    reload_wanted: AtomicBool,
}

/// What the supervisor wants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    /// Nothing yet.
    None,
    /// Finish and end.
    Retire(Retire),
    /// See there.
    Interrupt(Interrupt),
    /// It is gone, or talks nonsense; either way nobody looks after this worker any more.
    Gone,
}

impl Control {
    /// Takes over the socket.
    pub(crate) fn new(stream: UnixStream) -> Self {
        let input = Mutex::new(BytesMut::new());
        Self { stream, input, sending: Mutex::new(()), reload_wanted: AtomicBool::new(false) }
    }

    /// Another daemon has the other end from now on, and has said this already.
    pub(crate) fn renew(&self, stream: &UnixStream, said: &[u8]) -> io::Result<()> {
        let _turn = crate::locked(&self.sending);
        sys::take_place(stream.as_fd(), self.stream.as_raw_fd())?;
        *crate::locked(&self.input) = BytesMut::from(said);
        // What the one before was told, and may not have done, it has not been told.
        self.reload_wanted.store(false, Ordering::Release);
        Ok(())
    }

    /// Tells that requests may come.
    pub(crate) fn ready(&self, ready: &Ready) {
        self.send(&ready.frame());
    }

    /// Tells, once in this worker's life, that its code is no longer what is on disk. False if that was told before.
    pub(crate) fn reload_wanted(&self, reason: &str) -> bool {
        let first = !self.reload_wanted.swap(true, Ordering::AcqRel);
        if first {
            let reason = reason.chars().take(bounds::SMALL / 8).collect();
            self.send(&ReloadWanted { reason }.frame());
        }
        first
    }

    /// Asks to be replaced; where that is for the number of requests, a second time to be told to end at once.
    pub(crate) fn worn(&self, reason: Reason) {
        self.send(&Worn { reason: reason.name().into() }.frame());
    }

    /// A line for the supervisor's log, without its end. False if it can't be told.
    pub(crate) fn note(&self, level: Level, line: &[u8]) -> bool {
        let text = String::from_utf8_lossy(line).into_owned();
        self.send(&Note { level: level as u32, text }.frame())
    }

    /// False if the supervisor is gone, which is noticed where its word is awaited.
    fn send(&self, frame: &[u8]) -> bool {
        let _turn = crate::locked(&self.sending);
        (&self.stream).write_all(frame).is_ok()
    }

    /// Reads what is there, without waiting.
    pub(crate) fn listen(&self) -> Word {
        let mut input = crate::locked(&self.input);
        loop {
            match frame::take(&mut input) {
                Ok(Some(frame)) if frame.kind == Kind::Retire => {
                    return Retire::from_frame(frame).map_or(Word::Gone, Word::Retire);
                }
                Ok(Some(frame)) if frame.kind == Kind::Interrupt => {
                    return Interrupt::from_frame(frame).map_or(Word::Gone, Word::Interrupt);
                }
                Ok(Some(frame)) => {
                    journal::note(&format!("the supervisor said {:?}, which is not for workers", frame.kind));
                    return Word::Gone;
                }
                Ok(None) => {}
                Err(fault) => {
                    journal::note(&format!("the supervisor's words: {fault}"));
                    return Word::Gone;
                }
            }
            match sys::receive(self.stream.as_fd(), &mut input, bounds::SMALL, false) {
                Ok(0) => return Word::Gone,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Word::None,
                Err(_) => return Word::Gone,
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
