//! The options of `WSGIDaemonProcess`: one table of names, one typed [`ProcessGroup`], one parser for
//! the module (complaints at the line of the directive) and for the daemon (which trusts no peer).

#[cfg(test)]
mod tests;
mod value;

use crate::bounds;
use bytes::Bytes;
use std::time::Duration;
use value::{check, split_paths, split_variable};

pub use value::Shape;

/// Is an option obeyed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It has its effect.
    Full,
    /// It belongs to how mod_wsgi is built; there is nothing here for it to do.
    Moot(&'static str),
}

/// One option.
#[derive(Debug)]
pub struct OptionRule {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What its value has to be.
    pub shape: Shape,
    /// Whether it is obeyed.
    pub force: Force,
}

const fn rule(name: &'static str, shape: Shape, force: Force) -> OptionRule {
    OptionRule { name, shape, force }
}

use Force::{Full, Moot};
use Shape::*;

const COUNT: Shape = Number(0, u32::MAX as u64);
const BYTES: Shape = Number(0, u64::MAX);

/// Every option of mod_wsgi 6, those of 5 that are still found, and our own.
pub const RULES: &[OptionRule] = &[
    rule("user", Text, Full),
    rule("group", Text, Full),
    rule("supplementary-groups", Names, Full),
    rule("processes", Number(1, bounds::PROCESSES as u64), Full),
    rule("processes-min", Number(0, bounds::PROCESSES as u64), Full),
    rule("processes-max", Number(1, bounds::PROCESSES as u64), Full),
    rule("idle-timeout", Seconds, Full),
    rule("threads", Number(0, bounds::THREADS as u64), Full),
    rule("umask", Octal, Full),
    rule("home", Path, Full),
    rule("chroot", Path, Full),
    rule("lang", Text, Full),
    rule("locale", Text, Full),
    rule("python-home", Paths, Full),
    rule("python-path", Paths, Full),
    rule("python-eggs", Paths, Full),
    rule("python-optimize", Number(0, 2), Full),
    rule("python-warnings", Text, Full),
    rule("python-hash-seed", Seed, Full),
    rule("dont-write-bytecode", Switch, Full),
    rule("env", Variable, Full),
    rule("env-file", Path, Full),
    rule("switch-interval", Decimal, Full),
    rule("free-threading", Switch, Full),
    rule("restrict-stdin", Switch, Full),
    rule("restrict-stdout", Switch, Full),
    rule("restrict-signal", Switch, Full),
    rule("destroy-interpreter", Switch, Full),
    rule("stack-size", BYTES, Full),
    rule("maximum-requests", COUNT, Full),
    rule("maximum-requests-jitter", COUNT, Full),
    rule("restart-interval", Seconds, Full),
    rule("restart-interval-jitter", Seconds, Full),
    rule("inactivity-timeout", Seconds, Full),
    rule("request-timeout", Seconds, Full),
    rule("interrupt-timeout", Seconds, Full),
    rule("graceful-timeout", Seconds, Full),
    rule("reload", Choice(&["rolling", "immediate"]), Full),
    rule("reload-on", Path, Full),
    rule("reload-parallel", COUNT, Full),
    rule("replay", Switch, Full),
    rule("preload", Switch, Full),
    rule("eviction-timeout", Seconds, Full),
    rule("shutdown-timeout", Seconds, Full),
    rule("deadlock-timeout", Seconds, Full),
    rule("startup-timeout", Seconds, Full),
    rule("connect-timeout", Seconds, Full),
    rule("socket-timeout", Seconds, Full),
    rule("queue-timeout", Seconds, Full),
    rule("queue-size", COUNT, Full),
    rule("response-socket-timeout", Seconds, Full),
    rule("response-flush-delay", COUNT, Moot("blocks are sent when the worker has nothing more at hand")),
    rule("request-buffer-size", BYTES, Full),
    rule("request-spool-size", BYTES, Full),
    rule("response-buffer-size", BYTES, Full),
    rule("response-spool-size", BYTES, Full),
    rule("header-buffer-size", Size(8_192), Moot("headers travel with their length, no line has a limit")),
    rule("send-buffer-size", Size(512), Full),
    rule("receive-buffer-size", Size(512), Full),
    rule("listen-backlog", Number(1, 65_535), Full),
    rule("socket-user", Text, Moot("sockets admit the web server's user by its credentials")),
    rule("script-user", Text, Full),
    rule("script-group", Text, Full),
    rule("display-name", Text, Full),
    rule("cpu-time-limit", Seconds, Full),
    rule("cpu-priority", Signed(-20, 19), Full),
    rule("cpu-scheduling", Choice(&["batch", "inherit"]), Full),
    rule("memory-limit", BYTES, Full),
    rule("virtual-memory-limit", BYTES, Full),
    rule("memory-high", BYTES, Full),
    rule("memory-max", BYTES, Full),
    rule("server-metrics", Switch, Full),
    rule("newrelic-config-file", Text, Moot("removed from mod_wsgi 6; start the agent in the application")),
    rule("newrelic-environment", Text, Moot("removed from mod_wsgi 6; start the agent in the application")),
];

