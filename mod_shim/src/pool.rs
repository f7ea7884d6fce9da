//! One pool as an Apache child sees it: the board, and the connections it keeps to the workers.

use crate::broker::Opened;
use crate::channel::{Channel, Manner, ReceiveError};
use crate::kept::Kept;
use crate::sys::{self, Mapping};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use wsgid_proto::board::{Board, Claim, Entry, PATIENT, Queued, Row, Search, SlotState, Standing};
use wsgid_proto::broker::worker_socket;

/// A worker that was asked for needs a moment before it takes load off the others.
const BETWEEN_GROWTHS: Duration = Duration::from_millis(100);

/// Between two questions whether a pool is as it seems.
const BETWEEN_DOUBTS: Duration = Duration::from_secs(1);

/// Between two looks for what the dead have left.
const BETWEEN_HEALINGS: Duration = Duration::from_millis(20);

/// What all threads of a child together do now and then.
#[derive(Debug, Default)]
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    fn is_due(&self, now: Instant, pause: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= pause);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// A pool that the daemon has opened for us.
#[derive(Debug)]
pub struct Pool {
    /// Its number: another number is another pool.
    pub id: u64,
    socket_dir: PathBuf,
    mapping: Mapping,
    /// Where this process writes down what it has in hand.
    row: Option<Row>,
    kept: Kept,
    grown: Seldom,
    doubted: Seldom,
    healed: Seldom,
    knows_script: AtomicBool,
    trouble: Mutex<String>,
}

/// A head that reached nobody.
#[derive(Debug, thiserror::Error)]
#[error("the worker could not be reached: {error}")]
pub struct NotDelivered {
    /// Whose it would have been.
    pub claim: Claim,
    error: ReceiveError,
}

