//! Files beside the scripts whose change means new code: `reload-on`.

use bytes::Bytes;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So often are files looked at that httpd does not look at: not with each request.
const LOOK: Duration = Duration::from_secs(1);

/// The files of `reload-on`, each with the time at which it was written, if it is there.
#[derive(Debug, Default)]
pub(crate) struct Others {
    files: Vec<(Bytes, Option<i64>)>,
    last: Mutex<Option<Look>>,
}

/// A look at them.
#[derive(Debug, Clone, Copy)]
struct Look {
    moment: Instant,
    /// The first that was not as it had been.
    changed: Option<usize>,
}

impl Others {
    /// As they are now.
    pub(crate) fn new(paths: &[Bytes]) -> Self {
        let files = paths.iter().map(|path| (path.clone(), written(path))).collect();
        Self { files, last: Mutex::default() }
    }

    /// The first that is not as it was, and whether that has just been seen. Until it is time to look again, the
    /// last look holds. Without files nobody asks for the time.
    pub(crate) fn changed(&self, clock: impl FnOnce() -> Instant) -> Option<(&Bytes, bool)> {
        if self.files.is_empty() {
            return None;
        }
        let now = clock();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let held = last.filter(|look| now.saturating_duration_since(look.moment) < LOOK);
        let look = held.unwrap_or_else(|| Look {
            moment: now,
            changed: self.files.iter().position(|(path, then)| written(path) != *then),
        });
        *last = Some(look);
        Some((&self.files[look.changed?].0, held.is_none()))
    }
}

/// When a file was written, if it is there: microseconds since the epoch.
pub(crate) fn written(path: &[u8]) -> Option<i64> {
    let file = std::fs::metadata(OsStr::from_bytes(path)).ok()?;
    Some(file.mtime() * 1_000_000 + file.mtime_nsec() / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_has_been_seen_holds_for_every_request_that_follows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("version");
        let others = Others::new(&[path.as_os_str().as_bytes().to_vec().into()]);
        let start = Instant::now();
        assert!(others.changed(|| start).is_none());
        std::fs::write(&path, "1").unwrap();
        let seen = |after: f64| others.changed(|| start + LOOK.mul_f64(after)).map(|(_, new)| new);
        // Not looked at more often than that; then each request hears of it, and one tells.
        assert_eq!([0.5, 1.0, 1.0, 1.5].map(seen), [None, Some(true), Some(false), Some(false)]);
        assert_eq!(seen(2.0), Some(true), "it is told again while the old code is there");
        std::fs::remove_file(&path).unwrap();
        assert_eq!([2.5, 3.0].map(seen), [Some(false), None]);
    }
}
