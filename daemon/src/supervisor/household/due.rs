//! What a configuration changes is done pool by pool, between everything else: starting the workers of hundreds
//! of groups takes seconds, in which httpd waits for its answer and requests for their pools. A request that
//! needs a pool has its change done at once.

use super::Household;
use crate::supervisor::difference::Change;
use crate::supervisor::pool::PoolKey;
use std::collections::VecDeque;
use std::time::Instant;

impl Household {
    /// Is something left to do?
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Does the next.
    pub fn proceed(&mut self, now: Instant) {
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
