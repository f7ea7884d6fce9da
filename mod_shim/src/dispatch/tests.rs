//! Dispatch against a scripted daemon: a broker that hands out a board, and workers that listen.

use super::*;
use crate::pool::wake_one;
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
use wsgid_proto::broker::{AskFate, PoolOpened, PoolRefused, RefusalCause, worker_socket};
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
    /// Whatever it is, without a board.
    Bytes(Vec<u8>),
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
            let frame =
                PoolOpened { pool: *pool, socket_dir: socket_dir.into(), ..Default::default() }.frame();
            let descriptors = [board.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&descriptors)];
            let parts = [IoSlice::new(&frame)];
            sendmsg::<()>(stream.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).unwrap();
        }
        Says::Refused(cause) => {
            let frame = PoolRefused { cause: *cause, reason: "no".into() }.frame();
            std::io::Write::write_all(&mut stream, &frame).unwrap();
        }
        Says::Bytes(bytes) => std::io::Write::write_all(&mut stream, bytes).unwrap(),
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

    fn name(&self) -> PoolName {
        PoolName { process: "site".into(), application: String::new() }
    }

    fn runtime(&self) -> Runtime {
        let declared = DeclaredGroup { options: self.group.clone(), server: None, script_owner: None };
        let groups = HashMap::from([("site".to_string(), declared)]);
        Runtime::new(self.directory.path().join("control.sock"), Configure::default(), groups, true)
    }

    /// What the worker does when it has read a head, from its beginning to its end.
    fn serve(&self, claim: Claim) {
        let board = self.shared.board();
        board.begin(claim);
        if board.finish(claim) {
            wake_one(board);
        }
    }

    fn deliver(&self, runtime: &Runtime) -> Result<Delivered, Fault> {
        let errand = Errand {
            name: &self.name(),
            group: &self.group,
            script: b"/a.wsgi",
            head: HEAD,
            tries: Tries::default(),
            socket_timeout: Duration::from_secs(5),
            limit: None,
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
    let Delivered { channel, claim, pool, tries } = scene.deliver(&runtime).unwrap();
    assert_eq!(tries.all, 0);
    let (head, mut stream) = reports.recv().unwrap();
    assert_eq!(head, HEAD);
    scene.serve(claim);
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
    let Delivered { channel, claim, pool, .. } = scene.deliver(&runtime).unwrap();
    scene.serve(claim);
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
    let delivered = waiting.unwrap();
    assert_eq!(delivered.claim.serial, 2);
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
    assert_eq!(scene.deliver(&runtime).unwrap_err().answer(), 503);
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
    board.claim(None, Standing::Newcomer);
    let fault = scene.deliver(&scene.runtime()).unwrap_err();
    assert_eq!((fault.answer(), fault.message().retry_after.is_some()), (504, true));
    assert!(!board.has_waiters());
}

#[test]
fn a_limit_ends_every_wait_whatever_the_group_says() {
    let mut scene = Scene::new();
    (scene.group.connect_timeout, scene.group.queue_timeout) = (60, 60);
    broker(scene.directory.path(), vec![scene.opened()]);
    let (runtime, board) = (scene.runtime(), scene.shared.board());
    let deliver = || {
        let name = scene.name();
        let errand = Errand {
            name: &name,
            group: &scene.group,
            script: b"",
            head: HEAD,
            tries: Tries::default(),
            socket_timeout: Duration::from_secs(60),
            limit: Some(Limit::of(Duration::from_millis(100))),
        };
        deliver(&runtime, &errand)
    };
    assert!(matches!(deliver(), Err(Fault::HookTimeout(0))), "there is no worker");
    board.place(0, 1, SlotState::Ready, 1, 1);
    board.claim(None, Standing::Newcomer);
    assert!(matches!(deliver(), Err(Fault::HookTimeout(0))), "there is no free thread");
    assert!(!board.has_waiters());
}

/// Waits until so many requests of this board sleep, or are about to.
fn until_waiting(board: Board<'_>, wanted: u32) {
    while board.ledger().iter().map(|row| row.waiting).sum::<u32>() != wanted {
        thread::yield_now();
    }
}

#[test]
fn a_freed_thread_ends_the_wait() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 1, 1);
    let runtime = scene.runtime();
    let first = scene.deliver(&runtime).unwrap();
    thread::scope(|scope| {
        let waiting = [(); 3].map(|()| scope.spawn(|| scene.deliver(&runtime)));
        until_waiting(board, 3);
        scene.serve(first.claim);
        // Each that is served makes room for the next, in whatever order.
        for left in (0..3).rev() {
            until_waiting(board, left);
            scene.serve(first.claim);
        }
        assert!(waiting.into_iter().all(|waiting| waiting.join().unwrap().is_ok()));
    });
    assert_eq!(board.slot(0).unwrap().claimed, 0);
    assert!(!board.has_waiters());
}

