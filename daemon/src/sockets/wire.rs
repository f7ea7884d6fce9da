//! Frames over a Unix socket, read with a list of what may come: the kind is looked at before room is
//! made for the payload, so that nobody can make the daemon hold what it would not take anyway.

use crate::sys::descriptors;
use bytes::BytesMut;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixCredentials, sendmsg, setsockopt, sockopt};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;
use wsgid_proto::frame::{self, Frame, FrameError, HEADER, Kind};
use wsgid_proto::{DecodeError, Message};

/// What ends a conversation before its time. The peer is at fault, unless it is I/O.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A frame that has no business here.
    #[error("a {0:?} has no business here")]
    NotHere(Kind),
    /// A frame whose content is wrong.
    #[error("{0}")]
    Message(#[from] DecodeError),
    /// The peer left in the middle of a frame.
    #[error("the peer left in the middle of a message")]
    Cut,
    /// Nothing came, or nothing was taken, in time.
    #[error("the peer was silent for too long")]
    Silent,
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// One end of a socket on which frames travel.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
    input: BytesMut,
}

impl Conversation {
    /// Over this stream.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    /// The next frame, of one of these kinds, or `None` when the peer has left between two frames.
    /// May be dropped and called again without losing anything.
    pub async fn next(&mut self, permitted: &[Kind]) -> Result<Option<Frame>, WireError> {
        loop {
            if let Some(first) = self.input.first_chunk::<HEADER>() {
                let (kind, _) = frame::parse_header(*first)?;
                if !permitted.contains(&kind) {
                    return Err(WireError::NotHere(kind));
                }
                if let Some(frame) = frame::take(&mut self.input)? {
                    return Ok(Some(frame));
                }
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return if self.input.is_empty() { Ok(None) } else { Err(WireError::Cut) };
            }
        }
    }

    /// As [`Conversation::next`], and the whole frame has to be there in time.
    pub async fn next_within(
        &mut self,
        limit: Duration,
        permitted: &[Kind],
    ) -> Result<Option<Frame>, WireError> {
        timeout(limit, self.next(permitted)).await.map_err(|_| WireError::Silent)?
    }

    /// The very first frame, of one kind, which came in one piece with its descriptors.
    pub async fn first_with<M: Message>(&mut self, limit: Duration) -> Result<(M, Vec<OwnedFd>), WireError> {
        let mut buffer = [0; 4096];
        let receiving = self
            .stream
            .async_io(Interest::READABLE, || descriptors::receive(self.stream.as_fd(), &mut buffer));
        let (length, descriptors) = timeout(limit, receiving).await.map_err(|_| WireError::Silent)??;
        self.input.extend_from_slice(&buffer[..length]);
        let frame = match frame::take(&mut self.input)? {
            Some(frame) if frame.kind == M::KIND => frame,
            Some(frame) => return Err(WireError::NotHere(frame.kind)),
            None => return Err(WireError::Cut),
        };
        Ok((M::from_frame(frame)?, descriptors))
    }

    /// Whatever comes has its sender's credentials on it; see [`Conversation::first_from`].
    pub fn ask_for_credentials(&self) -> io::Result<()> {
        Ok(setsockopt(&self.stream, sockopt::PassCred, &true)?)
    }

    /// The very first frame, of one kind, which came in one piece, and who sent it, which the kernel vouches for;
    /// `None` when the peer has left. After [`Conversation::ask_for_credentials`], which ends here. May be dropped and
    /// called again.
    pub async fn first_from<M: Message>(&mut self) -> Result<Option<(M, UnixCredentials)>, WireError> {
        let mut buffer = [0; HEADER + 64];
        let (length, sender) = self
            .stream
            .async_io(Interest::READABLE, || descriptors::receive_from(self.stream.as_fd(), &mut buffer))
            .await?;
        setsockopt(&self.stream, sockopt::PassCred, &false).map_err(io::Error::from)?;
        self.input.extend_from_slice(&buffer[..length]);
        match (frame::take(&mut self.input)?, sender) {
            (Some(frame), Some(sender)) if frame.kind == M::KIND => Ok(Some((M::from_frame(frame)?, sender))),
            (Some(frame), _) => Err(WireError::NotHere(frame.kind)),
            (None, _) if length == 0 => Ok(None),
            (None, _) => Err(WireError::Cut),
        }
    }

