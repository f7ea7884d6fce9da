//! Descriptors leak silently until there are none left. The kernel gives out the lowest number that is
//! free, so a leak shows as a number that has grown.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;

/// A file that is always open, to be sent around.
///
/// # Panics
/// If it can't be opened.
pub fn file() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| File::open("/dev/null").expect("/dev/null opens"))
}

/// The lowest number that is free.
///
/// # Panics
/// If none is.
pub fn lowest_free() -> RawFd {
    file().try_clone().expect("a descriptor is free").as_raw_fd()
}