#[test]
fn a_full_queue_takes_nobody_and_loses_nobody() {
    let mut scene = Scene::new();
    scene.group.queue_size = 1;
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 1, 1);
    let runtime = scene.runtime();
    let first = scene.deliver(&runtime).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.deliver(&runtime));
        until_waiting(board, 1);
        let fault = scene.deliver(&runtime).unwrap_err();
        assert!(matches!(fault, Fault::QueueFull { size: 1, .. }), "{fault}");
        assert_eq!((fault.answer(), fault.message().retry_after.is_some()), (503, true));
        scene.serve(first.claim);
        assert!(waiting.join().unwrap().is_ok());
    });
}

#[test]
fn without_a_queue_a_busy_pool_is_left_at_once_and_a_first_worker_is_waited_for() {
    let mut scene = Scene::new();
    scene.group.queue_size = 0;
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let runtime = scene.runtime();
    let board = scene.shared.board();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.deliver(&runtime));
        while !board.has_waiters() {
            thread::yield_now();
        }
        board.place(0, 1, SlotState::Ready, 1, 1);
        assert!(waiting.join().unwrap().is_ok());
    });
    assert!(matches!(scene.deliver(&runtime), Err(Fault::QueueFull { size: 0, .. })));
}

/// A process number that no process has: the kernel gives none this high.
const DEAD: u32 = i32::MAX as u32;

#[test]
fn what_the_dead_had_in_hand_is_given_back_to_those_who_wait() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 1, 1);
    let runtime = scene.runtime();
    let first = scene.deliver(&runtime).unwrap();
    // Nobody wakes anybody from here on: whoever waits has to find out.
    let row = board.join(DEAD);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.deliver(&runtime));
        until_waiting(board, 1);
        board.finish(first.claim);
        let _ = (board.claim(row, Standing::Newcomer), board.enqueue(row, 9));
        assert!(waiting.join().unwrap().is_ok());
    });
    assert!(board.ledger().iter().all(|row| row.pid != DEAD && row.waiting == 0));
    assert!(!board.has_waiters());
}

#[test]
fn what_the_dead_had_in_hand_is_given_back_by_the_next_child() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 2, 1);
    board.claim(board.join(DEAD), Standing::Newcomer);
    let delivered = scene.deliver(&scene.runtime()).unwrap();
    assert_eq!(board.slot(0).unwrap().claimed, 1);
    assert_eq!(
        board.ledger().iter().map(|row| (row.pid, row.claims)).collect::<Vec<_>>(),
        [(std::process::id(), 0)]
    );
    scene.serve(delivered.claim);
}

#[test]
fn a_hungry_request_is_not_overtaken_and_its_death_starves_nobody() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 1, 1);
    let runtime = scene.runtime();
    scene.serve(scene.deliver(&runtime).unwrap().claim);
    let mut hungry = board.enqueue(board.join(DEAD), 9).unwrap();
    board.hunger(&mut hungry);
    let pool = runtime.pool(&scene.name()).unwrap();
    assert!(matches!(pool.claim(Standing::Newcomer), Found::Crowded));
    // The thread is free, and the one it is kept for is dead: the next one finds out.
    assert!(scene.deliver(&runtime).is_ok());
}