/// More than an httpd has threads, as it is usually configured (`MaxRequestWorkers` is 400 by default): a
/// configuration that was written for mod_wsgi, whose queue is httpd's threads, is never refused a wait.
/// Still a bound, so that a pool that is stuck can't take every thread of a large httpd with it.
const QUEUE_SIZE: u32 = 1000;

/// What httpd keeps of a body for whoever is slower, worker or client: so much in the memory of each of
/// its threads, for forms and pages …
const BUFFER: u64 = 256 << 10;
/// … and so much in a file, for uploads and downloads of the everyday kind. With httpd's default of 400
/// threads, 25 GiB at worst.
const SPOOL: u64 = 64 << 20;

/// What an option's name means; `None` for a name no mod_wsgi has had.
pub fn find(name: &str) -> Option<&'static OptionRule> {
    RULES.iter().find(|rule| rule.name == name)
}

/// A process group, parsed and whole. Times are in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessGroup {
    /// `""` is the implicit group.
    pub name: String,
    /// User name, or `#uid`; `None` is the web server's.
    pub user: Option<String>,
    /// Group name, or `#gid`; `None` is the web server's.
    pub group: Option<String>,
    /// Replaces the user's own supplementary groups.
    pub supplementary_groups: Option<Vec<String>>,
    /// Worker processes of each pool.
    pub processes: u32,
    /// `processes` was written down: `wsgi.multiprocess` follows the presence, as in mod_wsgi.
    pub multiprocess: bool,
    /// Where that is said, a pool has so many workers at least, and up to `processes` as load asks for them.
    pub processes_min: Option<u32>,
    /// A worker of such a pool that is not needed for so long ends.
    pub idle_timeout: u32,
    /// Request threads in a worker; see [`ProcessGroup::is_service`].
    pub threads: u32,
    /// File mode mask.
    pub umask: Option<u32>,
    /// Root directory of its workers.
    pub chroot: Option<Bytes>,
    /// Working directory, and `sys.path[0]`.
    pub home: Option<Bytes>,
    /// LANG.
    pub lang: Option<String>,
    /// LC_ALL.
    pub locale: Option<String>,
    /// Prefix of the Python installation or virtual environment.
    pub python_home: Option<Bytes>,
    /// Directories at the front of `sys.path`.
    pub python_path: Vec<Bytes>,
    /// PYTHON_EGG_CACHE.
    pub python_eggs: Option<Bytes>,
    /// How many `-O` Python is started with.
    pub python_optimize: u32,
    /// What follows its `-W`, each time.
    pub python_warnings: Vec<String>,
    /// PYTHONHASHSEED.
    pub python_hash_seed: Option<String>,
    /// Python is started with `-B`.
    pub dont_write_bytecode: bool,
    /// For `sys.setswitchinterval`.
    pub switch_interval: Option<f64>,
    /// A free-threaded Python does without its GIL; `false`: it has one. Others have one anyway.
    pub free_threading: bool,
    /// `sys.stdin` is an error.
    pub restrict_stdin: bool,
    /// `sys.stdout` is an error.
    pub restrict_stdout: bool,
    /// `signal.signal()` does nothing.
    pub restrict_signal: bool,
    /// At its end a worker waits for the threads of the application, and calls what is registered with atexit.
    pub destroy_interpreter: bool,
    /// Bytes for each thread's stack; 0 is the system's default.
    pub stack_size: u64,
    /// Variables of the workers' environment, in their order.
    pub env: Vec<(String, Bytes)>,
    /// Files with more of them. Whoever reads the configuration reads those as well, and puts what they say in
    /// their place: the daemon is never sent one.
    pub env_files: Vec<Bytes>,
    /// What ps(1) calls its workers.
    pub display_name: Option<String>,
    /// After so many requests a worker is replaced; 0 is never, here and below.
    pub maximum_requests: u32,
    /// Up to so many more, each worker another number.
    pub maximum_requests_jitter: u32,
    /// A worker that has served for so long is replaced.
    pub restart_interval: u32,
    /// Up to so much longer, each worker another time.
    pub restart_interval_jitter: u32,
    /// A worker without requests for so long is replaced, or ends where only requests have opened its pool.
    pub inactivity_timeout: u32,
    /// A worker whose application is not imported for so long is replaced.
    pub startup_timeout: u32,
    /// No request is served by code that is older than what is on disk, as in mod_wsgi: it waits.
    pub reload_at_once: bool,
    /// Files, beside the scripts, whose change means new code.
    pub reload_on: Vec<Bytes>,
    /// New workers that start at the same time to replace others; 0 is all of them.
    pub reload_parallel: u32,
    /// A GET or HEAD whose worker dies before it has answered is given to another, once.
    pub replay: bool,
    /// Workers are copies of a template that has imported their application.
    pub preload: bool,
    /// How long a request may take; see [`ProcessGroup::request_limit`].
    pub request_timeout: u32,
    /// How long one that has taken longer may take to unwind; with 0 it is not interrupted.
    pub interrupt_timeout: u32,
    /// A worker that has not had Python's lock for so long is replaced.
    pub deadlock_timeout: u32,
    /// A worker with more bytes in memory is replaced.
    pub memory_high: u64,
    /// With so many, it is not kept until somebody is in its place.
    pub memory_max: u64,
    /// How long the requests of a worker may take that is being replaced, before `shutdown_timeout` begins.
    pub graceful_timeout: u32,
    /// The same where a signal asks for it; 0 is `graceful_timeout`.
    pub eviction_timeout: u32,
    /// How long requests may take to finish when a worker is told to end.
    pub shutdown_timeout: u32,
    /// How long a request waits for the daemon and for a first worker.
    pub connect_timeout: u32,
    /// How long a worker may be silent; 0 is Apache's `Timeout`.
    pub socket_timeout: u32,
    /// How long a client may take nothing of a response; 0 is `socket_timeout`.
    pub response_socket_timeout: u32,
    /// SO_SNDBUF of the sockets between httpd and workers, in bytes; 0 is the system's default.
    pub send_buffer_size: u64,
    /// SO_RCVBUF of the same.
    pub receive_buffer_size: u64,
    /// How long a request waits for a free thread; 0 is as long as for an answer.
    pub queue_timeout: u32,
    /// How many requests of a pool may wait for a free thread; with 0 none does.
    pub queue_size: u32,
    /// Bytes of a request's body that httpd reads into memory before a worker is claimed; with 0 it reads
    /// nothing ahead.
    pub request_buffer_size: u64,
    /// The largest body, in bytes, that is read ahead into a file.
    pub request_spool_size: u64,
    /// Bytes of a response that httpd takes off a worker ahead of its client, into memory; with 0 it takes
    /// nothing ahead.
    pub response_buffer_size: u64,
    /// The same into a file, beyond the memory.
    pub response_spool_size: u64,
    /// Connections that may wait to be accepted by a worker.
    pub listen_backlog: u32,
    /// User name, or `#uid`, whose scripts alone it runs.
    pub script_user: Option<String>,
    /// The same for a group.
    pub script_group: Option<String>,
    /// RLIMIT_CPU; 0 is none.
    pub cpu_time_limit: u32,
    /// Niceness.
    pub cpu_priority: i32,
    /// SCHED_BATCH: a worker that wakes does not take the processor from whoever woke it. The other choice
    /// is the daemon's own policy.
    pub cpu_batch: bool,
    /// RLIMIT_DATA in bytes; 0 is none.
    pub memory_limit: u64,
    /// RLIMIT_AS in bytes; 0 is none.
    pub virtual_memory_limit: u64,
    /// Applications may see httpd's scoreboard.
    pub server_metrics: bool,
}

