//! What a script or an application may ask of httpd while it has its attention: mod_ssl's variables in the
//! environ of a hook, and httpd's scoreboard as `mod_wsgi.server_metrics()`.

use crate::talk::{Over, Talk};
use crate::worker::Worker;
use crate::{serving, sys};
use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use wsgid_proto::bounds;
use wsgid_proto::hook::Ask;
use wsgid_proto::scoreboard::{Scoreboard, ServerProcess, ServerThread, post};

/// To read what is posted between two writings.
const ATTEMPTS: usize = 100;

/// `mod_ssl.is_https` and `mod_ssl.var_lookup`: good until the verdict is there.
#[pyclass(module = "mod_wsgi", name = "Auth", frozen)]
pub(crate) struct Lookup {
    talk: Arc<Talk>,
}

impl Lookup {
    /// For one hook.
    pub(crate) fn new(talk: Arc<Talk>) -> Self {
        Self { talk }
    }

    fn ask(&self, py: Python<'_>, ask: &Ask, method: &str) -> PyResult<Option<Bytes>> {
        let answer = self.talk.io(py, |conversation| conversation.ask(ask));
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(broken)) => Err(PyRuntimeError::new_err(format!("mod_ssl.{method}(): {broken}"))),
            Err(Over) => {
                Err(PyRuntimeError::new_err(format!("mod_ssl.{method}() after its request has ended")))
            }
        }
    }
}

#[pymethods]
impl Lookup {
    /// 1 over TLS, otherwise 0.
    fn is_https(&self, py: Python<'_>) -> PyResult<u8> {
        Ok(self.ask(py, &Ask::IsHttps, "is_https")?.is_some().into())
    }

    /// The value of one of mod_ssl's variables, or None.
    #[pyo3(signature = (name, /))]
    fn var_lookup<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let name = variable_name(name)?;
        let value = self.ask(py, &Ask::SslVariable(name), "var_lookup")?;
        value.map(|value| sys::latin1(py, &value)).transpose()
    }
}

/// As httpd has it.
fn variable_name(name: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let unfit = |_| PyTypeError::new_err("the name of a variable is a string of ISO 8859-1, or bytes");
    let encoded = match name.is_instance_of::<PyString>() {
        true => name.call_method1("encode", ("latin-1",)).map_err(unfit)?,
        false => name.clone(),
    };
    let encoded = encoded.cast::<PyBytes>().map_err(|e| unfit(e.into()))?;
    let bytes = encoded.as_bytes();
    if bytes.contains(&0) || bytes.len() > bounds::SMALL / 2 {
        return Err(PyValueError::new_err("no variable has such a name"));
    }
    Ok(Bytes::copy_from_slice(bytes))
}

/// httpd's scoreboard: as it is now for a thread that serves a request, for others as the Apache parent posted it
/// last. None if the process group may not see it, or nothing has been posted yet.
#[pyfunction]
pub(crate) fn server_metrics(py: Python<'_>) -> PyResult<Option<Bound<'_, PyDict>>> {
    let Some(bytes) = py.detach(scoreboard) else { return Ok(None) };
    let board = Scoreboard::decode(bytes).map_err(|e| PyRuntimeError::new_err(e.to_string()))?;
    of_board(py, &board).map(Some)
}

fn scoreboard() -> Option<Bytes> {
    let told = serving::served().map(|talk| talk.with(|conversation| conversation.ask(&Ask::ServerMetrics)));
    match told {
        Some(Ok(Ok(told))) => told,
        _ => Worker::get()?.scores.as_ref().and_then(posted),
    }
}

/// What is posted. The daemon may be writing it anew meanwhile, which takes moments.
fn posted(file: &File) -> Option<Bytes> {
    let header = || {
        let mut bytes = [0; post::HEADER];
        file.read_exact_at(&mut bytes, 0).ok().and_then(|()| post::read_header(bytes))
    };
    (0..ATTEMPTS).find_map(|_| {
        let before = header()?;
        let mut board = vec![0; before.1];
        file.read_exact_at(&mut board, post::HEADER as u64).ok()?;
        (header() == Some(before)).then(|| board.into())
    })
}

fn of_board<'py>(py: Python<'py>, board: &Scoreboard) -> PyResult<Bound<'py, PyDict>> {
    let processes = PyList::empty(py);
    for process in &board.processes {
        processes.append(of_process(py, process)?)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("server_limit", board.server_limit)?;
    dict.set_item("thread_limit", board.thread_limit)?;
    dict.set_item("running_generation", board.generation)?;
    dict.set_item("restart_time", seconds(board.restart_time))?;
    dict.set_item("current_time", seconds(board.current_time))?;
    dict.set_item("running_time", board.current_time.saturating_sub(board.restart_time) / 1_000_000)?;
    dict.set_item("processes", processes)?;
    Ok(dict)
}

fn of_process<'py>(py: Python<'py>, process: &ServerProcess) -> PyResult<Bound<'py, PyDict>> {
    let workers = PyList::empty(py);
    for thread in &process.threads {
        workers.append(of_thread(py, thread)?)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("process_num", process.number)?;
    dict.set_item("pid", process.pid)?;
    dict.set_item("generation", process.generation)?;
    dict.set_item("quiescing", process.quiescing)?;
    dict.set_item("workers", workers)?;
    Ok(dict)
}

fn of_thread<'py>(py: Python<'py>, thread: &ServerThread) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("thread_num", thread.number)?;
    dict.set_item("generation", thread.generation)?;
    dict.set_item("status", thread.flag())?;
    dict.set_item("access_count", thread.access_count)?;
    dict.set_item("bytes_served", thread.bytes_served)?;
    dict.set_item("start_time", seconds(thread.start_time))?;
    dict.set_item("stop_time", seconds(thread.stop_time))?;
    dict.set_item("last_used", seconds(thread.last_used))?;
    dict.set_item("client", sys::latin1(py, &thread.client)?)?;
    dict.set_item("request", sys::latin1(py, &thread.request)?)?;
    dict.set_item("vhost", sys::latin1(py, &thread.vhost)?)?;
    Ok(dict)
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}