/// The worker is ready in the moment between a look at the board and the sleep: nobody is there to be woken.
#[test]
fn a_hungry_request_that_nobody_has_woken_takes_the_thread_that_is_kept_for_it() {
    let mut scene = Scene::new();
    (scene.group.connect_timeout, scene.group.queue_timeout) = (60, 1);
    broker(scene.directory.path(), vec![scene.opened()]);
    let _reports = worker(scene.directory.path(), POOL, 1);
    let (runtime, board) = (scene.runtime(), scene.shared.board());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.deliver(&runtime));
        while board.queued().1 == 0 {
            thread::yield_now();
        }
        board.place(0, 1, SlotState::Ready, 1, 1);
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_thread_kept_for_one_that_does_not_run_is_taken_in_the_end() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let reports = worker(scene.directory.path(), POOL, 1);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 1, 1);
    // A child that has been stopped: its request is hungry, and does not sleep.
    let mut queued = board.enqueue(board.join(1), u32::MAX).unwrap();
    board.hunger(&mut queued);
    scene.deliver(&scene.runtime()).unwrap();
    reports.recv().unwrap();
}

#[test]
fn a_worker_that_is_gone_is_passed_over_without_a_daemon() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened(), Says::Bytes(Vec::new())]);
    let reports = worker(scene.directory.path(), POOL, 2);
    let gone = scene.directory.path().join(worker_socket(POOL, 1));
    drop(UnixListener::bind(gone).unwrap());
    let board = scene.shared.board();
    (0..2).for_each(|slot| board.place(slot, slot as u32 + 1, SlotState::Ready, 1, 1));
    let delivered = scene.deliver(&scene.runtime()).unwrap();
    assert_eq!((delivered.claim.serial, delivered.tries.all), (2, 1));
    assert_eq!(board.slot(0).unwrap().state, SlotState::Draining);
    reports.recv().unwrap();
}

#[test]
fn a_worker_that_is_starting_is_waited_for_as_for_a_thread() {
    let mut scene = Scene::new();
    scene.group.queue_timeout = 30;
    broker(scene.directory.path(), vec![scene.opened()]);
    let reports = worker(scene.directory.path(), POOL, 1);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Starting, 1, 1);
    thread::scope(|scope| {
        let asked = Instant::now();
        let waiting = scope.spawn(|| scene.deliver(&scene.runtime()));
        until_waiting(board, 1);
        while asked.elapsed() < Duration::from_secs(scene.group.connect_timeout.into()) * 2 {
            assert!(!waiting.is_finished());
            thread::yield_now();
        }
        board.set_state(0, 1, SlotState::Ready);
        wake_one(board);
        waiting.join().unwrap().unwrap();
    });
    reports.recv().unwrap();
}

#[test]
fn a_claim_is_given_back_by_whatever_ends_its_request() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    let board = scene.shared.board();
    board.place(0, 1, SlotState::Ready, 1, 1);
    let pool = scene.runtime().open(&scene.name(), b"", false).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let Found::Thread(_hold) = pool.claim(Standing::Newcomer) else { panic!("no thread") };
        assert_eq!((board.slot(0).unwrap().claimed, board.ledger()[0].claims), (1, 1));
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    assert_eq!((board.slot(0).unwrap().claimed, board.ledger()[0].claims), (0, 0));
}

#[test]
fn a_failing_pool_is_not_waited_for() {
    let scene = Scene::new();
    broker(scene.directory.path(), vec![scene.opened()]);
    scene.shared.board().set_pool_state(PoolState::Failing);
    assert!(matches!(scene.deliver(&scene.runtime()), Err(Fault::Failing { .. })));
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
        assert_eq!(scene.deliver(&scene.runtime()).unwrap_err().message().status, status, "{cause:?}");
    }
}

#[test]
fn an_answer_that_makes_no_sense_is_told_as_that() {
    let opened = PoolOpened { pool: POOL, socket_dir: "/nowhere".into(), ..Default::default() };
    let question = AskFate { pool: POOL, serial: 1 };
    for bytes in [opened.frame(), question.frame(), b"HTTP/1.1 200 OK\r\n\r\n".to_vec()] {
        let scene = Scene::new();
        broker(scene.directory.path(), vec![Says::Bytes(bytes)]);
        assert_eq!(scene.deliver(&scene.runtime()).unwrap_err().message(), crate::message::BAD_BROKER);
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