impl ProcessGroup {
    /// Are its workers without request threads? Then scripts have each of them to themselves.
    pub fn is_service(&self) -> bool {
        self.threads == 0
    }

    /// A path as its workers know it: below their own root directory, if they have one.
    pub fn path_inside<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        let root = self.chroot.as_deref().unwrap_or_default();
        let root = root.strip_suffix(b"/").unwrap_or(root);
        match path.strip_prefix(root) {
            Some(rest) if rest.first() == Some(&b'/') => rest,
            _ => path,
        }
    }

    /// Workers of a pool that the configuration names, from its start.
    pub fn processes_at_first(&self) -> u32 {
        self.processes_min.map_or(self.processes, |least| least.min(self.processes))
    }

    /// How long one request may take: as in mod_wsgi 6, the more threads there are, the longer, since one that
    /// is stuck does the less harm. `None` is for ever.
    pub fn request_limit(&self) -> Option<Duration> {
        let factor = 1.0 + f64::from(self.threads.max(1)).ln();
        (self.request_timeout > 0).then(|| Duration::from_secs(self.request_timeout.into()).mul_f64(factor))
    }

    /// Until when httpd waits for one: a little longer than it has for unwinding.
    pub fn request_patience(&self) -> Option<Duration> {
        Some(self.request_limit()? + Duration::from_secs(self.interrupt_timeout.into()))
    }

    /// A group with nothing but its name: mod_wsgi's defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            user: None,
            group: None,
            supplementary_groups: None,
            processes: 1,
            multiprocess: false,
            processes_min: None,
            idle_timeout: 60,
            threads: 15,
            umask: None,
            chroot: None,
            home: None,
            lang: None,
            locale: None,
            python_home: None,
            python_path: Vec::new(),
            python_eggs: None,
            python_optimize: 0,
            python_warnings: Vec::new(),
            python_hash_seed: None,
            dont_write_bytecode: false,
            switch_interval: None,
            free_threading: false,
            restrict_stdin: false,
            restrict_stdout: false,
            restrict_signal: true,
            destroy_interpreter: true,
            stack_size: 0,
            env: Vec::new(),
            env_files: Vec::new(),
            display_name: None,
            maximum_requests: 0,
            maximum_requests_jitter: 0,
            restart_interval: 0,
            restart_interval_jitter: 0,
            inactivity_timeout: 0,
            startup_timeout: 0,
            reload_at_once: false,
            reload_on: Vec::new(),
            reload_parallel: 0,
            replay: false,
            preload: false,
            request_timeout: 0,
            interrupt_timeout: 0,
            deadlock_timeout: 300,
            memory_high: 0,
            memory_max: 0,
            graceful_timeout: 15,
            eviction_timeout: 0,
            shutdown_timeout: 5,
            connect_timeout: 15,
            socket_timeout: 0,
            response_socket_timeout: 0,
            send_buffer_size: 0,
            receive_buffer_size: 0,
            queue_timeout: 0,
            queue_size: QUEUE_SIZE,
            request_buffer_size: BUFFER,
            request_spool_size: SPOOL,
            response_buffer_size: BUFFER,
            response_spool_size: SPOOL,
            listen_backlog: 100,
            script_user: None,
            script_group: None,
            cpu_time_limit: 0,
            cpu_priority: 0,
            cpu_batch: true,
            memory_limit: 0,
            virtual_memory_limit: 0,
            server_metrics: false,
        }
    }
}

