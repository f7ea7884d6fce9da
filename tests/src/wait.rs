//! Patience: a test never sleeps for a while and hopes, it looks until what it waits for is there.

use std::time::{Duration, Instant};

/// Long enough for a slow machine; no test takes this long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until `probe` succeeds, and panics with its last objection after `deadline`.
#[track_caller]
pub fn eventually<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + deadline;
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if Instant::now() >= end => panic!("{what}: not within {deadline:?}; last: {last}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// [`eventually`] for a yes or no.
#[track_caller]
pub fn until(what: &str, mut probe: impl FnMut() -> bool) {
    eventually(PATIENCE, what, || if probe() { Ok(()) } else { Err("not yet".into()) });
}
