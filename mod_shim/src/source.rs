//! Where the frames of an answer come from: what was taken off the worker ahead of a slow client, and
//! behind that the worker's connection itself. Frames come in the order in which the worker sent them.

use crate::channel::{Channel, ReceiveError};
use crate::spool::{Limits, Spool, alone};
use bytes::Bytes;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;
use wsgid_proto::bounds;
use wsgid_proto::frame::{Frame, Kind};

/// So much is taken ahead in one turn.
const TURN: u64 = 1 << 20;

/// The frames of one answer.
#[derive(Debug)]
pub struct Source {
    /// Gone once it has been taken back.
    channel: Option<Channel>,
    ahead: VecDeque<Ahead>,
    /// The bytes of the chunks among `ahead`.
    spool: Spool,
    memory: u64,
    /// Payload of the other frames among `ahead`, which can't be spooled.
    weight: u64,
    /// What came of reading on.
    state: State,
    descriptor: Option<OwnedFd>,
}

/// Something that was taken ahead.
#[derive(Debug)]
enum Ahead {
    /// So many bytes of the body.
    Chunk(u64),
    Frame(Frame, Option<OwnedFd>),
}

#[derive(Debug)]
enum State {
    /// More may come.
    Open,
    /// The last frame has been taken.
    Ended,
    /// The worker can't be read any more.
    Broken(ReceiveError),
}

/// Whether there is anything left to take ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// Not now, but more may come.
    Later,
    /// There may be more already: it is somebody else's turn.
    More,
    /// There is no room for more.
    Full,
    /// Nothing will come.
    Over,
}

impl Prospect {
    /// May more come?
    pub fn goes_on(self) -> bool {
        matches!(self, Prospect::Later | Prospect::More)
    }
}

impl Source {
    /// Over a connection to a worker that has been sent a head.
    pub fn new(channel: Channel, limits: Limits) -> Self {
        Self {
            channel: Some(channel),
            ahead: VecDeque::new(),
            spool: Spool::new(limits),
            memory: limits.memory,
            weight: 0,
            state: State::Open,
            descriptor: None,
        }
    }

    fn channel(&mut self) -> Result<&mut Channel, ReceiveError> {
        self.channel.as_mut().ok_or(ReceiveError::Closed)
    }

    /// A frame that was received along with an earlier one.
    pub fn held(&mut self) -> Result<Option<Frame>, ReceiveError> {
        self.next(Channel::held)
    }

    /// A frame that is already here, or can be had without waiting.
    pub fn at_hand(&mut self) -> Result<Option<Frame>, ReceiveError> {
        self.next(Channel::at_hand)
    }

    /// The next frame, waiting for it.
    pub fn receive(&mut self) -> Result<Frame, ReceiveError> {
        self.next(|channel| channel.receive().map(Some))?.ok_or(ReceiveError::Closed)
    }

    /// The same, but not longer than until then.
    pub fn receive_by(&mut self, end: Instant) -> Result<Frame, ReceiveError> {
        self.next(|channel| channel.receive_by(end).map(Some))?.ok_or(ReceiveError::Closed)
    }

    fn next(
        &mut self,
        more: impl FnOnce(&mut Channel) -> Result<Option<Frame>, ReceiveError>,
    ) -> Result<Option<Frame>, ReceiveError> {
        match self.ahead.front_mut() {
            Some(Ahead::Chunk(left)) => {
                let most = (*left).min(bounds::CHUNK as u64) as usize;
                let payload = self.spool.pop(most).map_err(ReceiveError::Spool)?;
                *left -= payload.len() as u64;
                if *left == 0 {
                    self.ahead.pop_front();
                }
                Ok(Some(Frame { kind: Kind::Chunk, payload }))
            }
            Some(Ahead::Frame(..)) => Ok(self.ahead.pop_front().and_then(|first| self.unpack(first))),
            None => match std::mem::replace(&mut self.state, State::Open) {
                State::Broken(error) => {
                    self.channel = None;
                    Err(error)
                }
                _ => {
                    let frame = more(self.channel()?)?;
                    self.descriptor = self.channel()?.take_descriptor().or(self.descriptor.take());
                    Ok(frame)
                }
            },
        }
    }

    fn unpack(&mut self, first: Ahead) -> Option<Frame> {
        let Ahead::Frame(frame, descriptor) = first else { return None };
        self.weight -= weight(&frame);
        self.descriptor = descriptor.or(self.descriptor.take());
        Some(frame)
    }

