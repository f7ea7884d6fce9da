//! The two of the worker's system calls that its connections use: the rest of them need Python. Who
//! waits gives the shim its turn first, so that nothing is ever waited for.

use crate::shim;
use bytes::BytesMut;
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    into: &mut BytesMut,
    room: usize,
    wait: bool,
) -> io::Result<usize> {
    if wait {
        shim::go_on();
    }
    into.reserve(room);
    let (held, room) = (into.len(), into.capacity() - into.len());
    let mut buffer = vec![0; room];
    let flags = if wait { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
    let got = recv(socket.as_raw_fd(), &mut buffer, flags)?;
    into.extend_from_slice(&buffer[..got]);
    assert_eq!(into.len(), held + got);
    Ok(got)
}

pub(crate) fn close_in_child(_: RawFd) {
    panic!("nobody forks here");
}
