//! Python's stdout and stderr. What a thread prints while it serves a request goes to the error log of
//! that request; everything else goes to the daemon's log, in whole lines.

use crate::journal;
use crate::lines::Lines;
use crate::serving::served;
use pyo3::prelude::*;
use std::cell::RefCell;

thread_local! {
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
