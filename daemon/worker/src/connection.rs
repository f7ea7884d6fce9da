//! One connection from an Apache child: frames in, frames out, and the buffers that outlive a request.
//!
//! The socket blocks. Between requests it is read without waiting; during one the exchange says whose
//! turn it is, and then waiting is right.

use crate::kept::Kept;
use crate::sys;
use bytes::BytesMut;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use wsgid_proto::DecodeError;
use wsgid_proto::frame::{self, Frame, Kind};
use wsgid_proto::request::RequestHead;

/// Room for one receive: most heads fit.
const ROOM: usize = 16 << 10;
/// A buffer that once grew over this is not kept for the next request.
const KEPT_BUFFER: usize = 256 << 10;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The peer closed between two frames.
    #[error("the peer has gone")]
    Closed,
    /// The peer closed within a frame.
    #[error("the peer has gone in the middle of a message")]
    Torn,
    /// A system call failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not a frame.
    #[error("{0}")]
    Frame(#[from] frame::FrameError),
    /// Not the message it should be.
    #[error("{0}")]
    Message(#[from] DecodeError),
    /// Not this message's turn.
    #[error("{0}")]
    Turn(#[from] wsgid_proto::exchange::OutOfTurn),
    /// More was sent than was asked for.
    #[error("the peer sent on while it was our turn")]
    Eager,
}

/// A connection at its seat among the kept ones.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    seat: usize,
    kept: &'static Kept,
    /// The thread that owns it reads on its own account.
    unwatched: bool,
    /// Something has been sent since the last head came: the peer may not have taken it yet.
    has_sent: bool,
    input: BytesMut,
    out: Vec<u8>,
}

impl Connection {
    /// A new one that has been given a seat.
    pub(crate) fn new(stream: UnixStream, seat: usize, kept: &'static Kept) -> Self {
        Self {
            stream,
            seat,
            kept,
            unwatched: false,
            has_sent: false,
            input: BytesMut::new(),
            out: Vec::new(),
        }
    }

    /// Its place among the kept ones.
    pub(crate) fn seat(&self) -> usize {
        self.seat
    }

    /// Takes no more; what has arrived stays readable, a later write of the peer fails at once.
    pub(crate) fn close_reading(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Read);
    }

    /// A request's head, once all of it is there; never waits.
    pub(crate) fn head(&mut self) -> Result<Option<RequestHead>, Broken> {
        loop {
            if let Some(frame) = frame::take(&mut self.input)? {
                if frame.kind != Kind::RequestHead {
                    return Err(DecodeError::Unexpected { got: frame.kind, due: Kind::RequestHead }.into());
                }
                let head = RequestHead::decode(frame.payload)?;
                self.has_sent = false;
                return if self.input.is_empty() { Ok(Some(head)) } else { Err(Broken::Eager) };
            }
            match self.receive(ROOM, false) {
                Err(Broken::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                other => other?,
            }
        }
    }

    /// Parts of a body are about to come, which nobody else need be woken for.
    pub(crate) fn unwatch(&mut self) -> Result<(), Broken> {
        if !self.unwatched {
            self.kept.watch(self, false)?;
            self.unwatched = true;
        }
        Ok(())
    }

    /// The request has ended. The connection comes back if the next may be there already.
    pub(crate) fn rest(mut self) -> Result<Option<Connection>, Broken> {
        if std::mem::take(&mut self.unwatched) {
            self.kept.watch(&self, true)?;
        }
        Ok(self.kept.rest(self))
    }

    /// The next frame, waited for.
    pub(crate) fn frame(&mut self) -> Result<Frame, Broken> {
        loop {
            if let Some(frame) = frame::take(&mut self.input)? {
                return if self.input.is_empty() { Ok(frame) } else { Err(Broken::Eager) };
            }
            self.receive(ROOM, true)?;
        }
    }

    /// One receive, of at least `room` bytes of room: a frame that is under way has reserved more.
    fn receive(&mut self, room: usize, wait: bool) -> Result<(), Broken> {
        loop {
            match sys::receive(self.stream.as_fd(), &mut self.input, room, wait) {
                Ok(0) if self.input.is_empty() => return Err(Broken::Closed),
                Ok(0) => return Err(Broken::Torn),
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Appends a frame to what goes out with the next [`Connection::flush`].
    pub(crate) fn put(&mut self, kind: Kind, payload: &[u8]) {
        frame::put(&mut self.out, kind, payload);
    }

    /// Would what was put, if it is short, go out without a wait?
    pub(crate) fn has_room(&self) -> bool {
        let mut writable = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        !self.has_sent || poll(&mut writable, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Sends all that was put.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        self.has_sent |= !self.out.is_empty();
        let sent = self.send(&self.out, b"", None);
        self.out.clear();
        self.out.shrink_to(KEPT_BUFFER);
        sent
    }

    /// Sends all that was put and one more frame, whose payload is not copied.
    pub(crate) fn flush_with(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Broken> {
        self.has_sent = true;
        self.out.extend_from_slice(&frame::header(kind, payload.len()));
        let sent = self.send(&self.out, payload, None);
        self.out.clear();
        sent
    }

    /// Sends all that was put, then one frame in a message of its own on which a descriptor rides.
    pub(crate) fn flush_with_descriptor(
        &mut self,
        kind: Kind,
        payload: &[u8],
        descriptor: BorrowedFd<'_>,
    ) -> Result<(), Broken> {
        self.flush()?;
        self.has_sent = true;
        self.put(kind, payload);
        let sent = self.send(&self.out, b"", Some(descriptor));
        self.out.clear();
        sent
    }

    /// Sends two pieces in one go, with the first bytes of which a descriptor may ride.
    fn send(&self, first: &[u8], second: &[u8], mut rider: Option<BorrowedFd<'_>>) -> Result<(), Broken> {
        let mut slices = [IoSlice::new(first), IoSlice::new(second)];
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0); // passes over empty pieces
        while !left.is_empty() {
            let number = rider.map(|descriptor| [descriptor.as_raw_fd()]);
            let rights = number.as_ref().map(|number| ControlMessage::ScmRights(number));
            match sendmsg::<()>(
                self.stream.as_raw_fd(),
                left,
                rights.as_slice(),
                MsgFlags::MSG_NOSIGNAL,
                None,
            ) {
                Ok(sent) => {
                    IoSlice::advance_slices(&mut left, sent);
                    rider = None;
                }
                Err(nix::Error::EINTR) => {}
                Err(e) => return Err(io::Error::from(e).into()),
            }
        }
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.kept.vacate(self.seat);
    }
}
