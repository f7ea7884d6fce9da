//! Scripted peers, which the program `peer` of this crate plays: what a test gives it and sees of it.

use crate::family::Process;
use crate::place::open_to_all;
use crate::wait::eventually;
use nix::sys::signal::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// Where the part of a worker lies in its home.
pub const PART: &str = "part";

/// The file in a home that says which process is in its state.
pub const MARK: &str = "mark";

/// What a scripted worker answers.
pub const SCRIPTED: &str = "scripted\n";

/// A `python-home` in which one start of a worker is a scripted one, and all others are Python.
#[derive(Debug)]
pub struct Home(TempDir);

impl Home {
    /// With `peer` as its interpreter, which goes to `state` and there sends itself `fate`.
    pub fn of(peer: &str, state: &str, fate: Signal) -> Self {
        let dir = tempfile::Builder::new().prefix("wsgid-home-").tempdir_in("/tmp").unwrap();
        // A worker of any user takes its part from here and leaves a mark.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        open_to_all(&dir.path().join("bin"));
        let python = dir.path().join("bin/python3");
        fs::copy(peer, &python).unwrap();
        fs::set_permissions(python, Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join(PART), format!("{state} {fate}")).unwrap();
        fs::set_permissions(dir.path().join(PART), Permissions::from_mode(0o644)).unwrap();
        Self(dir)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Waits until the worker is in its state, and its fate has met it.
    #[track_caller]
    pub fn until_met(&self) -> i32 {
        until_marked(&self.path().join(MARK), |process| !process.runs())
    }
}

/// Waits for a process to leave its number there, and for what else is to be so of it.
#[track_caller]
pub fn until_marked(mark: &Path, is_so: impl Fn(&Process) -> bool) -> i32 {
    eventually(crate::wait::PATIENCE, "the peer is in its state", || {
        let text = fs::read_to_string(mark).map_err(|e| e.to_string())?;
        let pid = text.parse().map_err(|_| format!("{text:?} is no number"))?;
        match Process::find(pid) {
            Some(process) if !is_so(&process) => Err("it is, and goes on".into()),
            _ => Ok(pid),
        }
    })
}
