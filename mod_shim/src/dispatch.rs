//! Finding a thread of a worker for a request, and handing the head over.
//!
//! The waits have different ends: for a daemon that is being restarted, for somebody to start a worker and for one
//! to take a connection, `connect-timeout`; for a busy pool's next free thread `queue-timeout`, or else
//! `socket-timeout`; for a worker that is starting whichever of these is longer. In every wait the daemon is asked
//! again from time to time, so that a board nobody tends any more is noticed, and what dead Apache children had in
//! hand is given back.

use crate::channel::{Channel, Manner};
use crate::fault::Fault;
use crate::pool::{Found, NotDelivered, Pool, Waiting};
use crate::runtime::{PoolName, Runtime};
use crate::sys::{self, Sleep};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wsgid_proto::board::{Claim, PoolState, SlotState, Standing};
use wsgid_proto::options::ProcessGroup;
use wsgid_proto::request::Tries;

/// The first sleep. After each that nobody ended, what dead Apache children had in hand is given back.
const FIRST_SLEEP: Duration = Duration::from_millis(50);
/// The others, for a thread. The kernel wakes sleepers in the order in which they went to sleep, so that
/// who wakes by itself goes to the end of the line: all do so once, at the same age, and hardly ever again.
const LONG_SLEEP: Duration = Duration::from_secs(5);
/// The others where there is no worker, and the time between two questions to the daemon.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Who has waited for so long is no longer overtaken. Where requests are so short that it would cost to
/// wait for whoever is being woken, few queue for this long.
const HUNGRY_AFTER: Duration = Duration::from_millis(20);
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
    /// Who has had it already.
    pub tries: Tries,
    /// For each wait on the worker's socket.
    pub socket_timeout: Duration,
    /// For all waits together, whatever the options of the group say.
    pub limit: Option<Limit>,
}

impl Errand<'_> {
    fn manner(&self) -> Manner {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Manner {
            timeout: self.socket_timeout,
            connecting: Duration::from_secs(self.group.connect_timeout.max(1).into()), // zero would be for ever
            send_buffer: size(self.group.send_buffer_size),
            receive_buffer: size(self.group.receive_buffer_size),
        }
    }

    /// So much time, if the limit leaves it.
    fn bounded(&self, left: Duration) -> Result<Duration, Fault> {
        match self.limit {
            Some(limit) => limit.left().map(|rest| left.min(rest)),
            None => Ok(left),
        }
    }
}

/// When a hook's verdict has to be there.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    length: Duration,
    /// The moment.
    pub end: Instant,
}

impl Limit {
    /// From now on.
    pub fn of(length: Duration) -> Self {
        Self { length, end: Instant::now() + length }
    }

    /// That time-out, of which zero is none, or this limit where that is shorter.
    pub fn shorter(&self, timeout: Duration) -> Duration {
        if timeout.is_zero() { self.length } else { timeout.min(self.length) }
    }

    /// The time is over.
    pub fn fault(&self) -> Fault {
        Fault::HookTimeout(self.length.as_secs())
    }

    fn left(&self) -> Result<Duration, Fault> {
        let left = self.end.checked_duration_since(Instant::now());
        left.filter(|left| !left.is_zero()).ok_or_else(|| self.fault())
    }
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
    /// Who had it before.
    pub tries: Tries,
}

/// Delivers the head, waiting as long as the group's options allow.
pub fn deliver(runtime: &Runtime, errand: &Errand<'_>) -> Result<Delivered, Fault> {
    let (tries, queued, importing, troubled, wait) = (errand.tries, None, None, None, None);
    Quest { runtime, errand, tries, queued, importing, troubled, alone: false, wait }.run()
}

/// A request that looks for a thread.
struct Quest<'a> {
    runtime: &'a Runtime,
    errand: &'a Errand<'a>,
    tries: Tries,
    /// Since when it has been queueing for a busy pool.
    queued: Option<Instant>,
    /// Since when there has been one who is not ready yet, and nobody else.
    importing: Option<Instant>,
    /// The daemon has not answered when it was last asked: whoever is not ready yet may never be.
    alone: bool,
    /// Since when there has been nobody to queue for. Time in the queue does not count: a request that
    /// queued for long may still wait for the next worker when the last one dies.
    troubled: Option<Instant>,
    /// Its place among those who wait, unless it has just come or has just been served.
    wait: Option<Wait>,
}

