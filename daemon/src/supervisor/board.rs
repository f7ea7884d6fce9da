//! A pool's board: the shared memory, and the waking of those who sleep on it.

use super::roster::{Roster, Stage};
use crate::sys::memory::SharedWords;
use crate::sys::process;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use wsgid_proto::board::{Board, PoolState, SlotState};

/// More than there are threads in any httpd.
const CROWD: u64 = 1_000_000;

/// The supervisor's view of one pool's board.
#[derive(Debug)]
pub struct PoolBoard {
    memory: SharedWords,
    handed_on: Arc<OwnedFd>,
}

impl PoolBoard {
    /// A new board with room for a pool of so many processes.
    pub fn create(processes: u32) -> io::Result<Self> {
        let memory = SharedWords::create(c"wsgid-board", Board::size(Roster::slots(processes) as usize))?;
        let handed_on = Arc::new(memory.file().try_clone_to_owned()?);
        Board::create(memory.words());
        Ok(Self { memory, handed_on })
    }

    /// A board that workers have kept through the end of an earlier daemon.
    pub fn adopt(file: OwnedFd, slots: u32) -> io::Result<Self> {
        let memory = SharedWords::adopt(file, Board::size(slots as usize))?;
        let handed_on = Arc::new(memory.file().try_clone_to_owned()?);
        Ok(Self { memory, handed_on })
    }

    /// Is this the same board?
    pub fn is(&self, file: BorrowedFd<'_>) -> bool {
        self.memory.is(file)
    }

    /// The descriptor for workers.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }

    /// The descriptor for Apache children, which may be on its way to one when the pool is gone.
    pub fn shared_file(&self) -> Arc<OwnedFd> {
        self.handed_on.clone()
    }

    /// Reads and writes without waking anybody.
    pub fn view(&self) -> Board<'_> {
        // The magic word lies in memory that the web user may write; what was made a board here stays
        // one here, whatever it says now.
        Board::open(self.memory.words()).unwrap_or_else(|_| Board::create(self.memory.words()))
    }

    /// Requests begun by the present workers, unless one is under way.
    pub fn requests_if_idle(&self) -> Option<u64> {
        let board = self.view();
        let mut slots = (0..board.slots()).filter_map(|n| Some((n, board.slot(n)?)));
        slots.try_fold(0_u64, |sum, (n, slot)| {
            (slot.claimed == 0).then(|| sum.saturating_add(board.requests(n)))
        })
    }

    /// Are requests under way in this slot, as far as it says?
    pub fn is_busy(&self, slot: u32) -> bool {
        self.view().slot(slot as usize).is_some_and(|slot| slot.active > 0)
    }

    /// Requests that this slot's worker was sent, or is about to be, and has not begun, as far as it says.
    pub fn unread(&self, slot: u32) -> u32 {
        self.view().slot(slot as usize).map_or(0, |slot| slot.claimed.saturating_sub(slot.active))
    }

    /// A worker is on its way.
    pub fn place(&self, slot: u32, serial: u32, threads: u32, pid: u32) {
        self.view().place(slot as usize, serial, SlotState::Starting, threads, pid);
    }

    /// A worker's state has changed.
    pub fn mark(&self, slot: u32, serial: u32, state: SlotState) {
        self.view().set_state(slot as usize, serial, state);
        self.wake();
    }

    /// A slot's worker is gone. Its claims go with it.
    pub fn clear(&self, slot: u32) {
        self.view().place(slot as usize, 0, SlotState::Empty, 0, 0);
        self.wake();
    }

    /// How the pool is.
    pub fn say(&self, state: PoolState) {
        self.view().set_pool_state(state);
        self.wake();
    }

    /// Does it say what none of those who have it would have written? `members`: who is on it, by serial and slot,
    /// each with so many threads; `failing`: nobody stays up there.
    pub fn is_damaged(
        &self,
        mut members: impl Iterator<Item = (u32, u32, Stage)>,
        failing: bool,
        threads: u32,
    ) -> bool {
        let Ok(board) = Board::open(self.memory.words()) else { return true };
        let (waiting, hungry) = board.queued();
        let is_right = |(serial, slot, stage): (u32, u32, Stage)| {
            let Some(place) = board.slot(slot as usize) else { return false };
            // A claim that was given back too early may be counted once too often.
            place.serial == serial
                && fits(place.state, stage)
                && place.claimed <= 2 * threads
                && board.capacity(slot as usize) == threads
        };
        let state = if failing { PoolState::Failing } else { PoolState::Open };
        board.pool_state() != state || waiting > CROWD || hungry > CROWD || !members.all(is_right)
    }

    fn wake(&self) {
        process::wake_all(self.view().freed().0);
    }
}

/// A worker may have said that it drains before the roster has it so.
fn fits(state: SlotState, stage: Stage) -> bool {
    match stage {
        Stage::Starting { .. } => matches!(state, SlotState::Starting | SlotState::Draining),
        Stage::Ready { .. } => matches!(state, SlotState::Ready | SlotState::Draining),
        Stage::Draining { .. } => state == SlotState::Draining,
        // It may have been killed before it was ready.
        Stage::Doomed => matches!(state, SlotState::Starting | SlotState::Draining),
    }
}
