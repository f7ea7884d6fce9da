//! A pool's board, as an Apache child gets it from the broker. It is read as a file, never mapped.

use crate::daemon::read_frame;
use crate::stack::Stack;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use wsgid_proto::board::{Board, SlotState};
use wsgid_proto::broker::{OpenPool, PoolOpened, worker_socket};
use wsgid_proto::frame::Frame;
use wsgid_proto::{Message, frame::Kind};

/// The board of one pool.
#[derive(Debug)]
pub struct PoolBoard {
    file: File,
    opened: PoolOpened,
}

impl PoolBoard {
    /// Asks for the pool of the global application group, which opens it if it is not open.
    #[track_caller]
    pub fn of(stack: &Stack, process_group: &str) -> Self {
        let ask = OpenPool {
            instance: stack.daemon().pools(process_group)[0].instance.clone(),
            process_group: process_group.into(),
            ..Default::default()
        };
        let mut stream = UnixStream::connect(stack.place.path("run/broker.sock")).unwrap();
        stream.write_all(&ask.frame()).unwrap();
        let mut first = [0; 1];
        let file = receive_file(&stream, &mut first);
        let (kind, payload) = read_frame(&mut first.chain(&mut stream)).unwrap();
        assert_eq!(kind, Kind::PoolOpened);
        Self { file, opened: PoolOpened::from_frame(Frame { kind, payload: payload.into() }).unwrap() }
    }

    /// What it says now.
    pub fn look<T>(&self, look: impl FnOnce(Board<'_>) -> T) -> T {
        let mut bytes = vec![0; self.file.metadata().unwrap().len() as usize];
        self.file.read_exact_at(&mut bytes, 0).unwrap();
        let word = |bytes: &[u8]| AtomicU64::new(u64::from_ne_bytes(bytes.try_into().unwrap()));
        let words: Vec<AtomicU64> = bytes.chunks_exact(8).map(word).collect();
        look(Board::open(&words).unwrap())
    }

    /// Claims on all workers' threads.
    pub fn claimed(&self) -> u32 {
        self.look(|board| (0..board.slots()).map(|n| board.slot(n).unwrap().claimed).sum())
    }

    /// Requests that workers have begun and not ended.
    pub fn active(&self) -> u32 {
        self.look(|board| (0..board.slots()).map(|n| board.slot(n).unwrap().active).sum())
    }

    /// Requests that wait for a thread.
    pub fn waiting(&self) -> u32 {
        self.look(|board| board.ledger().iter().map(|row| row.waiting).sum())
    }

    /// Does the ledger have a row of this child of httpd's?
    pub fn has_row_of(&self, pid: u32) -> bool {
        self.look(|board| board.ledger().iter().any(|row| row.pid == pid))
    }

    /// Claims on which no head has been sent yet.
    pub fn in_hand(&self) -> u32 {
        self.look(|board| board.ledger().iter().map(|row| row.claims).sum())
    }

    /// The sockets of the ready workers.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let slots: Vec<_> = self.look(|board| (0..board.slots()).filter_map(|n| board.slot(n)).collect());
        let ready = slots.iter().filter(|slot| slot.state == SlotState::Ready);
        let name =
            |serial| PathBuf::from(&self.opened.socket_dir).join(worker_socket(self.opened.pool, serial));
        ready.map(|slot| name(slot.serial)).collect()
    }
}

/// The descriptor that comes with the first byte.
fn receive_file(stream: &UnixStream, first: &mut [u8]) -> File {
    let mut parts = [IoSliceMut::new(first)];
    let mut space = nix::cmsg_space!([i32; 2]);
    let received =
        recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
    let number = received.cmsgs().unwrap().find_map(|message| match message {
        ControlMessageOwned::ScmRights(numbers) => numbers.first().copied(),
        _ => None,
    });
    let number = number.expect("a board");
    let file = File::open(format!("/proc/self/fd/{number}")).unwrap();
    nix::unistd::close(number).unwrap();
    file
}
