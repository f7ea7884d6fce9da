//! Lines for the daemon's log: descriptor 2 is a pipe to the supervisor, one write is one record.

use nix::errno::Errno;
use nix::unistd::write;

/// Writes one line of our own.
pub(crate) fn note(text: &str) {
    line(format!("wsgid: {text}").as_bytes());
}

/// Writes one line, past the lock of Rust's own stderr, which in a forked child may be held for ever. A log
/// that cannot be written is no reason to end anything.
pub(crate) fn line(text: &[u8]) {
    let mut record = Vec::with_capacity(text.len() + 1);
    record.extend_from_slice(text);
    record.push(b'\n');
    let mut rest = &record[..];
    while !rest.is_empty() {
        match write(std::io::stderr(), rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