/// A wait, from the first sleep to the thread that ends it.
struct Wait {
    pool: u64,
    waiting: Waiting,
    since: Instant,
    /// It has slept to the end of its time at least once.
    overslept: bool,
    /// Woken for a thread that is free now: it need not leave that to anybody.
    woken: bool,
}

/// What one attempt came to.
enum Step {
    Delivered(Channel, Claim),
    /// To be tried again, with this pool.
    Again(Arc<Pool>),
}

impl Quest<'_> {
    fn run(&mut self) -> Result<Delivered, Fault> {
        let mut pool = match self.runtime.pool(self.errand.name) {
            Some(pool) => self.introduce(pool),
            None => self.open()?,
        };
        loop {
            pool = match self.attempt(&pool)? {
                Step::Delivered(channel, claim) => {
                    return Ok(Delivered { channel, claim, pool, tries: self.tries });
                }
                Step::Again(next) => next,
            };
        }
    }

    /// A pool that a hook has opened knows no script yet. The first request tells it, so that workers to
    /// come import the application before they take over.
    fn introduce(&self, pool: Arc<Pool>) -> Arc<Pool> {
        if pool.knows_script() || self.errand.script.is_empty() {
            return pool;
        }
        self.runtime.open(self.errand.name, self.errand.script, false).unwrap_or(pool)
    }

    fn attempt(&mut self, pool: &Arc<Pool>) -> Result<Step, Fault> {
        // What is freed from here on ends the sleep that may follow.
        let seen = pool.board().freed().1;
        let next = match pool.claim(self.standing()) {
            Found::Thread(hold) => {
                self.wait = None;
                match hold.deliver(&self.tries.told(self.errand.head), self.errand.manner()) {
                    Ok((channel, claim)) => return Ok(Step::Delivered(channel, claim)),
                    Err(failure) => {
                        self.tries.all += 1;
                        self.pass_over(pool, &failure)?
                    }
                }
            }
            Found::Crowded => {
                self.troubled = None;
                self.grow(pool);
                self.queue(pool, seen)?
            }
            Found::NoneReady => match pool.board().pool_state() {
                PoolState::Failing => self.doubt(pool, || self.failing(pool))?,
                PoolState::Closed => self.try_another(pool)?,
                PoolState::Open if !self.alone && pool.has_any(SlotState::Starting) => {
                    let left = self.import_time_left()?;
                    self.wait(pool, seen, left, u32::MAX)?
                }
                PoolState::Open => {
                    let left = self.connect_time_left()?;
                    self.wait(pool, seen, left, u32::MAX)?
                }
            },
        };
        Ok(Step::Again(next))
    }

    /// The request is refused on account of what the board says. Should that have been overwritten, the daemon knows,
    /// and has another pool. The fault is made after that: it may say what the daemon has just said.
    fn doubt(&self, pool: &Arc<Pool>, fault: impl FnOnce() -> Fault) -> Result<Arc<Pool>, Fault> {
        if pool.may_doubt(Instant::now()) {
            let other = self.runtime.open(self.errand.name, self.errand.script, false);
            if let Some(other) = other.ok().filter(|other| other.id != pool.id) {
                return Ok(other);
            }
        }
        Err(fault())
    }

    fn standing(&self) -> Standing {
        match &self.wait {
            None => Standing::Newcomer,
            Some(wait) if wait.woken => Standing::Waiter,
            Some(wait) => wait.waiting.standing(),
        }
    }

    /// Waits for a thread of a busy pool, if the queue has room. Whoever is in it stays in it.
    fn queue(&mut self, pool: &Arc<Pool>, seen: u32) -> Result<Arc<Pool>, Fault> {
        let most = if self.queued.is_some() { u32::MAX } else { self.errand.group.queue_size };
        match self.queue_time_left() {
            Ok(left) => self.wait(pool, seen, left, most),
            Err(fault) => {
                // It may have been woken in this very moment, instead of somebody who can use that.
                self.wait = None;
                pool.wake();
                Err(fault)
            }
        }
    }

    /// A worker that does not listen any more has ended, which the daemon, if there is one, need not know yet: nobody
    /// goes there from now on. Are there others, it is their turn.
    fn pass_over(&mut self, pool: &Arc<Pool>, failure: &NotDelivered) -> Result<Arc<Pool>, Fault> {
        let board = pool.board();
        if failure.is_refused() {
            board.set_state(failure.claim.slot, failure.claim.serial, SlotState::Draining);
            if pool.has_any(SlotState::Ready) {
                return Ok(pool.clone());
            }
        }
        self.try_another(pool)
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

    /// Sleeps until something on the board changes, unless `most` do already. After a sleep that nobody
    /// ended the dead are healed, and after a long one the daemon is asked whether this is still the board.
    fn wait(&mut self, pool: &Arc<Pool>, seen: u32, left: Duration, most: u32) -> Result<Arc<Pool>, Fault> {
        if self.wait.as_ref().is_none_or(|wait| wait.pool != pool.id) {
            let Some(waiting) = pool.enqueue(most) else { return self.doubt(pool, || self.queue_full()) };
            let since = Instant::now();
            self.wait = Some(Wait { pool: pool.id, waiting, since, overslept: false, woken: false });
            // What was freed before it was announced woke nobody: look once more.
            return Ok(pool.clone());
        }
        let troubled = self.troubled.is_some();
        let Some(wait) = &mut self.wait else { return Ok(pool.clone()) };
        if wait.since.elapsed() >= HUNGRY_AFTER {
            wait.waiting.hunger();
        }
        let sleep = match wait.overslept {
            false => FIRST_SLEEP,
            true if troubled => ASK_AGAIN,
            true => LONG_SLEEP,
        };
        let ended = sys::futex_wait(pool.board().freed().0, seen, wait.waiting.set(), left.min(sleep));
        wait.woken = ended == Sleep::Woken;
        if ended != Sleep::Over {
            return Ok(pool.clone());
        }
        pool.heal(Instant::now());
        if !std::mem::replace(&mut wait.overslept, true) {
            return Ok(pool.clone());
        }
        // Whoever was woken for a thread that is free may be dead or stopped: then the next in line gets it. Not
        // more often, since who is woken in vain loses its place in the line. If nobody sleeps there, it is free for
        // this one, whoever is hungrier.
        if pool.board().has_room() {
            wait.woken = !pool.wake_asleep();
            wait.overslept = false;
            return Ok(pool.clone());
        }
        // A daemon that is away for a moment is no reason to leave the queue.
        let asked = self.runtime.open(self.errand.name, self.errand.script, false);
        self.alone = asked.is_err();
        Ok(asked.unwrap_or_else(|_| pool.clone()))
    }

    fn failing(&self, pool: &Pool) -> Fault {
        Fault::Failing { group: self.errand.group.name.clone(), trouble: pool.trouble() }
    }

    fn queue_full(&self) -> Fault {
        let ProcessGroup { name, queue_size, .. } = self.errand.group;
        Fault::QueueFull { group: name.clone(), size: *queue_size }
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
        let left = left(seconds, since)
            .ok_or_else(|| Fault::NoWorker { group: self.errand.group.name.clone(), seconds })?;
        self.errand.bounded(left)
    }

    /// As in mod_wsgi, where a process that imports its application has taken the connection already, and is waited for
    /// as for any answer.
    fn import_time_left(&mut self) -> Result<Duration, Fault> {
        let since = *self.importing.get_or_insert_with(Instant::now);
        match (self.connect_time_left(), self.thread_time_left(since)) {
            (Ok(one), Ok(other)) => Ok(one.max(other)),
            (Err(_), Ok(left)) => Ok(left),
            (connect, Err(_)) => connect,
        }
    }

    fn queue_time_left(&mut self) -> Result<Duration, Fault> {
        let since = *self.queued.get_or_insert_with(Instant::now);
        self.thread_time_left(since)
    }

    fn thread_time_left(&self, since: Instant) -> Result<Duration, Fault> {
        // As in mod_wsgi, where a request without a thread is one whose answer does not come.
        let seconds = match self.errand.group.queue_timeout {
            0 => self.errand.socket_timeout.as_secs() as u32,
            seconds => seconds,
        };
        let left = left(seconds, since)
            .ok_or_else(|| Fault::QueueTimeout { group: self.errand.group.name.clone(), seconds })?;
        self.errand.bounded(left)
    }
}

fn left(seconds: u32, since: Instant) -> Option<Duration> {
    Duration::from_secs(seconds.into()).checked_sub(since.elapsed()).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests;
