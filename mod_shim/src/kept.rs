//! The connections that a child keeps to a pool's workers: a stack for each slot of the board.
//!
//! The connection that was used last is used next, so that a stack is as high as there were requests at
//! a time, and what lies at its bottom is what is not needed any more. Whoever keeps a connection clears
//! away what has lain too long, in its own slot and in one other; where nobody does, a timer sweeps all.

use crate::channel::Channel;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wsgid_proto::board::{Board, Claim, SlotState};

/// Connections kept open to all workers of a pool; a child with more threads than this reconnects.
const MOST: usize = 256;

/// Longer than the lulls of a busy site, and short against the life of a child.
const IDLE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Kept {
    stacks: Box<[Mutex<Stack>]>,
    number: AtomicUsize,
    /// Whose turn it is to be looked at.
    turn: AtomicUsize,
}

/// Connections to one worker, the one that was used last at the back.
#[derive(Debug, Default)]
struct Stack {
    serial: u32,
    resting: VecDeque<(Instant, Channel)>,
}

impl Kept {
    /// For a board of so many slots.
    pub fn new(slots: usize) -> Self {
        let stacks = (0..slots).map(|_| Mutex::default()).collect();
        Self { stacks, number: AtomicUsize::new(0), turn: AtomicUsize::new(0) }
    }

    /// A connection to this very worker.
    pub fn take(&self, claim: Claim) -> Option<Channel> {
        let mut stack = self.stack(claim.slot)?;
        if stack.serial != claim.serial {
            return None;
        }
        let (_, channel) = stack.resting.pop_back()?;
        self.number.fetch_sub(1, Relaxed);
        Some(channel)
    }

    /// Keeps a connection to a worker that takes requests, if there is room.
    pub fn keep(&self, board: &Board<'_>, claim: Claim, channel: Channel, now: Instant) {
        // Closed when this returns, without the lock.
        let mut dropped = Vec::new();
        self.clear_next(board, now, &mut dropped);
        let ready = serial_of_ready(board, claim.slot) == Some(claim.serial);
        if !ready || !channel.is_clean() || self.number.load(Relaxed) >= MOST {
            return;
        }
        let Some(mut stack) = self.stack(claim.slot) else { return };
        self.clear(&mut stack, Some(claim.serial), now, &mut dropped);
        stack.serial = claim.serial;
        stack.resting.push_back((now, channel));
        self.number.fetch_add(1, Relaxed);
    }

    /// Clears all slots. Is anything left?
    pub fn sweep(&self, board: &Board<'_>, now: Instant) -> bool {
        // Closed when this returns, without a lock.
        let mut dropped = Vec::new();
        (0..self.stacks.len()).for_each(|slot| self.clear_slot(board, slot, now, &mut dropped));
        self.number.load(Relaxed) > 0
    }

    /// Looks at one more slot: that of a worker that has ended may see no requests any more.
    fn clear_next(&self, board: &Board<'_>, now: Instant, dropped: &mut Vec<Channel>) {
        let slot = self.turn.fetch_add(1, Relaxed) % self.stacks.len().max(1);
        self.clear_slot(board, slot, now, dropped);
    }

    fn clear_slot(&self, board: &Board<'_>, slot: usize, now: Instant, dropped: &mut Vec<Channel>) {
        if let Some(mut stack) = self.stack(slot) {
            self.clear(&mut stack, serial_of_ready(board, slot), now, dropped);
        }
    }

    /// Takes out what leads to another worker than this, or has lain for too long.
    fn clear(&self, stack: &mut Stack, serial: Option<u32>, now: Instant, dropped: &mut Vec<Channel>) {
        let stale = serial != Some(stack.serial);
        let idle = |since: Instant| now.saturating_duration_since(since) >= IDLE;
        while stack.resting.front().is_some_and(|(since, _)| stale || idle(*since)) {
            dropped.extend(stack.resting.pop_front().map(|(_, channel)| channel));
            self.number.fetch_sub(1, Relaxed);
        }
    }

