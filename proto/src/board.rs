//! The board: shared memory in which a pool's workers are chosen.
//!
//! The supervisor makes it, workers and Apache children map it. It is nothing but 64-bit words that
//! are read and written atomically, so any content is a value and never undefined behaviour. Apache's
//! user may write every word: supervisor and workers treat what they read as hints.
//!
//! ```text
//! word 0   magic and layout version            word 8 + 16·n   slot n: serial | state | claimed
//!      1   pool state                                   + 1    capacity (threads)
//!      2   freed: counts releases; futex                + 2    process id
//!      3   waiting: who sleeps on `freed`               + 3    requests begun
//!      4…7 spare                                        + 4…   spare
//! ```
//!
//! Serial, state and claims of a slot share one word, so that one compare-and-swap claims a thread of
//! just that worker in just that state.

use std::sync::atomic::{AtomicU64, Ordering::*};

/// Marks a mapping as a board of this layout.
const MAGIC: u64 = u64::from_le_bytes(*b"wsgid\0b1");
const HEADER_WORDS: usize = 8;
const SLOT_WORDS: usize = 16;

/// What a pool's word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolState {
    /// Workers come and go; waiting for one makes sense.
    Open = 1,
    /// Replaced or removed: ask the broker again.
    Closed = 2,
    /// No worker stays up long enough to serve; do not wait.
    Failing = 3,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// No worker.
    Empty = 0,
    /// Launched, not ready.
    Starting = 1,
    /// Serves.
    Ready = 2,
    /// Finishes what it has, takes nothing new.
    Draining = 3,
}

/// One slot's word, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotWord {
    /// Which worker; never 0 for a worker.
    pub serial: u32,
    /// Its state.
    pub state: SlotState,
    /// Threads taken.
    pub claimed: u32,
}

impl SlotWord {
    const CLAIMED_BITS: u32 = 28;
    const CLAIMED_MASK: u64 = (1 << Self::CLAIMED_BITS) - 1;

    fn pack(self) -> u64 {
        (u64::from(self.serial) << 32)
            | ((self.state as u64) << Self::CLAIMED_BITS)
            | (u64::from(self.claimed) & Self::CLAIMED_MASK)
    }

    fn unpack(word: u64) -> Self {
        let state = match (word >> Self::CLAIMED_BITS) & 0xf {
            1 => SlotState::Starting,
            2 => SlotState::Ready,
            3 => SlotState::Draining,
            _ => SlotState::Empty,
        };
        Self { serial: (word >> 32) as u32, state, claimed: (word & Self::CLAIMED_MASK) as u32 }
    }
}

/// A thread of a worker, taken for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Slot of the worker.
    pub slot: usize,
    /// The worker.
    pub serial: u32,
}

/// What looking for a worker came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Yours.
    Claimed(Claim),
    /// There are ready workers, and every thread is taken.
    Crowded,
    /// No worker is ready.
    NoneReady,
}

/// A view of a board; the mapping outlives it.
#[derive(Debug, Clone, Copy)]
pub struct Board<'a> {
    words: &'a [AtomicU64],
}

/// The mapping is no board.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the shared memory is not a board of this version")]
pub struct NotABoard;

impl<'a> Board<'a> {
    /// Bytes of a board with so many slots.
    pub fn size(slots: usize) -> usize {
        (HEADER_WORDS + slots * SLOT_WORDS) * size_of::<u64>()
    }

    /// Makes zeroed memory a board.
    pub fn create(words: &'a [AtomicU64]) -> Self {
        let board = Self { words };
        words[1].store(PoolState::Open as u64, Release);
        words[0].store(MAGIC, Release);
        board
    }

    /// Looks at memory that somebody else made a board.
    pub fn open(words: &'a [AtomicU64]) -> Result<Self, NotABoard> {
        if words.len() < HEADER_WORDS + SLOT_WORDS || words[0].load(Acquire) != MAGIC {
            return Err(NotABoard);
        }
        Ok(Self { words })
    }

