//! What a peer is told to play: up to which state, and what happens to it there.

use mod_wsgid::channel::Channel;
use nix::sys::signal::{Signal, kill};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use wsgid_tests::peer::{Errand, fate_of, go, in_words};

/// The part.
#[derive(Debug)]
pub struct Part {
    /// By its name in the script.
    pub state: String,
    /// What it sends itself there; without one it stands still until it is told to go on, see [`go`].
    pub fate: Option<Signal>,
    /// A file that is there, with its number, once it is in the state.
    pub mark: PathBuf,
}

impl Part {
    /// To the end of this errand.
    pub fn of(errand: &Errand) -> Self {
        Self { state: errand.state.clone(), fate: None, mark: errand.mark.clone() }
    }

    /// From such arguments as [`Part::arguments`] makes.
    pub fn given(arguments: &[OsString]) -> Option<Self> {
        let [state, fate, mark] = arguments else { return None };
        Some(Self { state: state.to_str()?.into(), fate: fate_of(fate.to_str()?), mark: mark.into() })
    }

    /// For another process to play it.
    pub fn arguments(&self) -> [OsString; 3] {
        [self.state.clone().into(), in_words(self.fate).into(), self.mark.clone().into()]
    }

    /// Is this the state that it goes to?
    pub fn ends(&self, state: &str) -> bool {
        self.state == state
    }

    /// Does it go on after that state?
    pub fn goes_on(&self) -> bool {
        self.fate.is_none()
    }

    /// It is in this state now, be it the one or not.
    pub fn at(&self, state: &str) {
        if !self.ends(state) {
            return;
        }
        self.leave_mark();
        match self.fate {
            Some(signal) => kill(nix::unistd::getpid(), signal).unwrap(),
            None => {
                while !go(&self.mark).exists() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    /// Sends bytes in two parts, with a state after each.
    pub fn send(&self, channel: &Channel, bytes: &[u8], half: &str, whole: &str) {
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        channel.send(first).unwrap();
        self.at(half);
        channel.send(rest).unwrap();
        self.at(whole);
    }

    /// Says that it is where it was to go.
    pub fn leave_mark(&self) {
        let new = self.mark.with_extension("new");
        fs::write(&new, std::process::id().to_string()).unwrap();
        fs::rename(&new, &self.mark).unwrap();
    }
}