impl NotDelivered {
    /// Does nobody listen there?
    pub fn is_refused(&self) -> bool {
        matches!(&self.error, ReceiveError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// What looking for a thread came to.
#[derive(Debug)]
pub enum Found<'p> {
    /// A thread.
    Thread(Hold<'p>),
    /// There are workers, and none is free.
    Crowded,
    /// There is no worker.
    NoneReady,
}

impl Pool {
    /// From the daemon's answer, once in a process for each pool. What earlier processes have left
    /// undone on the board is put in order.
    pub fn new(opened: Opened) -> Self {
        let board = Board::open(opened.mapping.words()).unwrap_or_else(|_| Board::none());
        // A row under our own number is that of a process that had it before.
        heal(board, |pid| pid != std::process::id() && lives(pid));
        let (row, kept) = (board.join(std::process::id()), Kept::new(board.slots()));
        Self {
            trouble: Mutex::new(opened.pool.trouble),
            id: opened.pool.pool,
            socket_dir: opened.pool.socket_dir.into(),
            mapping: opened.mapping,
            row,
            kept,
            grown: Seldom::default(),
            doubted: Seldom::default(),
            healed: Seldom::default(),
            knows_script: AtomicBool::new(false),
        }
    }

    /// Has the daemon been told a script to import in its workers?
    pub fn knows_script(&self) -> bool {
        self.knows_script.load(Relaxed)
    }

    /// The daemon has been told this script, or none.
    pub fn told_script(&self, script: &[u8]) {
        if !script.is_empty() {
            self.knows_script.store(true, Relaxed);
        }
    }

    /// What is wrong with it, as the daemon has said last.
    pub fn trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The daemon has said this is wrong with it.
    pub fn told_trouble(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Is it time to ask the daemon for one more worker? Every request of a crowded pool wants to.
    pub fn may_grow(&self, now: Instant) -> bool {
        self.grown.is_due(now, BETWEEN_GROWTHS)
    }

    /// Is it time to ask the daemon whether what the board says of the pool is so? Every request that is refused on
    /// account of it wants to.
    pub fn may_doubt(&self, now: Instant) -> bool {
        self.doubted.is_due(now, BETWEEN_DOUBTS)
    }

    /// The board.
    pub fn board(&self) -> Board<'_> {
        // The broker checked it; should it be overwritten since, an empty board is what is left.
        Board::open(self.mapping.words()).unwrap_or_else(|_| Board::none())
    }

    /// How many worker processes there are, ready or not.
    pub fn workers(&self) -> usize {
        let board = self.board();
        (0..board.slots()).filter(|&n| board.slot(n).is_some_and(|s| s.state != SlotState::Empty)).count()
    }

    /// Is there a worker in this state?
    pub fn has_any(&self, state: SlotState) -> bool {
        let board = self.board();
        (0..board.slots()).any(|n| board.slot(n).is_some_and(|slot| slot.state == state))
    }

    /// Looks for a free thread.
    pub fn claim(&self, standing: Standing) -> Found<'_> {
        match self.board().claim(self.row, standing) {
            Search::Claimed(claim, entry) => Found::Thread(Hold { pool: Some(self), claim, entry }),
            Search::Crowded => Found::Crowded,
            Search::NoneReady => Found::NoneReady,
        }
    }

    /// Gives back the claim of a head that was sent and that no worker has read.
    pub fn release(&self, claim: Claim) {
        self.give_back(claim, None);
    }

    fn give_back(&self, claim: Claim, entry: Option<Entry>) {
        let board = self.board();
        if board.release(claim, entry) {
            wake_one(board);
        }
    }

    /// Gives back what dead Apache children had in hand, unless another thread of this one has just done so.
    pub fn heal(&self, now: Instant) {
        if self.healed.is_due(now, BETWEEN_HEALINGS) {
            heal(self.board(), lives);
        }
    }

    /// Wakes one of those who wait: whoever may have been woken and can't use it passes it on.
    pub fn wake(&self) {
        let board = self.board();
        if board.has_waiters() {
            wake_one(board);
        }
    }

    /// Wakes one of those who wait, if somebody is asleep there.
    pub fn wake_asleep(&self) -> bool {
        self.board().wake_asleep(sys::futex_wake)
    }

    /// Joins those who wait, unless so many do already.
    pub fn enqueue(self: &Arc<Self>, most: u32) -> Option<Waiting> {
        let queued = self.board().enqueue(self.row, most)?;
        Some(Waiting { pool: self.clone(), queued: Some(queued) })
    }

    /// Sends a head to the claimed worker: over kept connections first, the stale ones among which
    /// fail at once, then over a new one.
    fn deliver(&self, claim: Claim, head: &[u8], manner: Manner) -> Result<Channel, NotDelivered> {
        while let Some(mut channel) = self.kept.take(claim) {
            // The request before this one may have been another virtual host's, with another Timeout.
            if channel.be_patient(manner.timeout).is_ok() && channel.send(head).is_ok() {
                return Ok(channel);
            }
        }
        let path = self.socket_dir.join(worker_socket(self.id, claim.serial));
        let connected = Channel::connect_as(&path, manner).map_err(ReceiveError::from);
        let sent = connected.and_then(|channel| channel.send(head).map(|()| channel));
        sent.map_err(|error| NotDelivered { claim, error })
    }

    /// Keeps a connection whose request has ended for the next one to the same worker.
    pub fn keep(&self, claim: Claim, channel: Channel) {
        self.kept.keep(&self.board(), claim, channel, Instant::now());
    }

    /// Closes kept connections that nobody uses any more. Are any left?
    pub fn sweep(&self, now: Instant) -> bool {
        self.kept.sweep(&self.board(), now)
    }
}

/// Something is free: for one of those who wait.
pub fn wake_one(board: Board<'_>) {
    board.wake_one(sys::futex_wake);
}

/// Gives back what the dead had in hand, and wakes as many as that makes room for.
fn heal(board: Board<'_>, is_alive: impl Fn(u32) -> bool) {
    for _ in 0..board.heal(std::process::id(), is_alive) {
        wake_one(board);
    }
}

/// Is there a process of this number? One of another user's counts.
fn lives(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

/// A claimed thread whose head is not sent yet. However this ends, the claim does not get lost: it is
/// handed over with the head, or given back.
#[derive(Debug)]
pub struct Hold<'p> {
    /// Whose it is; nobody's once it is handed over.
    pool: Option<&'p Pool>,
    claim: Claim,
    entry: Option<Entry>,
}

impl Hold<'_> {
    /// Sends the head. Once all of it is on its way, the claim is the worker's to give back.
    pub fn deliver(mut self, head: &[u8], manner: Manner) -> Result<(Channel, Claim), NotDelivered> {
        let Some(pool) = self.pool else {
            return Err(NotDelivered { claim: self.claim, error: ReceiveError::Closed });
        };
        let channel = pool.deliver(self.claim, head, manner)?;
        pool.board().clear(self.entry);
        self.pool = None;
        Ok((channel, self.claim))
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool {
            pool.give_back(self.claim, self.entry);
        }
    }
}

/// A request that waits, and is counted as long as this lives.
#[derive(Debug)]
pub struct Waiting {
    pool: Arc<Pool>,
    queued: Option<Queued>,
}

impl Waiting {
    /// Among whom it sleeps.
    pub fn set(&self) -> u32 {
        self.queued.as_ref().map_or(PATIENT, Queued::set)
    }

    /// How it looks for a thread that it was not woken for.
    pub fn standing(&self) -> Standing {
        self.queued.as_ref().map_or(Standing::Newcomer, Queued::standing)
    }

    /// It has waited for too long: newcomers leave a thread for it from now on.
    pub fn hunger(&mut self) {
        if let Some(queued) = &mut self.queued {
            self.pool.board().hunger(queued);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(queued) = self.queued.take() {
            self.pool.board().leave(queued);
        }
    }
}
