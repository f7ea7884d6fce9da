//! The pulse: memory that one worker shares with the supervisor alone, by which that sees from outside how
//! long each request has taken, and when Python's lock was last to be had. It needs no word of the worker's,
//! which could not say any where its interpreter is stuck.
//!
//! ```text
//! word 0            when the interpreter's lock was last taken
//! words 1+2n, 2+2n  of request thread n, counted from 0: when its request began, 0 without one; Python's
//!                   number of the thread
//! ```
//!
//! Times are microseconds of the system's monotonic clock. A worker that writes nonsense harms itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A view of the memory.
#[derive(Debug, Clone, Copy)]
pub struct Pulse<'a> {
    words: &'a [AtomicU64],
}

/// A request that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// Its thread, counted from 1 as in `mod_wsgi.thread_id`.
    pub thread: u32,
    /// When it began: with the thread this is its name.
    pub begun: u64,
    /// The thread's number in Python, as in a dump of stacks.
    pub ident: u64,
}

impl Busy {
    /// How long it has taken at that time.
    pub fn age(&self, now: u64) -> Duration {
        Duration::from_micros(now.saturating_sub(self.begun))
    }
}

impl<'a> Pulse<'a> {
    /// Bytes for a worker of so many threads.
    pub fn size(threads: u32) -> usize {
        (1 + 2 * threads as usize) * size_of::<u64>()
    }

    /// Over shared words, however many.
    pub fn over(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// The interpreter's lock has been taken.
    pub fn beat(&self, now: u64) {
        self.set(0, now);
    }

    /// When it was, last; 0 as long as it has not been.
    pub fn last_beat(&self) -> u64 {
        self.words.first().map_or(0, |word| word.load(Relaxed))
    }

    /// A request thread, counted from 1, is this one of Python's.
    pub fn introduce(&self, thread: u32, ident: u64) {
        self.set(thread as usize * 2, ident);
    }

    /// It has got a request.
    pub fn begin(&self, thread: u32, now: u64) {
        self.set(thread as usize * 2 - 1, now);
    }

    /// It has none any more.
    pub fn end(&self, thread: u32) {
        self.begin(thread, 0);
    }

    /// Every request that is under way.
    pub fn busy(&self) -> impl Iterator<Item = Busy> + 'a {
        let threads = self.words.get(1..).unwrap_or_default().chunks_exact(2);
        (1..).zip(threads).filter_map(|(thread, words)| {
            let begun = words[0].load(Relaxed);
            (begun != 0).then(|| Busy { thread, begun, ident: words[1].load(Relaxed) })
        })
    }

    fn set(&self, at: usize, value: u64) {
        if let Some(word) = self.words.get(at) {
            word.store(value, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_seen_with_their_threads() {
        let words: Vec<AtomicU64> = (0..Pulse::size(3) / 8).map(|_| AtomicU64::new(0)).collect();
        let pulse = Pulse::over(&words);
        pulse.introduce(2, 77);
        pulse.begin(2, 1_000);
        pulse.begin(3, 2_000);
        pulse.begin(4, 5); // no such thread, no harm
        pulse.end(3);
        pulse.beat(9);
        let busy: Vec<Busy> = pulse.busy().collect();
        assert_eq!(busy, [Busy { thread: 2, begun: 1_000, ident: 77 }]);
        assert_eq!(busy[0].age(4_000), Duration::from_millis(3));
        assert_eq!((busy[0].age(0), pulse.last_beat()), (Duration::ZERO, 9));
        assert_eq!(Pulse::over(&[]).busy().count(), 0);
    }
}
