//! A request thread: waits for a connection that is readable, serves its request, settles, and waits
//! again. Leader and follower in one: no hand-over between threads.

use crate::connection::{Broken, Connection};
use crate::environ::{self, Drawer};
use crate::kept::Event;
use crate::request::{self, Request};
use crate::talk::{Conversation, Ending, Talk};
use crate::worker::{self, Worker};
use crate::{journal, sys};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wsgid_proto::response::AbortCause;

/// A request whose answer waits to be settled without the GIL.
type Served = (Arc<Talk>, Ending);

/// The body of request thread `thread`, counted from 1; returns when the worker ends.
#[pyfunction]
#[pyo3(signature = (thread, /))]
pub(crate) fn serve(py: Python<'_>, thread: u32) -> PyResult<()> {
    let worker = Worker::get().ok_or_else(|| PyRuntimeError::new_err("this process is no worker"))?;
    let mut drawer = Drawer::new(py, worker, thread)?;
    let mut served: Option<Served> = None;
    while let Some(request) = py.detach(|| next(worker, served.take())) {
        let talk = request.talk.clone();
        let ending = catch_unwind(AssertUnwindSafe(|| request::serve(py, worker, &mut drawer, request)));
        if worker::forked() {
            // The application forked in a request and its child came back from it: this process has
            // no place among the workers.
            sys::leave(0);
        }
        served = Some((talk, ending.unwrap_or_else(|_| panicked("serving a request"))));
    }
    Ok(())
}

fn panicked(what: &str) -> Ending {
    journal::note(&format!("a fault of mod_wsgid while {what}; its request is lost"));
    Ending::Aborted(AbortCause::Internal, "a fault of mod_wsgid".into())
}

/// Settles the last request and waits for the next; `None` when the worker ends.
fn next(worker: &'static Worker, mut served: Option<Served>) -> Option<Request> {
    loop {
        let step = catch_unwind(AssertUnwindSafe(|| {
            if let Some((talk, ending)) = served.take() {
                settle(worker, &talk, &ending);
            }
            wait(worker)
        }));
        match step {
            Ok(Wait::Request(request)) => return Some(*request),
            Ok(Wait::Leave) => return None,
            Err(_) => drop(panicked("waiting for a request")),
        }
    }
}

fn settle(worker: &Worker, talk: &Talk, ending: &Ending) {
    if let Some(connection) = talk.take().and_then(|conversation| conversation.settle(ending)) {
        worker.kept.rest(connection);
    }
}

enum Wait {
    Request(Box<Request>),
    Leave,
}

fn wait(worker: &'static Worker) -> Wait {
    loop {
        let connection = match worker.kept.wait() {
            Ok(Event::Readable(connection)) => Some(connection),
            Ok(Event::Door) => worker.kept.welcome(),
            Ok(Event::Bell) => return Wait::Leave,
            Err(e) => {
                journal::note(&format!("a request thread ends: waiting for requests: {e}"));
                return Wait::Leave;
            }
        };
        if let Some(request) = connection.and_then(|connection| receive(worker, connection)) {
            return Wait::Request(Box::new(request));
        }
    }
}

/// A request, if all of its head is there. Otherwise the connection rests, or ends.
fn receive(worker: &'static Worker, mut connection: Connection) -> Option<Request> {
    match connection.head() {
        Ok(Some(head)) => {
            let daemon_start = environ::now();
            let counted = worker.begin();
            if head.reloading {
                worker.scripts.check(head.script(), head.script_written);
            }
            match Conversation::new(connection, head.body_complete, counted) {
                Ok(conversation) => {
                    let talk = Arc::new(Talk::new(conversation));
                    return Some(Request { talk, head, daemon_start });
                }
                Err(broken) => journal::note(&format!("a connection ends: {broken}")),
            }
        }
        Ok(None) => worker.kept.rest(connection),
        Err(Broken::Closed) => {}
        Err(broken) => {
            journal::note(&format!("a connection ends: {broken}"));
            // A head that came over whole was sent on a claim, which is not the shim's any more.
            if matches!(broken, Broken::Eager | Broken::Message(_)) {
                drop(worker.begin());
            }
        }
    }
    None
}
