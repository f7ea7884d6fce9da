//! Scripted peers, which the program `peer` of this crate plays: what a test gives it and sees of it.

use crate::family::Process;
use crate::place::open_to_all;
use crate::wait::{PATIENCE, eventually, until};
use nix::sys::signal::Signal;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tempfile::TempDir;

/// Where the part of a worker lies in its home.
pub const PART: &str = "part";

/// The file in a home that says which process is in its state.
pub const MARK: &str = "mark";

/// It stands still instead.
const NO_FATE: &str = "-";

/// The program's first argument where it is a child of httpd's.
const CHILD: &str = "child";

/// What a scripted worker answers.
pub const SCRIPTED: &str = "scripted\n";

/// A `python-home` in which one start of a worker is a scripted one, and all others are Python.
#[derive(Debug)]
pub struct Home(TempDir);

impl Home {
    /// With `peer` as its interpreter, which goes to `state` and there sends itself `fate` or, without one, stands
    /// still until it is to [`Home::go_on`].
    pub fn of(peer: &str, state: &str, fate: Option<Signal>) -> Self {
        let dir = tempfile::Builder::new().prefix("wsgid-home-").tempdir_in("/tmp").unwrap();
        // A worker of any user takes its part from here and leaves a mark.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        open_to_all(&dir.path().join("bin"));
        let python = dir.path().join("bin/python3");
        fs::copy(peer, &python).unwrap();
        fs::set_permissions(python, Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join(PART), format!("{state} {}", in_words(fate))).unwrap();
        fs::set_permissions(dir.path().join(PART), Permissions::from_mode(0o644)).unwrap();
        Self(dir)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Waits until the worker is in its state.
    #[track_caller]
    pub fn until_there(&self) -> i32 {
        marked(&self.path().join(MARK))
    }

    /// Has one that stands still there go on.
    pub fn go_on(&self) {
        fs::write(go(&self.path().join(MARK)), "").unwrap();
    }

    /// Waits until the worker is in its state, and its fate has met it.
    #[track_caller]
    pub fn until_met(&self) -> i32 {
        let pid = self.until_there();
        let stands = |process: Process| process.state() == Some('T');
        until("its fate meets it", || Process::find(pid).is_none_or(stands));
        pid
    }
}

/// A fate as tests write it down for a peer.
pub fn in_words(fate: Option<Signal>) -> &'static str {
    fate.map_or(NO_FATE, Signal::as_str)
}

/// The fate that is written so.
pub fn fate_of(words: &str) -> Option<Signal> {
    (words != NO_FATE).then(|| words.parse().expect("a signal"))
}

/// The file that has a peer with this mark go on.
pub fn go(mark: &Path) -> PathBuf {
    mark.with_extension("go")
}

/// The number of the process that leaves this mark.
#[track_caller]
fn marked(mark: &Path) -> i32 {
    eventually(PATIENCE, "the peer is in its state", || {
        let text = fs::read_to_string(mark).map_err(|e| e.to_string())?;
        text.parse().map_err(|_| format!("{text:?} is no number"))
    })
}

/// What a child of httpd's needs to know for its request.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Up to here it goes, and stands still.
    pub state: String,
    /// The file that says that it is there.
    pub mark: PathBuf,
    /// The daemon's socket.
    pub broker: PathBuf,
    /// The httpd whose child it is.
    pub instance: String,
    /// Whose thread it takes.
    pub process_group: String,
    /// What is to serve it.
    pub script: PathBuf,
}

impl Errand {
    /// From the arguments of the program.
    pub fn of(arguments: &[OsString]) -> Option<Self> {
        let [_, child, state, mark, broker, instance, process_group, script] = arguments else { return None };
        let text = |argument: &OsString| argument.to_str().unwrap().to_string();
        (child == CHILD).then(|| Self {
            state: text(state),
            mark: mark.into(),
            broker: broker.into(),
            instance: text(instance),
            process_group: text(process_group),
            script: script.into(),
        })
    }

    fn arguments(&self) -> [&OsStr; 7] {
        let Self { state, mark, broker, instance, process_group, script } = self;
        [
            CHILD.as_ref(),
            state.as_ref(),
            mark.as_ref(),
            broker.as_ref(),
            instance.as_ref(),
            process_group.as_ref(),
            script.as_ref(),
        ]
    }
}

/// A process that does what a child of httpd's does.
#[derive(Debug)]
pub struct HttpdChild {
    child: Child,
}

impl HttpdChild {
    /// Starts `peer` with that errand, and waits until it stands still at the end of it.
    #[track_caller]
    pub fn start(peer: &str, errand: &Errand) -> Self {
        let _ = fs::remove_file(&errand.mark);
        let new = Self { child: Command::new(peer).args(errand.arguments()).spawn().unwrap() };
        let pid = marked(&errand.mark);
        until("it stands still", || Process::find(pid).and_then(|process| process.state()) == Some('S'));
        new
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it.
    #[track_caller]
    pub fn stop(&self) {
        let process = Process::find(self.pid() as i32).expect("it lives");
        process.signal(Signal::SIGSTOP);
        until("it stops", || process.state() == Some('T'));
    }
}

impl Drop for HttpdChild {
    /// SIGKILL; and as httpd does, it is waited for.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
