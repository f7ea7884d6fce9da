//! The parts of the worker that are written in Python: what is said more clearly there, and is not
//! on the way of every request.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::ffi::CString;

struct Embedded {
    name: &'static str,
    source: &'static str,
    module: PyOnceLock<Py<PyModule>>,
}

impl Embedded {
    const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, module: PyOnceLock::new() }
    }

    fn get<'py>(&'static self, py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
        let module = self.module.get_or_try_init(py, || {
            let text = |text: &str| CString::new(text);
            let file = format!("<wsgid {}>", self.name);
            PyModule::from_code(py, &text(self.source)?, &text(&file)?, &text(self.name)?).map(Bound::unbind)
        })?;
        Ok(module.bind(py))
    }
}

static EVENTS: Embedded = Embedded::new("_wsgid_events", include_str!("python/events.py"));
static METRICS: Embedded = Embedded::new("_wsgid_metrics", include_str!("python/metrics.py"));
static MODULES: Embedded = Embedded::new("_wsgid_modules", include_str!("python/modules.py"));
static SIGNALS: Embedded = Embedded::new("_wsgid_signals", include_str!("python/signals.py"));
static RUNTIME: Embedded = Embedded::new("_wsgid_runtime", include_str!("python/runtime.py"));
static SCRIPTS: Embedded = Embedded::new("_wsgid_scripts", include_str!("python/scripts.py"));
static FILES: Embedded = Embedded::new("_wsgid_files", include_str!("python/files.py"));
static RECORDS: Embedded = Embedded::new("_wsgid_records", include_str!("python/records.py"));
static HOOKS: Embedded = Embedded::new("_wsgid_hooks", include_str!("python/hooks.py"));

/// Beginning and end of the worker.
pub(crate) fn runtime<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
    // Each may import those before it.
    for module in [&EVENTS, &METRICS, &MODULES, &SIGNALS] {
        module.get(py)?;
    }
    RUNTIME.get(py)
}

/// Loading scripts, and describing failures.
pub(crate) fn scripts<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
    SCRIPTS.get(py)
}

/// Events, and who is subscribed to them.
pub(crate) fn events<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
    EVENTS.get(py)
}

/// What functions of access control and dispatch say.
pub(crate) fn hooks<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
    HOOKS.get(py)
}

/// `mod_wsgi` and `apache`.
pub(crate) fn modules<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
    MODULES.get(py)
}

/// `wsgi.file_wrapper`.
pub(crate) fn files<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyModule>> {
    FILES.get(py)
}

/// `mod_wsgi.LogHandler`, made when an application asks for it: Python's logging is no small module.
#[pyfunction]
pub(crate) fn log_handler(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    RECORDS.get(py)?.getattr("LogHandler")
}
