//! What the supervisor watches: when each request began and that Python's lock is to be had, which it sees on
//! the [`Pulse`]; and what it has done about requests that took too long.

use crate::worker::Worker;
use crate::{journal, locked, python, sys};
use nix::time::{ClockId, clock_gettime};
use pyo3::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use wsgid_proto::launch::Interrupt;
use wsgid_proto::pulse::Pulse;

/// The request threads, watched.
#[derive(Debug)]
pub(crate) struct Watched {
    pulse: Pulse<'static>,
    threads: Mutex<Box<[Thread]>>,
    abandoned: AtomicUsize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Thread {
    ident: u64,
    /// When its request began; 0 without one.
    begun: u64,
    /// It may run Python code on behalf of that.
    running: bool,
    raised: bool,
    abandoned: bool,
}

impl Watched {
    /// So many threads, none of which has a request.
    pub(crate) fn new(pulse: Pulse<'static>, threads: u32) -> Self {
        let threads = vec![Thread::default(); threads as usize].into();
        Self { pulse, threads: Mutex::new(threads), abandoned: AtomicUsize::new(0) }
    }

    /// Request thread `thread`, counted from 1, is this one of Python's.
    pub(crate) fn introduce(&self, thread: u32, ident: u64) {
        self.pulse.introduce(thread, ident);
        self.change(thread, |known| known.ident = ident);
    }

    /// It has got a request.
    pub(crate) fn begin(&self, thread: u32) {
        let now = now();
        self.change(thread, |known| (known.begun, known.running) = (now, true));
        self.pulse.begin(thread, now);
    }

    /// The application is done with it: an exception that comes from now on would hit the thread's next request.
    /// The lock keeps any from coming in between.
    pub(crate) fn leave_python(&self, py: Python<'_>, thread: u32) {
        self.change(thread, |known| {
            known.running = false;
            if std::mem::take(&mut known.raised) {
                sys::take_back_exception(py, known.ident);
            }
        });
    }

    /// It ends, and its number may be another's.
    pub(crate) fn dismiss(&self, thread: u32) {
        self.change(thread, |known| known.ident = 0);
    }

    /// Has each thread write its own stack to the log. Without a GIL nobody else can: whoever looks at the
    /// stack of a thread that runs may see what is there no more.
    pub(crate) fn dump(&self) {
        let threads = locked(&self.threads).len() as u32;
        for thread in 1..=threads {
            let Some(ident) = self.change(thread, |known| known.ident).filter(|&ident| ident != 0) else {
                continue;
            };
            journal::note(&format!("the stack of thread {thread} ({ident:#x})"));
            self.change(thread, |known| {
                if known.ident == ident {
                    sys::ask_for_stack(ident);
                }
            });
        }
    }

    /// It has served it, to the last byte.
    pub(crate) fn end(&self, thread: u32) {
        self.pulse.end(thread);
        let was = self.change(thread, |known| {
            known.begun = 0;
            std::mem::take(&mut known.abandoned)
        });
        if was == Some(true) {
            self.abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// How many requests nobody waits for any more.
    pub(crate) fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Acquire)
    }

    /// A request has taken too long. To be called without the GIL.
    pub(crate) fn interrupt(&self, word: &Interrupt) {
        let is_meant = |known: &Thread| known.begun == word.begun && known.begun != 0;
        if word.abandon {
            let new = self.change(word.thread, |known| {
                let new = is_meant(known) && !known.abandoned;
                known.abandoned |= new;
                new
            });
            if new == Some(true) {
                self.abandoned.fetch_add(1, Ordering::AcqRel);
            }
            return;
        }
        // Of its own: the lock may not be to be had, and the main thread has other things to hear.
        let Some(worker) = Worker::get() else { return };
        let (thread, begun) = (word.thread, word.begun);
        let raiser = std::thread::Builder::new()
            .name("wsgid-interrupt".into())
            .spawn(move || worker.watched.raise(thread, begun));
        if let Err(error) = raiser {
            journal::note(&format!("a request can't be interrupted: {error}"));
        }
    }

    /// Raises RequestTimeout in a request, if its thread is still at it.
    fn raise(&self, thread: u32, begun: u64) {
        Python::attach(|py| {
            let class = python::modules(py).and_then(|modules| modules.getattr("RequestTimeout"));
            let Ok(class) = class else { return };
            // The one call of Python's with a lock held: it waits for nobody, and without a GIL nothing else
            // keeps the request from ending in between.
            self.change(thread, |known| {
                if known.running && known.begun == begun {
                    known.raised = true;
                    sys::raise_in_thread(known.ident, &class);
                }
            });
        });
    }

    /// Shows, for as long as the process lives, that Python's lock is to be had. To be called by somebody who has just
    /// had it: there is a first beat when this returns, so that no silence is taken for a beginning.
    pub(crate) fn beat(&'static self, every: Duration) {
        self.pulse.beat(now());
        let beating = std::thread::Builder::new().name("wsgid-beat".into()).spawn(move || {
            loop {
                std::thread::sleep(every);
                Python::attach(|_| ());
                self.pulse.beat(now());
            }
        });
        if let Err(error) = beating {
            self.pulse.beat(0); // as if it never had: then its silence is not told
            journal::note(&format!("deadlock-timeout has no effect: {error}"));
        }
    }

    fn change<R>(&self, thread: u32, change: impl FnOnce(&mut Thread) -> R) -> Option<R> {
        let place = (thread as usize).checked_sub(1)?;
        locked(&self.threads).get_mut(place).map(change)
    }
}

/// Microseconds of the monotonic clock, which is the same in all processes.
fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    now.as_micros() as u64
}
