//! The WSGI environ of a request (PEP 3333, "environ Variables"), and mod_wsgi's own keys.

use crate::errors::ErrorLog;
use crate::input::Input;
use crate::sys;
use crate::worker::Worker;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{IntoPyObjectExt, intern};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use wsgid_proto::request::RequestHead;

/// Names recur with every request, but a client may invent some: beyond so many they are not kept.
const NAMES: usize = 256;

/// Values that the server gives are mostly those of the last request: so many of its variables are
/// remembered, if they are no longer than this.
const REMEMBERED: usize = 128;
const REMEMBERED_BYTES: usize = 512;

/// What a request thread keeps between requests to build environs from.
pub(crate) struct Drawer {
    /// The keys that are the same for every request of this thread.
    constant: Py<PyDict>,
    names: HashMap<Box<[u8]>, Py<PyString>>,
    /// The last request's variables, by their place in the head.
    variables: Vec<Variable>,
    /// And what else it named.
    process_group: Text,
    application_group: Text,
    callable: Text,
    handler: Text,
}

/// A variable as the last request had it.
struct Variable {
    name: Box<[u8]>,
    key: Py<PyString>,
    value: Text,
}

/// A text of the last request. The same bytes are the same string again: no work, and no memory for
/// requests that live side by side.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    string: Option<Py<PyAny>>,
}

impl Text {
    fn get<'py>(
        &mut self,
        py: Python<'py>,
        bytes: &[u8],
        make: impl FnOnce(&[u8]) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(string) = self.string.as_ref().filter(|_| self.bytes == bytes) {
            return Ok(string.bind(py).clone());
        }
        let string = make(bytes)?;
        if bytes.len() <= REMEMBERED_BYTES {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
            self.string = Some(string.clone().unbind());
        }
        Ok(string)
    }

    fn latin1<'py>(&mut self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, bytes, |bytes| Ok(sys::latin1(py, bytes)?.into_any()))
    }
}

/// What belongs to one request beside its head.
pub(crate) struct Particulars<'a, 'py> {
    pub(crate) input: &'a Bound<'py, Input>,
    pub(crate) errors: &'a Bound<'py, ErrorLog>,
    /// When the worker had the whole head, in seconds since the epoch.
    pub(crate) daemon_start: f64,
}

impl Drawer {
    /// For the thread of this number, counted from 1.
    pub(crate) fn new(py: Python<'_>, worker: &Worker, thread: u32) -> PyResult<Self> {
        let module = py.import("mod_wsgi")?;
        let constant = PyDict::new(py);
        constant.set_item("wsgi.version", (1, 0))?;
        constant.set_item("wsgi.multithread", worker.plan.threads != 1)?;
        constant.set_item("wsgi.multiprocess", worker.plan.multiprocess)?;
        constant.set_item("wsgi.run_once", false)?;
        constant.set_item("wsgi.input_terminated", true)?;
        constant.set_item("wsgi.file_wrapper", module.getattr("FileWrapper")?)?;
        constant.set_item("apache.version", py.import("apache")?.getattr("version")?)?;
        constant.set_item("mod_wsgi.version", module.getattr("version")?)?;
        constant.set_item("mod_wsgi.handler_script", "")?;
        constant.set_item("mod_wsgi.thread_id", thread)?;
        Ok(Self {
            constant: constant.unbind(),
            names: HashMap::new(),
            variables: Vec::new(),
            process_group: Text::default(),
            application_group: Text::default(),
            callable: Text::default(),
            handler: Text::default(),
        })
    }