/// What is wrong with an option, as a sentence that names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    /// No such option.
    #[error("Invalid option to WSGI daemon process definition: '{0}'.")]
    Unknown(String),
    /// The value does not fit.
    #[error("Invalid value for option '{name}' of WSGI daemon process: '{value}' is not {expected}.")]
    Value {
        /// The option.
        name: String,
        /// What was written.
        value: String,
        /// What it should have been.
        expected: String,
    },
    /// An option that is accepted and has no effect.
    #[error("Option '{name}' of WSGI daemon process '{group}' {why}.")]
    NoEffect {
        /// The option.
        name: String,
        /// The process group.
        group: String,
        /// Why not.
        why: String,
    },
    /// An option that `<WSGIInterpreterOptions>` may not hold.
    #[error("Option '{0}' of WSGI daemon process can't be set for single application groups.")]
    NotScoped(String),
    /// Two options that contradict each other.
    #[error("Options '{0}' and '{1}' of WSGI daemon process can't be used together.")]
    Contradiction(&'static str, &'static str),
}

impl Complaint {
    /// Does this stop the configuration?
    pub fn is_error(&self) -> bool {
        !matches!(self, Complaint::NoEffect { .. })
    }
}

/// The options that application groups may have each for itself.
const SCOPED: [&str; 6] = [
    "python-path",
    "switch-interval",
    "free-threading",
    "restrict-stdin",
    "restrict-stdout",
    "restrict-signal",
];

