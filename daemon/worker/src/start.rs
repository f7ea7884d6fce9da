//! `start_response` and the `write` that it returns (PEP 3333, "The start_response() Callable").
//!
//! Holds the response's head until the first body bytes take it along, and counts what was promised.

use crate::connection::Broken;
use crate::headers;
use crate::length::Length;
use crate::locked;
use crate::talk::{Conversation, Over, Talk};
use crate::watch;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTraceback, PyTuple};
use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, OnceLock};
use wsgid_proto::bounds;
use wsgid_proto::response::ResponseWriter;

/// Why a response cannot go on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// There is nobody to answer any more; nobody's fault.
    Lost,
    /// The application raised, or did what it must not.
    Python(PyErr),
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Fault::Python(error)
    }
}

/// The start of one request's response.
#[pyclass(module = "mod_wsgi", name = "StartResponse", frozen)]
pub(crate) struct StartResponse {
    talk: Arc<Talk>,
    answer: Mutex<Answer>,
    /// For the event of its start, where anybody is subscribed.
    facts: OnceLock<Py<PyDict>>,
}

struct Answer {
    head: Option<Start>,
    status: u16,
    sent: bool,
    length: Length,
}

/// A head that is not out yet, and what the log is told then.
struct Start {
    writer: ResponseWriter,
    complaint: Vec<u8>,
}

