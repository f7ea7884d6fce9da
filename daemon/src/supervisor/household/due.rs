//! What a configuration changes is done pool by pool, between everything else: starting the workers of hundreds
//! of groups takes seconds, in which httpd waits for its answer and requests for their pools. A request that
//! needs a pool has its change done at once; all others wait until there are fewer workers on their way than the
//! machine has processors, or for a moment. Hundreds at a time would only be in each other's way, and in httpd's.

use super::Household;
use crate::supervisor::difference::Change;
use crate::supervisor::pool::PoolKey;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Whoever takes long to start does not keep all others from it for longer than this.
const PACE: Duration = Duration::from_millis(200);

impl Household {
    /// Is something left to do?
    pub fn has_due(&self) -> bool {
        !self.due.is_empty() || !self.again.is_empty()
    }

    /// When the next may be done at the latest, if it may not now.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        (self.has_due() && !self.is_expecting() && !self.may_proceed(now)).then(|| self.proceeded + PACE)
    }

    /// May the next be done now?
    pub fn may_proceed(&self, now: Instant) -> bool {
        let starting = || self.pools.values().map(|pool| pool.roster().starting()).sum::<u32>();
        self.has_due()
            && !self.is_expecting()
            && (now >= self.proceeded + PACE || starting() < self.terms.processors)
    }

    /// Does the next.
    pub fn proceed(&mut self, now: Instant) {
        self.proceeded = now;
        if let Some((_, configure)) = self.again.pop_first() {
            self.configure(configure);
            return;
        }
        if let Some(change) = self.due.pop_front() {
            self.apply(change, now);
        }
    }

    /// Does what is due for one pool.
    pub(super) fn hasten(&mut self, key: &PoolKey, now: Instant) {
        if !self.has_due() {
            return;
        }
        let (of_pool, others): (VecDeque<Change>, _) =
            std::mem::take(&mut self.due).into_iter().partition(|change| change.key() == key);
        self.due = others;
        of_pool.into_iter().for_each(|change| self.apply(change, now));
    }

    /// Does it all, where what comes next builds on it.
    pub(super) fn finish(&mut self, now: Instant) {
        while self.has_due() {
            self.proceed(now);
        }
    }
}
