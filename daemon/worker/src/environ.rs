//! The WSGI environ of a request (PEP 3333, "environ Variables"), and mod_wsgi's own keys.

use crate::errors::Errors;
use crate::input::Input;
use crate::meter;
use crate::mould::{Mould, Shape};
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
/// Moulds of a thread, and how many variables one may have.
const MOULDS: usize = 4;
const MOULDED: usize = 128;
/// A shape is worth a mould when it comes again within so many others.
const LATEST: usize = 16;

/// What a request thread keeps between requests to build environs from.
pub(crate) struct Drawer {
    /// The keys that are the same for every request of this thread.
    constant: Py<PyDict>,
    names: HashMap<Box<[u8]>, Py<PyString>>,
    /// The one used last is the first.
    moulds: Vec<Mould>,
    latest: [Shape; LATEST],
    turn: usize,
    /// `wsgi.errors` of one request after the other.
    pub(crate) errors: Errors,
}

/// What belongs to one request beside its head.
pub(crate) struct Particulars<'a, 'py> {
    pub(crate) input: &'a Bound<'py, Input>,
    pub(crate) errors: &'a Bound<'py, PyAny>,
    /// When the worker had the whole head, in microseconds since the epoch.
    pub(crate) daemon_start: u64,
    /// When the application is called: now.
    pub(crate) application_start: u64,
}

impl Drawer {
    /// For the thread of this number, counted from 1.
    pub(crate) fn new(py: Python<'_>, worker: &Worker, thread: u32) -> PyResult<Self> {
        let module = py.import("mod_wsgi")?;
        let constant = PyDict::new(py);
        constant.set_item("wsgi.version", (1, 0))?;
        constant.set_item("wsgi.multithread", worker.plan.threads != 1)?;
        constant.set_item("wsgi.multiprocess", worker.plan.multiprocess)?;
        let once = worker.plan.threads == 1 && worker.plan.maximum_requests == 1;
        constant.set_item("wsgi.run_once", once)?;
        constant.set_item("wsgi.input_terminated", true)?;
        constant.set_item("wsgi.file_wrapper", module.getattr("FileWrapper")?)?;
        constant.set_item("apache.version", py.import("apache")?.getattr("version")?)?;
        constant.set_item("mod_wsgi.version", module.getattr("version")?)?;
        constant.set_item("mod_wsgi.thread_id", thread)?;
        Ok(Self {
            constant: constant.unbind(),
            names: HashMap::new(),
            moulds: Vec::new(),
            latest: [Shape::EMPTY; LATEST],
            turn: 0,
            errors: Errors::default(),
        })
    }

