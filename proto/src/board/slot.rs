//! A worker's slot: its word, and the choice among several.

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

/// One slot's word, taken apart: 32 bits of serial, 2 of state, 15 for each count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotWord {
    /// Which worker; never 0 for a worker.
    pub serial: u32,
    /// Its state.
    pub state: SlotState,
    /// Threads taken, by shims or by requests under way.
    pub claimed: u32,
    /// Of those, requests under way: the worker's own count, and never more than are claimed.
    pub active: u32,
}

const COUNT_BITS: u32 = 15;

impl SlotWord {
    /// The largest count; [`crate::bounds::THREADS`] is far below.
    pub(super) const MOST: u32 = (1 << COUNT_BITS) - 1;

    pub(super) fn pack(self) -> u64 {
        let count = |number: u32| u64::from(number.min(Self::MOST));
        (u64::from(self.serial) << 32)
            | ((self.state as u64) << (2 * COUNT_BITS))
            | (count(self.claimed) << COUNT_BITS)
            | count(self.active)
    }

    pub(super) fn unpack(word: u64) -> Self {
        let state = match (word >> (2 * COUNT_BITS)) & 3 {
            1 => SlotState::Starting,
            2 => SlotState::Ready,
            3 => SlotState::Draining,
            _ => SlotState::Empty,
        };
        let count = |word: u64| word as u32 & Self::MOST;
        Self { serial: (word >> 32) as u32, state, claimed: count(word >> COUNT_BITS), active: count(word) }
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

/// A ready worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) slot: usize,
    pub(super) word: SlotWord,
    pub(super) capacity: u32,
}

/// What there is to choose from.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The worker with the lowest share of threads taken, and the first among equals.
    pub(super) best: Option<Candidate>,
    /// Free threads of all workers.
    pub(super) free: u64,
}

impl Survey {
    /// Takes one more ready worker into account; `capacity` is at least 1.
    pub(super) fn see(&mut self, slot: usize, word: SlotWord, capacity: u32) {
        self.free += u64::from(capacity.saturating_sub(word.claimed));
        let better = self.best.is_none_or(|other| {
            u64::from(word.claimed) * u64::from(other.capacity)
                < u64::from(other.word.claimed) * u64::from(capacity)
        });
        if better {
            self.best = Some(Candidate { slot, word, capacity });
        }
    }
}
