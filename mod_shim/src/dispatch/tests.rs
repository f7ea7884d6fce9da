//! Dispatch against a scripted daemon: a broker that hands out a board, and workers that listen.

use super::*;
use crate::runtime::DeclaredGroup;
use crate::sys::Mapping;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::collections::HashMap;
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use wsgid_proto::Message;
use wsgid_proto::board::{Board, SlotState};
use wsgid_proto::broker::{PoolOpened, PoolRefused, RefusalCause, worker_socket};
use wsgid_proto::control::Configure;

const POOL: u64 = 0xabc;
const HEAD: &[u8] = b"a head";

/// A board in a memory file.
struct Shared {
    file: OwnedFd,
    mapping: Mapping,
}

impl Shared {
    fn new() -> Self {
        let file = memfd_create("board", MFdFlags::MFD_CLOEXEC).unwrap();
        nix::unistd::ftruncate(&file, Board::size(2) as i64).unwrap();
        let mapping = Mapping::of(file.as_fd()).unwrap();
        Board::create(mapping.words());
        Self { file, mapping }
    }

    fn board(&self) -> Board<'_> {
        Board::open(self.mapping.words()).unwrap()
    }
}

/// What the broker says, one entry for each question; the last one for ever.
enum Says {
    Opened(u64, OwnedFd),
    Refused(RefusalCause),
}

fn broker(directory: &Path, mut script: Vec<Says>) {
    let listener = UnixListener::bind(directory.join("broker.sock")).unwrap();
    let socket_dir = directory.display().to_string();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            answer(&stream, &script[0], &socket_dir);
            if script.len() > 1 {
                script.remove(0);
            }
        }
    });
}

fn answer(mut stream: &UnixStream, says: &Says, socket_dir: &str) {
    stream.read_exact(&mut [0; wsgid_proto::frame::HEADER]).unwrap();
    match says {
        Says::Opened(pool, board) => {
            let frame = PoolOpened { pool: *pool, socket_dir: socket_dir.into() }.frame();
            let descriptors = [board.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&descriptors)];
            let parts = [IoSlice::new(&frame)];
            sendmsg::<()>(stream.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).unwrap();
        }
        Says::Refused(cause) => {
            let frame = PoolRefused { cause: *cause, reason: "no".into() }.frame();
            std::io::Write::write_all(&mut stream, &frame).unwrap();
        }
    }
    // The question is read to its end before the connection closes, or the answer would be lost.
    let _ = stream.set_nonblocking(true);
    let _ = stream.read(&mut [0; 4096]);
}

/// A worker that reports each head it reads, and keeps the connection.
fn worker(directory: &Path, pool: u64, serial: u32) -> mpsc::Receiver<(Vec<u8>, UnixStream)> {
    let listener = UnixListener::bind(directory.join(worker_socket(pool, serial))).unwrap();
    let (report, reports) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = vec![0; HEAD.len()];
            stream.read_exact(&mut head).unwrap();
            let _ = report.send((head, stream));
        }
    });
    reports
}

struct Scene {
    directory: tempfile::TempDir,
    shared: Shared,
    group: ProcessGroup,
}

impl Scene {
    fn new() -> Self {
        let group = ProcessGroup { connect_timeout: 1, ..ProcessGroup::named("site") };
        Self { directory: tempfile::tempdir().unwrap(), shared: Shared::new(), group }
    }

    fn opened(&self) -> Says {
        Says::Opened(POOL, self.shared.file.try_clone().unwrap())
    }

    fn runtime(&self) -> Runtime {
        let declared = DeclaredGroup { options: self.group.clone(), server: None };
        let groups = HashMap::from([("site".to_string(), declared)]);
        Runtime::new(self.directory.path().join("control.sock"), Configure::default(), groups)
    }

    fn deliver(&self, runtime: &Runtime) -> Result<Delivered, Fault> {
        let name = PoolName { process: "site".into(), application: String::new() };
        let errand = Errand {
            name: &name,
            group: &self.group,
            script: b"/a.wsgi",
            head: HEAD,
            socket_timeout: Duration::from_secs(5),
        };
        deliver(runtime, &errand)
    }
}

