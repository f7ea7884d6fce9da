//! A template: imports what the workers of its pool run, once, and is copied for each of them, so that what they
//! have in common is in memory once. It never serves, and starts no thread, since a copy has none but the one
//! that forks.
//!
//! The supervisor hands it the descriptors of each worker to be. A copy tells the supervisor that it is there, by
//! its own control socket and under the kernel's word for which process it is; then it is a worker like any other.
//! Its parent is the template, which passes on how it ended. Without a supervisor a template ends at once: there is
//! nothing that it could lose.

use crate::life::{self, Newborn, Wakeup};
use crate::outfit::{Common, Outfit, TemplateOutfit};
use crate::scripts::Scripts;
use crate::worker::{self, Worker};
use crate::{journal, python, sys};
use bytes::BytesMut;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use pyo3::prelude::*;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use wsgid_proto::Message;
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::launch::{Born, Buried, FORK_RIDERS, Ready};

/// What the next worker is handed.
type Riders = [OwnedFd; FORK_RIDERS];

struct Template {
    control: UnixStream,
    input: BytesMut,
    wakeup: Wakeup,
    children: Vec<Child>,
}

/// A worker that has been forked.
struct Child {
    pid: i32,
    /// Readable once it has ended.
    end: OwnedFd,
}

/// The life of a template; returns in each of its copies.
pub(crate) fn live(py: Python<'_>, outfit: TemplateOutfit) -> PyResult<Newborn> {
    let TemplateOutfit { plan, control, common } = outfit;
    // Also while it imports, when it hears nothing.
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        journal::note(&format!("the template may outlive the daemon: {error}"));
    }
    let wakeup = life::prepare(py, &plan)?;
    let scripts = Scripts::beside(&plan.reload_on);
    let ready = life::preload(py, &plan, &scripts)?;
    if worker::forked() {
        // A script forked and its child came back from it.
        sys::leave(0);
    }
    python::runtime(py)?.call_method0("settle")?;
    warn_of_threads();
    let mut template = Template { control, input: BytesMut::new(), wakeup, children: Vec::new() };
    template.tell(&ready);
    while let Some(riders) = py.detach(|| template.next()) {
        match python::runtime(py)?.call_method0("copy").and_then(|pid| pid.extract()) {
            Ok(0) => {
                drop(template);
                return Ok(begin(py, riders, common, scripts, ready).unwrap_or_else(|error| leave(&error)));
            }
            Ok(pid) => template.keep(pid),
            // The supervisor sees the control socket close.
            Err(error) => journal::note(&format!("no worker can be forked: {error}")),
        }
    }
    sys::leave(0)
}

/// A copy that can't become a worker is nobody's application: what that would do at its end, it does not.
fn leave(error: &PyErr) -> ! {
    journal::note(&format!("{error}"));
    sys::leave(1)
}

/// In a copy, first of all: what the application does after a fork may take for ever, and until the supervisor knows
/// of the copy nobody but its template can end it.
#[pyfunction]
pub(crate) fn end_with_template(template: i32) {
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        journal::note(&format!("a copy may outlive its template: {error}"));
    }
    // Before that it would not have been noticed.
    if nix::unistd::getppid().as_raw() != template {
        sys::leave(0);
    }
}

/// In a copy: becomes a worker.
fn begin(
    py: Python<'_>,
    riders: Riders,
    common: Common,
    scripts: Scripts,
    ready: Ready,
) -> PyResult<Newborn> {
    let (outfit, output) = Outfit::handed(riders, common).map_err(|e| life::stillborn(&e))?;
    let fault = |e: io::Error| life::stillborn(&e);
    nix::unistd::setsid().map_err(io::Error::from).map_err(fault)?;
    sys::take_place(output.as_fd(), libc::STDOUT_FILENO).map_err(fault)?;
    sys::take_place(output.as_fd(), libc::STDERR_FILENO).map_err(fault)?;
    if !py.detach(|| introduce(&outfit.control)).map_err(fault)? {
        sys::leave(0); // nobody waits for it any more
    }
    set_pdeathsig(None).map_err(io::Error::from).map_err(fault)?;
    let worker = Worker::install(outfit, scripts).map_err(fault)?;
    life::show_name(&worker.plan);
    let wakeup = Wakeup::new().map_err(io::Error::from).map_err(fault)?;
    python::runtime(py)?.call_method1("begin_anew", (wakeup.mouth(),))?;
    Ok(Newborn { worker, wakeup, ready })
}