    /// Sends a small message with a descriptor on it, at once or not at all.
    pub fn try_send_with<M: Message>(&self, message: &M, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let frame = message.frame();
        let sent = self.send_riders(&frame, &[descriptor], MsgFlags::MSG_DONTWAIT)?;
        if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn send_riders(&self, frame: &[u8], riders: &[BorrowedFd<'_>], flags: MsgFlags) -> io::Result<usize> {
        let numbers: Vec<RawFd> = riders.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let flags = flags | MsgFlags::MSG_NOSIGNAL;
        Ok(sendmsg::<()>(self.stream.as_raw_fd(), &[IoSlice::new(frame)], &rights, flags, None)?)
    }

    /// Sends a message; the peer has to take it in time.
    pub async fn send<M: Message>(&mut self, limit: Duration, message: &M) -> Result<(), WireError> {
        let frame = message.frame();
        timeout(limit, self.stream.write_all(&frame)).await.map_err(|_| WireError::Silent)??;
        Ok(())
    }

    /// Sends a message with descriptors on its first byte.
    pub async fn send_with<M: Message>(
        &mut self,
        limit: Duration,
        message: &M,
        riders: &[BorrowedFd<'_>],
    ) -> Result<(), WireError> {
        let frame = message.frame();
        let sending = async {
            let send = || self.send_riders(&frame, riders, MsgFlags::empty());
            let sent = self.stream.async_io(Interest::WRITABLE, send).await?;
            self.stream.write_all(&frame[sent..]).await
        };
        timeout(limit, sending).await.map_err(|_| WireError::Silent)??;
        Ok(())
    }

    /// Writes a small message at once or not at all.
    pub fn try_send<M: Message>(&self, message: &M) -> io::Result<()> {
        let frame = message.frame();
        match self.stream.try_write(&frame)? {
            sent if sent == frame.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// The next frame of a conversation that may have ended: then it never comes.
pub async fn next_said(
    conversation: &mut Option<Conversation>,
    permitted: &[Kind],
) -> Result<Option<Frame>, WireError> {
    match conversation {
        Some(conversation) => conversation.next(permitted).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{ControlMessageOwned, recvmsg};
    use std::os::fd::AsFd;
    use wsgid_proto::control::{Known, KnownReply};

    const LIMIT: Duration = Duration::from_secs(5);

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    fn pair() -> (Conversation, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Conversation::new(ours), theirs)
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        run(async {
            let (mut ours, mut theirs) = pair();
            let frame = Known { instance: "a".into() }.frame();
            theirs.write_all(&frame[..3]).await.unwrap();
            let early = ours.next_within(Duration::ZERO, &[Kind::Known]).await;
            assert!(matches!(early, Err(WireError::Silent)));
            theirs.write_all(&frame[3..]).await.unwrap();
            assert_eq!(ours.next_within(LIMIT, &[Kind::Known]).await.unwrap().unwrap().kind, Kind::Known);
            drop(theirs);
            assert!(ours.next(&[Kind::Known]).await.unwrap().is_none());
        });
    }

    #[test]
    fn what_has_no_business_here_is_refused_by_its_header() {
        run(async {
            let (mut ours, mut theirs) = pair();
            theirs.write_all(&frame::header(Kind::Configure, 30 << 20)).await.unwrap();
            let refused = ours.next(&[Kind::OpenPool]).await;
            assert!(matches!(refused, Err(WireError::NotHere(Kind::Configure))));
            assert!(ours.input.capacity() < 1 << 20);
        });
    }

    #[test]
    fn garbage_and_half_frames_end_the_conversation() {
        run(async {
            let (mut ours, mut theirs) = pair();
            theirs.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            assert!(matches!(ours.next(&[Kind::Known]).await, Err(WireError::Frame(_))));
            let (mut ours, mut theirs) = pair();
            theirs.write_all(&Known::default().frame()[..4]).await.unwrap();
            drop(theirs);
            assert!(matches!(ours.next(&[Kind::Known]).await, Err(WireError::Cut)));
        });
    }

    #[test]
    fn a_descriptor_rides_on_its_message() {
        run(async {
            let (mut ours, theirs) = pair();
            let memory = crate::sys::memory::sealed_file(c"test", b"content").unwrap();
            ours.send_with(LIMIT, &KnownReply { known: true }, &[memory.as_fd()]).await.unwrap();
            theirs.readable().await.unwrap();
            let mut frame = [0; 64];
            let mut parts = [std::io::IoSliceMut::new(&mut frame)];
            let mut space = nix::cmsg_space!([i32; 2]);
            let received =
                recvmsg::<()>(theirs.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
            let Some(ControlMessageOwned::ScmRights(fds)) = received.cmsgs().unwrap().next() else {
                panic!()
            };
            assert_eq!(std::fs::read(format!("/proc/self/fd/{}", fds[0])).unwrap(), b"content");
            fds.into_iter().for_each(|fd| nix::unistd::close(fd).unwrap());
        });
    }
}
