//! The metrics of this process, once an application has asked for them: what `python/metrics.py` makes its
//! reports from. Requests are noted where no GIL is held, and who asks lets go of it.

use crate::meter::Meter;
use crate::tally::{Interval, Lap, Tally};
use crate::worker::{self, Worker};
use crate::{environ, locked, processor};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

static RECORDING: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);

/// The process's seconds of processor time, in itself and in the kernel.
type Cpu = (f64, f64);

struct Recorder {
    tally: Tally,
    /// When the interval began, in microseconds since the epoch, and what had been used up by then.
    start: u64,
    cpu: Cpu,
}

/// Are requests measured?
pub(crate) fn recording() -> bool {
    RECORDING.load(Ordering::Relaxed)
}

/// Thread `thread` has got a request. Called without the GIL.
pub(crate) fn begin(thread: u32) {
    if recording() {
        let cpu = processor::of_thread().whole();
        noted(|recorder| recorder.tally.begin(thread, cpu, Instant::now()));
    }
}

/// It has served it. Called without the GIL.
pub(crate) fn end(thread: u32, meter: Option<&Meter>) {
    if recording() {
        let cpu = processor::of_thread().whole();
        noted(|recorder| recorder.tally.end(thread, cpu, meter, Instant::now()));
    }
}

/// Nothing in a forked child, which has no requests: a thread that held the lock may not have come along.
fn noted<R>(work: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
    if worker::forked() {
        return None;
    }
    locked(&RECORDER).as_mut().map(work)
}

/// Begins, unless it has begun. `cpu` as for [`drain_metrics`].
#[pyfunction]
#[pyo3(signature = (cpu, /))]
pub(crate) fn start_recording(py: Python<'_>, cpu: Cpu) {
    let Some(worker) = Worker::get().filter(|_| !worker::forked()) else { return };
    py.detach(|| {
        locked(&RECORDER).get_or_insert_with(|| Recorder {
            tally: Tally::new(worker.plan.threads, Instant::now()),
            start: environ::micros_now(),
            cpu,
        });
        RECORDING.store(true, Ordering::Relaxed);
    });
}

/// The numbers of `process_metrics()` that are known here; `None` before the recording.
#[pyfunction]
pub(crate) fn process_totals(py: Python<'_>) -> PyResult<Option<Bound<'_, PyDict>>> {
    let taken = py.detach(|| noted(|recorder| recorder.tally.totals(Instant::now())));
    let (Some((busy, served)), Some(worker)) = (taken, Worker::get()) else { return Ok(None) };
    let (begun, active) = worker.counts();
    let threads = PyList::empty(py);
    for (number, count) in (1..).zip(&served) {
        threads.append(dict(py, [("thread_id", number), ("request_count", *count)])?)?;
    }
    let totals = dict(py, [("request_count", begun.saturating_sub(active)), ("active_requests", active)])?;
    totals.set_item("request_busy_time", busy.as_secs_f64())?;
    totals.set_item("request_threads", served.len())?;
    totals.set_item("threads", threads)?;
    Ok(Some(totals))
}

/// The numbers of `request_metrics()` since the last call; `None` before the recording. `cpu` is what the
/// process has used up so far.
#[pyfunction]
#[pyo3(signature = (cpu, /))]
pub(crate) fn drain_metrics(py: Python<'_>, cpu: Cpu) -> PyResult<Option<Bound<'_, PyDict>>> {
    let taken = py.detach(|| {
        noted(|recorder| {
            let stop = environ::micros_now();
            let start = std::mem::replace(&mut recorder.start, stop);
            // Somebody may have asked a little later and be here before.
            let before = recorder.cpu;
            recorder.cpu = (cpu.0.max(before.0), cpu.1.max(before.1));
            let used = (recorder.cpu.0 - before.0, recorder.cpu.1 - before.1);
            (start, stop, used, recorder.tally.drain(Instant::now()))
        })
    });
    let Some((start, stop, used, (interval, laps))) = taken else { return Ok(None) };
    let drained = PyDict::new(py);
    drained.set_item("start_time", seconds(start))?;
    drained.set_item("stop_time", seconds(stop))?;
    drained.set_item("cpu_time", used)?;
    drained.set_item("busy_time", interval.busy.as_secs_f64())?;
    drained.set_item("request_count", interval.completed)?;
    drained.set_item("samples", interval.samples)?;
    drained.set_item("threads", laps.len())?;
    drained.set_item("laps", PyList::new(py, laps.iter().map(lap))?)?;
    drained.set_item("counts", counts(py, &interval)?)?;
    let phases = interval.phases.iter().map(|phase| {
        let (least, most) = phase.range.unzip();
        (seconds(phase.total), least, most, phase.buckets.to_vec())
    });
    drained.set_item("phases", PyList::new(py, phases.collect::<Vec<_>>())?)?;
    Ok(Some(drained))
}

/// In the order of `add_threads` in `python/metrics.py`.
fn lap(lap: &Lap) -> (u64, f64, f64, f64, f64) {
    let [busy, cpu, elapsed, longest] =
        [lap.busy, lap.cpu, lap.elapsed, lap.longest].map(|time| time.as_secs_f64());
    (lap.completed, busy, cpu, elapsed, longest)
}

/// Under the names that reports give them.
fn counts<'py>(py: Python<'py>, interval: &Interval) -> PyResult<Bound<'py, PyDict>> {
    let [first, second, third, fourth, fifth] = interval.statuses;
    let counts = [
        ("gil_wait_count", interval.gil_waits),
        ("input_bytes", interval.input.0),
        ("input_reads", interval.input.1),
        ("output_bytes", interval.output.0),
        ("output_writes", interval.output.1),
        ("status_1xx", first),
        ("status_2xx", second),
        ("status_3xx", third),
        ("status_4xx", fourth),
        ("status_5xx", fifth),
    ];
    dict(py, counts)
}

fn dict<'py, const N: usize>(py: Python<'py>, items: [(&str, u64); N]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    items.into_iter().try_for_each(|(name, value)| dict.set_item(name, value))?;
    Ok(dict)
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
