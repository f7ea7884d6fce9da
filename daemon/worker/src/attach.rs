//! Finding the next daemon when this one is gone: killed, or replaced by a newer program. A worker needs none to
//! serve, so it goes on, and knocks at `attach.sock` until somebody takes it over, tells it to end, or hangs up on it
//! again and again, as on a stranger; or until its own socket has lost its name, which a daemon takes away from those
//! that it does not know, and which goes with the runtime directory where there is to be no daemon any more.
//!
//! Below a root directory of its own a worker knocks at an abstract name. Anybody might listen there while there is
//! no daemon, so it has to be root's, as whose daemon alone can there be such a worker.
//!
//! It hands over its board and its pulse, which nobody else may have kept, and gets a place for its output in
//! return. The new control socket takes the number of the old one, so that whoever uses that need not know.

use crate::worker::Worker;
use crate::{journal, sys};
use bytes::BytesMut;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, getsockopt, sendmsg, socket,
};
use nix::sys::stat::fstat;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use wsgid_proto::Message;
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::launch::{Attach, Retire};

/// Between two attempts.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);
/// So often in a row means it: for longer than a daemon expects anybody, since its start.
const HANG_UPS: u32 = 50;
/// For the answer, in which the main thread hears nothing else.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a step of the search came to.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing yet.
    Nobody,
    /// A daemon, to which the worker belongs from now on.
    Daemon,
    /// That the worker is to end: by the word of a daemon's, or because there will be none.
    End(Option<Retire>),
}

/// The search for the next daemon, an attempt at a time.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// So often in a row somebody has hung up.
    hang_ups: u32,
}

impl Search {
    /// One attempt; the next has to wait for a [`PAUSE`].
    pub(crate) fn step(&mut self, worker: &Worker, loaded: bool) -> Found {
        let attempt = attempt(worker, loaded);
        self.hang_ups = if matches!(attempt, Attempt::HungUp) { self.hang_ups + 1 } else { 0 };
        match attempt {
            Attempt::Attached => Found::Daemon,
            Attempt::Refused(retire) => Found::End(Some(retire)),
            Attempt::Hopeless => Found::End(None),
            Attempt::HungUp if self.hang_ups >= HANG_UPS => {
                journal::note("the worker ends: the daemon does not know of it");
                Found::End(None)
            }
            Attempt::HungUp | Attempt::Later => Found::Nobody,
        }
    }
}

/// What came of an attempt.
#[derive(Debug)]
enum Attempt {
    /// There is a daemon again.
    Attached,
    /// There is one that has no use for this worker.
    Refused(Retire),
    /// There will be none that knows of it: the name of its socket is gone.
    Hopeless,
    /// There is one that hangs up without a word, as on a stranger, or that ended just now.
    HungUp,
    /// Not yet.
    Later,
}

/// What a worker keeps for its next daemon.
#[derive(Debug)]
pub(crate) struct Keepsakes {
    pub(crate) board: OwnedFd,
    pub(crate) pulse: OwnedFd,
    /// See [`wsgid_proto::launch::NAME_FD`].
    pub(crate) name: OwnedFd,
}

impl Keepsakes {
    /// Is that file nowhere any more? What can't be found out is taken for no.
    fn is_nameless(&self) -> bool {
        fstat(&self.name).is_ok_and(|status| status.st_nlink == 0)
    }
}

/// One attempt.
fn attempt(worker: &Worker, loaded: bool) -> Attempt {
    if worker.keepsakes.is_nameless() {
        return Attempt::Hopeless;
    }
    match knock(worker, loaded) {
        Ok(attempt) => attempt,
        Err(error) if is_nobody_there(&error) => Attempt::Later,
        Err(error) if is_hung_up(&error) => Attempt::HungUp,
        Err(error) => {
            journal::note(&format!("the next daemon can't be reached: {error}"));
            Attempt::Later
        }
    }
}

fn is_nobody_there(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};
    matches!(error.kind(), ConnectionRefused | NotFound | WouldBlock)
}

fn is_hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// To whoever listens at that path or, after a NUL, at that abstract name; but not where too many wait there already.
fn connect(attach: &[u8]) -> io::Result<UnixStream> {
    let (address, anybody_may_listen) = match attach {
        [0, name @ ..] => (UnixAddr::new_abstract(name)?, true),
        path => (UnixAddr::new(path)?, false),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(socket.as_raw_fd(), &address)?;
    let listener = getsockopt(&socket, PeerCredentials)?.uid();
    if anybody_may_listen && listener != 0 {
        return Err(io::Error::other(format!("user {listener} listens in its place")));
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn knock(worker: &Worker, loaded: bool) -> io::Result<Attempt> {
    let stream = connect(&worker.plan.attach)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let attach = Attach { pool: worker.plan.pool, serial: worker.plan.serial, loaded };
    let keepsakes = &worker.keepsakes;
    let riders = [keepsakes.board.as_raw_fd(), keepsakes.pulse.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&riders)];
    let frame = attach.frame();
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(&frame)], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    let mut input = BytesMut::new();
    let output = loop {
        let (got, mut riders) = sys::receive_with(stream.as_fd(), &mut input, frame::HEADER + 64)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match frame::take(&mut input).map_err(io::Error::other)? {
            Some(frame) if frame.kind == Kind::Attached => break riders.pop(),
            Some(frame) => return Retire::from_frame(frame).map(Attempt::Refused).map_err(io::Error::other),
            None => {}
        }
    };
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    if let Some(output) = output {
        sys::take_place(output.as_fd(), libc::STDOUT_FILENO)?;
        sys::take_place(output.as_fd(), libc::STDERR_FILENO)?;
    }
    worker.control.renew(&stream, &input)?;
    Ok(Attempt::Attached)
}
