//! The board's atomics under loom, which runs every order in which threads may see one another's
//! words, the weak ones of other machines included.
//!
//! Threads stand for processes. What is checked: nobody sleeps while there is a thread to be had, no
//! more threads are claimed than there are, and healing beside all that takes nothing that is in use.

#![allow(clippy::unwrap_used)] // an assertion here, in helpers as in tests

use loom::sync::atomic::{AtomicU64, Ordering::*};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use wsgid_proto::board::{Board, Claim, Entry, Queued, Row, Search, SlotState, Standing, Word};

/// loom's word.
struct Seen(AtomicU64);

impl Word for Seen {
    fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    fn store(&self, value: u64) {
        self.0.store(value, Release);
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<u64, u64> {
        self.0.compare_exchange(seen, new, AcqRel, Acquire)
    }
}

const ROWS: usize = 2;
const WORKER: Claim = Claim { slot: 0, serial: 1 };

/// A board with one worker, and the kernel's part of a futex.
struct Scene {
    words: Vec<Seen>,
    /// How many sleep.
    kernel: Mutex<usize>,
    sleepers: Condvar,
}

impl Scene {
    fn new(capacity: u32) -> Arc<Self> {
        let count = Board::<Seen>::words_for(1, ROWS);
        let words = (0..count).map(|_| Seen(AtomicU64::new(0))).collect();
        let scene = Self { words, kernel: Mutex::new(0), sleepers: Condvar::new() };
        Board::create_with(&scene.words, ROWS);
        scene.board().place(WORKER.slot, WORKER.serial, SlotState::Ready, capacity, 1);
        Arc::new(scene)
    }

    fn board(&self) -> Board<'_, Seen> {
        Board::view(&self.words, ROWS)
    }

    /// FUTEX_WAIT: looks and falls asleep in one step. False: it did not.
    fn sleep(&self, seen: u32) -> bool {
        let mut asleep = self.kernel.lock().unwrap();
        let falls_asleep = self.board().freed().1 == seen;
        if falls_asleep {
            *asleep += 1;
            drop(self.sleepers.wait(asleep).unwrap());
        }
        falls_asleep
    }

    /// FUTEX_WAKE of one. False: nobody sleeps.
    fn wake(&self) -> bool {
        let mut asleep = self.kernel.lock().unwrap();
        let somebody = *asleep > 0;
        if somebody {
            *asleep -= 1;
            self.sleepers.notify_one();
        }
        somebody
    }

    /// Something is free.
    fn wake_one(&self) {
        self.board().wake_one(|_, _| self.wake());
    }

    fn claimed(&self) -> u32 {
        let slot = self.board().slot(WORKER.slot).unwrap();
        assert!(slot.active <= slot.claimed);
        slot.claimed
    }

    /// A request that waits for as long as it takes, as dispatch does it.
    fn wait_for_thread(&self, row: Option<Row>) {
        let board = self.board();
        let queued = board.enqueue(row, u32::MAX).unwrap();
        let mut standing = Standing::Newcomer;
        loop {
            let seen = board.freed().1;
            if let Search::Claimed(_, entry) = board.claim(row, standing) {
                board.clear(entry);
                break;
            }
            self.sleep(seen);
            standing = Standing::Waiter;
        }
        board.leave(queued);
    }

    /// A hungry request's wait, and that it gives back what it gets.
    fn wait_hungry(&self, queued: Queued) {
        let board = self.board();
        let mut woken = false;
        let (claim, entry) = loop {
            let seen = board.freed().1;
            let standing = if woken { Standing::Waiter } else { queued.standing() };
            match board.claim(None, standing) {
                Search::Claimed(claim, entry) => break (claim, entry),
                _ => woken = self.sleep(seen),
            }
        };
        board.leave(queued);
        self.release(claim, entry);
    }

    fn release(&self, claim: Claim, entry: Option<Entry>) {
        if self.board().release(claim, entry) {
            self.wake_one();
        }
    }

    /// A worker's part.
    fn finish(&self) {
        if self.board().finish(WORKER) {
            self.wake_one();
        }
    }
}

/// Every order in which no more than so many threads are interrupted where they need not be. Their number
/// explodes with it, and faults that take more to show are hardly ever met.
const INTERRUPTIONS: usize = 3;

/// Of those, the first, which take some seconds, where all would take minutes.
const ORDERS: usize = 20_000;

fn model(test: impl Fn() + Sync + Send + 'static) {
    model_with(INTERRUPTIONS, test);
}

fn model_with(interruptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(test);
}

fn take(board: Board<'_, Seen>, row: Option<Row>) -> Option<(Claim, Option<Entry>)> {
    match board.claim(row, Standing::Newcomer) {
        Search::Claimed(claim, entry) => Some((claim, entry)),
        _ => None,
    }
}