    /// Builds the environ, and says whether the request is a HEAD. What the worker says goes over what
    /// `SetEnv` may have said.
    pub(crate) fn environ<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead,
        particulars: &Particulars<'_, 'py>,
    ) -> PyResult<(Bound<'py, PyDict>, bool)> {
        let environ = PyDict::new(py);
        let mut head_only = false;
        for (at, (name, value)) in head.environ().enumerate() {
            if name == b"REQUEST_METHOD" {
                head_only = value == b"HEAD";
            }
            self.set_variable(&environ, at, name, value)?;
        }
        environ.update(self.constant.bind(py).as_mapping())?;
        self.paths(&environ)?;
        let scheme = if head.https { intern!(py, "https") } else { intern!(py, "http") };
        environ.set_item(intern!(py, "wsgi.url_scheme"), scheme)?;
        environ.set_item(intern!(py, "wsgi.input"), particulars.input)?;
        environ.set_item(intern!(py, "wsgi.errors"), particulars.errors)?;
        let texts = [
            (intern!(py, "mod_wsgi.process_group"), &mut self.process_group, head.process_group()),
            (
                intern!(py, "mod_wsgi.application_group"),
                &mut self.application_group,
                head.application_group(),
            ),
        ];
        for (key, text, bytes) in texts {
            environ.set_item(key, text.latin1(py, bytes)?)?;
        }
        let texts = [
            (intern!(py, "mod_wsgi.callable_object"), &mut self.callable, head.callable()),
            (intern!(py, "mod_wsgi.request_handler"), &mut self.handler, head.handler()),
        ];
        for (key, text, characters) in texts {
            let make = |_: &[u8]| characters.into_bound_py_any(py);
            environ.set_item(key, text.get(py, characters.as_bytes(), make)?)?;
        }
        environ.set_item(intern!(py, "mod_wsgi.request_start"), seconds(head.request_start))?;
        environ.set_item(intern!(py, "mod_wsgi.queue_start"), seconds(head.queue_start))?;
        environ.set_item(intern!(py, "mod_wsgi.daemon_start"), particulars.daemon_start)?;
        environ.set_item(intern!(py, "mod_wsgi.application_start"), now())?;
        Ok((environ, head_only))
    }

    /// Sets the variable at this place of the head.
    fn set_variable(
        &mut self,
        environ: &Bound<'_, PyDict>,
        at: usize,
        name: &[u8],
        value: &[u8],
    ) -> PyResult<()> {
        let py = environ.py();
        if self.variables.get(at).is_none_or(|variable| *variable.name != *name) {
            let key = self.name(py, name)?;
            if at > self.variables.len() || at >= REMEMBERED {
                return environ.set_item(key, string(py, name, value)?);
            }
            let variable = Variable { name: name.into(), key: key.unbind(), value: Text::default() };
            match self.variables.get_mut(at) {
                Some(other) => *other = variable,
                None => self.variables.push(variable),
            }
        }
        let variable = &mut self.variables[at];
        let key = variable.key.bind(py);
        if is_clients(name) {
            // It may be a secret, which nobody keeps longer than the request.
            return environ.set_item(key, sys::latin1(py, value)?);
        }
        environ.set_item(key, variable.value.get(py, value, |value| string(py, name, value))?)
    }

    /// The paths as they are before an application rewrites them.
    fn paths(&self, environ: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = environ.py();
        for (copy, of) in [
            (intern!(py, "mod_wsgi.script_name"), intern!(py, "SCRIPT_NAME")),
            (intern!(py, "mod_wsgi.path_info"), intern!(py, "PATH_INFO")),
        ] {
            match environ.get_item(of)? {
                Some(path) => environ.set_item(copy, path)?,
                None => environ.set_item(copy, intern!(py, ""))?,
            }
        }
        Ok(())
    }

    fn name<'py>(&mut self, py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if let Some(known) = self.names.get(name) {
            return Ok(known.bind(py).clone());
        }
        let text = sys::latin1(py, name)?;
        if self.names.len() < NAMES {
            self.names.insert(name.into(), text.clone().unbind());
        }
        Ok(text)
    }
}

/// Does the client say what this variable is?
fn is_clients(name: &[u8]) -> bool {
    name.starts_with(b"HTTP_") || name.ends_with(b"QUERY_STRING") || name == b"REQUEST_URI"
}

/// A variable's value: file names as Python has them, everything else as PEP 3333 has bytes.
fn string<'py>(py: Python<'py>, name: &[u8], value: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match name {
        b"DOCUMENT_ROOT" | b"SCRIPT_FILENAME" => OsStr::from_bytes(value).into_bound_py_any(py),
        _ => Ok(sys::latin1(py, value)?.into_any()),
    }
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// Seconds since the epoch.
pub(crate) fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
