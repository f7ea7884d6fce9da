//! Python's stdout and stderr. What a thread prints while it serves a request goes to the error log of
//! that request; everything else goes to the daemon's log, in whole lines.

use crate::lines::Lines;
use crate::talk::Talk;
use crate::{journal, worker};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static SERVED: RefCell<Option<Arc<Talk>>> = const { RefCell::new(None) };
    static OUTSIDE: RefCell<Outside> = RefCell::new(Outside::default());
}

/// The unfinished line of a thread that serves no request; not lost with its thread.
#[derive(Default)]
struct Outside(Lines);

impl Drop for Outside {
    fn drop(&mut self) {
        self.0.flush(journal::line);
    }
}

/// While it lives, this thread serves a request.
pub(crate) struct Serving;

impl Serving {
    /// From now on this thread's output belongs to a request.
    pub(crate) fn begin(talk: &Arc<Talk>) -> Self {
        SERVED.with_borrow_mut(|served| *served = Some(talk.clone()));
        Self
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        SERVED.with_borrow_mut(|served| *served = None);
    }
}

/// The conversation of the request that this thread serves; none in a forked child.
pub(crate) fn served() -> Option<Arc<Talk>> {
    SERVED.try_with(|served| served.borrow().clone()).ok().flatten().filter(|_| !worker::forked())
}

/// Takes what was written to stdout or stderr.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(crate) fn emit(py: Python<'_>, data: &[u8]) {
    py.detach(|| {
        let talk = served();
        if talk.is_none_or(|talk| talk.with(|conversation| conversation.log(data)).is_err()) {
            outside(|lines| lines.push(data, journal::line));
        }
    });
}

/// Lets go of an unfinished line of this thread.
#[pyfunction]
pub(crate) fn flush(py: Python<'_>) {
    py.detach(|| {
        if let Some(talk) = served() {
            let _ = talk.with(|conversation| conversation.flush_log());
        }
        outside(|lines| lines.flush(journal::line));
    });
}

fn outside(work: impl FnOnce(&mut Lines)) {
    let _ = OUTSIDE.try_with(|outside| {
        if let Ok(mut outside) = outside.try_borrow_mut() {
            work(&mut outside.0);
        }
    });
}