/// Lays options over those of a group. Directories come before those that it has, everything else in the
/// place of what it has.
pub fn overlay<K: AsRef<str>, V: AsRef<[u8]>>(
    group: &mut ProcessGroup,
    options: &[(K, V)],
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (key, value) in options {
        let key = key.as_ref();
        if !SCOPED.contains(&key) {
            complaints.push(Complaint::NotScoped(key.into()));
            continue;
        }
        let below = group.python_path.clone();
        match apply(group, key, value.as_ref()) {
            Ok(()) if key == "python-path" => group.python_path.extend(below),
            Ok(()) => {}
            Err(complaint) => complaints.push(complaint),
        }
    }
    complaints
}

/// Parses a group's options. Every complaint is in the list; with an error among them there is no
/// group.
pub fn parse<K: AsRef<str>, V: AsRef<[u8]>>(
    name: &str,
    options: &[(K, V)],
) -> (Option<ProcessGroup>, Vec<Complaint>) {
    let mut group = ProcessGroup::named(name);
    let mut complaints = Vec::new();
    for (key, value) in options {
        if let Err(complaint) = apply(&mut group, key.as_ref(), value.as_ref()) {
            complaints.push(complaint);
        }
        complaints.extend(no_effect(name, key.as_ref()));
    }
    let has = |wanted: &str| options.iter().any(|(key, _)| key.as_ref() == wanted);
    for (one, other) in [("script-user", "script-group"), ("processes", "processes-max")] {
        if has(one) && has(other) {
            complaints.push(Complaint::Contradiction(one, other));
        }
    }
    let least = group.processes_min.unwrap_or(0);
    if least > group.processes && (has("processes") || has("processes-max")) {
        complaints.push(Complaint::Contradiction("processes-min", "processes-max"));
    }
    group.processes = group.processes.max(least);
    let good = !complaints.iter().any(Complaint::is_error);
    (good.then_some(group), complaints)
}

fn no_effect(group: &str, key: &str) -> Option<Complaint> {
    let why = match find(key)?.force {
        Full => return None,
        Moot(reason) => format!("has nothing to do here: {reason}"),
    };
    Some(Complaint::NoEffect { name: key.into(), group: group.into(), why })
}

