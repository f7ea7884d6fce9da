//! The buffers in which bodies travel to a worker, shared by a child's threads.
//!
//! Were each request to allocate its own, every thread of a child would come to hold one for good: malloc has an
//! arena for each, and keeps there what has been given back. The one that was used last is used next, so that there
//! are as many as there were uploads at a time, up to a bound.

use std::sync::{Mutex, MutexGuard, PoisonError};
use wsgid_proto::{bounds, frame};

/// The most that rest in a child; uploads beyond that allocate theirs and free it.
const MOST: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Buffers {
    resting: Mutex<Vec<Vec<u8>>>,
}

/// One of them, until it is dropped: room for a frame's header and for the largest part behind it. Its bytes
/// are whatever the last user has left.
#[derive(Debug)]
pub struct Buffer<'a> {
    bytes: Vec<u8>,
    home: &'a Buffers,
}

impl Buffers {
    /// One that nobody uses.
    pub fn take(&self) -> Buffer<'_> {
        let resting = self.resting().pop();
        let bytes = resting.unwrap_or_else(|| vec![0; frame::HEADER + bounds::CHUNK]);
        Buffer { bytes, home: self }
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer<'_> {
    /// All of it.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let mut resting = self.home.resting();
        if resting.len() < MOST {
            resting.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_used_last_is_used_next_and_no_more_rest_than_may() {
        let buffers = Buffers::default();
        let (mut one, mut other) = (buffers.take(), buffers.take());
        (one.bytes()[0], other.bytes()[0]) = (1, 2);
        drop((one, other));
        assert_eq!(buffers.take().bytes()[0], 2);
        let many: Vec<_> = (0..2 * MOST).map(|_| buffers.take()).collect();
        drop(many);
        assert_eq!(buffers.resting().len(), MOST);
    }
}
