//! `wsgi.errors`: text whose lines go to the error log of the request's virtual host.

use crate::sys;
use crate::talk::{Over, Talk};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::Arc;

/// The error log of a request. Ends with its request.
#[pyclass(module = "mod_wsgi", name = "Log", frozen)]
pub(crate) struct ErrorLog {
    talk: Arc<Talk>,
}

impl ErrorLog {
    /// The log of one request.
    pub(crate) fn new(talk: Arc<Talk>) -> Self {
        Self { talk }
    }
}

#[pymethods]
impl ErrorLog {
    /// Writes text; whole lines at once, the rest when it is whole, flushed, or the request ends.
    #[pyo3(signature = (text, /))]
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let bytes = sys::readable_bytes(text)?;
        let bytes = bytes.as_bytes();
        self.talk.io(py, |conversation| conversation.log(bytes)).map_err(|Over| over("write"))?;
        text.len()
    }

    /// Writes each text of an iterable, and no line ends between them.
    #[pyo3(signature = (texts, /))]
    fn writelines(&self, py: Python<'_>, texts: &Bound<'_, PyAny>) -> PyResult<()> {
        for text in texts.try_iter()? {
            self.write(py, text?.cast::<PyString>()?)?;
        }
        Ok(())
    }

    /// Sends a line that is not whole yet.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.talk.io(py, |conversation| conversation.flush_log()).map_err(|Over| over("flush"))
    }

    /// Flushes; the log stays open as long as its request.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.flush(py)
    }

    fn isatty(&self) -> bool {
        false
    }

    #[getter]
    fn closed(&self) -> bool {
        false
    }

    #[getter]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }
}

fn over(method: &str) -> PyErr {
    PyRuntimeError::new_err(format!("wsgi.errors: {method}() after the request has ended"))
}
