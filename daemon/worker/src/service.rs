//! A worker without request threads: its scripts have the main thread to themselves, one after the other,
//! and it ends when the last has. It is ready before the first begins, since that may never return.
//!
//! The supervisor's word comes to the scripts as SIGTERM, which raises SystemExit in them. As in any worker, a
//! deadline runs from then on. A daemon that is gone without a word is waited for, as elsewhere.

use crate::attach::{self, Found, Search};
use crate::control::Word;
use crate::worker::{self, Worker};
use crate::{journal, life, python, sys};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};
use wsgid_proto::launch::Ready;

/// Beyond `shutdown-timeout`, as for other workers.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// Runs the scripts; does not return but for a fault of ours.
pub(crate) fn run(py: Python<'_>, worker: &'static Worker) -> PyResult<()> {
    let scripts = PyList::new(py, worker.plan.preload.iter().map(|script| OsStr::from_bytes(script)))?;
    let tools = python::scripts(py)?;
    py.detach(|| {
        worker.control.ready(&Ready { loaded: true, failure: String::new() });
        listen(worker);
    });
    let arguments = (scripts, tools.getattr("load")?, tools.getattr("describe")?, worker.plan.watch);
    let good: bool = python::runtime(py)?.call_method1("run_scripts", arguments)?.extract()?;
    if worker::forked() {
        // A script forked and its child came back from it.
        sys::leave(0);
    }
    life::reap_after(grace(worker) + LAST_GRACE);
    life::finish(py, worker, Instant::now() + grace(worker))?;
    sys::leave(i32::from(!good))
}

fn grace(worker: &Worker) -> Duration {
    Duration::from_secs(worker.plan.shutdown_seconds.into())
}

/// Waits for the supervisor's word in a thread without Python.
fn listen(worker: &'static Worker) {
    let listener = std::thread::Builder::new().name("wsgid-control".into()).spawn(move || {
        wait_for_word(worker);
        life::reap_after(grace(worker) + LAST_GRACE);
        // The main thread takes it: the kernel prefers that one, and it alone never blocks it.
        let _ = kill(Pid::this(), Signal::SIGTERM);
    });
    if let Err(error) = listener {
        journal::note(&format!("the supervisor's word can't be waited for, a signal has to do: {error}"));
    }
}

/// Until the order to end, by this daemon or the next.
fn wait_for_word(worker: &Worker) {
    loop {
        let mut ready = [PollFd::new(worker.control.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::Error::EINTR) => continue,
            Err(error) => {
                journal::note(&format!("the worker ends: waiting for the supervisor: {error}"));
                return;
            }
        }
        match worker.control.listen() {
            Word::Retire(_) => return,
            Word::Gone if !finds_another(worker) => return,
            // There are no requests here that anybody might want to interrupt.
            Word::Gone | Word::Interrupt(_) | Word::None => {}
        }
    }
}

/// The script goes on without a daemon, and with the next. Is there one?
fn finds_another(worker: &Worker) -> bool {
    let mut search = Search::default();
    while !worker.plan.attach.is_empty() {
        match search.step(worker, true) {
            Found::Daemon => return true,
            Found::End(_) => return false,
            Found::Nobody => std::thread::sleep(attach::PAUSE),
        }
    }
    false
}