fn apply(group: &mut ProcessGroup, key: &str, value: &[u8]) -> Result<(), Complaint> {
    let rule = find(key).ok_or_else(|| Complaint::Unknown(key.into()))?;
    let checked = check(rule, value)?;
    let text = || String::from_utf8_lossy(value).into_owned();
    let path = || Some(Bytes::copy_from_slice(value));
    match key {
        "user" => group.user = Some(text()),
        "group" => group.group = Some(text()),
        "supplementary-groups" => {
            group.supplementary_groups =
                Some(text().split(',').map(|name| name.trim().to_string()).collect());
        }
        "processes" => {
            group.processes = checked.number as u32;
            group.multiprocess = true;
        }
        "processes-min" => group.processes_min = Some(checked.number as u32),
        "processes-max" => {
            group.processes = checked.number as u32;
            group.multiprocess = group.processes > 1;
        }
        "reload" => group.reload_at_once = value == b"immediate",
        "reload-on" => group.reload_on.push(Bytes::copy_from_slice(value)),
        "replay" => group.replay = checked.on,
        "preload" => group.preload = checked.on,
        "threads" => group.threads = checked.number as u32,
        "umask" => group.umask = Some(checked.number as u32),
        "chroot" => group.chroot = path(),
        "home" => group.home = path(),
        "lang" => group.lang = Some(text()),
        "locale" => group.locale = Some(text()),
        // As PYTHONHOME has it, the directory of what depends on the machine may follow; no virtual
        // environment has a colon in its own.
        "python-home" => group.python_home = split_paths(value).into_iter().next(),
        "python-path" => group.python_path = split_paths(value),
        "python-eggs" => group.python_eggs = path(),
        "python-optimize" => group.python_optimize = checked.number as u32,
        "python-warnings" => group.python_warnings.push(text()),
        "python-hash-seed" => group.python_hash_seed = Some(text()),
        "dont-write-bytecode" => group.dont_write_bytecode = checked.on,
        "switch-interval" => group.switch_interval = Some(checked.decimal),
        "free-threading" => group.free_threading = checked.on,
        "restrict-stdin" => group.restrict_stdin = checked.on,
        "restrict-stdout" => group.restrict_stdout = checked.on,
        "restrict-signal" => group.restrict_signal = checked.on,
        "destroy-interpreter" => group.destroy_interpreter = checked.on,
        "env" => group.env.push(split_variable(value)),
        "env-file" => group.env_files.push(Bytes::copy_from_slice(value)),
        "display-name" => group.display_name = Some(text()),
        "script-user" => group.script_user = Some(text()),
        "script-group" => group.script_group = Some(text()),
        "cpu-priority" => group.cpu_priority = checked.signed as i32,
        "cpu-scheduling" => group.cpu_batch = value == b"batch",
        "server-metrics" => group.server_metrics = text().eq_ignore_ascii_case("on"),
        _ => apply_number(group, key, checked.number),
    }
    Ok(())
}

/// Times, sizes and other limits.
fn apply_number(group: &mut ProcessGroup, key: &str, number: u64) {
    match key {
        "idle-timeout" => group.idle_timeout = number as u32,
        "reload-parallel" => group.reload_parallel = number as u32,
        "stack-size" => group.stack_size = number,
        "maximum-requests" => group.maximum_requests = number as u32,
        "maximum-requests-jitter" => group.maximum_requests_jitter = number as u32,
        "restart-interval" => group.restart_interval = number as u32,
        "restart-interval-jitter" => group.restart_interval_jitter = number as u32,
        "inactivity-timeout" => group.inactivity_timeout = number as u32,
        "startup-timeout" => group.startup_timeout = number as u32,
        "request-timeout" => group.request_timeout = number as u32,
        "interrupt-timeout" => group.interrupt_timeout = number as u32,
        "deadlock-timeout" => group.deadlock_timeout = number as u32,
        "memory-high" => group.memory_high = number,
        "memory-max" => group.memory_max = number,
        "graceful-timeout" => group.graceful_timeout = number as u32,
        "eviction-timeout" => group.eviction_timeout = number as u32,
        "shutdown-timeout" => group.shutdown_timeout = number as u32,
        "connect-timeout" => group.connect_timeout = number as u32,
        "socket-timeout" => group.socket_timeout = number as u32,
        "response-socket-timeout" => group.response_socket_timeout = number as u32,
        "send-buffer-size" => group.send_buffer_size = number,
        "receive-buffer-size" => group.receive_buffer_size = number,
        "queue-timeout" => group.queue_timeout = number as u32,
        "queue-size" => group.queue_size = number as u32,
        "request-buffer-size" => group.request_buffer_size = number,
        "request-spool-size" => group.request_spool_size = number,
        "response-buffer-size" => group.response_buffer_size = number,
        "response-spool-size" => group.response_spool_size = number,
        "listen-backlog" => group.listen_backlog = number as u32,
        "cpu-time-limit" => group.cpu_time_limit = number as u32,
        "memory-limit" => group.memory_limit = number,
        "virtual-memory-limit" => group.virtual_memory_limit = number,
        _ => {} // known, and without effect: `no_effect` says so
    }
}
