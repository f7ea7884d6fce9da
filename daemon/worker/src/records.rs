//! What `mod_wsgi.LogHandler` (`python/records.py`) hands over: log records that keep their level and the
//! place in the application's source. A record of several lines becomes several of Apache's.

use crate::lines::Lines;
use crate::{serving, sys, worker};
use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyString;
use wsgid_proto::response::{CallSite, Level};

/// Takes a record: into the log of the request that this thread serves, else into the daemon's.
#[pyfunction]
#[pyo3(signature = (level, text, file, line, /))]
pub(crate) fn record(
    py: Python<'_>,
    level: u32,
    text: &Bound<'_, PyString>,
    file: &Bound<'_, PyString>,
    line: u32,
) -> PyResult<()> {
    let level = Level::from_number(level);
    let (text, file) = (sys::readable_bytes(text)?, sys::readable_bytes(file)?);
    let (text, file) = (text.as_bytes(), file.as_bytes());
    py.detach(|| {
        let site = CallSite::new(Bytes::copy_from_slice(file), line);
        let talk = serving::served();
        if talk.is_none_or(|talk| talk.with(|talk| talk.record(level, site.as_ref(), text)).is_err()) {
            each_line(text, |line| worker::note(level, line));
        }
    });
    Ok(())
}

/// The lines of a text that is whole.
pub(crate) fn each_line(text: &[u8], mut emit: impl FnMut(&[u8])) {
    let mut lines = Lines::default();
    lines.push(text, &mut emit);
    lines.flush(emit);
}
