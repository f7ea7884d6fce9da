//! Lines for the daemon's log: descriptor 2 is a pipe to the supervisor, one write is one record.

use std::io::Write;

/// Writes one line of our own.
pub(crate) fn note(text: &str) {
    line(format!("wsgid: {text}").as_bytes());
}

/// Writes one line. A log that cannot be written is no reason to end anything.
pub(crate) fn line(text: &[u8]) {
    let mut record = Vec::with_capacity(text.len() + 1);
    record.extend_from_slice(text);
    record.push(b'\n');
    let _ = std::io::stderr().write_all(&record);
}