#[test]
fn a_ready_worker_gets_the_head_and_keeps_its_connection() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let reports = worker(scene.directory.path(), POOL, 1);
    scene.shared.board().place(0, 1, SlotState::Ready, 2, 1);
    let runtime = scene.runtime();
    let Delivered { channel, claim, pool } = scene.deliver(&runtime).unwrap();
    let (head, mut stream) = reports.recv().unwrap();
    assert_eq!(head, HEAD);
    scene.shared.board().release(claim);
    pool.keep(claim, channel);
    // The second head comes over the same connection, which the worker need not accept again.
    scene.deliver(&runtime).unwrap();
    stream.read_exact(&mut [0; HEAD.len()]).unwrap();
    assert!(reports.try_recv().is_err());
}

#[test]
fn a_retired_workers_connection_is_no_dead_end() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let first = worker(scene.directory.path(), POOL, 1);
    let second = worker(scene.directory.path(), POOL, 2);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 2, 1);
    let runtime = scene.runtime();
    let Delivered { channel, claim, pool } = scene.deliver(&runtime).unwrap();
    board.release(claim);
    pool.keep(claim, channel);
    // It reads no more, and still stands as ready: as in the moment before the board says so.
    let (_, stream) = first.recv().unwrap();
    stream.shutdown(std::net::Shutdown::Read).unwrap();
    std::fs::remove_file(scene.directory.path().join(worker_socket(POOL, 1))).unwrap();
    board.place(1, 2, SlotState::Ready, 200, 2);
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.deliver(&runtime));
        board.set_state(0, 1, SlotState::Draining);
        waiting.join().unwrap()
    });
    assert_eq!(waiting.unwrap().claim.serial, 2);
    second.recv().unwrap();
    // What could not be delivered is no longer claimed.
    assert_eq!(board.slot(0).unwrap().claimed, 0);
}

#[test]
fn a_first_worker_is_waited_for_and_then_not() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let runtime = scene.runtime();
    assert_eq!(scene.deliver(&runtime).unwrap_err().status(), 503);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.deliver(&runtime));
        scene.shared.board().place(0, 1, SlotState::Ready, 1, 1);
        assert!(waiting.join().unwrap().is_ok());
    });
}

#[test]
fn a_busy_pool_is_left_after_its_queue_timeout() {
    let mut scene = Scene::new();
    scene.group.queue_timeout = 1;
    broker(scene.directory.path(), vec![scene.opened()]);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 1, 1);
    board.claim();
    assert_eq!(scene.deliver(&scene.runtime()).unwrap_err().status(), 504);
    assert!(!board.has_waiters());
}

#[test]
fn a_failing_pool_is_not_waited_for() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    scene.shared.board().set_pool_state(PoolState::Failing);
    assert!(matches!(scene.deliver(&scene.runtime()), Err(Fault::Failing(_))));
}

#[test]
fn a_closed_pool_is_opened_again() {
    let scene = Scene::new();
    let replacement = Shared::new();
    let new = Says::Opened(POOL + 1, replacement.file.try_clone().unwrap());
    broker(scene.directory.path(), vec![scene.opened(), new]);
    let _reports = worker(scene.directory.path(), POOL + 1, 1);
    scene.shared.board().set_pool_state(PoolState::Closed);
    replacement.board().place(0, 1, SlotState::Ready, 1, 1);
    assert_eq!(scene.deliver(&scene.runtime()).unwrap().pool.id, POOL + 1);
}

#[test]
fn refusals_have_their_statuses() {
    for (cause, status) in [
        (RefusalCause::UnknownInstance, 503),
        (RefusalCause::UnknownGroup, 500),
        (RefusalCause::NotAllowed, 500),
        (RefusalCause::TooMany, 503),
    ] {
        let scene = Scene::new();
        broker(scene.directory.path(), vec![Says::Refused(cause)]);
        assert_eq!(scene.deliver(&scene.runtime()).unwrap_err().status(), status, "{cause:?}");
    }
}

#[test]
fn an_absent_daemon_is_waited_for_only_where_it_was_there_before() {
    let scene = Scene::new();
    let runtime = scene.runtime();
    let begun = Instant::now();
    assert!(matches!(scene.deliver(&runtime), Err(Fault::DaemonAbsent { .. })));
    assert!(begun.elapsed() < Duration::from_secs(1));
    runtime.met_daemon();
    let _reports = worker(scene.directory.path(), POOL, 1);
    scene.shared.board().place(0, 1, SlotState::Ready, 1, 1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.deliver(&runtime));
        broker(scene.directory.path(), vec![scene.opened()]);
        assert!(waiting.join().unwrap().is_ok());
    });
}
