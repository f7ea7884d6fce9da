//! Finding a thread of a worker for a request, and handing the head over.
//!
//! The waits have different ends: for a daemon that is being restarted, and for a first worker,
//! `connect-timeout`; for a busy pool's next free thread, `queue-timeout`. In every wait the daemon is
//! asked again from time to time, so that a board nobody tends any more is noticed.

use crate::channel::Channel;
use crate::fault::Fault;
use crate::pool::Pool;
use crate::runtime::{PoolName, Runtime};
use crate::sys;
use std::sync::Arc;
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
    let begun = Instant::now();
    let mut pool = match runtime.pool(errand.name) {
        Some(pool) => pool,
        None => open(runtime, errand, begun)?,
    };
    loop {
        let board = pool.board();
        let (word, seen) = board.freed();
        match board.claim() {
            Search::Claimed(claim) => match pool.deliver(claim, errand.head, errand.socket_timeout) {
                Ok(channel) => return Ok(Delivered { channel, claim, pool }),
                Err(_) => {
                    pool.release(claim);
                    connect_time_left(errand, begun)?;
                    // Its socket is gone: the worker ends, or the whole daemon did.
                    std::thread::sleep(PAUSE);
                    pool = open(runtime, errand, begun)?;
                }
            },
            Search::NoneReady if board.pool_state() == PoolState::Failing => {
                return Err(Fault::Failing(errand.group.name.clone()));
            }
            Search::NoneReady if board.pool_state() == PoolState::Closed => {
                connect_time_left(errand, begun)?;
                let old = pool.id;
                pool = open(runtime, errand, begun)?;
                if pool.id == old {
                    std::thread::sleep(PAUSE);
                }
            }
            Search::NoneReady => {
                let left = connect_time_left(errand, begun)?;
                pool = wait(runtime, errand, &pool, (word, seen), left, begun)?;
            }
            Search::Crowded => {
                let left = queue_time_left(errand, begun)?;
                grow(runtime, errand, &pool);
                pool = wait(runtime, errand, &pool, (word, seen), left, begun)?;
            }
        }
    }
}

/// Sleeps until something on the board changed, and for a long sleep asks the daemon whether this is
/// still the board.
fn wait(
    runtime: &Runtime,
    errand: &Errand<'_>,
    pool: &Arc<Pool>,
    (word, seen): (&std::sync::atomic::AtomicU64, u32),
    left: Duration,
    begun: Instant,
) -> Result<Arc<Pool>, Fault> {
    let guard = pool.board().wait_guard();
    let before = Instant::now();
    sys::futex_wait(word, seen, left.min(ASK_AGAIN));
    drop(guard);
    if before.elapsed() < ASK_AGAIN { Ok(pool.clone()) } else { open(runtime, errand, begun) }
}

/// Opens the pool. A daemon that was there before is waited for: it is being restarted.
fn open(runtime: &Runtime, errand: &Errand<'_>, begun: Instant) -> Result<Arc<Pool>, Fault> {
    loop {
        let fault = match runtime.open(errand.name, errand.script, false) {
            Ok(pool) => return Ok(pool),
            Err(fault) => fault,
        };
        let passing = match fault {
            Fault::DaemonAbsent { .. } => runtime.has_met_daemon(),
            Fault::NotConfigured(_) => true,
            _ => false,
        };
        if !passing || connect_time_left(errand, begun).is_err() {
            return Err(fault);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Asks for one more worker where the group has room. That it fails is no matter: the queue goes on.
fn grow(runtime: &Runtime, errand: &Errand<'_>, pool: &Pool) {
    if pool.workers() < errand.group.processes as usize && pool.may_grow(Instant::now()) {
        let _ = runtime.open(errand.name, errand.script, true);
    }
}

fn connect_time_left(errand: &Errand<'_>, begun: Instant) -> Result<Duration, Fault> {
    let seconds = errand.group.connect_timeout;
    left(seconds, begun).ok_or_else(|| Fault::NoWorker { group: errand.group.name.clone(), seconds })
}

fn queue_time_left(errand: &Errand<'_>, begun: Instant) -> Result<Duration, Fault> {
    let seconds = errand.group.queue_timeout;
    if seconds == 0 {
        return Ok(ASK_AGAIN);
    }
    left(seconds, begun).ok_or_else(|| Fault::QueueTimeout { group: errand.group.name.clone(), seconds })
}

fn left(seconds: u32, begun: Instant) -> Option<Duration> {
    Duration::from_secs(seconds.into()).checked_sub(begun.elapsed()).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests;
