//! From the supervisor to a serving worker: the plan that `wsgid-launch` carries out as root, the
//! plan that the worker reads once it is Python, and what the two tell each other from then on.
//!
//! Descriptors have fixed numbers on the way: the supervisor's child side places them, the launcher
//! leaves them open across `exec`, the worker takes them over.

use crate::bounds;
use crate::message::plain_message;
use crate::server::Server;
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
/// Where httpd's scoreboard is posted ([`crate::scoreboard::post`]), for groups that may see it.
pub const SCORES_FD: i32 = 9;
/// The worker's [`crate::pulse`].
pub const PULSE_FD: i32 = 10;
/// The file that is the listening socket's name, opened for nothing but to see whether it is still there
/// (`O_PATH`, open(2)): a worker may have another root directory, and its user no way to the file.
pub const NAME_FD: i32 = 11;
/// The highest of these numbers, those of [`EXTENSIONS`] among them.
pub const LAST_FD: i32 = EXTENSIONS[EXTENSIONS.len() - 1].descriptor;

/// A build of the worker's extension, opened while still privileged: its path may lie where the application's
/// user may not go. Python loads it as `/proc/self/fd/N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// Which interpreters load it, as in the name of its file, `_wsgid.TAG.so`.
    pub tag: &'static str,
    /// Where they find it.
    pub descriptor: i32,
}

/// For interpreters with a GIL, all of them, and for those that are free-threaded (PEP 703), to which the
/// stable ABI of before 3.15 is not open: version by version. The supervisor can't know which kind an
/// interpreter is (it starts nobody's programs), so a worker is handed whatever is installed. `packaging/install`
/// builds them; the last has the highest number.
pub const EXTENSIONS: [Extension; 2] =
    [Extension { tag: "abi3", descriptor: 8 }, Extension { tag: "cpython-314t", descriptor: 12 }];

/// What the interpreter is given after `-c`: it loads its extension, of those that it is handed, and leaves
/// the rest to it. The working directory that `-c` puts at `sys.path[0]` goes away, so that only the plan
/// says where modules come from. A free-threaded Python begins once more with its GIL if it is to have one,
/// which can be chosen only then.
pub fn bootstrap(handed: &[Extension], free_threading: bool) -> String {
    let handed: Vec<_> = handed.iter().map(|one| format!("'{}': {}", one.tag, one.descriptor)).collect();
    let gil = if free_threading { "None" } else { "1" };
    BOOTSTRAP.replace("HANDED", &handed.join(", ")).replace("WANTED", gil)
}

/// Old interpreters understand it as well, up to where it says that they can't be served.
const BOOTSTRAP: &str = "\
import os, sys
if sys.path and sys.path[0] == '': del sys.path[0]
handed, gil = {HANDED}, WANTED
version = '%d.%d' % sys.version_info[:2]
if sys.version_info < (3, 9):
    sys.exit('%s is Python %s; the oldest that mod_wsgid serves is 3.9' % (sys.executable, version))
tag = 'cpython-%st' % version.replace('.', '') if 't' in sys.abiflags else 'abi3'
if tag not in handed:
    sys.exit('%s is a free-threaded Python %s, and there is no _wsgid.%s.so for it' % (sys.executable, version, tag))
if tag == 'abi3' and not gil:
    sys.stderr.write('free-threading=On has no effect: Python %s (%s) has its GIL\\n' % (version, sys.executable))
elif tag != 'abi3' and gil and sys.flags.gil != gil:
    sys.stderr.write('free-threaded Python %s keeps its GIL: free-threading is off\\n' % version)
    os.execv(sys.executable, sys.orig_argv[:1] + ['-X', 'gil=1'] + sys.orig_argv[1:])
from importlib.machinery import ExtensionFileLoader as loader
from importlib.util import module_from_spec, spec_from_loader
path = '/proc/self/fd/%d' % handed[tag]
module = module_from_spec(spec_from_loader('_wsgid', loader('_wsgid', path)))
module.__loader__.exec_module(module)
for descriptor in handed.values(): os.close(descriptor)
sys.modules['_wsgid'] = module
module.main()
";

plain_message! {
    /// What `wsgid-launch` does before it becomes Python. Complete and checked: it looks nothing up.
    LaunchPlan {
        /// Process group, for messages.
        group: String,
        /// The user to become.
        uid: u32,
        /// The primary group to become.
        gid: u32,
        /// Supplementary groups.
        groups: Vec<u32>,
        /// False where the daemon is an ordinary user: then the four above describe what already is.
        switch_user: bool,
        /// File mode mask; `None` keeps the present one.
        umask: Option<u32>,
        /// Added to the priority; see setpriority(2).
        nice: i32,
        /// SCHED_BATCH, unless the daemon has another policy than the usual one: see sched(7).
        batch: bool,
        /// RLIMIT_CPU; 0 is none, as below.
        cpu_seconds: u64,
        /// The limit at which the kernel kills.
        cpu_seconds_hard: u64,
        /// RLIMIT_DATA.
        data_bytes: u64,
        /// RLIMIT_AS.
        address_bytes: u64,
        /// Root directory; empty keeps the present one.
        root: Bytes,
        /// Working directory; empty keeps the present one.
        directory: Bytes,
        /// `NAME=value`, the whole environment.
        environment: Vec<Bytes>,
        /// Absolute path of the interpreter.
        program: Bytes,
        /// argv, from argv\[0\].
        arguments: Vec<Bytes>,
    } checked by launchable
}

