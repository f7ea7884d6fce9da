//! The atomic word that a board is made of.

use std::sync::atomic::{AtomicU64, Ordering::*};

/// Attempts at one change. Others who change the same word make them necessary, and no honest ones
/// make so many; those who are not honest must not hold anybody up.
pub(super) const TRIES: usize = 10_000;

/// One word. What is written before a store or a change is seen by whoever has seen that.
pub trait Word {
    /// Reads.
    fn load(&self) -> u64;
    /// Writes.
    fn store(&self, value: u64);
    /// Writes `new` if the word says `seen`; otherwise `Err` with what it says.
    fn exchange(&self, seen: u64, new: u64) -> Result<u64, u64>;

    /// Writes what `change` makes of the word and answers what it said; `None` if `change` does not want to.
    fn update(&self, change: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let mut seen = self.load();
        for _ in 0..TRIES {
            match self.exchange(seen, change(seen)?) {
                Ok(old) => return Some(old),
                Err(other) => seen = other,
            }
        }
        None
    }
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Acquire)
    }

    fn store(&self, value: u64) {
        self.store(value, Release);
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(seen, new, AcqRel, Acquire)
    }
}
