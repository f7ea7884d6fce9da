//! The worker's life as its main thread sees it: take over, or be forked off a template; get ready, wait for the
//! word to end, let the requests end, end.
//!
//! From the word on a deadline runs that nothing can stop: a thread without Python ends the process,
//! whatever Python does.

use crate::attach::{self, Found, Search};
use crate::control::Word;
use crate::outfit::{self, Outfit, Role};
use crate::scripts::Scripts;
use crate::signals::Signals;
use crate::worker::{self, Worker};
use crate::{journal, python, request, service, sys, template, watch};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};
use wsgid_proto::bounds;
use wsgid_proto::launch::{Ready, Reason, Retire, WorkerPlan, end_of};

/// How often a draining worker looks whether it is done.
const LOOK: Duration = Duration::from_millis(10);
/// Even after the time for requests is up, what has arrived gets so long to be taken notice of.
const LAST_CALL: Duration = Duration::from_millis(500);

/// A worker that is about to serve.
pub(crate) struct Newborn {
    pub(crate) worker: &'static Worker,
    pub(crate) wakeup: Wakeup,
    /// How the import of the plan's scripts went.
    pub(crate) ready: Ready,
}

/// The pipe through which signals wake the main thread.
pub(crate) struct Wakeup {
    ear: OwnedFd,
    mouth: OwnedFd,
}

impl Wakeup {
    /// A new one, to which Python has to be told to write.
    pub(crate) fn new() -> nix::Result<Self> {
        let (ear, mouth) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self { ear, mouth })
    }

    /// Where Python writes.
    pub(crate) fn mouth(&self) -> i32 {
        self.mouth.as_raw_fd()
    }

    /// The signals that have come.
    pub(crate) fn numbers(&self) -> Vec<i32> {
        let mut numbers = [0; 64];
        let got = read(&self.ear, &mut numbers).unwrap_or(0);
        numbers[..got].iter().map(|number| i32::from(*number)).collect()
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.ear.as_fd()
    }
}

/// That a process can't begin, as an exception.
pub(crate) fn stillborn(why: &dyn std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(format!("the worker cannot begin: {why}"))
}

/// The whole life; returns only if it could not begin.
#[pyfunction]
pub(crate) fn main(py: Python<'_>) -> PyResult<()> {
    let newborn = match outfit::take_over().map_err(|e| stillborn(&e))? {
        Role::Template(outfit) => template::live(py, outfit)?,
        Role::Worker(outfit) => {
            let (worker, wakeup) = begin(py, outfit)?;
            if worker.plan.threads == 0 {
                return service::run(py, worker);
            }
            let ready = preload(py, &worker.plan, &worker.scripts)?;
            Newborn { worker, wakeup, ready }
        }
    };
    if worker::forked() {
        // A script forked and its child came back from it.
        sys::leave(0);
    }
    serve(py, newborn)
}

fn begin(py: Python<'_>, outfit: Outfit) -> PyResult<(&'static Worker, Wakeup)> {
    let scripts = Scripts::beside(&outfit.plan.reload_on);
    let worker = Worker::install(outfit, scripts).map_err(|e| stillborn(&e))?;
    let wakeup = prepare(py, &worker.plan)?;
    Ok((worker, wakeup))
}

/// Makes Python ready for the first line of the application.
pub(crate) fn prepare(py: Python<'_>, plan: &WorkerPlan) -> PyResult<Wakeup> {
    show_name(plan);
    let wakeup = Wakeup::new().map_err(|e| stillborn(&io::Error::from(e)))?;
    let wrapper = python::files(py)?.getattr("FileWrapper")?;
    python::runtime(py)?.call_method1("prepare", (for_python(py, plan, &wakeup)?, wrapper))?;
    Ok(wakeup)
}

/// What ps(1) shows.
pub(crate) fn show_name(plan: &WorkerPlan) {
    if plan.display_name.is_empty() {
        return;
    }
    if let Err(error) = sys::set_command_line(&plan.display_name) {
        journal::note(&format!("display-name has no effect: {error}"));
    }
}

/// From the first request thread to the end.
fn serve(py: Python<'_>, newborn: Newborn) -> PyResult<()> {
    let Newborn { worker, wakeup, ready } = newborn;
    let plan = &worker.plan;
    python::runtime(py)?.call_method1("start", (plan.threads, plan.stack_size, plan.watch))?;
    let end = py.detach(|| {
        if plan.beat_milliseconds > 0 {
            worker.watched.beat(Duration::from_millis(plan.beat_milliseconds));
        }
        worker.control.ready(&ready);
        let mut signals = Signals::default();
        let retire =
            Wait { worker, wakeup, loaded: ready.loaded, orphaned: false, search: Search::default() }
                .for_the_end(&mut signals);
        drain(worker, &retire, signals)
    });
    finish(py, worker, end)?;
    sys::leave(0)
}