/// Tells the supervisor which process this is. False if that has no use for it, or is gone.
fn introduce(control: &UnixStream) -> io::Result<bool> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    match await_welcome(control) {
        Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => Ok(false),
        other => other,
    }
}

fn await_welcome(mut control: &UnixStream) -> io::Result<bool> {
    control.write_all(&Born {}.frame())?;
    let mut input = BytesMut::new();
    loop {
        // Not a byte more than the answer: what follows is for the worker's own ear.
        let room = frame::HEADER - input.len().min(frame::HEADER - 1);
        match sys::receive(control.as_fd(), &mut input, room, true) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if let Some(frame) = frame::take(&mut input).map_err(io::Error::other)? {
            return Ok(frame.kind == Kind::Attached);
        }
    }
}

/// An application that starts threads when it is imported has to do so in each worker.
fn warn_of_threads() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        let others = threads - 1;
        journal::note(&format!(
            "with preload=on workers have no other threads than their own: {others} of the import's are missing in them"
        ));
    }
}

impl Template {
    /// What the next worker is handed; `None` when the template is to end.
    fn next(&mut self) -> Option<Riders> {
        loop {
            if let Err(error) = self.sleep() {
                journal::note(&format!("the template ends: waiting for the supervisor: {error}"));
                return None;
            }
            self.bury();
            let ends = |number| matches!(number, libc::SIGTERM | libc::SIGINT);
            if self.wakeup.numbers().into_iter().any(ends) {
                return None;
            }
            match self.listen() {
                Ok(None) => {}
                Ok(riders) => return riders,
                Err(error) => {
                    if error.kind() != io::ErrorKind::UnexpectedEof {
                        journal::note(&format!("the template ends: the supervisor's words: {error}"));
                    }
                    return None;
                }
            }
        }
    }

    fn sleep(&self) -> nix::Result<()> {
        let of_children = self.children.iter().map(|child| child.end.as_fd());
        let all = [self.control.as_fd(), self.wakeup.as_fd()].into_iter().chain(of_children);
        let mut all: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut all, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The order to fork, if it has come. The kernel never lets what rides on one message come with another.
    fn listen(&mut self) -> io::Result<Option<Riders>> {
        let mut ready = [PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::ZERO)? == 0 {
            return Ok(None);
        }
        let (got, riders) = sys::receive_with(self.control.as_fd(), &mut self.input, frame::HEADER)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let frame = frame::take(&mut self.input).map_err(io::Error::other)?;
        let riders = Riders::try_from(riders);
        match (frame.map(|frame| frame.kind), riders) {
            (Some(Kind::Fork), Ok(riders)) => Ok(Some(riders)),
            (kind, _) => Err(io::Error::other(format!("{kind:?} is not for templates"))),
        }
    }

    fn keep(&mut self, pid: i32) {
        match sys::pidfd(pid) {
            Ok(end) => self.children.push(Child { pid, end }),
            Err(error) => journal::note(&format!("the end of worker {pid} will not be noticed: {error}")),
        }
    }

    /// Takes note of those that have ended.
    fn bury(&mut self) {
        let mut ended = Vec::new();
        self.children.retain(|child| match sys::wait_for(child.pid) {
            sys::Child::Lives => true,
            sys::Child::Ended(status) => {
                ended.push(Buried { pid: child.pid.unsigned_abs(), status });
                false
            }
            sys::Child::Gone => false,
        });
        ended.iter().for_each(|buried| self.tell(buried));
    }

    /// A supervisor that is gone is noticed where its word is awaited.
    fn tell<M: Message>(&mut self, message: &M) {
        let _ = self.control.write_all(&message.frame());
    }
}
