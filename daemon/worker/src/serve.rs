//! A request thread: waits for a connection that is readable, serves its request, settles, and waits
//! again. Leader and follower in one: no hand-over between threads.

use crate::connection::{Broken, Connection};
use crate::environ::{self, Drawer};
use crate::follow::Follower;
use crate::kept::Event;
use crate::request::{self, Request};
use crate::talk::{Conversation, Ending, Talk};
use crate::worker::{self, Worker};
use crate::{journal, metrics, sys};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wsgid_proto::launch::Reason;
use wsgid_proto::response::AbortCause;

/// A request whose answer waits to be settled without the GIL.
type Served = (Arc<Talk>, Ending);

/// The body of request thread `thread`, counted from 1; returns when the worker ends.
#[pyfunction]
#[pyo3(signature = (thread, /))]
pub(crate) fn serve(py: Python<'_>, thread: u32) -> PyResult<()> {
    let worker = Worker::get().ok_or_else(|| PyRuntimeError::new_err("this process is no worker"))?;
    let mut drawer = Drawer::new(py, worker, thread)?;
    worker.watched.introduce(thread, py.import("threading")?.call_method0("get_ident")?.extract()?);
    let mut follower = Follower::new(worker.plan.follow);
    let mut served: Option<Served> = None;
    while let Some(request) = py.detach(|| next(worker, thread, &mut follower, served.take())) {
        let talk = request.talk.clone();
        let ending = catch_unwind(AssertUnwindSafe(|| {
            let ending = request::serve(py, worker, &mut drawer, request);
            drawer.errors.part(py);
            ending
        }));
        if worker::forked() {
            // The application forked in a request and its child came back from it: this process has
            // no place among the workers.
            sys::leave(0);
        }
        worker.watched.leave_python(py, thread);
        served = Some((talk, ending.unwrap_or_else(|_| py.detach(|| panicked("serving a request")))));
    }
    worker.watched.dismiss(thread);
    Ok(())
}

fn panicked(what: &str) -> Ending {
    journal::note(&format!("a fault of mod_wsgid while {what}; its request is lost"));
    Ending::Aborted(AbortCause::Internal, "a fault of mod_wsgid".into())
}

/// Settles the last request and waits for the next; `None` when the worker ends.
fn next(
    worker: &'static Worker,
    thread: u32,
    follower: &mut Follower,
    mut served: Option<Served>,
) -> Option<Request> {
    loop {
        let step = catch_unwind(AssertUnwindSafe(|| {
            let settled = served.take().and_then(|(talk, ending)| {
                metrics::end(thread, talk.meter());
                let connection = settle(&talk, &ending);
                worker.watched.end(thread);
                follower.answered(|| worker.pool_has_up_to(0));
                connection
            });
            wait(worker, settled)
        }));
        match step {
            Ok(Wait::Request(request)) => {
                worker.watched.begin(thread);
                follower.begin(request.head.processor, request.daemon_start, || worker.pool_has_up_to(1));
                // Access control and the like are parts of a request, and none of their own.
                if request.head.hook.is_none() {
                    metrics::begin(thread);
                    if worker.wear.count() {
                        worker.control.worn(Reason::MaximumRequests);
                    }
                }
                return Some(*request);
            }
            Ok(Wait::Leave) => return None,
            Err(_) => drop(panicked("waiting for a request")),
        }
    }
}

/// Ends a request. Its connection comes back if the next may have arrived on it already.
fn settle(talk: &Talk, ending: &Ending) -> Option<Connection> {
    rest(talk.take()?.settle(ending)?)
}

fn rest(connection: Connection) -> Option<Connection> {
    connection.rest().unwrap_or_else(|broken| {
        journal::note(&format!("a connection ends: it cannot be watched: {broken}"));
        None
    })
}

enum Wait {
    Request(Box<Request>),
    Leave,
}

fn wait(worker: &'static Worker, mut readable: Option<Connection>) -> Wait {
    loop {
        if let Some(connection) = readable.take() {
            match receive(worker, connection) {
                Received::Request(request) => return Wait::Request(request),
                Received::Again(connection) => readable = Some(connection),
                Received::Nothing => {}
            }
            continue;
        }
        readable = match worker.kept.wait() {
            Ok(Event::Readable(connection)) => Some(connection),
            Ok(Event::Door) => worker.kept.welcome(),
            Ok(Event::Bell) => return Wait::Leave,
            Err(e) => {
                journal::note(&format!("a request thread ends: waiting for requests: {e}"));
                return Wait::Leave;
            }
        };
    }
}

/// What there was on a connection.
enum Received {
    Request(Box<Request>),
    /// More has come meanwhile.
    Again(Connection),
    /// It rests, or has ended.
    Nothing,
}

/// A request, if all of its head is there. Otherwise the connection rests, or ends.
fn receive(worker: &'static Worker, mut connection: Connection) -> Received {
    match connection.head() {
        Ok(Some(head)) => {
            let daemon_start = environ::micros_now();
            let counted = worker.begin(!head.ignore_activity);
            // A hook's script is loaded again in place, when it is asked.
            let stale = head.reloading
                && head.hook.is_none()
                && worker.scripts.check(head.script(), head.script_written);
            match Conversation::new(connection, &head, counted) {
                Ok(conversation) if stale && worker.plan.reload_at_once => {
                    // First, so that whoever has the request back does not bring it here again.
                    worker.mark_draining();
                    let ending = Ending::Aborted(AbortCause::Stale, "the code on disk has changed".into());
                    return conversation.settle(&ending).map_or(Received::Nothing, Received::Again);
                }
                Ok(conversation) => {
                    let talk = Arc::new(Talk::new(conversation));
                    return Received::Request(Box::new(Request { talk, head, daemon_start }));
                }
                Err(broken) => journal::note(&format!("a connection ends: {broken}")),
            }
        }
        Ok(None) => {
            if let Some(connection) = rest(connection) {
                return Received::Again(connection);
            }
        }
        Err(Broken::Closed) => {}
        Err(broken) => {
            journal::note(&format!("a connection ends: {broken}"));
            // A head that came over whole was sent on a claim, which is not the shim's any more.
            if matches!(broken, Broken::Eager | Broken::Message(_)) {
                drop(worker.begin(false));
            }
        }
    }
    Received::Nothing
}