/// What an interpreter does at its end, as far as it has time for that and the group wants it.
pub(crate) fn finish(py: Python<'_>, worker: &Worker, end: Instant) -> PyResult<()> {
    let runtime = python::runtime(py)?;
    let seconds = end.saturating_duration_since(Instant::now()).as_secs_f64();
    let finished = match worker.plan.destroy_interpreter {
        true => runtime.call_method1("finish", (seconds,)),
        false => runtime.call_method0("flush_streams"),
    };
    if let Err(error) = finished {
        journal::note(&format!("the end was not clean: {error}"));
    }
    Ok(())
}

/// The parts of the plan that Python needs.
fn for_python<'py>(py: Python<'py>, plan: &WorkerPlan, wakeup: &Wakeup) -> PyResult<Bound<'py, PyDict>> {
    let paths = PyList::new(py, plan.python_path.iter().map(|path| OsStr::from_bytes(path)))?;
    let dict = PyDict::new(py);
    dict.set_item("home", OsStr::from_bytes(&plan.home))?;
    dict.set_item("python_path", paths)?;
    dict.set_item("switch_interval", plan.switch_interval)?;
    dict.set_item("locale", &plan.locale)?;
    dict.set_item("process_group", &plan.process_group)?;
    dict.set_item("application_group", &plan.application_group)?;
    dict.set_item("processes", plan.processes.max(1))?;
    dict.set_item("threads", plan.threads)?;
    dict.set_item("restrict_stdin", plan.restrict_stdin)?;
    dict.set_item("restrict_stdout", plan.restrict_stdout)?;
    dict.set_item("restrict_signal", plan.restrict_signal)?;
    dict.set_item("wakeup", wakeup.mouth())?;
    let server = &plan.server;
    let (description, mpm, built) = (&server.description, &server.mpm, &server.built);
    let server = (&server.version, description, mpm, built, server.processes, server.threads);
    dict.set_item("server", server)?;
    Ok(dict)
}

/// Imports the scripts that the plan names. A failure is told, and does not keep the worker from the others
/// and from serving: the next request tries again and has the traceback in its own log.
pub(crate) fn preload(py: Python<'_>, plan: &WorkerPlan, scripts: &Scripts) -> PyResult<Ready> {
    let mut ready = Ready { loaded: true, failure: String::new() };
    for script in &plan.preload {
        let Some(traceback) = preload_one(py, scripts, script)? else { continue };
        if std::mem::take(&mut ready.loaded) {
            ready.failure = end_of(&traceback, bounds::TRACEBACK).into();
        }
    }
    Ok(ready)
}

/// The traceback, if it fails.
fn preload_one(py: Python<'_>, scripts: &Scripts, script: &[u8]) -> PyResult<Option<String>> {
    let load = python::scripts(py)?.getattr("load")?;
    let loaded = python::runtime(py)?.call_method1("preload", (load, OsStr::from_bytes(script)));
    // Found again under the names of Rust: the very first request is to notice a change on disk.
    let Err(error) = loaded.and_then(|_| scripts.load(py, script)) else { return Ok(None) };
    let description = request::describe(py, &error, &String::from_utf8_lossy(script))?;
    let traceback = description.as_bytes().trim_ascii_end().to_vec();
    py.detach(|| traceback.split(|&b| b == b'\n').for_each(journal::line));
    Ok(Some(String::from_utf8_lossy(&traceback).into_owned()))
}

/// How a worker ends without a word of the supervisor's.
fn end_of_itself(worker: &Worker) -> Retire {
    Retire { reason: Reason::Shutdown.name().into(), seconds: worker.plan.shutdown_seconds }
}

/// The main thread's wait, while others serve.
struct Wait {
    worker: &'static Worker,
    wakeup: Wakeup,
    loaded: bool,
    /// The supervisor is gone, and another is looked for.
    orphaned: bool,
    search: Search,
}

impl Wait {
    /// Until the supervisor's word, or a signal.
    fn for_the_end(mut self, signals: &mut Signals) -> Retire {
        let worker = self.worker;
        loop {
            if let Err(e) = self.sleep() {
                journal::note(&format!("the worker ends: waiting for the supervisor: {e}"));
                return end_of_itself(worker);
            }
            if heed(worker, &self.wakeup, signals) {
                return end_of_itself(worker);
            }
            if let Some(retire) = if self.orphaned { self.look_for_another() } else { self.listen() } {
                return retire;
            }
            if worker.is_inactive() && worker.wear.is_idle(Instant::now()) {
                worker.control.worn(Reason::Inactivity);
            }
        }
    }

