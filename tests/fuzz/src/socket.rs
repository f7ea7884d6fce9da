//! The far end of a socket, which says whatever it likes and reads along what it is told. It never
//! waits: what does not fit into the socket is left unsaid.

use crate::descriptors;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{IoSlice, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use wsgid_proto::frame;

/// On which frames a descriptor rides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Riders {
    /// On none.
    None,
    /// On those of a file, as it should be.
    Files,
    /// On all, and two at once.
    Flood,
}

/// The far end.
#[derive(Debug)]
pub struct FarEnd {
    stream: UnixStream,
    /// All that it was told so far.
    pub told: Vec<u8>,
}

impl FarEnd {
    /// Takes one end of a pair or a connection.
    ///
    /// # Panics
    /// If the socket can't be had without waiting.
    pub fn new(stream: UnixStream) -> Self {
        stream.set_nonblocking(true).expect("a socket need not block");
        Self { stream, told: Vec::new() }
    }

    /// Says bytes; how many went out.
    pub fn say(&self, bytes: &[u8], riders: Riders) -> usize {
        let mut sent = 0;
        for (piece, rides) in pieces(bytes, riders) {
            let went = self.send(piece, if rides { riders } else { Riders::None });
            sent += went;
            if went < piece.len() {
                break;
            }
        }
        sent
    }

    fn send(&self, bytes: &[u8], riders: Riders) -> usize {
        let file = descriptors::file().as_raw_fd();
        let numbers: &[_] = match riders {
            Riders::None => &[],
            Riders::Files => &[file],
            Riders::Flood => &[file, file],
        };
        let rights = [ControlMessage::ScmRights(numbers)];
        let rights = if numbers.is_empty() { &[][..] } else { &rights[..] };
        let slices = [IoSlice::new(bytes)];
        sendmsg::<()>(self.stream.as_raw_fd(), &slices, rights, MsgFlags::MSG_NOSIGNAL, None).unwrap_or(0)
    }

    /// Reads all that has been told.
    pub fn listen(&mut self) {
        // That nothing more is there now, or ever, is no news.
        let _ = self.stream.read_to_end(&mut self.told);
    }

    /// Says nothing more.
    pub fn fall_silent(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}

/// Cuts before each frame on which a descriptor rides, as far as there are frames; with each piece,
/// whether one rides on it.
fn pieces(bytes: &[u8], riders: Riders) -> Vec<(&[u8], bool)> {
    let mut pieces = Vec::new();
    let (mut from, mut at, mut rides) = (0, 0, false);
    while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<{ frame::HEADER }>()) {
        let Ok((kind, length)) = frame::parse_header(*header) else { break };
        let cut = match riders {
            Riders::None => false,
            Riders::Files => kind == frame::Kind::File,
            Riders::Flood => true,
        };
        if cut {
            pieces.push((&bytes[from..at], rides));
            (from, rides) = (at, true);
        }
        at += frame::HEADER + length;
    }
    pieces.push((&bytes[from..], rides));
    pieces.retain(|(piece, _)| !piece.is_empty());
    pieces
}