    /// A board without a slot, for whoever finds that the memory is none any more.
    pub fn none() -> Board<'static> {
        static WORDS: [AtomicU64; HEADER_WORDS] = [const { AtomicU64::new(0) }; HEADER_WORDS];
        Board { words: &WORDS }
    }

    /// How many slots fit into the mapping: never read from the board itself.
    pub fn slots(&self) -> usize {
        (self.words.len() - HEADER_WORDS) / SLOT_WORDS
    }

    fn slot_word(&self, slot: usize) -> Option<&'a AtomicU64> {
        (slot < self.slots()).then(|| &self.words[HEADER_WORDS + slot * SLOT_WORDS])
    }

    fn slot_field(&self, slot: usize, field: usize) -> Option<&'a AtomicU64> {
        (slot < self.slots()).then(|| &self.words[HEADER_WORDS + slot * SLOT_WORDS + field])
    }

    /// The pool's state; an unknown one counts as closed.
    pub fn pool_state(&self) -> PoolState {
        match self.words[1].load(Acquire) {
            1 => PoolState::Open,
            3 => PoolState::Failing,
            _ => PoolState::Closed,
        }
    }

    /// Supervisor: says how the pool is. Wake the waiting afterwards.
    pub fn set_pool_state(&self, state: PoolState) {
        self.words[1].store(state as u64, Release);
        self.bump();
    }

    /// What a slot says, or `None` beyond the last.
    pub fn slot(&self, slot: usize) -> Option<SlotWord> {
        self.slot_word(slot).map(|word| SlotWord::unpack(word.load(Acquire)))
    }

    /// Supervisor: puts a worker into a slot, or takes it out (`Empty`). Claims start at none.
    pub fn place(&self, slot: usize, serial: u32, state: SlotState, capacity: u32, pid: u32) {
        let (Some(word), Some(cap), Some(process)) =
            (self.slot_word(slot), self.slot_field(slot, 1), self.slot_field(slot, 2))
        else {
            return;
        };
        word.store(SlotWord { serial, state: SlotState::Empty, claimed: 0 }.pack(), Release);
        cap.store(capacity.into(), Release);
        process.store(pid.into(), Release);
        word.store(SlotWord { serial, state, claimed: 0 }.pack(), Release);
        self.bump();
    }

    /// Changes a worker's state and keeps its claims. False when the slot holds another worker.
    pub fn set_state(&self, slot: usize, serial: u32, state: SlotState) -> bool {
        let changed = self.update(slot, |old| (old.serial == serial).then_some(SlotWord { state, ..old }));
        self.bump();
        changed.is_some()
    }

    /// How many request threads a slot's worker has.
    pub fn capacity(&self, slot: usize) -> u32 {
        self.slot_field(slot, 1).map_or(0, |field| field.load(Acquire).min(u64::from(u32::MAX)) as u32)
    }

    /// The process in a slot, for display only.
    pub fn pid(&self, slot: usize) -> u32 {
        self.slot_field(slot, 2).map_or(0, |field| field.load(Acquire) as u32)
    }

    /// Requests begun by a slot's present worker, for display only.
    pub fn requests(&self, slot: usize) -> u64 {
        self.slot_field(slot, 3).map_or(0, |field| field.load(Relaxed))
    }

    /// Worker: sets the count of requests begun.
    pub fn set_requests(&self, slot: usize, count: u64) {
        if let Some(field) = self.slot_field(slot, 3) {
            field.store(count, Relaxed);
        }
    }

    fn update(&self, slot: usize, change: impl Fn(SlotWord) -> Option<SlotWord>) -> Option<SlotWord> {
        self.slot_word(slot)?
            .fetch_update(AcqRel, Acquire, |word| change(SlotWord::unpack(word)).map(SlotWord::pack))
            .ok()
            .map(SlotWord::unpack)
    }

    /// Shim: takes a thread of the ready worker with the lowest share of threads taken.
    pub fn claim(&self) -> Search {
        loop {
            let Some((slot, seen, free)) = self.least_loaded() else {
                return Search::NoneReady;
            };
            if !free {
                return Search::Crowded;
            }
            let taken = SlotWord { claimed: seen.claimed + 1, ..seen };
            let Some(word) = self.slot_word(slot) else { return Search::NoneReady };
            if word.compare_exchange(seen.pack(), taken.pack(), AcqRel, Acquire).is_ok() {
                return Search::Claimed(Claim { slot, serial: seen.serial });
            }
        }
    }

    /// The ready slot with the lowest claimed/capacity, and whether it has a thread free.
    fn least_loaded(&self) -> Option<(usize, SlotWord, bool)> {
        let mut best: Option<(usize, SlotWord, u64)> = None;
        for slot in 0..self.slots() {
            let Some(word) = self.slot(slot) else { break };
            if word.state != SlotState::Ready {
                continue;
            }
            let capacity = u64::from(self.capacity(slot).max(1));
            let better = best.is_none_or(|(_, other, other_capacity)| {
                u64::from(word.claimed) * other_capacity < u64::from(other.claimed) * capacity
            });
            if better {
                best = Some((slot, word, capacity));
            }
        }
        best.map(|(slot, word, capacity)| (slot, word, u64::from(word.claimed) < capacity))
    }

    /// Gives a claim back: the worker when the request has ended, the shim when it could not deliver.
    /// Nothing happens when the slot has passed to another worker. Wake one waiter afterwards if
    /// [`Board::has_waiters`].
    pub fn release(&self, claim: Claim) {
        self.update(claim.slot, |old| {
            (old.serial == claim.serial && old.claimed > 0)
                .then(|| SlotWord { claimed: old.claimed - 1, ..old })
        });
        self.bump();
    }

    fn bump(&self) {
        // Totally ordered with the count of sleepers: one of the two sides sees the other.
        self.words[2].fetch_add(1, SeqCst);
    }

    /// The word to sleep on, whose lower half is the futex, and what it says now.
    pub fn freed(&self) -> (&'a AtomicU64, u32) {
        (&self.words[2], self.words[2].load(SeqCst) as u32)
    }

    /// Does anyone sleep?
    pub fn has_waiters(&self) -> bool {
        self.words[3].load(SeqCst) != 0
    }

    /// Shim: announces that it will sleep, until the guard is dropped.
    pub fn wait_guard(&self) -> WaitGuard<'a> {
        self.words[3].fetch_add(1, SeqCst);
        WaitGuard { waiting: &self.words[3] }
    }
}

