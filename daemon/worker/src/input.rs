//! `wsgi.input`: a file-like object over the request's body (PEP 3333, "Input and Error Streams").

use crate::body::{Body, Part, Source};
use crate::locked;
use crate::meter::Meter;
use crate::talk::{self, Over, Talk};
use bytes::Bytes;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The request's body. Ends with its request.
#[pyclass(module = "mod_wsgi", name = "Input", frozen)]
pub(crate) struct Input {
    talk: Arc<Talk>,
    body: Mutex<Body>,
}

type Parts = Result<Result<Vec<Bytes>, String>, Over>;

impl Input {
    /// Begins with the bytes that came along with the head.
    pub(crate) fn new(talk: Arc<Talk>, first: Bytes, complete: bool) -> Self {
        Self { talk, body: Mutex::new(Body::new(first, complete)) }
    }

    /// Did the application hit a body that cannot be read?
    pub(crate) fn has_failed(&self) -> bool {
        self.body.try_lock().is_ok_and(|body| body.fault().is_some())
    }

    /// Reads with the GIL if what is wanted is at hand and nobody else reads, without it otherwise.
    fn parts(
        &self,
        py: Python<'_>,
        at_hand: impl FnOnce(&Body) -> bool,
        read: impl FnOnce(&mut Body, &mut dyn Source) -> Result<Vec<Bytes>, String> + Send,
    ) -> Parts {
        talk::here()?;
        let begun = self.talk.meter().map(|meter| (meter, Instant::now()));
        if let Ok(mut body) = self.body.try_lock() {
            if at_hand(&body) {
                let parts = self.talk.now(py, |_| ()).map(|()| read(&mut body, &mut Nothing));
                return counted(begun, parts);
            }
        }
        self.talk.detached(py, || {
            let mut body = locked(&self.body);
            let parts = self.talk.with(|conversation| read(&mut body, conversation));
            counted(begun, parts)
        })
    }

    /// Raises if the request has ended.
    fn lives(&self, py: Python<'_>, method: &str) -> PyResult<()> {
        self.talk.now(py, |_| ()).map_err(|Over| over(method))
    }

    fn line<'py>(
        &self,
        py: Python<'py>,
        limit: Option<isize>,
        method: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let limit = bound(limit);
        let parts = self.parts(py, |body| body.has_line(limit), |body, source| body.line(limit, source));
        join(py, parts, method)
    }
}

#[pymethods]
impl Input {
    /// Up to `size` bytes, fewer only at the end; all that is left without a size.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let size = bound(size);
        let parts = self.parts(py, |body| body.has(size), |body, source| body.read(size, source));
        join(py, parts, "read")
    }

    /// One line with its end, or at most `size` bytes of it.
    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.line(py, size, "readline")
    }

    /// All lines, or those that begin within the first `hint` bytes.
    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let hint = bound(hint).filter(|&hint| hint > 0);
        let lines = PyList::empty(py);
        let mut bytes = 0;
        loop {
            let line = self.line(py, None, "readlines")?;
            bytes += line.as_bytes().len();
            if line.as_bytes().is_empty() {
                return Ok(lines);
            }
            lines.append(line)?;
            if hint.is_some_and(|hint| bytes >= hint) {
                return Ok(lines);
            }
        }
    }

    fn __iter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().lives(slf.py(), "__iter__")?;
        Ok(slf)
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.line(py, None, "__next__")?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }

    /// Does nothing: the body ends with its request.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.lives(py, "close")
    }
}

/// One read, if anybody counts; without the wait for the GIL that follows it.
fn counted(begun: Option<(&Meter, Instant)>, parts: Parts) -> Parts {
    if let Some((meter, begun)) = begun {
        let bytes = parts.iter().flatten().flatten().map(Bytes::len).sum();
        meter.input.add(bytes, begun.elapsed());
    }
    parts
}

/// Stands in where nothing has to be pulled.
struct Nothing;

impl Source for Nothing {
    fn pull(&mut self, _max: u32) -> Result<Part, String> {
        Err("nothing is at hand".into())
    }
}

/// Python's sizes: `None` and negative ones mean all.
fn bound(size: Option<isize>) -> Option<usize> {
    usize::try_from(size?).ok()
}

fn join<'py>(py: Python<'py>, parts: Parts, method: &str) -> PyResult<Bound<'py, PyBytes>> {
    let parts = parts
        .map_err(|Over| over(method))?
        .map_err(|fault| PyOSError::new_err(format!("mod_wsgi request data read error: {fault}")))?;
    if let [part] = &parts[..] {
        return Ok(PyBytes::new(py, part));
    }
    PyBytes::new_with(py, parts.iter().map(Bytes::len).sum(), |mut room| {
        for part in parts {
            let (now, later) = room.split_at_mut(part.len());
            now.copy_from_slice(&part);
            room = later;
        }
        Ok(())
    })
}

fn over(method: &str) -> PyErr {
    PyRuntimeError::new_err(format!("wsgi.input: {method}() after the request has ended"))
}
