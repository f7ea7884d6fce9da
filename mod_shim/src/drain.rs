//! The one thread of a child that is ours: while a thread of httpd's is held up by a client that reads
//! slowly, it takes the answer off the worker, into memory and then a file. So the client holds a thread
//! of httpd's and none of Python's.
//!
//! It works under every MPM and protocol, since httpd's filters may block as they like. Where clients are
//! quick it costs next to nothing: a pass only leaves word that it has begun, and the thread looks after
//! those that have lasted for a while. It starts with the first response that is not at its end when
//! the first part of it goes out, and sleeps when nothing like that has happened for some time.
//!
//! It also closes connections to workers that nobody uses any more (see `kept`): traffic does, but a child may
//! have none. For that it starts with the first connection that is kept, unless each child has one thread, and so one
//! connection to a pool: prefork has hundreds of children, each of which would have a second. A timer of httpd's would
//! need no thread; event alone has any, and in a quiet child they do not go off.

use crate::channel::at_least;
use crate::pools::Pools;
use crate::source::{Prospect, Source};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A pass that takes so long has a slow client.
const SLOW: Duration = Duration::from_millis(10);
/// So long after the last pass began, the thread sleeps until there is another.
const LINGER: Duration = Duration::from_millis(200);
/// Between two looks at kept connections, as long as there are any.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(30);
/// The thread is given so long to end.
const LEAVING: Duration = Duration::from_millis(500);
const BELL: u64 = u64::MAX;

/// The thread, if there has been work for it.
#[derive(Debug, Default)]
pub struct Drain {
    pools: Arc<Pools>,
    /// Is the thread worth starting for what this child keeps?
    keeps_many: bool,
    running: OnceLock<Option<Running>>,
}

/// The thread and what it looks after.
#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    epoll: Epoll,
    bell: EventFd,
    leaving: AtomicBool,
    pools: Arc<Pools>,
    /// `state` says when the next sweep is.
    planned: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    passes: HashMap<u64, Arc<Pass>>,
    number: u64,
    last: Instant,
    sweep: Option<Instant>,
    asleep: bool,
}

/// A part of a response that is going out.
#[derive(Debug)]
struct Pass {
    source: Arc<Mutex<Source>>,
    since: Instant,
    /// It has been found slow.
    adopted: AtomicBool,
    /// It is over; changed and looked at with the source locked.
    over: AtomicBool,
}

/// A pass lasts as long as this.
#[derive(Debug)]
pub struct Watch<'d> {
    shared: &'d Shared,
    number: u64,
    pass: Arc<Pass>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait for a moment that may never come.
fn until(moment: Option<Instant>, now: Instant) -> EpollTimeout {
    moment.map_or(EpollTimeout::NONE, |moment| at_least(moment.saturating_duration_since(now)))
}

/// Once in a child, to httpd's error log, which is its stderr.
fn complain(error: &io::Error) {
    eprintln!(
        "mod_wsgid: no thread could be started: workers wait for slow clients of this process, and its connections to \
         them are closed by traffic alone: {error}"
    );
}

impl Pass {
    /// The source, unless the pass is over: then httpd's thread has it, and may wait with it for long.
    fn source(&self) -> Option<MutexGuard<'_, Source>> {
        let source = match self.source.try_lock() {
            Ok(source) => source,
            Err(TryLockError::Poisoned(source)) => source.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        (!self.over.load(Relaxed)).then_some(source)
    }
}

impl Drain {
    /// For the child that has these pools open, and perhaps many connections to each.
    pub fn new(pools: Arc<Pools>, keeps_many: bool) -> Self {
        Self { pools, keeps_many, running: OnceLock::new() }
    }

    /// A part of this response is about to go out. Without a thread, the worker waits for the client.
    pub fn watch(&self, source: &Arc<Mutex<Source>>) -> Option<Watch<'_>> {
        Some(self.running()?.shared.watch(source))
    }

    /// A connection of a pool has been kept: it is closed when nobody has used it for some time.
    pub fn plan_sweep(&self) {
        let running =
            if self.keeps_many { self.running() } else { self.running.get().and_then(Option::as_ref) };
        if let Some(running) = running {
            running.shared.plan_sweep();
        }
    }

    /// The thread, which is started. No signal comes in between: its handler, which ends a child of prefork's, would
    /// wait in [`Drain::leave`] for what it has interrupted.
    fn running(&self) -> Option<&Running> {
        if let Some(known) = self.running.get() {
            return known.as_ref();
        }
        let start = || Running::start(self.pools.clone()).inspect_err(complain).ok();
        let mut before = SigSet::empty();
        let blocked = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before));
        let running = self.running.get_or_init(start).as_ref();
        if blocked.is_ok() {
            // It can't fail: so it was before.
            let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
        }
        running
    }

    /// Ends the thread, at the end of the child; from here on none begins.
    pub fn leave(&self) {
        if self.running.set(None).is_err() {
            self.running.get().into_iter().flatten().for_each(Running::leave);
        }
    }
}