/// Counts one sleeper while it lives.
#[derive(Debug)]
pub struct WaitGuard<'a> {
    waiting: &'a AtomicU64,
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        let _ = self.waiting.fetch_update(AcqRel, Acquire, |n| n.checked_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(slots: usize) -> Vec<AtomicU64> {
        (0..Board::size(slots) / 8).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn claims_go_to_the_least_loaded_and_end_when_all_is_taken() {
        let memory = memory(3);
        let board = Board::create(&memory);
        assert_eq!(board.claim(), Search::NoneReady);
        board.place(0, 7, SlotState::Ready, 1, 100);
        board.place(1, 8, SlotState::Ready, 2, 101);
        board.place(2, 9, SlotState::Starting, 9, 102);
        let mut slots = Vec::new();
        while let Search::Claimed(claim) = board.claim() {
            slots.push((claim.slot, claim.serial));
        }
        slots.sort();
        assert_eq!(slots, [(0, 7), (1, 8), (1, 8)]);
        assert_eq!(board.claim(), Search::Crowded);
        board.release(Claim { slot: 1, serial: 8 });
        assert_eq!(board.claim(), Search::Claimed(Claim { slot: 1, serial: 8 }));
    }

    #[test]
    fn a_claim_of_a_worker_that_is_gone_frees_nothing() {
        let memory = memory(1);
        let board = Board::create(&memory);
        board.place(0, 1, SlotState::Ready, 1, 1);
        assert!(matches!(board.claim(), Search::Claimed(_)));
        board.place(0, 2, SlotState::Ready, 1, 2);
        assert!(matches!(board.claim(), Search::Claimed(_)));
        board.release(Claim { slot: 0, serial: 1 });
        assert_eq!(board.claim(), Search::Crowded);
        assert!(!board.set_state(0, 1, SlotState::Draining));
    }

    #[test]
    fn a_draining_worker_keeps_its_claims_and_gets_no_more() {
        let memory = memory(1);
        let board = Board::create(&memory);
        board.place(0, 1, SlotState::Ready, 5, 1);
        board.claim();
        assert!(board.set_state(0, 1, SlotState::Draining));
        assert_eq!(board.claim(), Search::NoneReady);
        assert_eq!(board.slot(0).unwrap().claimed, 1);
    }

    #[test]
    fn garbage_is_no_panic() {
        for fill in [0, 1, u64::MAX, 0x5555_5555_5555_5555] {
            let memory: Vec<_> = memory(2).into_iter().map(|_| AtomicU64::new(fill)).collect();
            assert!(Board::open(&memory).is_err());
            memory[0].store(MAGIC, Relaxed);
            let board = Board::open(&memory).unwrap();
            board.claim();
            board.release(Claim { slot: usize::MAX, serial: 1 });
            board.release(Claim { slot: 0, serial: u32::MAX });
            board.pool_state();
            drop(board.wait_guard());
        }
        assert_eq!(Board::open(&[]).unwrap_err(), NotABoard);
    }

    #[test]
    fn many_threads_never_take_more_than_there_is() {
        let memory = memory(2);
        let board = Board::create(&memory);
        board.place(0, 1, SlotState::Ready, 3, 1);
        board.place(1, 1, SlotState::Ready, 3, 1);
        let most = AtomicU64::new(0);
        let now = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        if let Search::Claimed(claim) = board.claim() {
                            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                            now.fetch_sub(1, SeqCst);
                            board.release(claim);
                        }
                    }
                });
            }
        });
        assert!(most.load(SeqCst) <= 6);
        assert_eq!(board.slot(0).unwrap().claimed + board.slot(1).unwrap().claimed, 0);
    }
}