thread_local! {
    /// The room of this thread's last head, for the next one.
    static HEAD_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A head that came out larger leaves no buffer behind.
const KEPT_HEAD: usize = 16 << 10;

impl StartResponse {
    /// For one request; `head_only` if its method is HEAD.
    pub(crate) fn new(talk: Arc<Talk>, head_only: bool) -> Self {
        let length = Length::new(200, head_only);
        // One that never begins is answered with a 500.
        let answer = Answer { head: None, status: 500, sent: false, length };
        Self { talk, answer: Mutex::new(answer), facts: OnceLock::new() }
    }

    /// Its start is an event, about which this is known.
    pub(crate) fn publish(&self, facts: Py<PyDict>) {
        let _ = self.facts.set(facts);
    }

    /// The status that was set last, or what the web server answers without one.
    pub(crate) fn status(&self) -> u16 {
        locked(&self.answer).status
    }

    /// A write, which counts where anybody counts. An empty one is none.
    fn write_out<R>(&self, bytes: usize, work: impl FnOnce() -> R) -> R {
        match self.talk.meter().filter(|_| bytes > 0) {
            Some(meter) => meter.output.time(bytes, work),
            None => work(),
        }
    }

    /// Is the head out, or taken along by what is about to go out?
    pub(crate) fn is_sent(&self) -> bool {
        locked(&self.answer).sent
    }

    /// A head that is not sent yet, with a Content-Length if `whole` is known to be all there will be;
    /// and how many of the `bytes` at hand to send.
    fn admit(&self, bytes: u64, whole: Option<u64>) -> PyResult<(Option<Start>, u64)> {
        let mut answer = locked(&self.answer);
        if answer.sent {
            return Ok((None, answer.length.admit(bytes)));
        }
        let no_start =
            || PyRuntimeError::new_err("the response was not started: start_response() comes first");
        let mut head = answer.head.take().ok_or_else(no_start)?;
        // What HEAD is answered with says nothing about the length of a GET's answer if it is empty.
        let length = &answer.length;
        let whole = whole.filter(|&whole| length.is_open() && !(length.is_head_only() && whole == 0));
        if let Some(whole) = whole {
            head.writer.header(b"Content-Length", whole.to_string().as_bytes());
        }
        if head.writer.payload().len() > bounds::RESPONSE_HEAD {
            return Err(PyValueError::new_err("the response's headers are too large"));
        }
        answer.sent = true;
        Ok((Some(head), answer.length.admit(bytes)))
    }

    /// Sends body bytes at once, and the head if it is not out yet. `whole` as for `admit`.
    pub(crate) fn send(&self, py: Python<'_>, data: &[u8], whole: Option<u64>) -> Result<(), Fault> {
        let (head, admitted) = self.admit(data.len() as u64, whole)?;
        let data = &data[..admitted as usize];
        if head.is_none() && data.is_empty() {
            return Ok(());
        }
        let sent = self.talk.io(py, |conversation| {
            put_head(conversation, head)?;
            self.write_out(data.len(), || conversation.chunk(data))
        });
        settled(sent)
    }

    /// Puts the head and few body bytes, which leave with the end of the response in one piece.
    pub(crate) fn put(&self, py: Python<'_>, data: &[u8], whole: Option<u64>) -> Result<(), Fault> {
        let (head, admitted) = self.admit(data.len() as u64, whole)?;
        let data = &data[..admitted as usize];
        let put =
            self.talk.now(py, |conversation| {
                put_head(conversation, head)?;
                self.write_out(data.len(), || {
                    if data.is_empty() { Ok(()) } else { conversation.small_chunk(data) }
                })
            });
        settled(put)
    }

    /// Sends `available` bytes of a file from `offset` on, or fewer if fewer were promised.
    pub(crate) fn send_file(
        &self,
        py: Python<'_>,
        file: &File,
        offset: u64,
        available: u64,
    ) -> Result<(), Fault> {
        let (head, admitted) = self.admit(available, Some(available))?;
        let sent = self.talk.io(py, |conversation| {
            put_head(conversation, head)?;
            self.write_out(admitted as usize, || {
                if admitted == 0 { Ok(()) } else { conversation.file(file.as_fd(), offset, admitted) }
            })
        });
        settled(sent)
    }

    /// What is missing from the promised length.
    pub(crate) fn shortfall(&self) -> Option<(u64, u64)> {
        locked(&self.answer).length.shortfall()
    }
}

/// Puts a head that has not gone out yet, and keeps its room.
fn put_head(conversation: &mut Conversation, head: Option<Start>) -> Result<(), Broken> {
    let Some(head) = head else { return Ok(()) };
    let put = conversation.head(head.writer.payload());
    // Not where nothing can be put any more: it would be written elsewhere, perhaps with the GIL held.
    if put.is_ok() && !head.complaint.is_empty() {
        conversation.warn(&head.complaint);
    }
    let buffer = head.writer.into_buffer();
    if buffer.capacity() <= KEPT_HEAD {
        HEAD_BUFFER.set(buffer);
    }
    put
}

fn settled(outcome: Result<Result<(), Broken>, Over>) -> Result<(), Fault> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Fault::Lost),
        Err(Over) => Err(PyRuntimeError::new_err("write() after the request has ended").into()),
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, headers, exc_info = None, /))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let exc_info = exc_info.map(|info| exception_tuple(info)).transpose()?;
        if this.is_sent() {
            return Err(too_late(exc_info)?);
        }
        if let Some(facts) = this.facts.get() {
            watch::response_started(
                facts.bind(slf.py()),
                status,
                headers,
                exc_info.map(|info| info.as_any()),
            )?;
        }
        let head_only = locked(&this.answer).length.is_head_only();
        let head = headers::response_head(status, headers, head_only, HEAD_BUFFER.take())?;
        {
            let mut answer = locked(&this.answer);
            if answer.sent {
                // By another thread of the application's, meanwhile.
                drop(answer);
                return Err(too_late(exc_info)?);
            }
            answer.head = Some(Start { writer: head.writer, complaint: head.complaint });
            answer.length = head.length;
            answer.status = head.status;
        }
        slf.getattr(pyo3::intern!(slf.py(), "write"))
    }

    /// Sends body bytes: for applications that cannot return an iterable.
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = chunk(data)?;
        if data.as_bytes().is_empty() {
            return Ok(());
        }
        match self.send(py, data.as_bytes(), None) {
            Ok(()) => Ok(()),
            Err(Fault::Lost) => Err(PyOSError::new_err("the client, or its Apache process, has gone")),
            Err(Fault::Python(error)) => Err(error),
        }
    }
}

/// Body bytes as PEP 3333 wants them.
pub(crate) fn chunk<'a, 'py>(data: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    data.cast::<PyBytes>().map_err(|_| {
        let found = data.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("sequence of byte string values expected, value of type {found} found"))
    })
}

fn exception_tuple<'a, 'py>(info: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyTuple>> {
    info.cast::<PyTuple>().map_err(|_| PyTypeError::new_err("exc_info must be a tuple or None"))
}

/// What a start is answered with once the head is out.
fn too_late(exc_info: Option<&Bound<'_, PyTuple>>) -> PyResult<PyErr> {
    match exc_info {
        Some(info) => reraised(info),
        None => Ok(PyRuntimeError::new_err("headers have already been sent")),
    }
}

/// The application's own exception, to be raised again since the head is out.
fn reraised(info: &Bound<'_, PyTuple>) -> PyResult<PyErr> {
    let error = PyErr::from_value(info.get_item(1)?);
    if let Ok(traceback) = info.get_item(2)?.cast_into::<PyTraceback>() {
        error.set_traceback(info.py(), Some(traceback));
    }
    Ok(error)
}
