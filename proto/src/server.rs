//! What an httpd says of itself, on its way to the `apache` module of the applications.

use crate::wire;

/// An httpd, as it describes itself. Everything is for people and programs to read; nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Server {
    /// Major, minor, patch; empty if it has not said.
    pub version: Vec<u32>,
    /// Itself and its modules, as in `Apache/2.4.62 (Debian) OpenSSL/3.0.15`.
    pub description: String,
    /// `event`, `worker`, `prefork`.
    pub mpm: String,
    /// When it was built, in its own words.
    pub built: String,
    /// The most children there may be.
    pub processes: u32,
    /// Threads of each.
    pub threads: u32,
}

impl From<Server> for Option<wire::Server> {
    fn from(from: Server) -> Self {
        let Server { version, description, mpm, built, processes, threads } = from;
        Some(wire::Server { version, description, mpm, built, processes, threads })
    }
}

impl From<Option<wire::Server>> for Server {
    fn from(from: Option<wire::Server>) -> Self {
        let wire::Server { version, description, mpm, built, processes, threads } = from.unwrap_or_default();
        Self { version, description, mpm, built, processes, threads }
    }
}
