//! One pool as an Apache child sees it: the board, and the connections it keeps to the workers.

use crate::broker::Opened;
use crate::channel::{Channel, ReceiveError};
use crate::sys::{self, Mapping};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use wsgid_proto::board::{Board, Claim, SlotState};
use wsgid_proto::broker::worker_socket;

/// Connections kept open to all workers of a pool; a child with more threads than this reconnects.
const KEPT: usize = 256;

/// A worker that was asked for needs a moment before it takes load off the others.
const BETWEEN_GROWTHS: Duration = Duration::from_millis(100);

/// A pool that the daemon has opened for us.
#[derive(Debug)]
pub struct Pool {
    /// Its number: another number is another pool.
    pub id: u64,
    socket_dir: PathBuf,
    mapping: Mapping,
    kept: Mutex<Vec<Kept>>,
    grown: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Kept {
    claim: Claim,
    channel: Channel,
}

/// A head that reached nobody.
#[derive(Debug, thiserror::Error)]
#[error("the worker could not be reached: {0}")]
pub struct NotDelivered(ReceiveError);

impl Pool {
    /// From the daemon's answer.
    pub fn new(opened: Opened) -> Self {
        Self {
            id: opened.pool.pool,
            socket_dir: opened.pool.socket_dir.into(),
            mapping: opened.mapping,
            kept: Mutex::default(),
            grown: Mutex::default(),
        }
    }

    /// Is it time to ask the daemon for one more worker? Every request of a crowded pool wants to.
    pub fn may_grow(&self, now: Instant) -> bool {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        let due = grown.is_none_or(|last| now.duration_since(last) >= BETWEEN_GROWTHS);
        if due {
            *grown = Some(now);
        }
        due
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

    /// Gives back a claim that reached no worker.
    pub fn release(&self, claim: Claim) {
        let board = self.board();
        board.release(claim);
        if board.has_waiters() {
            sys::futex_wake(board.freed().0);
        }
    }

    /// Sends a head to the claimed worker: over kept connections first, the stale ones among which
    /// fail at once, then over a new one.
    pub fn deliver(&self, claim: Claim, head: &[u8], timeout: Duration) -> Result<Channel, NotDelivered> {
        while let Some(channel) = self.take_kept(claim) {
            if channel.send(head).is_ok() {
                return Ok(channel);
            }
        }
        let path = self.socket_dir.join(worker_socket(self.id, claim.serial));
        let channel = Channel::connect(&path, timeout).map_err(|e| NotDelivered(e.into()))?;
        channel.send(head).map_err(NotDelivered)?;
        Ok(channel)
    }

    fn take_kept(&self, claim: Claim) -> Option<Channel> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().rposition(|kept| kept.claim == claim)?;
        Some(kept.swap_remove(at).channel)
    }

    /// Keeps a connection whose request has ended for the next one to the same worker. Connections
    /// to workers that are gone are dropped on the way.
    pub fn keep(&self, claim: Claim, channel: Channel) {
        let board = self.board();
        let lives = |claim: Claim| {
            board.slot(claim.slot).is_some_and(|s| s.serial == claim.serial && s.state == SlotState::Ready)
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| lives(kept.claim));
        if kept.len() < KEPT && channel.is_clean() && lives(claim) {
            kept.push(Kept { claim, channel });
        }
    }
}
