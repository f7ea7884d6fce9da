//! What a peer is told to play: up to which state, and what happens to it there.

use nix::sys::signal::{Signal, kill};
use std::fs;
use std::path::PathBuf;

/// The part.
#[derive(Debug)]
pub struct Part {
    /// By its name in the script.
    pub state: String,
    /// What it sends itself there.
    pub fate: Signal,
    /// A file that is there, with its number, once it is in the state.
    pub mark: PathBuf,
}

impl Part {
    /// Is this the state that it goes to?
    pub fn ends(&self, state: &str) -> bool {
        self.state == state
    }

    /// It is in this state now, be it the one or not.
    pub fn at(&self, state: &str) {
        if self.ends(state) {
            let new = self.mark.with_extension("new");
            fs::write(&new, std::process::id().to_string()).unwrap();
            fs::rename(&new, &self.mark).unwrap();
            kill(nix::unistd::getpid(), self.fate).unwrap();
        }
    }
}
