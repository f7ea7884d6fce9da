//! `wsgi.errors`: a text stream whose lines go to the error log of the request's virtual host (PEP 3333,
//! "Input and Error Streams"). As with mod_wsgi it is one of Python's own `io.TextIOWrapper`, so that it
//! has whatever code that is handed `sys.stderr` expects of it; under it lies [`ErrorLog`], `mod_wsgi.Log`.
//!
//! Making the two costs more than most of a request's environ. A thread makes them once and hands them to
//! one request after the other, unless an application keeps one beyond its request, or has changed it: that
//! one ends with the request, and the thread makes itself another.

use crate::locked;
use crate::sys;
use crate::talk::{Over, Talk};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pyo3::import_exception!(io, UnsupportedOperation);

/// A thread's `wsgi.errors`.
#[derive(Default)]
pub(crate) struct Errors(Option<Stream>);

struct Stream {
    text: Py<PyAny>,
    log: Py<ErrorLog>,
}

impl Errors {
    /// The stream of a request that begins.
    pub(crate) fn of<'py>(&mut self, py: Python<'py>, talk: &Arc<Talk>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(stream) = self.0.as_ref().filter(|stream| stream.is_as_new(py)) {
            *locked(&stream.log.get().talk) = talk.clone();
            return Ok(stream.text.bind(py).clone());
        }
        let stream = Stream::new(py, talk)?;
        let text = stream.text.bind(py).clone();
        self.0 = Some(stream);
        Ok(text)
    }

    /// The request is over. A stream that has been flushed may have been told to hold text back as well: see
    /// [`ErrorLog::flush`]. That text is this request's, and the stream nobody else's.
    pub(crate) fn part(&mut self, py: Python<'_>) {
        if let Some(stream) = self.0.take_if(|stream| stream.log.get().is_flushed()) {
            let _ = stream.text.call_method0(py, intern!(py, "flush"));
        }
    }
}

impl Stream {
    fn new(py: Python<'_>, talk: &Arc<Talk>) -> PyResult<Self> {
        static WRAPPER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let log =
            Bound::new(py, ErrorLog { talk: Mutex::new(talk.clone()), flushed: AtomicBool::default() })?;
        let options = PyDict::new(py);
        options.set_item(intern!(py, "encoding"), intern!(py, "utf-8"))?;
        options.set_item(intern!(py, "errors"), intern!(py, "backslashreplace"))?;
        // Nothing waits in the wrapper: whole lines are made further down. Python's own line buffering
        // would flush, and so end, an unfinished line behind each finished one.
        options.set_item(intern!(py, "write_through"), true)?;
        let text = WRAPPER.import(py, "io", "TextIOWrapper")?.call((&log,), Some(&options))?;
        text.setattr(intern!(py, "mode"), intern!(py, "w"))?;
        Ok(Self { text: text.unbind(), log: log.unbind() })
    }

    /// Can the next request have it?
    fn is_as_new(&self, py: Python<'_>) -> bool {
        self.is_ours_alone(py) && !self.log.get().is_flushed() && self.has_no_more(py).unwrap_or(false)
    }

    /// Are its attributes what they were? Applications may give it others.
    fn has_no_more(&self, py: Python<'_>) -> PyResult<bool> {
        let own = self.text.bind(py).getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()?;
        let mode = own.get_item(intern!(py, "mode"))?;
        Ok(own.len() == 1 && mode.is_some_and(|mode| mode.is(intern!(py, "w"))))
    }

    /// Has every request let go of it? The wrapper is ours alone then, and so is what it wraps, unless an
    /// application has taken the two apart.
    fn is_ours_alone(&self, py: Python<'_>) -> bool {
        sys::references(self.text.bind(py)) == 1 && sys::references(self.log.bind(py).as_any()) == 2
    }
}

/// The error log of a request, as bytes. Ends with its request.
#[pyclass(module = "mod_wsgi", name = "Log", frozen)]
pub(crate) struct ErrorLog {
    talk: Mutex<Arc<Talk>>,
    flushed: AtomicBool,
}

impl ErrorLog {
    fn talk(&self) -> Arc<Talk> {
        locked(&self.talk).clone()
    }

    fn is_flushed(&self) -> bool {
        self.flushed.load(Ordering::Relaxed)
    }

    fn put(&self, py: Python<'_>, bytes: &[u8], method: &str) -> PyResult<()> {
        self.talk().io(py, |conversation| conversation.log(bytes)).map_err(|Over| over(method))
    }

    /// Raises if the request has ended.
    fn lives(&self, py: Python<'_>, method: &str) -> PyResult<()> {
        self.talk().now(py, |_| ()).map_err(|Over| over(method))
    }
}

#[pymethods]
impl ErrorLog {
    /// Writes text or bytes; whole lines at once, the rest when it is whole, flushed, or the request ends.
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        if let Ok(text) = data.cast::<PyString>() {
            self.put(py, sys::readable_bytes(text)?.as_bytes(), "write")?;
            return text.len();
        }
        let bytes = bytes_of(data)?;
        self.put(py, bytes.as_bytes(), "write")?;
        Ok(bytes.as_bytes().len())
    }

    /// Writes each item of an iterable, and no line ends between them.
    #[pyo3(signature = (items, /))]
    fn writelines(&self, py: Python<'_>, items: &Bound<'_, PyAny>) -> PyResult<()> {
        self.lives(py, "writelines")?;
        for item in items.try_iter()? {
            self.write(py, &item?)?;
        }
        Ok(())
    }

    /// Sends a line that is not whole yet. The end of the request has done so: there is nothing to
    /// complain about then, least of all from the finalizer of Python's wrapper.
    ///
    /// Python's `reconfigure()` begins with a flush too, and nothing tells what it did.
    fn flush(&self, py: Python<'_>) {
        self.flushed.store(true, Ordering::Relaxed);
        let _ = self.talk().io(py, |conversation| conversation.flush_log());
    }

    /// Flushes; the log stays open as long as its request.
    fn close(&self, py: Python<'_>) {
        self.flush(py);
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

    /// Never: Python's own words for a closed file would hide that it is the request that has ended.
    #[getter]
    fn closed(&self) -> bool {
        false
    }

    #[getter]
    fn name(&self) -> &'static str {
        "<wsgi.errors>"
    }

    #[getter]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }

    #[getter]
    fn errors(&self) -> &'static str {
        "backslashreplace"
    }
}

fn bytes_of<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    match data.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone()),
        // Whatever else has bytes; a number, of which bytes() makes zeros, has none.
        Err(_) => {
            let view = PyMemoryView::from(data)?;
            Ok(view.call_method0(intern!(data.py(), "tobytes"))?.cast_into::<PyBytes>()?)
        }
    }
}

fn over(method: &str) -> PyErr {
    PyRuntimeError::new_err(format!("wsgi.errors: {method}() after the request has ended"))
}
