//! The board: shared memory in which a pool's workers are chosen.
//!
//! The supervisor makes it, workers and Apache children map it. It is nothing but 64-bit words that
//! are read and written atomically, so any content is a value and never undefined behaviour. Apache's
//! user may write every word: supervisor and workers treat what they read as hints, nobody indexes by
//! it, and no loop is as long as it says.
//!
//! ```text
//! word 0   magic and layout version            slots, from word 16, of 16 words each:
//!      1   pool state                            + 0   serial | state | claimed | active
//!      2   hungry: a hint                        + 1   capacity (threads)
//!      3   rows of the ledger ever used          + 2   process id
//!      4   offered: see `queue`                  + 3   requests begun
//!      5…7 spare                                 + 4…  spare
//!      8   waiting | freed; futex
//!      9…  spare                               the ledger, behind the slots: see `ledger`
//! ```
//!
//! Serial, state and claims of a slot share one word, so that one compare-and-swap claims a thread of
//! just that worker in just that state. `freed` counts whatever is worth another look, and shares its
//! word with the count of those who wait for that: one of the two sides sees the other. It has a line
//! of the cache to itself, since every request writes it.
//!
//! A claim's life:
//!
//! ```text
//! Apache child: intent in the ledger ─► claimed ─► head sent ─► intent cleared
//! worker:                                                begun (active) ─► finished (neither)
//! ```
//!
//! * `slot`: what a slot says, and how claims are counted
//! * `ledger`: what each Apache child has in hand, so that the others can give it back
//! * `queue`: who waits, who waits in vain, and who is to be woken
//! * `word`: the atomic word, which a test may bring its own of

mod ledger;
mod queue;
mod slot;
mod word;

pub use ledger::{Entry, Row, RowView};
pub use queue::{ANYBODY, PATIENT, Queued, STARVED};
pub use slot::{Claim, SlotState, SlotWord};
pub use word::Word;

use slot::Survey;
use std::sync::atomic::AtomicU64;

/// Marks a mapping as a board of this layout.
const MAGIC: u64 = u64::from_le_bytes(*b"wsgid\0b3");
const HEADER_WORDS: usize = 16;
const SLOT_WORDS: usize = 16;
/// Row word and entries. An entry is in use between claim and hand-over only: for a moment, unless a worker's backlog
/// is full, and then for each thread of the child that waits there.
const ROW_WORDS: usize = 128;
/// One for each Apache child; untouched ones cost no memory. An httpd with more children than this
/// works as well, but for the deaths among those who found no row.
const ROWS: usize = 1024;

const STATE: usize = 1;
const HUNGRY: usize = 2;
const ROWS_USED: usize = 3;
const OFFERED: usize = 4;
const FREED: usize = 8;

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

/// What looking for a worker came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Yours, and noted there.
    Claimed(Claim, Option<Entry>),
    /// There are ready workers, and every thread is taken or spoken for.
    Crowded,
    /// No worker is ready.
    NoneReady,
}

/// Who looks for a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has just come. It may overtake those who are being woken, which keeps threads busy, but
    /// leaves a thread for each that is hungry.
    Newcomer,
    /// It is one of the hungry, and nobody has woken it: it leaves a thread for each of the others, unless one is
    /// offered.
    Hungry,
    /// It was woken for a thread, and takes what there is.
    Waiter,
}

/// A view of a board; the mapping outlives it.
#[derive(Debug)]
pub struct Board<'a, W = AtomicU64> {
    words: &'a [W],
    rows: usize,
}

impl<W> Clone for Board<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Board<'_, W> {}

/// The mapping is no board.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the shared memory is not a board of this version")]
pub struct NotABoard;

impl<'a> Board<'a> {
    /// Bytes of a board with so many slots.
    pub fn size(slots: usize) -> usize {
        Self::words_for(slots, ROWS) * size_of::<u64>()
    }

    /// Makes zeroed memory a board.
    pub fn create(words: &'a [AtomicU64]) -> Self {
        Self::create_with(words, ROWS)
    }

    /// Looks at memory that somebody else made a board.
    pub fn open(words: &'a [AtomicU64]) -> Result<Self, NotABoard> {
        if words.len() < Self::words_for(1, ROWS) || Word::load(&words[0]) != MAGIC {
            return Err(NotABoard);
        }
        Ok(Self { words, rows: ROWS })
    }