    fn stack(&self, slot: usize) -> Option<MutexGuard<'_, Stack>> {
        Some(self.stacks.get(slot)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serial_of_ready(board: &Board<'_>, slot: usize) -> Option<u32> {
    board.slot(slot).filter(|slot| slot.state == SlotState::Ready).map(|slot| slot.serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::AtomicU64;

    const FIRST: Claim = Claim { slot: 0, serial: 1 };
    const SECOND: Claim = Claim { slot: 1, serial: 2 };

    /// A board of two ready workers.
    fn memory() -> Vec<AtomicU64> {
        let words: Vec<_> = (0..Board::size(2) / 8).map(|_| AtomicU64::new(0)).collect();
        let board = Board::create(&words);
        board.place(FIRST.slot, FIRST.serial, SlotState::Ready, 9, 1);
        board.place(SECOND.slot, SECOND.serial, SlotState::Ready, 9, 1);
        words
    }

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Channel::over(ours, Duration::from_secs(5)).unwrap(), theirs)
    }

    fn is_open(mut peer: &UnixStream) -> bool {
        peer.read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    }

    #[test]
    fn the_connection_used_last_is_used_next() {
        let (words, kept, now) = (memory(), Kept::new(2), Instant::now());
        let board = Board::open(&words).unwrap();
        let (older, newer) = (pair(), pair());
        kept.keep(&board, FIRST, older.0, now);
        kept.keep(&board, FIRST, newer.0, now);
        assert!(kept.take(SECOND).is_none());
        kept.take(FIRST).unwrap().send(b"x").unwrap();
        assert!((&newer.1).read(&mut [0]).is_ok());
        assert!(kept.take(FIRST).is_some() && kept.take(FIRST).is_none());
    }

    #[test]
    fn what_has_lain_for_long_is_closed_by_who_comes_next() {
        let (words, kept, now) = (memory(), Kept::new(2), Instant::now());
        let board = Board::open(&words).unwrap();
        let (idle, fresh, next) = (pair(), pair(), pair());
        kept.keep(&board, FIRST, idle.0, now);
        kept.keep(&board, FIRST, fresh.0, now + IDLE / 2);
        kept.keep(&board, FIRST, next.0, now + IDLE);
        assert_eq!([&idle.1, &fresh.1, &next.1].map(is_open), [false, true, true]);
    }

    #[test]
    fn connections_to_a_worker_that_has_gone_are_closed_by_traffic_to_others() {
        let (words, kept, now) = (memory(), Kept::new(2), Instant::now());
        let board = Board::open(&words).unwrap();
        let (gone, other) = (pair(), pair());
        kept.keep(&board, FIRST, gone.0, now);
        board.set_state(FIRST.slot, FIRST.serial, SlotState::Draining);
        for _ in 0..2 {
            let channel = kept.take(SECOND).unwrap_or_else(|| pair().0);
            kept.keep(&board, SECOND, channel, now);
        }
        assert!(!is_open(&gone.1));
        kept.keep(&board, FIRST, other.0, now);
        assert!(!is_open(&other.1), "kept for a worker that takes nothing");
    }

    #[test]
    fn a_sweep_closes_what_leads_nowhere_or_has_lain_for_long() {
        let (words, kept, now) = (memory(), Kept::new(2), Instant::now());
        let board = Board::open(&words).unwrap();
        let (gone, idle, fresh) = (pair(), pair(), pair());
        kept.keep(&board, FIRST, gone.0, now);
        kept.keep(&board, SECOND, idle.0, now);
        kept.keep(&board, SECOND, fresh.0, now + IDLE / 2);
        board.set_state(FIRST.slot, FIRST.serial, SlotState::Draining);
        assert!(kept.sweep(&board, now));
        assert_eq!([&gone.1, &idle.1, &fresh.1].map(is_open), [false, true, true]);
        assert!(kept.sweep(&board, now + IDLE));
        assert_eq!([&idle.1, &fresh.1].map(is_open), [false, true]);
        assert!(!kept.sweep(&board, now + IDLE * 2) && !is_open(&fresh.1));
    }

    #[test]
    fn a_slots_next_worker_does_not_inherit() {
        let (words, kept, now) = (memory(), Kept::new(2), Instant::now());
        let board = Board::open(&words).unwrap();
        let (old, new) = (pair(), pair());
        let next = Claim { slot: 0, serial: 3 };
        kept.keep(&board, FIRST, old.0, now);
        board.place(next.slot, next.serial, SlotState::Ready, 9, 1);
        assert!(kept.take(next).is_none());
        kept.keep(&board, next, new.0, now);
        assert!(!is_open(&old.1) && kept.take(FIRST).is_none() && kept.take(next).is_some());
    }

    #[test]
    fn only_so_many_are_kept() {
        let (words, kept, now) = (memory(), Kept::new(2), Instant::now());
        let board = Board::open(&words).unwrap();
        let peers: Vec<UnixStream> = (0..MOST + 5)
            .map(|n| {
                let (channel, peer) = pair();
                kept.keep(&board, if n % 2 == 0 { FIRST } else { SECOND }, channel, now);
                peer
            })
            .collect();
        assert_eq!(peers.iter().filter(|peer| is_open(peer)).count(), MOST);
    }
}