impl Running {
    /// Starts the thread, with signals blocked: they stay httpd's.
    fn start(pools: Arc<Pools>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        let (leaving, planned) = (AtomicBool::new(false), AtomicBool::new(false));
        let passes = HashMap::new();
        let state = Mutex::new(State { passes, number: 0, last: Instant::now(), sweep: None, asleep: false });
        let shared = Arc::new(Shared { epoll, bell, leaving, pools, planned, state });
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("wsgid-drain".into()).spawn(move || theirs.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Under prefork this may happen in a signal's handler, in the middle of anything: so no lock is waited
    /// for, nor the thread for long.
    fn leave(&self) {
        self.shared.leaving.store(true, Relaxed);
        let _ = self.shared.bell.write(1);
        let Ok(thread) = self.thread.try_lock() else { return };
        let end = Instant::now() + LEAVING;
        while thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        locked(&self.shared.state).passes.remove(&self.number);
        let source = locked(&self.pass.source);
        self.pass.over.store(true, Relaxed);
        if let Some(descriptor) = source.descriptor().filter(|_| self.pass.adopted.load(Relaxed)) {
            self.shared.forget(descriptor);
        }
    }
}

impl Shared {
    fn watch(&self, source: &Arc<Mutex<Source>>) -> Watch<'_> {
        let since = Instant::now();
        let (adopted, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let pass = Arc::new(Pass { source: source.clone(), since, adopted, over });
        let mut state = locked(&self.state);
        state.number += 1;
        state.last = since;
        let number = state.number;
        state.passes.insert(number, pass.clone());
        self.rouse(state);
        Watch { shared: self, number, pass }
    }

    fn plan_sweep(&self) {
        if self.planned.load(Relaxed) || self.planned.swap(true, Relaxed) {
            return;
        }
        let mut state = locked(&self.state);
        state.sweep = Some(Instant::now() + BETWEEN_SWEEPS);
        self.rouse(state);
    }

    /// Has the thread look at what is new, should it be asleep.
    fn rouse(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.asleep) {
            drop(state);
            let _ = self.bell.write(1);
        }
    }

    fn run(&self) {
        let mut events = [EpollEvent::empty(); 64];
        // Those that have had their turn and have more.
        let mut busy: Vec<u64> = Vec::new();
        while !self.leaving.load(Relaxed) {
            self.sweep();
            let timeout = self.look_around(&mut busy);
            let count = self.epoll.wait(&mut events, timeout).unwrap_or(0);
            let readable = events[..count].iter().map(EpollEvent::data);
            let mut due: Vec<u64> = std::mem::take(&mut busy);
            due.extend(readable);
            for number in due {
                match number {
                    BELL => drop(self.bell.read()),
                    number if self.readable(number) == Prospect::More && !busy.contains(&number) => {
                        busy.push(number);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Closes what nobody uses, if it is time to.
    fn sweep(&self) {
        let now = Instant::now();
        if locked(&self.state).sweep.take_if(|at| *at <= now).is_none() {
            return;
        }
        // First: whatever is kept from here on plans the next one.
        self.planned.store(false, Relaxed);
        if self.pools.sweep(now) {
            self.plan_sweep();
        }
    }

    /// Adopts the passes that have become slow; says how long to wait then.
    fn look_around(&self, busy: &mut Vec<u64>) -> EpollTimeout {
        let now = Instant::now();
        let (timeout, slow) = {
            let mut state = locked(&self.state);
            let fresh = |pass: &&Arc<Pass>| !pass.adopted.load(Relaxed);
            let is_slow =
                |(_, pass): &(&u64, &Arc<Pass>)| fresh(pass) && now.duration_since(pass.since) >= SLOW;
            let slow: Vec<(u64, Arc<Pass>)> =
                state.passes.iter().filter(is_slow).map(|(number, pass)| (*number, pass.clone())).collect();
            let waiting = state.passes.values().filter(fresh).count() > slow.len();
            state.asleep = !waiting && busy.is_empty() && now.duration_since(state.last) >= LINGER;
            let tick = EpollTimeout::from(SLOW.as_millis() as u8);
            (if state.asleep { until(state.sweep, now) } else { tick }, slow)
        };
        let adopted = slow.iter().filter(|(number, pass)| self.adopt(*number, pass) == Prospect::More);
        busy.extend(adopted.map(|(number, _)| *number));
        if busy.is_empty() { timeout } else { EpollTimeout::ZERO }
    }

    fn adopt(&self, number: u64, pass: &Pass) -> Prospect {
        let Some(mut source) = pass.source() else { return Prospect::Over };
        pass.adopted.store(true, Relaxed);
        let prospect = source.take_ahead();
        if let Some(descriptor) = source.descriptor().filter(|_| prospect.goes_on()) {
            // If it can't be watched, the worker waits for the client, as it would without us.
            let _ = self.epoll.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, number));
        }
        prospect
    }

    fn readable(&self, number: u64) -> Prospect {
        let Some(pass) = locked(&self.state).passes.get(&number).cloned() else { return Prospect::Over };
        let Some(mut source) = pass.source() else { return Prospect::Over };
        let prospect = source.take_ahead();
        if let Some(descriptor) = source.descriptor().filter(|_| !prospect.goes_on()) {
            self.forget(descriptor);
        }
        prospect
    }

    fn forget(&self, descriptor: BorrowedFd<'_>) {
        // It may not be watched (any more).
        let _ = self.epoll.delete(descriptor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use crate::spool::Limits;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use wsgid_proto::frame::{self, Kind};

    /// What a worker has to say, larger than any socket's buffer.
    fn answer() -> Vec<u8> {
        let mut bytes = Vec::new();
        (0..40).for_each(|n| frame::put(&mut bytes, Kind::Chunk, &[n; 100_000]));
        frame::put(&mut bytes, Kind::End, b"");
        bytes
    }

    fn source(limits: Limits) -> (Arc<Mutex<Source>>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let channel = Channel::over(ours, Duration::from_secs(10)).unwrap();
        (Arc::new(Mutex::new(Source::new(channel, limits))), theirs)
    }

    fn read_all(source: &Mutex<Source>) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            match locked(source).receive().unwrap() {
                frame if frame.kind == Kind::End => return bytes,
                frame => bytes.extend_from_slice(&frame.payload),
            }
        }
    }

    #[test]
    fn a_worker_is_rid_of_its_answer_while_the_client_is_slow() {
        let drain = Drain::default();
        for limits in [Limits { memory: 1000, file: 1 << 23 }, Limits { memory: 1 << 23, file: 0 }] {
            let (source, mut worker) = source(limits);
            let watch = drain.watch(&source);
            // Returns only when somebody has read nearly all of it.
            worker.write_all(&answer()).unwrap();
            drop(watch);
            let expected: Vec<u8> = (0..40).flat_map(|n| std::iter::repeat_n(n, 100_000)).collect();
            assert!(read_all(&source) == expected);
            assert!(locked(&source).into_channel().is_some());
        }
        drain.leave();
    }

    #[test]
    fn the_thread_sweeps_in_its_time_and_is_not_started_for_one_connection() {
        let drain = Drain::new(Arc::default(), false);
        drain.plan_sweep();
        assert!(drain.running.get().is_none());

        let drain = Drain::new(Arc::default(), true);
        drain.plan_sweep();
        let shared = &drain.running.get().unwrap().as_ref().unwrap().shared;
        let planned = || (shared.planned.load(Relaxed), locked(&shared.state).sweep.is_some());
        assert_eq!(planned(), (true, true));
        while !locked(&shared.state).asleep {
            thread::yield_now();
        }
        let mut state = locked(&shared.state);
        state.sweep = Some(Instant::now());
        shared.rouse(state);
        // Nothing is kept: there is no next one.
        while planned() != (false, false) {
            thread::yield_now();
        }
        drain.leave();
    }

    #[test]
    fn what_is_over_the_bounds_waits_for_the_client() {
        let drain = Drain::default();
        let (source, mut worker) = source(Limits { memory: 200_000, file: 300_000 });
        let writer = thread::spawn(move || worker.write_all(&answer()).map(|()| worker));
        let mut bytes = 0;
        // A client that takes a second look at each part.
        while bytes < 4_000_000 {
            let watch = drain.watch(&source);
            thread::sleep(SLOW * 2);
            drop(watch);
            while let Some(frame) = locked(&source).at_hand().unwrap() {
                bytes += frame.payload.len();
            }
        }
        writer.join().unwrap().unwrap();
        assert_eq!(bytes, 4_000_000);
    }
}
