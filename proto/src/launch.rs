//! From the supervisor to a serving worker: the plan that `wsgid-launch` carries out as root, the
//! plan that the worker reads once it is Python, and what the two tell each other from then on.
//!
//! Descriptors have fixed numbers on the way: the supervisor's child side places them, the launcher
//! leaves them open across `exec`, the worker takes them over.

use crate::message::{message, plain_message};
use crate::{bounds, wire};
use bytes::Bytes;

/// The launcher reads its plan here, up to the end of the file.
pub const PLAN_FD: i32 = 3;
/// The worker's end of its control socket pair.
pub const CONTROL_FD: i32 = 4;
/// The worker's listening socket.
pub const LISTEN_FD: i32 = 5;
/// The pool's board.
pub const BOARD_FD: i32 = 6;
/// The worker reads its [`WorkerPlan`] here: a memory file, at offset 0.
pub const WORKER_PLAN_FD: i32 = 7;
/// The worker's extension, opened while still privileged: its path may lie where the application's
/// user may not go. Loaded as `/proc/self/fd/8`.
pub const EXTENSION_FD: i32 = 8;

/// What the interpreter is given after `-c`: it loads the extension from [`EXTENSION_FD`] and leaves
/// the rest to it. The working directory that `-c` puts at `sys.path[0]` goes away, so that only the
/// plan says where modules come from.
pub const BOOTSTRAP: &str = "\
import sys
if sys.path and sys.path[0] == '': del sys.path[0]
from importlib.machinery import ExtensionFileLoader as loader
from importlib.util import module_from_spec, spec_from_loader
path = '/proc/self/fd/8'
module = module_from_spec(spec_from_loader('_wsgid', loader('_wsgid', path)))
module.__loader__.exec_module(module)
sys.modules['_wsgid'] = module
module.main()
";

/// What `wsgid-launch` does before it becomes Python. Complete and checked: it looks nothing up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchPlan {
    /// Process group, for messages.
    pub group: String,
    /// The user to become.
    pub uid: u32,
    /// The primary group to become.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// False where the daemon is an ordinary user: then the four above describe what already is.
    pub switch_user: bool,
    /// File mode mask; `None` keeps the present one.
    pub umask: Option<u32>,
    /// Added to the priority; see setpriority(2).
    pub nice: i32,
    /// RLIMIT_CPU; 0 is none, as below.
    pub cpu_seconds: u64,
    /// RLIMIT_DATA.
    pub data_bytes: u64,
    /// RLIMIT_AS.
    pub address_bytes: u64,
    /// Working directory; empty keeps the present one.
    pub directory: Bytes,
    /// `NAME=value`, the whole environment.
    pub environment: Vec<Bytes>,
    /// Absolute path of the interpreter.
    pub program: Bytes,
    /// argv, from argv\[0\].
    pub arguments: Vec<Bytes>,
}

impl From<&LaunchPlan> for wire::LaunchPlan {
    fn from(from: &LaunchPlan) -> Self {
        Self {
            group: from.group.clone(),
            uid: from.uid,
            gid: from.gid,
            groups: from.groups.clone(),
            switch_user: from.switch_user,
            umask: from.umask,
            nice: from.nice,
            cpu_seconds: from.cpu_seconds,
            data_bytes: from.data_bytes,
            address_bytes: from.address_bytes,
            directory: from.directory.clone(),
            environment: from.environment.clone(),
            program: from.program.clone(),
            arguments: from.arguments.clone(),
        }
    }
}

impl TryFrom<wire::LaunchPlan> for LaunchPlan {
    type Error = String;

    fn try_from(from: wire::LaunchPlan) -> Result<Self, String> {
        if from.program.first() != Some(&b'/') {
            return Err("names a program that is not an absolute path".into());
        }
        let strings = from.environment.iter().chain(&from.arguments).chain([&from.program, &from.directory]);
        if strings.into_iter().any(|s| s.contains(&0)) {
            return Err("has a NUL in a string".into());
        }
        Ok(Self {
            group: from.group,
            uid: from.uid,
            gid: from.gid,
            groups: from.groups,
            switch_user: from.switch_user,
            umask: from.umask,
            nice: from.nice,
            cpu_seconds: from.cpu_seconds,
            data_bytes: from.data_bytes,
            address_bytes: from.address_bytes,
            directory: from.directory,
            environment: from.environment,
            program: from.program,
            arguments: from.arguments,
        })
    }
}