    /// The descriptor that rode on the frame received last.
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptor.take()
    }

    /// Sends bytes to the worker, all of them.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        self.channel()?.send(bytes)
    }

    /// Takes what has come, as far as there is room, and not for too long.
    pub fn take_ahead(&mut self) -> Prospect {
        let mut taken = 0;
        while taken < TURN {
            if !matches!(self.state, State::Open) {
                return Prospect::Over;
            }
            if self.spool.is_full() || self.weight > self.memory {
                return Prospect::Full;
            }
            match self.channel().and_then(Channel::at_hand) {
                Ok(Some(frame)) => {
                    taken += weight(&frame);
                    self.put(frame);
                }
                Ok(None) => return Prospect::Later,
                Err(error) => self.state = State::Broken(error),
            }
        }
        Prospect::More
    }

    fn put(&mut self, frame: Frame) {
        if matches!(frame.kind, Kind::End | Kind::Abort) {
            self.state = State::Ended;
        }
        match (frame.kind, self.ahead.back_mut()) {
            (Kind::Chunk, _) if frame.payload.is_empty() => {}
            (Kind::Chunk, Some(Ahead::Chunk(bytes))) => {
                *bytes += frame.payload.len() as u64;
                self.spool(frame.payload);
            }
            (Kind::Chunk, _) => {
                self.ahead.push_back(Ahead::Chunk(frame.payload.len() as u64));
                self.spool(frame.payload);
            }
            _ => {
                self.weight += weight(&frame);
                // A descriptor that has come early belongs to the file behind this frame.
                let channel = self.channel.as_mut().filter(|_| frame.kind == Kind::File);
                let descriptor = channel.and_then(Channel::take_descriptor);
                let frame = Frame { kind: frame.kind, payload: alone(frame.payload) };
                self.ahead.push_back(Ahead::Frame(frame, descriptor));
            }
        }
    }

    fn spool(&mut self, payload: Bytes) {
        // What the file can't have stays in memory, and the worker waits: that needs no word.
        let _ = self.spool.push(payload);
    }

    /// What to wait on for more.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(Channel::as_fd)
    }

    /// Takes the connection back, if it may serve another request.
    pub fn into_channel(&mut self) -> Option<Channel> {
        self.channel
            .take()
            .filter(|channel| self.ahead.is_empty() && self.descriptor.is_none() && channel.is_clean())
    }
}

/// What a frame costs in memory.
fn weight(frame: &Frame) -> u64 {
    (frame.payload.len() + size_of::<Ahead>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;
    use wsgid_proto::frame;

    fn source(limits: Limits) -> (Source, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Source::new(Channel::over(ours, Duration::from_millis(50)).unwrap(), limits), theirs)
    }

    fn say(peer: &mut UnixStream, frames: &[(Kind, &[u8])]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|(kind, payload)| frame::put(&mut bytes, *kind, payload));
        peer.write_all(&bytes).unwrap();
    }

    fn heard(source: &mut Source) -> Vec<(Kind, Bytes)> {
        let mut heard = Vec::new();
        while let Ok(Some(frame)) = source.at_hand() {
            heard.push((frame.kind, frame.payload));
        }
        heard
    }

    #[test]
    fn frames_taken_ahead_keep_their_order_and_what_follows_comes_behind() {
        let (mut source, mut peer) = source(Limits { memory: 1000, file: 0 });
        say(&mut peer, &[(Kind::Log, b"l"), (Kind::Chunk, b"ab"), (Kind::Chunk, b""), (Kind::Chunk, b"c")]);
        assert_eq!(source.take_ahead(), Prospect::Later);
        say(&mut peer, &[(Kind::Log, b"m"), (Kind::Chunk, b"d"), (Kind::End, b"")]);
        let expected = [
            (Kind::Log, "l"),
            (Kind::Chunk, "ab"),
            (Kind::Chunk, "c"),
            (Kind::Log, "m"),
            (Kind::Chunk, "d"),
            (Kind::End, ""),
        ];
        assert_eq!(heard(&mut source), expected.map(|(kind, text)| (kind, Bytes::from(text))));
        assert!(source.into_channel().is_some());
    }

    #[test]
    fn a_full_source_takes_no_more_until_it_is_read() {
        let (mut source, mut peer) = source(Limits { memory: 100, file: 8 });
        say(
            &mut peer,
            &[
                (Kind::Chunk, &[b'x'; 50]),
                (Kind::Chunk, &[b'y'; 8]),
                (Kind::Chunk, &[b'z'; 80]),
                (Kind::Chunk, b"late"),
                (Kind::End, b""),
            ],
        );
        assert_eq!(source.take_ahead(), Prospect::Full);
        let bytes: Vec<u8> = heard(&mut source).into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes, [&[b'x'; 50][..], &[b'y'; 8], &[b'z'; 80], b"late"].concat());
    }

    #[test]
    fn logs_are_bounded_too() {
        let (mut source, mut peer) = source(Limits { memory: 100, file: 1 << 20 });
        say(&mut peer, &[(Kind::Log, &[b'l'; 200]), (Kind::Log, b"m"), (Kind::End, b"")]);
        assert_eq!(source.take_ahead(), Prospect::Full);
        assert_eq!(heard(&mut source).len(), 3);
        assert_eq!(source.take_ahead(), Prospect::Later);
    }

    #[test]
    fn an_end_is_an_end_and_a_broken_worker_is_noticed_behind_what_it_said() {
        let (mut ended, mut peer) = source(Limits { memory: 100, file: 0 });
        say(&mut peer, &[(Kind::Chunk, b"a"), (Kind::End, b"")]);
        assert_eq!(ended.take_ahead(), Prospect::Over);
        let (mut source, mut peer) = source(Limits { memory: 100, file: 0 });
        say(&mut peer, &[(Kind::Chunk, b"a")]);
        drop(peer);
        assert_eq!(source.take_ahead(), Prospect::Over);
        assert_eq!(source.receive().unwrap().payload, "a");
        assert!(matches!(source.receive(), Err(ReceiveError::Closed)));
        assert!(source.into_channel().is_none());
    }
}
