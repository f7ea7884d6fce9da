//! What one request costs, counted while somebody looks: a subscriber of events, or the metrics.
//!
//! A request that nobody looks at has no meter, which is all that the places on its way ask.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One request's.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Reading the body.
    pub(crate) input: Flow,
    /// Writing the response.
    pub(crate) output: Flow,
    /// Waiting for the GIL. It has no bytes.
    pub(crate) gil: Flow,
    /// How it went, once that is known.
    pub(crate) outcome: OnceLock<Outcome>,
}

/// Something that is done again and again.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    times: AtomicU64,
    bytes: AtomicU64,
    micros: AtomicU64,
}

/// A request that is over. Microseconds; those of `starts` since the epoch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// When the web server, its queue, this process and the application took it up.
    pub(crate) starts: [u64; 4],
    /// When the application was done.
    pub(crate) finish: u64,
    /// Of the response.
    pub(crate) status: u16,
}

impl Flow {
    /// Does it, once more.
    pub(crate) fn time<R>(&self, bytes: usize, work: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = work();
        self.add(bytes, begun.elapsed());
        result
    }

    /// It has been done.
    pub(crate) fn add(&self, bytes: usize, time: Duration) {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.micros.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// How often.
    pub(crate) fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    /// How many bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many microseconds.
    pub(crate) fn micros(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }
}

/// As a number; more than 500,000 years are as many.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
