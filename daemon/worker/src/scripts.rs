//! The application scripts: loaded once by Python (`python/scripts.py`), found again here.

use crate::{locked, worker};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

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
}

impl Scripts {
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
        locked(&self.known).insert(path.into(), script.clone());
        Ok(script)
    }

    fn get(&self, path: &[u8]) -> Option<Arc<Script>> {
        locked(&self.known).get(path).cloned()
    }

    /// Needs no Python: has the file of a loaded script changed, or gone? Then asks for a reload and
    /// goes on with the code that is loaded. httpd has just looked at the file, so that there is nothing
    /// left to do if `written` is what it was; only its word for a change is not enough: its file of
    /// that name may be another one, as under `chroot`.
    pub(crate) fn check(&self, path: &[u8], written: u64) {
        let Some(script) = self.get(path) else { return };
        if i64::try_from(written) == Ok(script.mtime) {
            return;
        }
        let file = std::fs::metadata(OsStr::from_bytes(path));
        let mtime = file.map(|file| file.mtime() * 1_000_000 + file.mtime_nsec() / 1_000);
        if mtime.ok() != Some(script.mtime) {
            worker::want_reload(&format!("{} has changed", script.path));
        }
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
