//! How long to wait before a worker that does not stay up is started again: not at all the first
//! time, then 1, 2, 4 … seconds, up to [`LONGEST`].

use std::time::{Duration, Instant};

/// No wait is longer.
pub const LONGEST: Duration = Duration::from_secs(30);

/// A worker that served for so long was a success; what ended it is a new story.
pub const STEADY: Duration = Duration::from_secs(1);

/// Failures that lie further apart have nothing to do with each other.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// What is known of a pool's failed starts.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Backoff {
    /// A start came to nothing. Several that fail together, within one wait, count as one.
    pub fn failed(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        if self.last.is_some_and(|last| now.duration_since(last) > FORGOTTEN) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        self.until = Some(now + delay_after(self.failures));
    }

    /// All is forgiven.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// How many times in a row, several at once counted as one.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// May a worker be started now?
    pub fn permits(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When one may be started again.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }
}

fn delay_after(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs(1 << (n - 2).min(6)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_nothing_to_the_longest() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                backoff.failed(now);
                let until = backoff.until().unwrap();
                let wait = until.duration_since(now).as_secs();
                now = until;
                wait
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
        backoff.reset();
        assert!(backoff.permits(now));
        assert_eq!(backoff.failures(), 0);
    }

    #[test]
    fn failures_within_one_wait_are_one() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            backoff.failed(now);
        }
        assert_eq!(backoff.failures(), 2);
        assert!(!backoff.permits(now));
        assert!(backoff.permits(now + Duration::from_secs(1)));
    }

    #[test]
    fn an_old_failure_does_not_weigh_on_a_new_one() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.failed(now);
        backoff.failed(now);
        backoff.failed(now + Duration::from_secs(500));
        assert_eq!(backoff.failures(), 1);
    }
}