    /// A board without a slot, for whoever finds that the memory is none any more.
    pub fn none() -> Board<'static> {
        static WORDS: [AtomicU64; HEADER_WORDS] = [const { AtomicU64::new(0) }; HEADER_WORDS];
        Board { words: &WORDS, rows: 0 }
    }
}

impl<'a, W> Board<'a, W> {
    /// Words of a board with so many slots and rows.
    pub fn words_for(slots: usize, rows: usize) -> usize {
        HEADER_WORDS + slots * SLOT_WORDS + rows * ROW_WORDS
    }

    /// Looks at what [`Board::create_with`] has made, in the same process.
    pub fn view(words: &'a [W], rows: usize) -> Self {
        Self { words, rows }
    }

    /// How many slots fit into the mapping: never read from the board itself.
    pub fn slots(&self) -> usize {
        self.words.len().saturating_sub(Self::words_for(0, self.rows)) / SLOT_WORDS
    }

    fn slot_field(&self, slot: usize, field: usize) -> Option<&'a W> {
        (slot < self.slots()).then(|| &self.words[HEADER_WORDS + slot * SLOT_WORDS + field])
    }

    fn row_field(&self, row: usize, field: usize) -> Option<&'a W> {
        (row < self.rows).then(|| &self.words[Self::words_for(self.slots(), row) + field])
    }
}

impl<'a, W: Word> Board<'a, W> {
    /// Makes zeroed memory a board with so many rows in its ledger: for models, whose every word counts.
    pub fn create_with(words: &'a [W], rows: usize) -> Self {
        let board = Self::view(words, rows);
        words[STATE].store(PoolState::Open as u64);
        words[0].store(MAGIC);
        board
    }

    /// The pool's state; an unknown one counts as closed.
    pub fn pool_state(&self) -> PoolState {
        match self.words[STATE].load() {
            1 => PoolState::Open,
            3 => PoolState::Failing,
            _ => PoolState::Closed,
        }
    }

    /// Supervisor: says how the pool is. Wake the waiting afterwards.
    pub fn set_pool_state(&self, state: PoolState) {
        self.words[STATE].store(state as u64);
        self.bump();
    }

    /// What a slot says, or `None` beyond the last.
    pub fn slot(&self, slot: usize) -> Option<SlotWord> {
        self.slot_field(slot, 0).map(|word| SlotWord::unpack(word.load()))
    }

    /// Supervisor: puts a worker into a slot, or takes it out (`Empty`). Claims start at none.
    pub fn place(&self, slot: usize, serial: u32, state: SlotState, capacity: u32, pid: u32) {
        let (Some(word), Some(cap), Some(process)) =
            (self.slot_field(slot, 0), self.slot_field(slot, 1), self.slot_field(slot, 2))
        else {
            return;
        };
        let placed = SlotWord { serial, state, claimed: 0, active: 0 };
        word.store(SlotWord { state: SlotState::Empty, ..placed }.pack());
        cap.store(capacity.into());
        process.store(pid.into());
        word.store(placed.pack());
        self.announce(slot, state);
    }

    /// Changes a worker's state and keeps its claims. False when the slot holds another worker.
    pub fn set_state(&self, slot: usize, serial: u32, state: SlotState) -> bool {
        let changed = self.update_slot(Claim { slot, serial }, |old| Some(SlotWord { state, ..old }));
        self.announce(slot, state);
        changed
    }

    /// A worker's state is worth another look. All are to be woken for that.
    fn announce(&self, slot: usize, state: SlotState) {
        if state == SlotState::Ready {
            self.offer(self.capacity(slot).into());
        }
        self.bump();
    }

    /// How many request threads a slot's worker has.
    pub fn capacity(&self, slot: usize) -> u32 {
        let capacity = self.slot_field(slot, 1).map_or(0, Word::load);
        capacity.min(SlotWord::MOST.into()) as u32
    }

    /// The process in a slot, for display only.
    pub fn pid(&self, slot: usize) -> u32 {
        self.slot_field(slot, 2).map_or(0, |field| field.load() as u32)
    }

    /// Requests begun by a slot's present worker, for display only.
    pub fn requests(&self, slot: usize) -> u64 {
        self.slot_field(slot, 3).map_or(0, Word::load)
    }

    /// Worker: sets the count of requests begun.
    pub fn set_requests(&self, slot: usize, count: u64) {
        if let Some(field) = self.slot_field(slot, 3) {
            field.store(count);
        }
    }