    /// Builds the environ, and says whether the request is a HEAD.
    pub(crate) fn environ<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead,
        particulars: &Particulars<'_, 'py>,
    ) -> PyResult<(Bound<'py, PyDict>, bool)> {
        let environ = match self.cast(py, head)? {
            Some(environ) => environ,
            None => self.build(py, head)?,
        };
        set_particulars(&environ, head, particulars)?;
        let method = environ.get_item(intern!(py, "REQUEST_METHOD"))?;
        let head_only = method.map_or(Ok(false), |method| method.eq(intern!(py, "HEAD")))?;
        Ok((environ, head_only))
    }

    /// What can be moulded, from the mould used last or else the one that is for it.
    fn cast<'py>(&mut self, py: Python<'py>, head: &RequestHead) -> PyResult<Option<Bound<'py, PyDict>>> {
        if let Some(last) = self.moulds.first_mut() {
            if let Some(environ) = last.fill(py, variables(head))? {
                return Ok(Some(environ));
            }
        }
        let shape = shape(head);
        match self.moulds.iter().skip(1).position(|mould| mould.is_of(shape)) {
            Some(at) => {
                self.moulds[..=at + 1].rotate_right(1);
                self.moulds[0].fill(py, variables(head))
            }
            None => Ok(None),
        }
    }

    /// Builds what can be moulded, and a mould of it if it is worth one. What the worker says goes over
    /// what `SetEnv` may have said.
    fn build<'py>(&mut self, py: Python<'py>, head: &RequestHead) -> PyResult<Bound<'py, PyDict>> {
        let shape = shape(head);
        let environ = PyDict::new(py);
        let mut set = Vec::new();
        for (name, value) in variables(head) {
            let key = self.name(py, name)?;
            environ.set_item(&key, string(py, name, value)?)?;
            set.push((key, name, value));
        }
        let constant = self.constant.bind(py);
        environ.update(constant.as_mapping())?;
        // A name that came twice, or is a constant's, could not be filled in one by one.
        let distinct = environ.len() == set.len() + constant.len();
        if distinct && set.len() <= MOULDED && self.comes_again(shape) {
            let mould = Mould::of(shape, &environ, set, &fleeting(py))?;
            self.moulds.truncate(MOULDS - 1);
            self.moulds.insert(0, mould);
        }
        Ok(environ)
    }

    fn comes_again(&mut self, shape: Shape) -> bool {
        if self.latest.contains(&shape) {
            return true;
        }
        self.latest[self.turn] = shape;
        self.turn = (self.turn + 1) % LATEST;
        false
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

/// The head's variables and the texts beside them, which make up most of an environ.
fn variables(head: &RequestHead) -> impl Iterator<Item = (&[u8], &[u8])> {
    let scheme: &[u8] = if head.https { b"https" } else { b"http" };
    let beside: [(&[u8], &[u8]); 6] = [
        (b"mod_wsgi.process_group", head.process_group()),
        (b"mod_wsgi.application_group", head.application_group()),
        (CALLABLE_OBJECT, head.callable().as_bytes()),
        (REQUEST_HANDLER, head.handler().as_bytes()),
        (HANDLER_SCRIPT, handler_script(head)),
        (b"wsgi.url_scheme", scheme),
    ];
    head.environ().chain(beside)
}

/// The script of `WSGIHandlerScript`, where it answers for its handler and not for a URL of its own.
fn handler_script(head: &RequestHead) -> &[u8] {
    match head.handler() {
        "wsgi-script" | "application/x-httpd-wsgi" => b"",
        _ => head.script(),
    }
}

fn shape(head: &RequestHead) -> Shape {
    variables(head).fold(Shape::EMPTY, |shape, (name, _)| shape.with(name))
}

const CALLABLE_OBJECT: &[u8] = b"mod_wsgi.callable_object";
const REQUEST_HANDLER: &[u8] = b"mod_wsgi.request_handler";

const HANDLER_SCRIPT: &[u8] = b"mod_wsgi.handler_script";

/// The keys of [`set_particulars`].
fn fleeting(py: Python<'_>) -> [&Bound<'_, PyString>; 8] {
    [
        intern!(py, "wsgi.input"),
        intern!(py, "wsgi.errors"),
        intern!(py, "mod_wsgi.script_name"),
        intern!(py, "mod_wsgi.path_info"),
        intern!(py, "mod_wsgi.request_start"),
        intern!(py, "mod_wsgi.queue_start"),
        intern!(py, "mod_wsgi.daemon_start"),
        intern!(py, "mod_wsgi.application_start"),
    ]
}

/// Sets what is another object for each request.
fn set_particulars<'py>(
    environ: &Bound<'py, PyDict>,
    head: &RequestHead,
    particulars: &Particulars<'_, 'py>,
) -> PyResult<()> {
    let [input, errors, script_name, path_info, request, queue, daemon, application] = fleeting(environ.py());
    environ.set_item(input, particulars.input)?;
    environ.set_item(errors, particulars.errors)?;
    copy_path(environ, script_name, intern!(environ.py(), "SCRIPT_NAME"))?;
    restore(environ, script_name)?;
    copy_path(environ, path_info, intern!(environ.py(), "PATH_INFO"))?;
    environ.set_item(request, seconds(head.request_start))?;
    environ.set_item(queue, seconds(head.queue_start))?;
    environ.set_item(daemon, seconds(particulars.daemon_start))?;
    environ.set_item(application, seconds(particulars.application_start))
}

/// A path as it is before an application rewrites it.
fn copy_path(
    environ: &Bound<'_, PyDict>,
    copy: &Bound<'_, PyString>,
    of: &Bound<'_, PyString>,
) -> PyResult<()> {
    match environ.get_item(of)? {
        Some(path) => environ.set_item(copy, path),
        None => environ.set_item(copy, intern!(environ.py(), "")),
    }
}

/// Where a trusted proxy has named another mount point, the module tells what the script's name was.
fn restore(environ: &Bound<'_, PyDict>, script_name: &Bound<'_, PyString>) -> PyResult<()> {
    let original = intern!(environ.py(), "mod_wsgi.x-script_name");
    match environ.get_item(original)? {
        Some(path) => {
            environ.set_item(script_name, path)?;
            environ.del_item(original)
        }
        None => Ok(()),
    }
}

/// Does the client say what this variable is? Then it may be a secret, which nobody keeps for longer than
/// its request.
pub(crate) fn is_clients(name: &[u8]) -> bool {
    let of_clients: [&[u8]; 4] = [b"HTTP_", b"REMOTE_", b"REDIRECT_", b"SSL_CLIENT_"];
    of_clients.iter().any(|prefix| name.starts_with(prefix))
        || matches!(name, b"REQUEST_URI" | b"QUERY_STRING" | b"PATH_INFO")
}

/// A variable's value: file names as Python has them, everything else as PEP 3333 has bytes.
pub(crate) fn string<'py>(py: Python<'py>, name: &[u8], value: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match name {
        b"DOCUMENT_ROOT" | b"SCRIPT_FILENAME" => OsStr::from_bytes(value).into_bound_py_any(py),
        CALLABLE_OBJECT | REQUEST_HANDLER => String::from_utf8_lossy(value).into_bound_py_any(py),
        _ => Ok(sys::latin1(py, value)?.into_any()),
    }
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// Microseconds since the epoch.
pub(crate) fn micros_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, meter::micros)
}