    /// Until there may be something to do.
    fn sleep(&self) -> nix::Result<()> {
        let wakeup = PollFd::new(self.wakeup.as_fd(), PollFlags::POLLIN);
        let control = PollFd::new(self.worker.control.as_fd(), PollFlags::POLLIN);
        let slept = if self.orphaned {
            poll(&mut [wakeup], timeout(attach::PAUSE))
        } else {
            let patience = self.worker.wear.patience(Instant::now());
            poll(&mut [wakeup, control], patience.map_or(PollTimeout::NONE, timeout))
        };
        match slept {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// What the supervisor says; its order to end.
    fn listen(&mut self) -> Option<Retire> {
        loop {
            match self.worker.control.listen() {
                Word::None => return None,
                Word::Interrupt(word) => self.worker.watched.interrupt(&word),
                Word::Retire(retire) => return Some(retire),
                Word::Gone if self.worker.plan.attach.is_empty() => return Some(end_of_itself(self.worker)),
                Word::Gone => {
                    self.orphaned = true;
                    return None;
                }
            }
        }
    }

    fn look_for_another(&mut self) -> Option<Retire> {
        match self.search.step(self.worker, self.loaded) {
            Found::Nobody => None,
            Found::Daemon => {
                self.orphaned = false;
                None
            }
            Found::End(retire) => Some(retire.unwrap_or_else(|| end_of_itself(self.worker))),
        }
    }
}

/// Rounded up: poll cuts what is below a millisecond.
fn timeout(time: Duration) -> PollTimeout {
    (time + Duration::from_millis(1)).try_into().unwrap_or(PollTimeout::MAX)
}

/// Python's handler in C writes the number of every signal that has a handler. Is there one that ends the
/// worker? Others ask for a successor, which the supervisor has to start first.
fn heed(worker: &Worker, wakeup: &Wakeup, signals: &mut Signals) -> bool {
    let mut ends = false;
    for number in wakeup.numbers() {
        match number {
            libc::SIGTERM | libc::SIGINT => ends = true,
            libc::SIGUSR1 => worker.control.worn(Reason::Graceful),
            libc::SIGXCPU => worker.control.worn(Reason::CpuTime),
            libc::SIGHUP | libc::SIGUSR2 => signals.tell(number),
            libc::SIGQUIT => worker.watched.dump(),
            // The application's own, where it may have handlers: they run in the main thread, which is this.
            _ => run_handlers(),
        }
    }
    ends
}

fn run_handlers() {
    if let Err(error) = Python::attach(|py| py.check_signals()) {
        journal::note(&format!("a signal handler of the application raised {error}"));
    }
}

/// Lets what has been sent be served, and closes the door. Returns when the process should be gone.
fn drain(worker: &'static Worker, retire: &Retire, signals: Signals) -> Instant {
    let grace = Duration::from_secs(retire.seconds.into());
    let deadline = Instant::now() + grace;
    reap_after(grace + Duration::from_secs(1));
    // The supervisor has done so before it says Retire; a signal from elsewhere has not.
    worker.mark_draining();
    if let Some(thread) = signals.stop() {
        until(deadline, || thread.is_finished());
    }
    watch::process_stopping(&retire.reason);
    until(deadline, || worker.is_idle());
    worker.kept.stop();
    let given_up = worker.watched.abandoned() > 0;
    let soon = Instant::now() + LAST_CALL;
    let last_call = if given_up { soon } else { deadline.max(soon) };
    if !until(last_call, || worker.kept.is_empty() && worker.is_inactive()) && !given_up {
        journal::note("requests are still running and are left behind");
    }
    worker.kept.ring();
    if !given_up {
        return deadline;
    }
    // Their threads may hold Python's lock for ever: what is to be done at the end has to be done in the
    // time that a shutdown has.
    let shutdown = Duration::from_secs(worker.plan.shutdown_seconds.into());
    reap_after(shutdown);
    deadline.min(Instant::now() + shutdown)
}

fn until(deadline: Instant, done: impl Fn() -> bool) -> bool {
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// The deadline that holds even if Python never gives the GIL back.
pub(crate) fn reap_after(time: Duration) {
    let reaper = std::thread::Builder::new().name("wsgid-reaper".into()).spawn(move || {
        std::thread::sleep(time);
        journal::note("the time to end is up");
        sys::leave(0)
    });
    if reaper.is_err() {
        // No thread to be had: then the kernel's alarm, whose default is to end the process.
        nix::unistd::alarm::set(u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1));
    }
}
