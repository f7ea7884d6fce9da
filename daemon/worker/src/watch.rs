//! A request that somebody looks at: subscribers of events (`python/events.py`), or the metrics. For all
//! others there is no [`Watch`], at the price of two glances.

use crate::environ;
use crate::meter::{Meter, Outcome};
use crate::processor::{self, Usage};
use crate::talk::Talk;
use crate::{metrics, python, worker};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};
use std::sync::Arc;
use std::time::Duration;
use wsgid_proto::request::Tries;

/// One request, from before its application is called.
pub(crate) struct Watch {
    talk: Arc<Talk>,
    /// When the web server, its queue, this process and the application took it up, in microseconds.
    starts: [u64; 4],
    before: Usage,
    /// What its events repeat; without, there were no subscribers when it began.
    facts: Option<Py<PyDict>>,
}

/// Is anybody subscribed to events?
fn subscribed(py: Python<'_>) -> PyResult<bool> {
    static CALLBACKS: PyOnceLock<Py<PyList>> = PyOnceLock::new();
    let list = CALLBACKS.get_or_try_init(py, || -> PyResult<_> {
        Ok(python::events(py)?.getattr("event_callbacks")?.cast_into::<PyList>()?.unbind())
    })?;
    Ok(!list.bind(py).is_empty())
}

impl Watch {
    /// Puts a meter on the request, if anybody looks. `starts` as in the struct.
    pub(crate) fn begin(py: Python<'_>, talk: &Arc<Talk>, starts: [u64; 4]) -> PyResult<Option<Self>> {
        if !metrics::recording() && !subscribed(py)? {
            return Ok(None);
        }
        let meter = Meter::default();
        // Between its arrival and the application there was the wait for the GIL, and hardly anything else.
        meter.gil.add(0, Duration::from_micros(starts[3].saturating_sub(starts[2])));
        talk.measure(meter);
        Ok(Some(Self { talk: talk.clone(), starts, before: processor::of_thread(), facts: None }))
    }

    /// Tells the subscribers; gives the application that is to be called, and what the events of its
    /// response repeat.
    pub(crate) fn started<'py>(
        &mut self,
        environ: &Bound<'py, PyDict>,
        application: &Bound<'py, PyAny>,
        before: Tries,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = environ.py();
        if !subscribed(py)? {
            return Ok(application.clone());
        }
        let facts = (environ, application, before.all.saturating_add(1), before.restarts);
        let told = python::events(py)?.call_method1(intern!(py, "request_started"), facts)?;
        let (facts, application): (Bound<'py, PyDict>, Bound<'py, PyAny>) = told.extract()?;
        self.facts = Some(facts.unbind());
        Ok(application)
    }

    /// What the events of its response repeat.
    pub(crate) fn facts(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.facts.as_ref().map(|facts| facts.clone_ref(py))
    }

    /// Tells the subscribers of an exception.
    pub(crate) fn raised(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        let Some(facts) = self.facts.as_ref().filter(|_| !worker::forked()) else { return Ok(()) };
        let error = error.clone_ref(py).into_value(py);
        python::events(py)?.call_method1(intern!(py, "request_exception"), (facts, error)).map(drop)
    }

    /// The application is done, with this status.
    pub(crate) fn finished(&self, py: Python<'_>, status: u16) -> PyResult<()> {
        let outcome = Outcome { starts: self.starts, finish: environ::micros_now(), status };
        let Some(meter) = self.talk.meter().filter(|_| !worker::forked()) else { return Ok(()) };
        let _ = meter.outcome.set(outcome);
        let Some(facts) = &self.facts else { return Ok(()) };
        let measured = self.measured(py, meter, outcome)?;
        python::events(py)?.call_method1(intern!(py, "request_finished"), (facts, measured)).map(drop)
    }

    fn measured<'py>(
        &self,
        py: Python<'py>,
        meter: &Meter,
        outcome: Outcome,
    ) -> PyResult<Bound<'py, PyDict>> {
        let took = Duration::from_micros(outcome.finish.saturating_sub(outcome.starts[3]));
        let cpu = processor::of_thread().since(self.before).within(took);
        let seconds = |micros: u64| micros as f64 / 1e6;
        let measured = PyDict::new(py);
        for (reads, length, time, flow) in [
            ("input_reads", "input_length", "input_time", &meter.input),
            ("output_writes", "output_length", "output_time", &meter.output),
        ] {
            measured.set_item(reads, flow.times())?;
            measured.set_item(length, flow.bytes())?;
            measured.set_item(time, seconds(flow.micros()))?;
        }
        measured.set_item("cpu_user_time", cpu.user.as_secs_f64())?;
        measured.set_item("cpu_system_time", cpu.system.as_secs_f64())?;
        measured.set_item("cpu_time", cpu.whole().as_secs_f64())?;
        measured.set_item("application_finish", seconds(outcome.finish))?;
        measured.set_item("application_time", took.as_secs_f64())?;
        measured.set_item("status", outcome.status)?;
        measured.set_item("gil_wait_time", seconds(meter.gil.micros()))?;
        measured.set_item("gil_wait_count", meter.gil.times())?;
        Ok(measured)
    }
}

/// Tells the subscribers that a response begins, before it is checked.
pub(crate) fn response_started(
    facts: &Bound<'_, PyDict>,
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    exc_info: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = facts.py();
    if worker::forked() {
        return Ok(());
    }
    let told = (facts, status, headers, exc_info);
    python::events(py)?.call_method1(intern!(py, "response_started"), told).map(drop)
}

/// Tells the subscribers that the process ends, and why.
pub(crate) fn process_stopping(reason: &str) {
    tell(|events| events.call_method1("process_stopping", (reason,)));
}

/// Tells the subscribers of a signal.
pub(crate) fn process_signal(number: i32) {
    tell(|events| events.call_method1("process_signal", (number,)));
}

fn tell<'a>(tell: impl for<'py> FnOnce(&Bound<'py, PyModule>) -> PyResult<Bound<'py, PyAny>> + 'a) {
    Python::attach(|py| {
        if let Err(error) = python::events(py).and_then(|events| tell(events).map(drop)) {
            let text = format!("an event could not be told: {error}");
            py.detach(|| crate::journal::note(&text));
        }
    });
}