message!(LaunchPlan, LaunchPlan, wire::LaunchPlan);

/// What a worker is to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkerPlan {
    /// Its pool's random number.
    pub pool: u64,
    /// Its slot on the board.
    pub slot: u32,
    /// Its serial in that slot.
    pub serial: u32,
    /// Request threads, 1 or more.
    pub threads: u32,
    /// Bytes of stack for each thread; 0 is Python's default.
    pub stack_size: u64,
    /// Seconds for `sys.setswitchinterval`; 0 is Python's default.
    pub switch_interval: f64,
    /// `mod_wsgi.process_group`.
    pub process_group: String,
    /// `mod_wsgi.application_group`.
    pub application_group: String,
    /// `wsgi.multiprocess`.
    pub multiprocess: bool,
    /// Directories for `site.addsitedir`, then moved to the front of `sys.path`.
    pub python_path: Vec<Bytes>,
    /// Inserted at `sys.path[0]`; empty for none.
    pub home: Bytes,
    /// A script to import before `Ready`; empty for none.
    pub preload: Bytes,
    /// Who may connect, beside root.
    pub web_uid: u32,
    /// After `Retire`, requests have so long.
    pub shutdown_seconds: u32,
    /// Watch every imported file and ask for a reload when one changes.
    pub watch: bool,
    /// `wsgi.run_once`.
    pub run_once: bool,
}

impl From<&WorkerPlan> for wire::WorkerPlan {
    fn from(from: &WorkerPlan) -> Self {
        Self {
            pool: from.pool,
            slot: from.slot,
            serial: from.serial,
            threads: from.threads,
            stack_size: from.stack_size,
            switch_interval: from.switch_interval,
            process_group: from.process_group.clone(),
            application_group: from.application_group.clone(),
            multiprocess: from.multiprocess,
            python_path: from.python_path.clone(),
            home: from.home.clone(),
            preload: from.preload.clone(),
            web_uid: from.web_uid,
            shutdown_seconds: from.shutdown_seconds,
            watch: from.watch,
            run_once: from.run_once,
        }
    }
}

impl TryFrom<wire::WorkerPlan> for WorkerPlan {
    type Error = String;

    fn try_from(from: wire::WorkerPlan) -> Result<Self, String> {
        if !(1..=bounds::THREADS).contains(&from.threads) {
            return Err(format!("asks for {} threads, outside 1 to {}", from.threads, bounds::THREADS));
        }
        Ok(Self {
            pool: from.pool,
            slot: from.slot,
            serial: from.serial,
            threads: from.threads,
            stack_size: from.stack_size,
            switch_interval: from.switch_interval,
            process_group: from.process_group,
            application_group: from.application_group,
            multiprocess: from.multiprocess,
            python_path: from.python_path,
            home: from.home,
            preload: from.preload,
            web_uid: from.web_uid,
            shutdown_seconds: from.shutdown_seconds,
            watch: from.watch,
            run_once: from.run_once,
        })
    }
}

message!(WorkerPlan, WorkerPlan, wire::WorkerPlan);

plain_message! {
    /// The worker listens and its threads wait.
    Ready {
        /// The preload, if there was one, imported without an exception.
        loaded: bool,
    }
}

plain_message! {
    /// The worker runs code that is no longer what is on disk.
    ReloadWanted {
        /// What changed.
        reason: String,
    }
}

plain_message! {
    /// Finish what you have and end.
    Retire {}
}

plain_message! {
    /// A line for the daemon's log, with the group and pid added there.
    Note {
        /// As [`crate::response::Level`].
        level: u32,
        /// One line.
        text: String,
    }
}
