//! What wears a worker out: the requests that it has served, and the time in which it served none. It asks the
//! supervisor to be replaced, and goes on until that tells it to end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts requests and time. A limit of 0 is none.
#[derive(Debug)]
pub(crate) struct Wear {
    most: u64,
    served: AtomicU64,
    idle_after: Duration,
    born: Instant,
    /// When something happened last, in milliseconds since `born`.
    stirred: AtomicU64,
    /// The stir after which idleness has been told of.
    told: AtomicU64,
}

impl Wear {
    /// Since `now`.
    pub(crate) fn new(most: u64, idle_after: Duration, now: Instant) -> Self {
        let [served, stirred] = [const { AtomicU64::new(0) }; 2];
        Self { most, served, idle_after, born: now, stirred, told: AtomicU64::new(u64::MAX) }
    }

    /// Counts a request. True at the limit, and at twice the limit: where no successor has come until then,
    /// this is to be an end all the same.
    pub(crate) fn count(&self) -> bool {
        if self.most == 0 {
            return false;
        }
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        served == self.most || served == self.most.saturating_mul(2)
    }

    /// Something has happened that is activity.
    pub(crate) fn stir(&self) {
        if !self.idle_after.is_zero() {
            self.stirred.store(self.since_born(Instant::now()), Ordering::Relaxed);
        }
    }

    /// How long to wait until it may be worth telling that nothing happens. `None`: for ever, or that has been
    /// told already.
    pub(crate) fn patience(&self, now: Instant) -> Option<Duration> {
        let stirred = self.stirred.load(Ordering::Relaxed);
        if self.idle_after.is_zero() || self.told.load(Ordering::Relaxed) == stirred {
            // After a stir the look comes late by one turn, which is what it costs to sleep undisturbed.
            return (!self.idle_after.is_zero()).then_some(self.idle_after);
        }
        let end = self.born + Duration::from_millis(stirred) + self.idle_after;
        Some(end.saturating_duration_since(now))
    }

    /// Has nothing happened for so long that it is to be told, which it is once?
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let stirred = self.stirred.load(Ordering::Relaxed);
        let idle = self.since_born(now).saturating_sub(stirred);
        let long = !self.idle_after.is_zero() && Duration::from_millis(idle) >= self.idle_after;
        long && self.told.swap(stirred, Ordering::Relaxed) != stirred
    }

    fn since_born(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_told_and_then_told_again() {
        let wear = Wear::new(3, Duration::ZERO, Instant::now());
        let told: Vec<u64> = (1..=12).filter(|_| wear.count()).collect();
        assert_eq!(told, [3, 6]);
        assert!(!Wear::new(0, Duration::ZERO, Instant::now()).count());
    }

    #[test]
    fn idleness_is_told_once_for_each_pause() {
        let born = Instant::now();
        let wear = Wear::new(0, Duration::from_secs(10), born);
        let after = |seconds| born + Duration::from_secs(seconds);
        assert_eq!(wear.patience(after(4)), Some(Duration::from_secs(6)));
        assert!(!wear.is_idle(after(9)));
        assert!(wear.is_idle(after(10)));
        assert!(!wear.is_idle(after(25)), "told before");
        wear.stirred.store(30_000, Ordering::Relaxed);
        assert_eq!(wear.patience(after(31)), Some(Duration::from_secs(9)));
        assert!(wear.is_idle(after(40)));
    }
}
