//! Which request a thread serves: whose log its output goes to, and `mod_wsgi.request_data()`.

use crate::talk::Talk;
use crate::{python, worker};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static SERVED: RefCell<Option<Served>> = const { RefCell::new(None) };
}

struct Served {
    talk: Arc<Talk>,
    /// Made when it is first asked for.
    data: Option<Py<PyDict>>,
}

/// While it lives, this thread serves a request.
pub(crate) struct Serving<'py> {
    py: Python<'py>,
    id: Option<Bound<'py, PyAny>>,
}

impl<'py> Serving<'py> {
    /// From now on this thread's output belongs to a request.
    pub(crate) fn begin(py: Python<'py>, talk: &Arc<Talk>) -> Self {
        SERVED.set(Some(Served { talk: talk.clone(), data: None }));
        Self { py, id: None }
    }

    /// Enters the request into `mod_wsgi.active_requests`.
    pub(crate) fn enter(&mut self, environ: &Bound<'py, PyDict>) -> PyResult<()> {
        let Some(id) = environ.get_item(intern!(self.py, "mod_wsgi.request_id"))? else { return Ok(()) };
        active(self.py)?.set_item(&id, data(self.py)?)?;
        self.id = Some(id);
        Ok(())
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        // Taken out first: what the application left in its data may print when it goes.
        drop(SERVED.take());
        if let (Some(id), Ok(active)) = (&self.id, active(self.py)) {
            let _ = active.del_item(id); // the application may have done so
        }
    }
}

fn active(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    static ACTIVE: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let dict = ACTIVE.get_or_try_init(py, || -> PyResult<_> {
        Ok(python::events(py)?.getattr("active_requests")?.cast_into::<PyDict>()?.unbind())
    })?;
    Ok(dict.bind(py))
}

fn data(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let none = || PyRuntimeError::new_err("no active request for thread");
    let kept = SERVED.with_borrow(|served| {
        served.as_ref().map(|served| served.data.as_ref().map(|data| data.clone_ref(py)))
    });
    if let Some(data) = kept.ok_or_else(none)? {
        return Ok(data.into_bound(py));
    }
    let new = PyDict::new(py);
    SERVED.with_borrow_mut(|served| {
        if let Some(served) = served {
            served.data = Some(new.clone().unbind());
        }
    });
    Ok(new)
}

/// A dict for whatever code wants to keep with the request that this thread serves.
#[pyfunction]
pub(crate) fn request_data(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    data(py)
}

/// The conversation of the request that this thread serves; none in a forked child.
pub(crate) fn served() -> Option<Arc<Talk>> {
    let talk = SERVED.try_with(|served| served.borrow().as_ref().map(|served| served.talk.clone()));
    talk.ok().flatten().filter(|_| !worker::forked())
}