    /// Changes the word of a worker's slot. False when that is not to be, or the slot is another's.
    fn update_slot(&self, claim: Claim, change: impl Fn(SlotWord) -> Option<SlotWord>) -> bool {
        let change = |word| {
            let old = Some(SlotWord::unpack(word)).filter(|old| old.serial == claim.serial)?;
            change(old).map(SlotWord::pack)
        };
        self.slot_field(claim.slot, 0).is_some_and(|word| word.update(change).is_some())
    }

    /// Shim: takes a thread of the ready worker with the lowest share of threads taken. What is taken
    /// stands in the child's row before it is, so that it is never taken in secret.
    pub fn claim(&self, row: Option<Row>, mut standing: Standing) -> Search {
        let mut entry = None;
        for attempt in 0..word::TRIES {
            let survey = self.survey();
            let Some((claim, seen)) = self.choice(&survey, &mut standing) else {
                self.clear(entry);
                return if survey.best.is_some() { Search::Crowded } else { Search::NoneReady };
            };
            match entry {
                Some(entry) => self.rewrite(entry, claim),
                None if attempt == 0 => entry = self.write_down(row, claim),
                None => {}
            }
            let taken = SlotWord { claimed: seen.claimed + 1, ..seen };
            let word = self.slot_field(claim.slot, 0);
            if word.is_some_and(|word| word.exchange(seen.pack(), taken.pack()).is_ok()) {
                return Search::Claimed(claim, entry);
            }
        }
        self.clear(entry);
        Search::Crowded
    }

    /// The thread to try for, if there is one for somebody of this standing. Who accepts an offer is as good as woken.
    fn choice(&self, survey: &Survey, standing: &mut Standing) -> Option<(Claim, SlotWord)> {
        let best = survey.best.filter(|best| best.word.claimed < best.capacity)?;
        let spoken_for = match standing {
            Standing::Newcomer => self.hungry(),
            Standing::Hungry => self.hungry().saturating_sub(1),
            Standing::Waiter => 0,
        };
        if survey.free <= spoken_for {
            if *standing != Standing::Hungry || !self.accept() {
                return None;
            }
            *standing = Standing::Waiter;
        }
        Some((Claim { slot: best.slot, serial: best.word.serial }, best.word))
    }

    /// Are so many threads claimed, of all workers together, or fewer? Looks no further than it has to.
    pub fn has_claims_up_to(&self, most: u32) -> bool {
        let claimed = |slot| self.slot(slot).map_or(0, |word| word.claimed);
        (0..self.slots()).map(claimed).try_fold(most, u32::checked_sub).is_some()
    }

    /// Is a thread of a ready worker free?
    pub fn has_room(&self) -> bool {
        self.survey().free > 0
    }

    /// Every ready worker, at a glance.
    fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        for slot in 0..self.slots() {
            let Some(word) = self.slot(slot) else { break };
            if word.state == SlotState::Ready {
                survey.see(slot, word, self.capacity(slot).max(1));
            }
        }
        survey
    }

    /// Shim: gives back a claim that reached no worker, and what the ledger says of it. Nothing happens
    /// when the slot has passed to another worker. True: wake somebody.
    pub fn release(&self, claim: Claim, entry: Option<Entry>) -> bool {
        self.give_back(claim);
        // Last: a child that dies in between has its claim given back once too often, which mends
        // itself, rather than not at all.
        self.clear(entry);
        self.bump()
    }

    /// A request that is under way keeps its claim, whoever says that it is nobody's.
    fn give_back(&self, claim: Claim) -> bool {
        self.update_slot(claim, |old| {
            (old.claimed > old.active).then(|| SlotWord { claimed: old.claimed - 1, ..old })
        })
    }

    /// Worker: a request has arrived on a claim, which is the worker's from now on.
    pub fn begin(&self, claim: Claim) {
        // A claim that was given back too early, on account of a child that died in just that moment,
        // is counted again.
        self.update_slot(claim, |old| {
            let active = (old.active + 1).min(SlotWord::MOST);
            Some(SlotWord { active, claimed: old.claimed.max(active), ..old })
        });
    }

    /// Worker: the request has ended, and its thread is free. True: wake somebody.
    pub fn finish(&self, claim: Claim) -> bool {
        self.update_slot(claim, |old| {
            let active = old.active.saturating_sub(1);
            Some(SlotWord { active, claimed: old.claimed.saturating_sub(1).max(active), ..old })
        });
        self.bump()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