fn launchable(plan: &LaunchPlan) -> Result<(), String> {
    if plan.program.first() != Some(&b'/') {
        return Err("names a program that is not an absolute path".into());
    }
    let strings =
        plan.environment.iter().chain(&plan.arguments).chain([&plan.program, &plan.directory, &plan.root]);
    if strings.into_iter().any(|s| s.contains(&0)) {
        return Err("has a NUL in a string".into());
    }
    Ok(())
}

plain_message! {
    /// What a worker is to be.
    WorkerPlan {
        /// Its pool's random number.
        pool: u64,
        /// Its slot on the board.
        slot: u32,
        /// Its serial in that slot.
        serial: u32,
        /// Request threads; 0 where scripts have the worker to themselves.
        threads: u32,
        /// Bytes of stack for each thread; 0 is Python's default.
        stack_size: u64,
        /// Seconds for `sys.setswitchinterval`; 0 is Python's default.
        switch_interval: f64,
        /// `mod_wsgi.process_group`.
        process_group: String,
        /// `mod_wsgi.application_group`.
        application_group: String,
        /// `wsgi.multiprocess`.
        multiprocess: bool,
        /// Directories for `site.addsitedir`, then moved to the front of `sys.path`.
        python_path: Vec<Bytes>,
        /// Inserted at `sys.path[0]`; empty for none.
        home: Bytes,
        /// Scripts to import before `Ready`; without request threads, to run after it.
        preload: Vec<Bytes>,
        /// Who may connect, beside root.
        web_uid: u32,
        /// Without a word of the supervisor's, requests have so long when it ends.
        shutdown_seconds: u32,
        /// Watch every imported file and ask for a reload when one changes.
        watch: bool,
        /// [`SCORES_FD`] is open.
        server_metrics: bool,
        /// Workers of the pool, for `mod_wsgi.maximum_processes`.
        processes: u32,
        /// `sys.stdin` is an error.
        restrict_stdin: bool,
        /// `sys.stdout` is an error.
        restrict_stdout: bool,
        /// `signal.signal()` does nothing.
        restrict_signal: bool,
        /// At its end it does what an interpreter does.
        destroy_interpreter: bool,
        /// After so many requests it is [`Worn`]; with 0 it never is, here and below.
        maximum_requests: u64,
        /// After so long without any.
        inactivity_seconds: u32,
        /// What ps(1) calls it; empty for what it is.
        display_name: String,
        /// So often it shows that Python's lock is to be had; with 0 it does not.
        beat_milliseconds: u64,
        /// SO_SNDBUF of the sockets that it accepts; 0 is the system's default, here and below.
        send_buffer: u64,
        /// SO_RCVBUF of the same.
        receive_buffer: u64,
        /// A request that finds its code changed is left to another worker.
        reload_at_once: bool,
        /// Files, beside the scripts, whose change means new code.
        reload_on: Vec<Bytes>,
        /// For setlocale(3), LC_ALL; empty: as it is.
        locale: String,
        /// Where it finds the next daemon when this one is gone: the path of a socket or, after a NUL, an abstract
        /// name, unix(7). Empty: it ends with this one.
        attach: Bytes,
        /// It never serves: it imports, and is copied for each worker of its pool; see [`Fork`].
        template: bool,
        /// Request threads follow httpd's to their processors.
        follow: bool,
        /// For the module `apache`.
        server: Server,
    } checked by workable
}

fn workable(plan: &WorkerPlan) -> Result<(), String> {
    if plan.threads <= bounds::THREADS {
        Ok(())
    } else {
        Err(format!("asks for {} threads, more than {}", plan.threads, bounds::THREADS))
    }
}

plain_message! {
    /// The worker listens and its threads wait.
    Ready {
        /// Every preload was imported without an exception.
        loaded: bool,
        /// Otherwise the end of the first one's traceback, of [`bounds::TRACEBACK`] bytes at most.
        failure: String,
    }
}

/// The last so many bytes of a text, or a few less where they would begin within a character: what matters of a
/// traceback.
pub fn end_of(text: &str, bytes: usize) -> &str {
    let begin = text.len().saturating_sub(bytes);
    (begin..text.len()).find_map(|at| text.get(at..)).unwrap_or_default()
}

plain_message! {
    /// The worker runs code that is no longer what is on disk.
    ReloadWanted {
        /// What changed.
        reason: String,
    }
}

plain_message! {
    /// The worker should be replaced, and goes on serving until it is told to end.
    Worn {
        /// A [`Reason`]'s name.
        reason: String,
    }
}

plain_message! {
    /// Finish what you have and end.
    Retire {
        /// Of the application's `process_stopping` event: a [`Reason`]'s name.
        reason: String,
        /// Requests under way have so long.
        seconds: u32,
    }
}

