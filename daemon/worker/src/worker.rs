//! What all threads of the worker share, and the claims that it gives back on the board.

use crate::attach::Keepsakes;
use crate::control::Control;
use crate::kept::Kept;
use crate::outfit::Outfit;
use crate::scripts::Scripts;
use crate::watched::Watched;
use crate::wear::Wear;
use crate::{journal, sys};
use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use wsgid_proto::board::{ANYBODY, Board, Claim, SlotState};
use wsgid_proto::launch::WorkerPlan;
use wsgid_proto::response::Level;

static WORKER: OnceLock<Worker> = OnceLock::new();
/// Set in a child that Python forked: none of what the worker owns is the child's.
static FORKED: AtomicBool = AtomicBool::new(false);

/// The one worker of this process.
pub(crate) struct Worker {
    pub(crate) plan: WorkerPlan,
    pub(crate) control: Control,
    pub(crate) kept: Kept,
    pub(crate) scripts: Scripts,
    /// Where httpd's scoreboard is posted, if the group may see it.
    pub(crate) scores: Option<File>,
    board: Board<'static>,
    pub(crate) wear: Wear,
    pub(crate) watched: Watched,
    pub(crate) keepsakes: Keepsakes,
    claim: Claim,
    begun: AtomicU64,
    active: AtomicUsize,
}

impl Worker {
    /// Makes the worker of this process; there can be only one.
    pub(crate) fn install(outfit: Outfit, scripts: Scripts) -> io::Result<&'static Worker> {
        let Outfit { plan, board, control, listener, scores, pulse, keepsakes } = outfit;
        let peers = [plan.web_uid, 0, nix::unistd::geteuid().as_raw()];
        let worker = Worker {
            claim: Claim { slot: plan.slot as usize, serial: plan.serial },
            control: Control::new(control),
            kept: Kept::new(listener, peers, [plan.send_buffer, plan.receive_buffer], plan.threads)?,
            scripts,
            scores,
            wear: Wear::new(
                plan.maximum_requests,
                Duration::from_secs(plan.inactivity_seconds.into()),
                Instant::now(),
            ),
            keepsakes,
            watched: Watched::new(pulse, plan.threads),
            begun: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            plan,
            board,
        };
        WORKER.set(worker).map_err(|_| io::Error::other("the worker runs already"))?;
        Self::get().ok_or_else(|| io::Error::other("the worker is not there"))
    }

    /// The worker, once [`Worker::install`] has made it.
    pub(crate) fn get() -> Option<&'static Worker> {
        WORKER.get()
    }

    /// Counts a request whose head has arrived; `stirs` if it is one of those that count as activity.
    pub(crate) fn begin(&'static self, stirs: bool) -> (Duty, Active) {
        if stirs {
            self.wear.stir();
        }
        self.active.fetch_add(1, Ordering::AcqRel);
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        self.board.set_requests(self.claim.slot, begun);
        self.board.begin(self.claim);
        (Duty { worker: self }, Active { worker: self, stirs })
    }

    /// Requests that have begun, and those of them that are under way.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let active = self.active.load(Ordering::Acquire) as u64;
        (self.begun.load(Ordering::Relaxed), active)
    }

    /// Is no request under way, and none promised by a shim that has claimed a thread? Shims that have
    /// died over such a promise are healed by shims: a worker need not live where it can see them. Requests that
    /// have been given up do not count, here and below.
    pub(crate) fn is_idle(&self) -> bool {
        let slot = self.board.slot(self.claim.slot);
        let claimed = slot.filter(|slot| slot.serial == self.claim.serial).map_or(0, |slot| slot.claimed);
        claimed as usize <= self.watched.abandoned() && self.is_inactive()
    }

    /// Is no request under way?
    pub(crate) fn is_inactive(&self) -> bool {
        self.active.load(Ordering::Acquire) <= self.watched.abandoned()
    }

    /// Have shims claimed a thread for so many requests at most, of this worker or of another of the pool?
    pub(crate) fn pool_has_up_to(&self, requests: u32) -> bool {
        self.board.has_claims_up_to(requests)
    }

    /// Tells the shims to choose other workers.
    pub(crate) fn mark_draining(&self) {
        self.board.set_state(self.claim.slot, self.claim.serial, SlotState::Draining);
        if self.board.has_waiters() {
            sys::futex_wake(self.board.freed().0, ANYBODY, i32::MAX);
        }
    }

    /// A thread is free: for one of those who wait.
    fn wake_one(&self) {
        self.board.wake_one(|word, set| sys::futex_wake(word, set, 1));
    }
}

/// A thread that a shim has claimed. Given back once: when the request ends, however it does.
pub(crate) struct Duty {
    worker: &'static Worker,
}

impl Drop for Duty {
    fn drop(&mut self) {
        if self.worker.board.finish(self.worker.claim) {
            self.worker.wake_one();
        }
    }
}

/// A request that keeps the worker from ending; outlives its [`Duty`] until the last byte is out.
pub(crate) struct Active {
    worker: &'static Worker,
    stirs: bool,
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.stirs {
            self.worker.wear.stir();
        }
        self.worker.active.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Is this a child that Python forked off the worker?
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// In a forked child: lets go of every descriptor, so that a child that lives on keeps neither Apache
/// nor the supervisor waiting for a worker that has ended.
pub(crate) fn abandon_in_child() {
    use std::os::fd::{AsFd, AsRawFd};
    if !FORKED.swap(true, Ordering::SeqCst) {
        if let Some(worker) = Worker::get() {
            worker.kept.abandon_in_child();
            sys::close_in_child(worker.control.as_fd().as_raw_fd());
        }
    }
}

/// Tells the supervisor that the code on disk has changed.
pub(crate) fn want_reload(reason: &str) {
    if let Some(worker) = Worker::get().filter(|_| !forked()) {
        if worker.control.reload_wanted(reason) {
            journal::note(&format!("reload wanted: {reason}"));
        }
    }
}

/// A line for the daemon's log. Where the supervisor can't be told, its level goes before it.
pub(crate) fn note(level: Level, line: &[u8]) {
    let told = Worker::get().filter(|_| !forked()).is_some_and(|worker| worker.control.note(level, line));
    if !told {
        journal::line(&[format!("[{level:?}] ").as_bytes(), line].concat());
    }
}
