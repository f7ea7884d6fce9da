//! Finding a thread of a worker for a request, and handing the head over.
//!
//! The waits have different ends: for a daemon that is being restarted, and for a first worker,
//! `connect-timeout`; for a busy pool's next free thread, `queue-timeout`, or else `socket-timeout`. In every wait the daemon is
//! asked again from time to time, so that a board nobody tends any more is noticed.

use crate::channel::Channel;
use crate::fault::Fault;
use crate::pool::Pool;
use crate::runtime::{PoolName, Runtime};
use crate::sys;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use wsgid_proto::board::{Claim, PoolState, Search};
use wsgid_proto::options::ProcessGroup;

/// Between two questions to the daemon.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Between two attempts to reach a daemon or worker that refuses.
const PAUSE: Duration = Duration::from_millis(20);

/// What is to be delivered, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// The pool.
    pub name: &'a PoolName,
    /// Its group's options.
    pub group: &'a ProcessGroup,
    /// The script, for a worker that starts on account of this request.
    pub script: &'a [u8],
    /// The whole frame.
    pub head: &'a [u8],
    /// For each wait on the worker's socket.
    pub socket_timeout: Duration,
}

/// A head on its way.
#[derive(Debug)]
pub struct Delivered {
    /// Where the answer comes from.
    pub channel: Channel,
    /// The thread that is taken.
    pub claim: Claim,
    /// Whose.
    pub pool: Arc<Pool>,
}

/// Delivers the head, waiting as long as the group's options allow.
pub fn deliver(runtime: &Runtime, errand: &Errand<'_>) -> Result<Delivered, Fault> {
    Quest { runtime, errand, queued: None, troubled: None }.run()
}

/// A request that looks for a thread.
struct Quest<'a> {
    runtime: &'a Runtime,
    errand: &'a Errand<'a>,
    /// Since when it has been queueing for a busy pool.
    queued: Option<Instant>,
    /// Since when there has been nobody to queue for. Time in the queue does not count: a request that
    /// queued for long may still wait for the next worker when the last one dies.
    troubled: Option<Instant>,
}

impl Quest<'_> {
    fn run(&mut self) -> Result<Delivered, Fault> {
        let mut pool = match self.runtime.pool(self.errand.name) {
            Some(pool) => pool,
            None => self.open()?,
        };
        loop {
            let board = pool.board();
            let (word, seen) = board.freed();
            pool = match board.claim() {
                Search::Claimed(claim) => {
                    match pool.deliver(claim, self.errand.head, self.errand.socket_timeout) {
                        Ok(channel) => return Ok(Delivered { channel, claim, pool }),
                        Err(_) => {
                            pool.release(claim);
                            self.try_another(&pool)?
                        }
                    }
                }
                Search::Crowded => {
                    self.troubled = None;
                    let left = self.queue_time_left()?;
                    self.grow(&pool);
                    self.wait(&pool, (word, seen), left)
                }
                Search::NoneReady => match board.pool_state() {
                    PoolState::Failing => return Err(Fault::Failing(self.errand.group.name.clone())),
                    PoolState::Closed => self.try_another(&pool)?,
                    PoolState::Open => {
                        let left = self.connect_time_left()?;
                        self.wait(&pool, (word, seen), left)
                    }
                },
            };
        }
    }

    /// The worker's socket is gone, or the pool is closed: the worker ends, or the whole daemon did.
    fn try_another(&mut self, old: &Pool) -> Result<Arc<Pool>, Fault> {
        self.connect_time_left()?;
        let pool = self.open()?;
        if pool.id == old.id {
            std::thread::sleep(PAUSE);
        }
        Ok(pool)
    }

    /// Sleeps until something on the board changed, and after a long sleep asks the daemon whether this
    /// is still the board.
    fn wait(&self, pool: &Arc<Pool>, (word, seen): (&AtomicU64, u32), left: Duration) -> Arc<Pool> {
        let guard = pool.board().wait_guard();
        let before = Instant::now();
        sys::futex_wait(word, seen, left.min(ASK_AGAIN));
        drop(guard);
        if before.elapsed() < ASK_AGAIN {
            return pool.clone();
        }
        // A daemon that is away for a moment is no reason to leave the queue.
        self.runtime.open(self.errand.name, self.errand.script, false).unwrap_or_else(|_| pool.clone())
    }

    /// Opens the pool. A daemon that was there before is waited for: it is being restarted.
    fn open(&mut self) -> Result<Arc<Pool>, Fault> {
        loop {
            let fault = match self.runtime.open(self.errand.name, self.errand.script, false) {
                Ok(pool) => return Ok(pool),
                Err(fault) => fault,
            };
            let passing = match fault {
                Fault::DaemonAbsent { .. } => self.runtime.has_met_daemon(),
                Fault::NotConfigured(_) => true,
                _ => false,
            };
            if !passing || self.connect_time_left().is_err() {
                return Err(fault);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Asks for one more worker where the group has room. That it fails is no matter: the queue goes on.
    fn grow(&self, pool: &Pool) {
        if pool.workers() < self.errand.group.processes as usize && pool.may_grow(Instant::now()) {
            let _ = self.runtime.open(self.errand.name, self.errand.script, true);
        }
    }

    fn connect_time_left(&mut self) -> Result<Duration, Fault> {
        let seconds = self.errand.group.connect_timeout;
        let since = *self.troubled.get_or_insert_with(Instant::now);
        left(seconds, since).ok_or_else(|| Fault::NoWorker { group: self.errand.group.name.clone(), seconds })
    }

    fn queue_time_left(&mut self) -> Result<Duration, Fault> {
        let since = *self.queued.get_or_insert_with(Instant::now);
        // As in mod_wsgi, where a request without a thread is one whose answer does not come.
        let seconds = match self.errand.group.queue_timeout {
            0 => self.errand.socket_timeout.as_secs() as u32,
            seconds => seconds,
        };
        left(seconds, since)
            .ok_or_else(|| Fault::QueueTimeout { group: self.errand.group.name.clone(), seconds })
    }
}

fn left(seconds: u32, since: Instant) -> Option<Duration> {
    Duration::from_secs(seconds.into()).checked_sub(since.elapsed()).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests;
