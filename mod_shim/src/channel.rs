//! A connection that speaks frames, blocking, with a time-out on each wait. Both sockets of the
//! daemon and the workers' are spoken this way.

use crate::sys;
use bytes::BytesMut;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, setsockopt, socket, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use wsgid_proto::frame::{self, Frame, FrameError};

/// Room that is made for each read: a head, a page of HTML and an end fit.
const READ_ROOM: usize = 32 << 10;

/// One connection.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    timeout: Duration,
    patience: PollTimeout,
    input: BytesMut,
    descriptor: Option<OwnedFd>,
}

/// Why a frame did not come.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The peer closed: everything it had read was for nothing, or it has answered enough.
    #[error("the connection was closed")]
    Closed,
    /// The peer went away without reading what we had sent.
    #[error("the connection was reset")]
    Reset,
    /// Nothing came within the time-out.
    #[error("nothing came in time")]
    Silent,
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What was taken ahead can't be read back.
    #[error("what was spooled can't be read: {0}")]
    Spool(io::Error),
    /// Anything else.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for ReceiveError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ReceiveError::Silent,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ReceiveError::Reset,
            _ => ReceiveError::Io(error),
        }
    }
}

/// How to speak over a new connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// For each wait; zero is none.
    pub timeout: Duration,
    /// For connecting, where that is shorter.
    pub connecting: Duration,
    /// SO_SNDBUF, in bytes; 0 is the system's default.
    pub send_buffer: usize,
    /// SO_RCVBUF of the same.
    pub receive_buffer: usize,
}

impl Channel {
    /// Connects, with buffers of the system's choice; see [`Channel::connect_as`].
    pub fn connect(path: &Path, timeout: Duration) -> io::Result<Self> {
        Self::connect_as(path, Manner { timeout, connecting: timeout, ..Manner::default() })
    }

    /// Connects, which may mean to wait for room in the peer's backlog.
    pub fn connect_as(path: &Path, manner: Manner) -> io::Result<Self> {
        let Manner { timeout, connecting, send_buffer, receive_buffer } = manner;
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        if send_buffer > 0 {
            setsockopt(&socket, sockopt::SndBuf, &send_buffer)?;
        }
        if receive_buffer > 0 {
            setsockopt(&socket, sockopt::RcvBuf, &receive_buffer)?;
        }
        let shorter = if timeout.is_zero() { connecting } else { timeout.min(connecting) };
        let mut channel = Self::over(UnixStream::from(socket), shorter)?;
        match connect(channel.stream.as_raw_fd(), &UnixAddr::new(path)?) {
            Err(Errno::EAGAIN) => Err(io::ErrorKind::TimedOut.into()),
            Err(errno) => Err(errno.into()),
            Ok(()) => channel.be_patient(timeout).map(|()| channel),
        }
    }

    /// Speaks frames over a connected socket.
    pub fn over(stream: UnixStream, timeout: Duration) -> io::Result<Self> {
        let patience = set_timeout(&stream, timeout)?;
        Ok(Self { stream, timeout, patience, input: BytesMut::new(), descriptor: None })
    }

    /// From now on another time-out holds.
    pub fn be_patient(&mut self, timeout: Duration) -> io::Result<()> {
        if self.timeout != timeout {
            self.patience = set_timeout(&self.stream, timeout)?;
            self.timeout = timeout;
        }
        Ok(())
    }

