//! The ledger: what each Apache child has in hand, for the others to give back when it dies.
//!
//! ```text
//! a row, of 16 words:  + 0   pid | waiting | hungry
//!                      + 1…  entries: serial | slot of a claim that was not handed over yet, or 0
//! ```
//!
//! A child writes its intent down, claims, sends the head and clears the entry. What a dead child had
//! written down is given back by whoever finds it dead. It may have died before it had claimed, or
//! after it had sent: no order of two words can tell. So a claim is only given back while there are
//! more of them than requests under way; one that was given back too early is counted again by the
//! worker when it begins the request, and until then one more request may wait behind it.
//!
//! A row is its child's as long as a process of that number lives. Should another process have been
//! given the number since, the row is healed when that ends, or when it joins this very board.

use super::slot::Claim;
use super::{Board, HUNGRY, ROW_WORDS, ROWS_USED, Word};

/// A child's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row(usize);

/// An entry of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    row: usize,
    field: usize,
}

/// What a row says, for display only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowView {
    /// The child.
    pub pid: u32,
    /// Its requests that wait for a thread.
    pub waiting: u32,
    /// Of those, the hungry ones.
    pub hungry: u32,
    /// Claims that it has not handed over yet.
    pub claims: u32,
}

/// A row's first word, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowWord {
    pub(super) pid: u32,
    pub(super) waiting: u16,
    pub(super) hungry: u16,
}

impl RowWord {
    /// The same row, another child's.
    pub(super) fn of(self, pid: u32) -> Self {
        Self { pid, ..self }
    }

    fn pack(self) -> u64 {
        (u64::from(self.pid) << 32) | (u64::from(self.waiting) << 16) | u64::from(self.hungry)
    }

    fn unpack(word: u64) -> Self {
        Self { pid: (word >> 32) as u32, waiting: (word >> 16) as u16, hungry: word as u16 }
    }
}

impl<W: Word> Board<'_, W> {
    /// Shim: takes a row for this process. To be called once in a process, when it has healed what the
    /// dead have left: its own number may be that of one of them. `None`: every row is taken, and what
    /// this process has in hand when it dies stays lost.
    pub fn join(&self, pid: u32) -> Option<Row> {
        let fresh = RowWord { pid, waiting: 0, hungry: 0 }.pack();
        let free = |row: &usize| self.row_field(*row, 0).is_some_and(|word| word.exchange(0, fresh).is_ok());
        let row = (0..self.rows).find(free)?;
        let used = row as u64 + 1;
        self.words[ROWS_USED].update(|most| (most < used).then_some(used));
        Some(Row(row))
    }

    /// Gives back what dead children had in hand, for `healer`, a living process. Answers how many
    /// threads that freed: wake as many.
    pub fn heal(&self, healer: u32, is_alive: impl Fn(u32) -> bool) -> u32 {
        let mut freed = 0;
        for row in 0..self.rows_used() {
            let Some(word) = self.row_field(row, 0) else { break };
            let seen = word.load();
            let found = RowWord::unpack(seen);
            if found.pid == 0 || is_alive(found.pid) {
                continue;
            }
            // Made one's own first: nobody else gives the same back, and should the healer die over it,
            // the next one goes on.
            let taken_over = found.of(healer);
            if word.exchange(seen, taken_over.pack()).is_ok() {
                freed += self.settle(row, taken_over);
            }
        }
        if freed > 0 {
            self.bump();
        }
        freed
    }

    /// Gives back what stands in a row, and frees it.
    fn settle(&self, row: usize, left: RowWord) -> u32 {
        let mut freed = 0;
        for word in (1..ROW_WORDS).filter_map(|field| self.row_field(row, field)) {
            let entry = word.load();
            if entry == 0 {
                continue;
            }
            freed += u32::from(self.give_back(read(entry)));
            word.store(0);
        }
        if let Some(word) = self.row_field(row, 0) {
            word.store(0);
        }
        self.uncount(left.waiting.into(), left.hungry.into());
        freed
    }

    /// Rows that have ever been used, and never more than there are.
    fn rows_used(&self) -> usize {
        usize::try_from(self.words[ROWS_USED].load()).unwrap_or(usize::MAX).min(self.rows)
    }

    /// What the rows say, for display only.
    pub fn ledger(&self) -> Vec<RowView> {
        let view = |row| {
            let RowWord { pid, waiting, hungry } = RowWord::unpack(self.row_field(row, 0)?.load());
            let entries = (1..ROW_WORDS).filter_map(|field| self.row_field(row, field));
            let claims = entries.filter(|entry| entry.load() != 0).count() as u32;
            (pid != 0).then_some(RowView { pid, waiting: waiting.into(), hungry: hungry.into(), claims })
        };
        (0..self.rows_used()).filter_map(view).collect()
    }

    /// Adds up what all rows say, the last resort where a count in the header may be stale.
    pub(super) fn add_up(&self, count: impl Fn(RowWord) -> u16) -> u64 {
        let words = (0..self.rows_used()).filter_map(|row| self.row_field(row, 0));
        words.map(|word| u64::from(count(RowWord::unpack(word.load())))).sum()
    }

    /// Changes the counts of a row. False when that is not to be.
    pub(super) fn update_row(&self, row: Row, change: impl Fn(RowWord) -> Option<RowWord>) -> bool {
        let change = |word| change(RowWord::unpack(word)).map(RowWord::pack);
        self.row_field(row.0, 0).is_some_and(|word| word.update(change).is_some())
    }

    /// Hungry requests. Adding up the rows is the truth, and the word in the header, which is counted up
    /// first and down last, says whether that is worth the while.
    pub(super) fn hungry(&self) -> u64 {
        if self.words[HUNGRY].load() == 0 { 0 } else { self.add_up(|row| row.hungry) }
    }

    /// Notes a claim that is about to be made. `None`: no entry is free, or there is no row, and the
    /// claim is made without.
    pub(super) fn write_down(&self, row: Option<Row>, claim: Claim) -> Option<Entry> {
        let row = row?.0;
        let free = |field: &usize| {
            let word = self.row_field(row, *field);
            word.is_some_and(|word| word.load() == 0 && word.exchange(0, written(claim)).is_ok())
        };
        (1..ROW_WORDS).find(free).map(|field| Entry { row, field })
    }

    /// Notes another claim in the place of the last.
    pub(super) fn rewrite(&self, entry: Entry, claim: Claim) {
        if let Some(word) = self.row_field(entry.row, entry.field) {
            word.store(written(claim));
        }
    }

    /// Shim: the claim is no longer in hand: the head that was sent on it is the worker's to answer for.
    pub fn clear(&self, entry: Option<Entry>) {
        if let Some(word) = entry.and_then(|entry| self.row_field(entry.row, entry.field)) {
            word.store(0);
        }
    }
}

/// Never 0: no worker has the serial 0.
fn written(claim: Claim) -> u64 {
    (u64::from(claim.serial) << 32) | (claim.slot as u64 & u64::from(u32::MAX))
}

fn read(entry: u64) -> Claim {
    Claim { slot: entry as u32 as usize, serial: (entry >> 32) as u32 }
}