plain_message! {
    /// A request has taken too long.
    Interrupt {
        /// Its thread, counted from 1.
        thread: u32,
        /// When it began, as the [`crate::pulse`] has it: if that is another request by now, nothing happens.
        begun: u64,
        /// Do not wait for it any more. Otherwise `mod_wsgi.RequestTimeout` is raised in it.
        abandon: bool,
    }
}

plain_message! {
    /// Its daemon is gone, and here is the next. What else there is to know about the worker that one knows
    /// from its [`WorkerRecord`].
    Attach {
        /// Its pool's random number.
        pool: u64,
        /// Its serial there.
        serial: u32,
        /// As in [`Ready`].
        loaded: bool,
    }
}

plain_message! {
    /// It has a daemon, or has one again. A worker that is not taken over gets a [`Retire`] in its place, or
    /// nothing more.
    Attached {}
}

/// How many descriptors ride on a [`Fork`].
pub const FORK_RIDERS: usize = 6;

plain_message! {
    /// A template is to fork a worker. On this ride, in this order, what else comes at the numbers above: the
    /// [`WorkerPlan`], the control socket, the listening socket, the pulse, the socket's name, and the end of a
    /// pipe for what it prints.
    Fork {}
}

plain_message! {
    /// A worker has been forked, and waits to be [`Attached`]. Which process it is the kernel says: the sender's
    /// credentials come along.
    Born {}
}

plain_message! {
    /// How a worker that a template has forked ended, for the log: only a parent is told.
    Buried {
        /// Its number, as the template knows it.
        pid: u32,
        /// As wait(2) has it.
        status: i32,
    }
}

plain_message! {
    /// What a daemon writes down of each worker for the next daemon, which believes no word of the worker's.
    WorkerRecord {
        /// Its pool's random number.
        pool: u64,
        /// Its serial there.
        serial: u32,
        /// Its slot on the board.
        slot: u32,
        /// Its process …
        pid: u32,
        /// … and when that started, in clock ticks, which tells it from another of that number.
        start: u64,
        /// The httpd.
        instance: String,
        /// The name of its pool.
        process_group: String,
        /// Its other half.
        application_group: String,
        /// What the pool imports.
        scripts: Vec<Bytes>,
        /// Of the group's configuration: only for the same is it of use.
        fingerprint: Bytes,
        /// Request threads.
        threads: u32,
    }
}

/// Why a worker ends, in mod_wsgi's words where it has one for the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its pool or the daemon ends, or there are too many.
    Shutdown,
    /// Somebody asked for new workers.
    Graceful,
    /// The same, where the group has an `eviction-timeout`.
    Eviction,
    /// Its code on disk has changed.
    ScriptReload,
    /// It has served `maximum-requests`.
    MaximumRequests,
    /// It is as old as `restart-interval`.
    RestartInterval,
    /// Nothing has happened for `inactivity-timeout`.
    Inactivity,
    /// Its application was not imported within `startup-timeout`.
    Startup,
    /// It has used up `cpu-time-limit`.
    CpuTime,
    /// A request did not end within `request-timeout`.
    RequestTimeout,
    /// Python's lock was not to be had for `deadlock-timeout`.
    Deadlock,
    /// It had more than `memory-high` or `memory-max` in memory.
    Memory,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 12] = [
        Self::Shutdown,
        Self::Graceful,
        Self::Eviction,
        Self::ScriptReload,
        Self::MaximumRequests,
        Self::RestartInterval,
        Self::Inactivity,
        Self::Startup,
        Self::CpuTime,
        Self::RequestTimeout,
        Self::Deadlock,
        Self::Memory,
    ];

    /// What applications are told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown_signal",
            Self::Graceful => "graceful_signal",
            Self::Eviction => "eviction_signal",
            Self::ScriptReload => "script_reload",
            Self::MaximumRequests => "maximum_requests",
            Self::RestartInterval => "restart_interval",
            Self::Inactivity => "inactivity_timeout",
            Self::Startup => "startup_timeout",
            Self::CpuTime => "cpu_time_limit",
            Self::RequestTimeout => "request_timeout",
            Self::Deadlock => "deadlock_timeout",
            Self::Memory => "memory_limit",
        }
    }

    /// The reason of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// What administrators read when a worker is replaced for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Shutdown => "is not needed any more",
            Self::Graceful | Self::Eviction => "was asked to make room for a new one",
            Self::ScriptReload => "runs code that is no longer what is on disk",
            Self::MaximumRequests => "has served maximum-requests",
            Self::RestartInterval => "is as old as restart-interval",
            Self::Inactivity => "has had nothing to do for inactivity-timeout",
            Self::Startup => "had not imported its application within startup-timeout",
            Self::CpuTime => "has used up cpu-time-limit",
            Self::RequestTimeout => "has a request that did not end within request-timeout",
            Self::Deadlock => "has not had Python's lock for deadlock-timeout",
            Self::Memory => "has grown over memory-high or memory-max",
        }
    }
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
