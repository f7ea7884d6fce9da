//! The pools that a child has open, by their names.

use crate::broker::Opened;
use crate::pool::Pool;
use crate::runtime::PoolName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use wsgid_proto::board::PoolState;

/// See the module.
#[derive(Debug, Default)]
pub struct Pools(Mutex<HashMap<PoolName, Arc<Pool>>>);

impl Pools {
    /// The pool of this name.
    pub fn get(&self, name: &PoolName) -> Option<Arc<Pool>> {
        self.locked().get(name).cloned()
    }

    /// Puts what the daemon has opened in the place of what was there, unless it is the same pool.
    pub fn put(&self, name: &PoolName, opened: Opened) -> Arc<Pool> {
        let mut pools = self.locked();
        if let Some(known) = pools.get(name).filter(|known| known.id == opened.pool.pool) {
            known.told_trouble(opened.pool.trouble);
            return known.clone();
        }
        let pool = Arc::new(Pool::new(opened));
        let closed = take_closed(&mut pools);
        let before = pools.insert(name.clone(), pool.clone());
        drop(pools);
        drop((closed, before));
        pool
    }

    /// Closes connections to workers that nobody uses any more. Are any left?
    pub fn sweep(&self, now: Instant) -> bool {
        let mut pools = self.locked();
        let closed = take_closed(&mut pools);
        let open: Vec<_> = pools.values().cloned().collect();
        drop(pools);
        drop(closed);
        open.iter().fold(false, |left, pool| pool.sweep(now) | left)
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<PoolName, Arc<Pool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Groups whose names come from requests may never be asked for again; nor may what is kept of them stay. It goes
/// when the result is dropped, which takes its time: without the lock.
fn take_closed(pools: &mut HashMap<PoolName, Arc<Pool>>) -> Vec<Arc<Pool>> {
    let is_closed = |pool: &Pool| pool.board().pool_state() == PoolState::Closed;
    let names: Vec<_> =
        pools.iter().filter(|(_, pool)| is_closed(pool)).map(|(name, _)| name.clone()).collect();
    names.iter().filter_map(|name| pools.remove(name)).collect()
}
