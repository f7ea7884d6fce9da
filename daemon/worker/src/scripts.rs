//! The application scripts: loaded once by Python (`python/scripts.py`), found again here.

use crate::others::{Others, written};
use crate::{locked, worker};
use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A script that has been executed.
pub(crate) struct Script {
    /// Its path, for messages.
    pub(crate) path: String,
    names: Py<PyDict>,
    /// When its file was written, in microseconds since the epoch.
    mtime: i64,
}

/// All that have been.
#[derive(Default)]
pub(crate) struct Scripts {
    known: Mutex<HashMap<Box<[u8]>, Arc<Script>>>,
    others: Others,
}

impl Scripts {
    /// None so far. These files, too, are code.
    pub(crate) fn beside(paths: &[Bytes]) -> Self {
        Self { others: Others::new(paths), ..Self::default() }
    }

    /// Loads a script, or finds it loaded.
    pub(crate) fn load(&self, py: Python<'_>, path: &[u8]) -> PyResult<Arc<Script>> {
        if let Some(script) = self.get(path) {
            return Ok(script);
        }
        let name = OsStr::from_bytes(path);
        let module = crate::python::scripts(py)?.call_method1(intern!(py, "load"), (name,))?;
        let script = Arc::new(Script {
            path: String::from_utf8_lossy(path).into_owned(),
            mtime: module.getattr(intern!(py, "__mtime__"))?.extract()?,
            names: module.getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()?.unbind(),
        });
        let replaced = locked(&self.known).insert(path.into(), script.clone());
        drop(replaced); // without the lock: it may be somebody's last, and finalizers are Python
        Ok(script)
    }

    fn get(&self, path: &[u8]) -> Option<Arc<Script>> {
        locked(&self.known).get(path).cloned()
    }

    /// Needs no Python: has the file of a loaded script changed, or gone? Then asks for a reload and
    /// says so. httpd has just looked at the file, so that there is nothing
    /// left to do if what it saw is what was; only its word for a change is not enough: its file of
    /// that name may be another one, as under `chroot`.
    pub(crate) fn check(&self, path: &[u8], as_httpd_saw: u64) -> bool {
        let script = self.get(path).filter(|script| {
            i64::try_from(as_httpd_saw) != Ok(script.mtime) && written(path) != Some(script.mtime)
        });
        let other = || self.others.changed(Instant::now);
        let other = || other().map(|(path, new)| (String::from_utf8_lossy(path).into_owned(), new));
        let Some((path, new)) = script.map(|script| (script.path.clone(), true)).or_else(other) else {
            return false;
        };
        if new {
            worker::want_reload(&format!("{path} has changed"));
        }
        true
    }
}

impl Script {
    /// The callable of this name, if there is one.
    pub(crate) fn application<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.names.bind(py).get_item(name)
    }

    /// Asks the script itself whether it wants to be loaded anew for this resource, if it can tell.
    pub(crate) fn wants_reload(&self, py: Python<'_>, resource: &Bound<'_, PyAny>) -> PyResult<bool> {
        match self.names.bind(py).get_item(intern!(py, "reload_required"))? {
            Some(function) => function.call1((resource,))?.is_truthy(),
            None => Ok(false),
        }
    }
}
