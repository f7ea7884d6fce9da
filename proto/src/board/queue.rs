//! The queue: who waits for a thread, and who is to be woken for one that is free.
//!
//! There is no list of those who wait, only their number: the kernel keeps them in order, at the
//! futex. One who waits announces itself, looks at the board, and sleeps unless `freed` has changed
//! since. One who frees a thread counts `freed` up, and learns in the same step whether anybody waits.
//!
//! A newcomer that finds a thread takes it, even while somebody is being woken for it. Whoever has waited
//! for too long is *hungry*: newcomers then leave a thread for each that is, and the hungry are woken
//! before all others. So a queue that lasts is served first come, first served.
//!
//! A hungry one that was not woken leaves a free thread to the others, too. Should all of them be awake when it is
//! freed, so that nobody is woken for it, each would leave it to the others and fall asleep: then it is *offered*, and
//! the next of them that looks accepts. An offer that nobody needed lets one of them take a thread out of turn, once.

use super::ledger::{Row, RowWord};
use super::{Board, FREED, HUNGRY, OFFERED, Standing, Word};

/// One that waits, until it [leaves](Board::leave).
#[derive(Debug)]
#[must_use]
pub struct Queued {
    row: Option<Row>,
    hungry: bool,
}

/// The set of those at the futex who have just come to wait (`FUTEX_WAIT_BITSET`).
pub const PATIENT: u32 = 1;
/// The set of the hungry.
pub const STARVED: u32 = 2;
/// All sleepers, whatever their set.
pub const ANYBODY: u32 = u32::MAX;

impl Queued {
    /// Among whom it sleeps.
    pub fn set(&self) -> u32 {
        if self.hungry { STARVED } else { PATIENT }
    }

    /// How it looks for a thread that it was not woken for.
    pub fn standing(&self) -> Standing {
        if self.hungry { Standing::Hungry } else { Standing::Newcomer }
    }
}

const ONE_WAITS: u64 = 1 << 32;

/// The count of those who wait, in the upper half of its word.
fn waiting(word: u64) -> u64 {
    word >> 32
}

impl<'a, W: Word> Board<'a, W> {
    /// Something is worth another look. True: somebody waits for that.
    pub(super) fn bump(&self) -> bool {
        let next = |word: u64| Some((word & !u64::from(u32::MAX)) | u64::from((word as u32).wrapping_add(1)));
        self.words[FREED].update(next).is_none_or(|word| waiting(word) > 0)
    }

    /// The word to sleep on, whose lower half is the futex, and what that half says now.
    pub fn freed(&self) -> (&'a W, u32) {
        let word = &self.words[FREED];
        (word, word.load() as u32)
    }

    /// Wakes the next one in the line for a thread that is free. `wake` is FUTEX_WAKE of one of a set, and says whether
    /// it was asleep there.
    pub fn wake_one(&self, wake: impl Fn(&W, u32) -> bool) {
        if self.wake_asleep(&wake) {
            return;
        }
        self.offer(1);
        self.bump();
        // Who had looked before that may be asleep by now.
        if self.wake_asleep(&wake) {
            self.accept();
        }
    }

    /// The same, for one who takes the thread where nobody is asleep: then false.
    pub fn wake_asleep(&self, wake: impl Fn(&W, u32) -> bool) -> bool {
        // The next set where nobody sleeps in the first.
        let order: &[u32] = if self.hungry() > 0 { &[STARVED, ANYBODY] } else { &[ANYBODY] };
        order.iter().any(|&set| wake(&self.words[FREED], set))
    }

    /// So many threads may be taken by whoever looks, as long as there are so many who wait. To be said before `freed`
    /// changes.
    pub(super) fn offer(&self, threads: u64) {
        let most = waiting(self.words[FREED].load());
        self.words[OFFERED].update(|old| (old < most).then(|| old.saturating_add(threads).min(most)));
    }

    /// Takes up an offer, if there is one.
    pub(super) fn accept(&self) -> bool {
        self.words[OFFERED].update(|old| old.checked_sub(1)).is_some()
    }

    /// How many wait, and how many of them are hungry, as far as that is to be believed.
    pub fn queued(&self) -> (u64, u64) {
        (waiting(self.words[FREED].load()), self.hungry())
    }

    /// Does anyone wait?
    pub fn has_waiters(&self) -> bool {
        waiting(self.words[FREED].load()) > 0
    }

    /// Shim: announces that it waits, unless so many do already.
    pub fn enqueue(&self, row: Option<Row>, most: u32) -> Option<Queued> {
        let room = |word: u64| (waiting(word) < u64::from(most)).then(|| word.wrapping_add(ONE_WAITS));
        if self.words[FREED].update(room).is_none() {
            // A child that died in the wrong moment may have left the count too high; its row is right.
            if self.add_up(|row| row.waiting) >= u64::from(most) {
                return None;
            }
            self.words[FREED].update(|word| Some(word.wrapping_add(ONE_WAITS)));
        }
        let count = |row: RowWord| Some(RowWord { waiting: row.waiting.checked_add(1)?, ..row });
        Some(Queued { row: row.filter(|row| self.update_row(*row, count)), hungry: false })
    }

    /// Shim: has waited for too long.
    pub fn hunger(&self, queued: &mut Queued) {
        // Without a row nobody could see that it is over when this child dies.
        let Some(row) = queued.row.filter(|_| !queued.hungry) else { return };
        self.words[HUNGRY].update(|count| count.checked_add(1));
        queued.hungry =
            self.update_row(row, |row| Some(RowWord { hungry: row.hungry.checked_add(1)?, ..row }));
        if !queued.hungry {
            self.uncount(0, 1);
        }
    }

    /// Shim: waits no longer.
    pub fn leave(&self, queued: Queued) {
        let hungry = u16::from(queued.hungry);
        if let Some(row) = queued.row {
            self.update_row(row, |row| {
                let (waiting, hungry) = (row.waiting.saturating_sub(1), row.hungry.saturating_sub(hungry));
                Some(RowWord { waiting, hungry, ..row })
            });
        }
        self.uncount(1, hungry.into());
    }

    /// Takes so many out of the header's counts.
    pub(super) fn uncount(&self, waiters: u64, hungry: u64) {
        let fewer = |word: u64| Some(word - waiters.min(waiting(word)) * ONE_WAITS);
        if waiters > 0 {
            self.words[FREED].update(fewer);
        }
        if hungry > 0 {
            self.words[HUNGRY].update(|count| Some(count.saturating_sub(hungry)));
        }
    }
}
