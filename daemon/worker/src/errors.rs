//! `wsgi.errors`: a text stream whose lines go to the error log of the request's virtual host (PEP 3333,
//! "Input and Error Streams"). It has what code that is handed `sys.stderr` expects of it.

use crate::sys;
use crate::talk::{Over, Talk};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::Arc;

pyo3::import_exception!(io, UnsupportedOperation);

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

    fn put(&self, py: Python<'_>, text: &Bound<'_, PyString>, method: &str) -> PyResult<()> {
        let bytes = sys::readable_bytes(text)?;
        let bytes = bytes.as_bytes();
        self.talk.io(py, |conversation| conversation.log(bytes)).map_err(|Over| over(method))
    }

    fn send(&self, py: Python<'_>, method: &str) -> PyResult<()> {
        self.talk.io(py, |conversation| conversation.flush_log()).map_err(|Over| over(method))
    }

    /// Raises if the request has ended.
    fn lives(&self, py: Python<'_>, method: &str) -> PyResult<()> {
        self.talk.now(py, |_| ()).map_err(|Over| over(method))
    }
}

#[pymethods]
impl ErrorLog {
    /// Writes text; whole lines at once, the rest when it is whole, flushed, or the request ends.
    #[pyo3(signature = (text, /))]
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<usize> {
        self.put(py, text, "write")?;
        text.len()
    }

    /// Writes each text of an iterable, and no line ends between them.
    #[pyo3(signature = (texts, /))]
    fn writelines(&self, py: Python<'_>, texts: &Bound<'_, PyAny>) -> PyResult<()> {
        self.lives(py, "writelines")?;
        for text in texts.try_iter()? {
            self.put(py, text?.cast::<PyString>()?, "writelines")?;
        }
        Ok(())
    }

    /// Sends a line that is not whole yet.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.send(py, "flush")
    }

    /// Flushes; the log stays open as long as its request.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.send(py, "close")
    }

    fn isatty(&self, py: Python<'_>) -> PyResult<bool> {
        self.lives(py, "isatty").map(|()| false)
    }

    fn readable(&self, py: Python<'_>) -> PyResult<bool> {
        self.lives(py, "readable").map(|()| false)
    }

    fn writable(&self, py: Python<'_>) -> PyResult<bool> {
        self.lives(py, "writable").map(|()| true)
    }

    fn seekable(&self, py: Python<'_>) -> PyResult<bool> {
        self.lives(py, "seekable").map(|()| false)
    }

    /// Raises what every stream of Python's without a descriptor raises, an `OSError`.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.lives(py, "fileno")?;
        Err(UnsupportedOperation::new_err("fileno"))
    }

    /// Has the request ended?
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.lives(py, "closed").is_err()
    }

    #[getter]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }

    #[getter]
    fn errors(&self) -> &'static str {
        "backslashreplace"
    }

    #[getter]
    fn name(&self) -> &'static str {
        "<wsgi.errors>"
    }

    #[getter]
    fn mode(&self) -> &'static str {
        "w"
    }

    #[getter]
    fn line_buffering(&self) -> bool {
        true
    }
}

fn over(method: &str) -> PyErr {
    PyRuntimeError::new_err(format!("wsgi.errors: {method}() after the request has ended"))
}