#[test]
fn a_freed_thread_is_never_slept_through() {
    model(|| {
        let scene = Scene::new(1);
        take(scene.board(), None).unwrap();
        scene.board().begin(WORKER);
        let worker = thread::spawn({
            let scene = scene.clone();
            move || scene.finish()
        });
        scene.wait_for_thread(None);
        worker.join().unwrap();
        assert_eq!(scene.claimed(), 1);
        assert!(!scene.board().has_waiters());
    });
}

#[test]
fn two_claimers_a_releaser_and_a_sleeper_share_one_thread() {
    model_with(2, || {
        let scene = Scene::new(1);
        take(scene.board(), None).unwrap();
        scene.board().begin(WORKER);
        let newcomer = thread::spawn({
            let scene = scene.clone();
            move || {
                let row = scene.board().join(10);
                if let Some((claim, entry)) = take(scene.board(), row) {
                    assert_eq!(scene.claimed(), 1);
                    scene.release(claim, entry);
                }
            }
        });
        let worker = thread::spawn({
            let scene = scene.clone();
            move || scene.finish()
        });
        scene.wait_for_thread(None);
        newcomer.join().unwrap();
        worker.join().unwrap();
        assert_eq!(scene.claimed(), 1);
        assert!(!scene.board().has_waiters());
    });
}

/// Each leaves the thread to the other, and the one who frees it finds nobody asleep.
fn two_hungry_requests() {
    let scene = Scene::new(1);
    let row = scene.board().join(10);
    let (claim, entry) = take(scene.board(), None).unwrap();
    let hungry = [(); 2].map(|()| {
        let mut queued = scene.board().enqueue(row, u32::MAX).unwrap();
        scene.board().hunger(&mut queued);
        let scene = scene.clone();
        thread::spawn(move || scene.wait_hungry(queued))
    });
    scene.release(claim, entry);
    hungry.into_iter().for_each(|request| request.join().unwrap());
    assert_eq!(scene.claimed(), 0);
    assert!(!scene.board().has_waiters());
}

#[test]
fn two_hungry_requests_do_not_both_sleep_beside_a_free_thread() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_permutations = Some(ORDERS);
    builder.check(two_hungry_requests);
}

#[test]
#[ignore = "some minutes"]
fn two_hungry_requests_do_not_both_sleep_in_any_order() {
    model_with(2, two_hungry_requests);
}

#[test]
fn claims_never_exceed_the_capacity() {
    model(|| {
        let scene = Scene::new(2);
        let claimers = [10, 11].map(|pid| {
            let scene = scene.clone();
            thread::spawn(move || take(scene.board(), scene.board().join(pid)).is_some())
        });
        let own = u32::from(take(scene.board(), None).is_some());
        let others: u32 = claimers.map(|claimer| u32::from(claimer.join().unwrap())).iter().sum();
        assert_eq!((scene.claimed(), own + others), (2, 2));
    });
}

#[test]
fn healing_takes_nothing_that_is_in_use() {
    model(|| {
        let scene = Scene::new(2);
        // One that died with its head sent and its claim written down, while the worker reads the head.
        let row = scene.board().join(10);
        take(scene.board(), row).unwrap();
        let worker = thread::spawn({
            let scene = scene.clone();
            move || {
                scene.board().begin(WORKER);
                assert!(scene.claimed() >= 1);
            }
        });
        let healer = thread::spawn({
            let scene = scene.clone();
            move || scene.board().heal(11, |pid| pid != 10)
        });
        scene.board().heal(12, |pid| pid != 10);
        worker.join().unwrap();
        healer.join().unwrap();
        assert_eq!(scene.claimed(), 1);
        scene.board().finish(WORKER);
        assert_eq!(scene.claimed(), 0);
        assert!(scene.board().ledger().is_empty());
    });
}

#[test]
fn two_healers_give_the_same_back_once_beside_a_living_claim() {
    model(|| {
        let scene = Scene::new(3);
        let (dead, alive) = (scene.board().join(10), scene.board().join(11));
        take(scene.board(), dead).unwrap();
        let kept = take(scene.board(), alive).unwrap();
        let healer = thread::spawn({
            let scene = scene.clone();
            move || scene.board().heal(12, |pid| pid != 10)
        });
        let freed = scene.board().heal(11, |pid| pid != 10);
        assert_eq!(freed + healer.join().unwrap(), 1);
        assert_eq!(scene.claimed(), 1);
        scene.board().release(kept.0, kept.1);
        assert_eq!(scene.claimed(), 0);
    });
}

#[test]
fn healing_ends_the_sleep_of_those_who_wait() {
    model(|| {
        let scene = Scene::new(1);
        let dead = scene.board().join(10);
        take(scene.board(), dead).unwrap();
        let healer = thread::spawn({
            let scene = scene.clone();
            move || {
                for _ in 0..scene.board().heal(11, |pid| pid != 10) {
                    scene.wake_one();
                }
            }
        });
        scene.wait_for_thread(None);
        healer.join().unwrap();
        assert_eq!(scene.claimed(), 1);
    });
}
