//! `_wsgid`, the extension that makes a plain Python a worker of mod_wsgid.
//!
//! The launcher executes the interpreter of the group's own environment, which loads this extension
//! and calls its `main`. From then on request threads wait for Apache's children to connect and
//! turn frames into calls of a WSGI application (PEP 3333), and its answers into frames.
//!
//! ```text
//! life      take over, get ready, wait for the end, drain       outfit, control, signals, worker, python/*.py
//! template  imports for workers that are copies of it         life, outfit
//! service   the same as life for a worker without request threads
//! serve     a request thread: wait, serve, settle               kept, connection
//! request   a head becomes a call and an ending                 scripts, environ, start, respond
//! hooks     or a question to a script, and its verdict          scripts, lookup
//! talk      one request's frames, in turn                       input, errors, serving, stdio, records, lookup
//! watch     what is told and counted of it, for who asks        meter, metrics, tally, processor
//! ```
//!
//! Without Python, and tested without it: `body`, `hops`, `length`, `lines`, `meter`, `processor`, `status`,
//! `tally`. All that is unsafe: `sys`.
//! Two rules keep threads from waiting for each other in a ring: nobody does I/O or waits for a lock while
//! attached to Python (with the GIL held, where there is one), and nobody touches Python with a lock held. An
//! exception says so where it is made.

mod attach;
mod body;
mod connection;
mod control;
mod environ;
mod errors;
mod follow;
mod headers;
mod hooks;
mod hops;
mod input;
mod journal;
mod kept;
mod length;
mod life;
mod lines;
mod lookup;
mod meter;
mod metrics;
mod mould;
mod others;
mod outfit;
mod processor;
mod python;
mod records;
mod request;
mod respond;
mod scripts;
mod serve;
mod service;
mod serving;
mod signals;
mod start;
mod status;
mod stdio;
mod sys;
mod talk;
mod tally;
mod template;
mod watch;
mod watched;
mod wear;
mod worker;

use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic elsewhere ended one request; what the lock guards is whole enough for the others.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the embedded Python calls. Nothing in here relies on a GIL.
#[pymodule(gil_used = false)]
mod _wsgid {
    #[pymodule_export]
    use crate::errors::ErrorLog;
    #[pymodule_export]
    use crate::input::Input;
    #[pymodule_export]
    use crate::life::main;
    #[pymodule_export]
    use crate::lookup::server_metrics;
    #[pymodule_export]
    use crate::metrics::{drain_metrics, process_totals, start_recording};
    #[pymodule_export]
    use crate::python::log_handler;
    #[pymodule_export]
    use crate::records::record;
    #[pymodule_export]
    use crate::serve::serve;
    #[pymodule_export]
    use crate::serving::request_data;
    #[pymodule_export]
    use crate::stdio::{emit, flush};
    #[pymodule_export]
    use crate::template::end_with_template;

    /// In a forked child: lets go of everything that is the worker's.
    #[pyo3::pyfunction]
    fn abandon() {
        crate::worker::abandon_in_child();
    }

    /// Asks the supervisor to replace this worker, since its code has changed.
    #[pyo3::pyfunction]
    #[pyo3(signature = (reason, /))]
    fn want_reload(py: pyo3::Python<'_>, reason: &str) {
        py.detach(|| crate::worker::want_reload(reason));
    }
}
