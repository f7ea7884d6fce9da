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

/// What a request thread keeps between requests to build environs from.
pub(crate) struct Drawer {
    /// The keys that are the same for every request of this thread.
    constant: Py<PyDict>,
    names: HashMap<Box<[u8]>, Py<PyString>>,
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
        Ok(Self { constant: constant.unbind(), names: HashMap::new() })
    }

    /// Builds the environ. What the worker says goes over what `SetEnv` may have said.
    pub(crate) fn environ<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead,
        particulars: &Particulars<'_, 'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = PyDict::new(py);
        for (name, value) in &head.environ {
            let key = self.name(py, name)?;
            match &name[..] {
                b"DOCUMENT_ROOT" | b"SCRIPT_FILENAME" => {
                    environ.set_item(key, OsStr::from_bytes(value).into_bound_py_any(py)?)?;
                }
                _ => environ.set_item(key, sys::latin1(py, value)?)?,
            }
        }
        environ.update(self.constant.bind(py).as_mapping())?;
        self.paths(&environ)?;
        let scheme = if head.https { intern!(py, "https") } else { intern!(py, "http") };
        environ.set_item(intern!(py, "wsgi.url_scheme"), scheme)?;
        environ.set_item(intern!(py, "wsgi.input"), particulars.input)?;
        environ.set_item(intern!(py, "wsgi.errors"), particulars.errors)?;
        environ.set_item(intern!(py, "mod_wsgi.process_group"), sys::latin1(py, &head.process_group)?)?;
        environ
            .set_item(intern!(py, "mod_wsgi.application_group"), sys::latin1(py, &head.application_group)?)?;
        environ.set_item(intern!(py, "mod_wsgi.callable_object"), &head.callable)?;
        environ.set_item(intern!(py, "mod_wsgi.request_handler"), &head.handler)?;
        environ.set_item(intern!(py, "mod_wsgi.request_start"), seconds(head.request_start))?;
        environ.set_item(intern!(py, "mod_wsgi.queue_start"), seconds(head.queue_start))?;
        environ.set_item(intern!(py, "mod_wsgi.daemon_start"), particulars.daemon_start)?;
        environ.set_item(intern!(py, "mod_wsgi.application_start"), now())?;
        Ok(environ)
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

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// Seconds since the epoch.
pub(crate) fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