    /// Sends bytes, all of them.
    pub fn send(&self, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        while !bytes.is_empty() {
            match send(self.stream.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
        Ok(())
    }

    /// A frame that was received along with an earlier one.
    pub fn held(&mut self) -> Result<Option<Frame>, ReceiveError> {
        Ok(frame::take(&mut self.input)?)
    }

    /// A frame that is already here, or can be had without waiting.
    pub fn at_hand(&mut self) -> Result<Option<Frame>, ReceiveError> {
        loop {
            if let Some(frame) = frame::take(&mut self.input)? {
                return Ok(Some(frame));
            }
            match self.fill(MsgFlags::MSG_DONTWAIT) {
                Err(ReceiveError::Silent) => return Ok(None),
                other => other?,
            }
        }
    }

    /// The next frame, waiting for it.
    pub fn receive(&mut self) -> Result<Frame, ReceiveError> {
        loop {
            if let Some(frame) = frame::take(&mut self.input)? {
                return Ok(frame);
            }
            self.wait(self.patience)?;
            match self.fill(MsgFlags::MSG_DONTWAIT) {
                Err(ReceiveError::Silent) => {}
                other => other?,
            }
        }
    }

    /// The next frame, waiting for it until then and not as long as the time-out.
    pub fn receive_by(&mut self, end: Instant) -> Result<Frame, ReceiveError> {
        loop {
            let left = end.checked_duration_since(Instant::now()).ok_or(ReceiveError::Silent)?;
            if let Some(frame) = self.at_hand()? {
                return Ok(frame);
            }
            self.wait(at_least(left))?;
        }
    }

    /// Waits until there is something to receive. Not by receiving: the kernel wakes a sleeping receiver
    /// also when its peer has read what it was sent, which here is long before the answer.
    fn wait(&self, patience: PollTimeout) -> Result<(), ReceiveError> {
        loop {
            match poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], patience) {
                Ok(0) => return Err(ReceiveError::Silent),
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
    }

    /// The descriptor that rode on the frames received last.
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptor.take()
    }

    /// Nothing was received that no one has taken: the connection may serve another request.
    pub fn is_clean(&self) -> bool {
        self.input.is_empty() && self.descriptor.is_none()
    }

    fn fill(&mut self, flags: MsgFlags) -> Result<(), ReceiveError> {
        if self.input.capacity() - self.input.len() < READ_ROOM / 4 {
            self.input.reserve(READ_ROOM);
        }
        loop {
            match sys::receive(self.stream.as_fd(), &mut self.input, flags) {
                Ok((0, _)) => return Err(ReceiveError::Closed),
                Ok((_, descriptor)) => {
                    if descriptor.is_some() {
                        self.descriptor = descriptor;
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// For poll and epoll, which cut what is below a millisecond: the time has to be over when they say so.
pub fn at_least(time: Duration) -> PollTimeout {
    time.saturating_add(Duration::from_micros(999)).try_into().unwrap_or(PollTimeout::MAX)
}

/// For writing; for reading it is what poll is told.
fn set_timeout(stream: &UnixStream, timeout: Duration) -> io::Result<PollTimeout> {
    let timeout = (!timeout.is_zero()).then_some(timeout);
    stream.set_write_timeout(timeout)?;
    Ok(timeout.map_or(PollTimeout::NONE, at_least))
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use wsgid_proto::frame::Kind;

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Channel::over(ours, Duration::from_millis(50)).unwrap(), theirs)
    }

    #[test]
    fn frames_come_one_by_one_and_then_silence() {
        let (mut channel, mut peer) = pair();
        assert!(channel.at_hand().unwrap().is_none());
        let mut bytes = Vec::new();
        frame::put(&mut bytes, Kind::Chunk, b"one");
        frame::put(&mut bytes, Kind::End, b"");
        peer.write_all(&bytes).unwrap();
        assert_eq!(channel.at_hand().unwrap().unwrap().kind, Kind::Chunk);
        assert!(!channel.is_clean());
        assert_eq!(channel.receive().unwrap().kind, Kind::End);
        assert!(channel.is_clean());
        assert!(matches!(channel.receive(), Err(ReceiveError::Silent)));
    }

    #[test]
    fn whoever_has_a_connection_next_may_be_more_patient() {
        let (mut channel, mut peer) = pair();
        assert!(matches!(channel.receive(), Err(ReceiveError::Silent)));
        channel.be_patient(Duration::ZERO).unwrap();
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            let mut bytes = Vec::new();
            frame::put(&mut bytes, Kind::End, b"");
            peer.write_all(&bytes).unwrap();
        });
        assert_eq!(channel.receive().unwrap().kind, Kind::End);
        late.join().unwrap();
        assert_eq!(channel.stream.write_timeout().unwrap(), None);
    }

    #[test]
    fn a_peer_that_never_ends_is_not_heard_for_ever() {
        let (mut channel, mut peer) = pair();
        let end = Instant::now() + Duration::from_millis(100);
        let mut log = Vec::new();
        frame::put(&mut log, Kind::Log, b"");
        let ended = loop {
            let _ = peer.write_all(&log);
            match channel.receive_by(end) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(ended, ReceiveError::Silent) && Instant::now() >= end);
        assert!(matches!(channel.receive_by(end), Err(ReceiveError::Silent)));
    }

    #[test]
    fn a_peer_that_did_not_read_differs_from_one_that_did() {
        let (mut channel, peer) = pair();
        channel.send(b"head").unwrap();
        drop(peer);
        assert!(matches!(channel.receive(), Err(ReceiveError::Reset)));

        let (mut channel, mut peer) = pair();
        channel.send(b"head").unwrap();
        std::io::Read::read_exact(&mut peer, &mut [0; 4]).unwrap();
        drop(peer);
        assert!(matches!(channel.receive(), Err(ReceiveError::Closed)));
    }

    #[test]
    fn writing_to_a_peer_that_reads_no_more_fails_without_a_signal() {
        let (channel, peer) = pair();
        peer.shutdown(std::net::Shutdown::Read).unwrap();
        assert!(matches!(channel.send(b"head"), Err(ReceiveError::Reset)));
    }
}
