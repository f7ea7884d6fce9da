//! The options of `WSGIDaemonProcess`: one table of names, one typed [`ProcessGroup`], one parser for
//! the module (complaints at the line of the directive) and for the daemon (which trusts no peer).

use crate::bounds;
use bytes::Bytes;

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// An absolute path.
    Path,
    /// Absolute paths separated by colons.
    Paths,
    /// Names separated by commas.
    Names,
    /// A whole number within bounds.
    Number(u64, u64),
    /// A signed whole number within bounds.
    Signed(i64, i64),
    /// Whole seconds.
    Seconds,
    /// Octal file mode.
    Octal,
    /// A positive decimal number.
    Decimal,
    /// On or Off.
    Switch,
}

/// Is an option obeyed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It has its effect.
    Full,
    /// Known, checked, without effect: a warning says so where it is used.
    NotYet,
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

use Force::{Full, Moot, NotYet};
use Shape::*;

const COUNT: Shape = Number(0, u32::MAX as u64);
const BYTES: Shape = Number(0, u64::MAX);

/// Every option of mod_wsgi 6, those of 5 that are still found, and our own.
pub const RULES: &[OptionRule] = &[
    rule("user", Text, Full),
    rule("group", Text, Full),
    rule("supplementary-groups", Names, Full),
    rule("processes", Number(1, bounds::PROCESSES as u64), Full),
    rule("threads", Number(0, bounds::THREADS as u64), Full),
    rule("umask", Octal, Full),
    rule("home", Path, Full),
    rule("chroot", Path, NotYet),
    rule("lang", Text, Full),
    rule("locale", Text, Full),
    rule("python-home", Path, Full),
    rule("python-path", Paths, Full),
    rule("python-eggs", Path, Full),
    rule("switch-interval", Decimal, Full),
    rule("stack-size", BYTES, Full),
    rule("maximum-requests", COUNT, NotYet),
    rule("restart-interval", Seconds, NotYet),
    rule("inactivity-timeout", Seconds, NotYet),
    rule("request-timeout", Seconds, NotYet),
    rule("interrupt-timeout", Seconds, NotYet),
    rule("graceful-timeout", Seconds, NotYet),
    rule("eviction-timeout", Seconds, NotYet),
    rule("shutdown-timeout", Seconds, Full),
    rule("deadlock-timeout", Seconds, NotYet),
    rule("startup-timeout", Seconds, NotYet),
    rule("connect-timeout", Seconds, Full),
    rule("socket-timeout", Seconds, Full),
    rule("queue-timeout", Seconds, Full),
    rule("queue-size", COUNT, Full),
    rule("response-socket-timeout", Seconds, NotYet),
    rule("response-flush-delay", COUNT, Moot("blocks are sent when the worker has nothing more at hand")),
    rule("request-buffer-size", BYTES, Full),
    rule("request-spool-size", BYTES, Full),
    rule("response-buffer-size", BYTES, Full),
    rule("response-spool-size", BYTES, Full),
    rule(
        "header-buffer-size",
        Number(8_192, u64::MAX),
        Moot("headers travel with their length, no line has a limit"),
    ),
    rule("send-buffer-size", Number(512, u32::MAX as u64), NotYet),
    rule("receive-buffer-size", Number(512, u32::MAX as u64), NotYet),
    rule("listen-backlog", Number(1, 65_535), Full),
    rule("socket-user", Text, Moot("sockets admit the web server's user by its credentials")),
    rule("script-user", Text, NotYet),
    rule("script-group", Text, NotYet),
    rule("display-name", Text, NotYet),
    rule("cpu-time-limit", Seconds, Full),
    rule("cpu-priority", Signed(-20, 19), Full),
    rule("memory-limit", BYTES, Full),
    rule("virtual-memory-limit", BYTES, Full),
    rule("server-metrics", Switch, NotYet),
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
    /// Request threads in a worker, at least 1.
    pub threads: u32,
    /// File mode mask.
    pub umask: Option<u32>,
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
    /// For `sys.setswitchinterval`.
    pub switch_interval: Option<f64>,
    /// Bytes for each thread's stack; 0 is the system's default.
    pub stack_size: u64,
    /// How long requests may take to finish when a worker is told to end.
    pub shutdown_timeout: u32,
    /// How long a request waits for the daemon and for a first worker.
    pub connect_timeout: u32,
    /// How long a worker may be silent; 0 is Apache's `Timeout`.
    pub socket_timeout: u32,
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
    /// RLIMIT_CPU; 0 is none.
    pub cpu_time_limit: u32,
    /// Niceness.
    pub cpu_priority: i32,
    /// RLIMIT_DATA in bytes; 0 is none.
    pub memory_limit: u64,
    /// RLIMIT_AS in bytes; 0 is none.
    pub virtual_memory_limit: u64,
}

impl ProcessGroup {
    /// A group with nothing but its name: mod_wsgi's defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            user: None,
            group: None,
            supplementary_groups: None,
            processes: 1,
            multiprocess: false,
            threads: 15,
            umask: None,
            home: None,
            lang: None,
            locale: None,
            python_home: None,
            python_path: Vec::new(),
            python_eggs: None,
            switch_interval: None,
            stack_size: 0,
            shutdown_timeout: 5,
            connect_timeout: 15,
            socket_timeout: 0,
            queue_timeout: 0,
            queue_size: QUEUE_SIZE,
            request_buffer_size: BUFFER,
            request_spool_size: SPOOL,
            response_buffer_size: BUFFER,
            response_spool_size: SPOOL,
            listen_backlog: 100,
            cpu_time_limit: 0,
            cpu_priority: 0,
            memory_limit: 0,
            virtual_memory_limit: 0,
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
    if has("script-user") && has("script-group") {
        complaints.push(Complaint::Contradiction("script-user", "script-group"));
    }
    if group.threads == 0 {
        complaints.push(Complaint::NoEffect {
            name: "threads=0".into(),
            group: name.into(),
            why: "(a service script) is not in force yet; the group runs with one request thread".into(),
        });
        group.threads = 1;
    }
    let good = !complaints.iter().any(Complaint::is_error);
    (good.then_some(group), complaints)
}

fn no_effect(group: &str, key: &str) -> Option<Complaint> {
    let why = match find(key)?.force {
        Full => return None,
        NotYet => "is not in force yet and has no effect".to_string(),
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
        "threads" => group.threads = checked.number as u32,
        "umask" => group.umask = Some(checked.number as u32),
        "home" => group.home = path(),
        "lang" => group.lang = Some(text()),
        "locale" => group.locale = Some(text()),
        "python-home" => group.python_home = path(),
        "python-path" => group.python_path = split_paths(value),
        "python-eggs" => group.python_eggs = path(),
        "switch-interval" => group.switch_interval = Some(checked.decimal),
        "stack-size" => group.stack_size = checked.number,
        "shutdown-timeout" => group.shutdown_timeout = checked.number as u32,
        "connect-timeout" => group.connect_timeout = checked.number as u32,
        "socket-timeout" => group.socket_timeout = checked.number as u32,
        "queue-timeout" => group.queue_timeout = checked.number as u32,
        "queue-size" => group.queue_size = checked.number as u32,
        "request-buffer-size" => group.request_buffer_size = checked.number,
        "request-spool-size" => group.request_spool_size = checked.number,
        "response-buffer-size" => group.response_buffer_size = checked.number,
        "response-spool-size" => group.response_spool_size = checked.number,
        "listen-backlog" => group.listen_backlog = checked.number as u32,
        "cpu-time-limit" => group.cpu_time_limit = checked.number as u32,
        "cpu-priority" => group.cpu_priority = checked.signed as i32,
        "memory-limit" => group.memory_limit = checked.number,
        "virtual-memory-limit" => group.virtual_memory_limit = checked.number,
        _ => {} // known, and without effect: `no_effect` says so
    }
    Ok(())
}

fn split_paths(value: &[u8]) -> Vec<Bytes> {
    value.split(|&b| b == b':').filter(|part| !part.is_empty()).map(Bytes::copy_from_slice).collect()
}

/// A value that fits its shape, as whichever number it is.
#[derive(Default)]
struct Checked {
    number: u64,
    signed: i64,
    decimal: f64,
}

fn check(rule: &OptionRule, value: &[u8]) -> Result<Checked, Complaint> {
    let fault = |expected: &str| Complaint::Value {
        name: rule.name.into(),
        value: String::from_utf8_lossy(value).into_owned(),
        expected: expected.into(),
    };
    if value.contains(&0) {
        return Err(fault("free of NUL bytes"));
    }
    let text = std::str::from_utf8(value).unwrap_or("\u{fffd}");
    let number = |low: u64, high: u64| match text.parse::<u64>() {
        Ok(n) if (low..=high).contains(&n) => Ok(Checked { number: n, ..Default::default() }),
        _ if high == u64::MAX => Err(fault(&format!("a whole number of at least {low}"))),
        _ => Err(fault(&format!("a whole number from {low} to {high}"))),
    };
    match rule.shape {
        Text | Names if value.is_empty() => Err(fault("a name")),
        Text | Names => Ok(Checked::default()),
        Path if value.first() == Some(&b'/') => Ok(Checked::default()),
        Path => Err(fault("an absolute path")),
        Paths if split_paths(value).iter().all(|path| path[0] == b'/') => Ok(Checked::default()),
        Paths => Err(fault("a list of absolute paths")),
        Number(low, high) => number(low, high),
        Seconds => number(0, i32::MAX as u64).map_err(|_| fault("a number of seconds")),
        Signed(low, high) => match text.parse::<i64>() {
            Ok(n) if (low..=high).contains(&n) => Ok(Checked { signed: n, ..Default::default() }),
            _ => Err(fault(&format!("a whole number from {low} to {high}"))),
        },
        Octal => match u64::from_str_radix(text, 8) {
            Ok(n) if n <= 0o777 => Ok(Checked { number: n, ..Default::default() }),
            _ => Err(fault("an octal mode from 0 to 0777")),
        },
        Decimal => match text.parse::<f64>() {
            Ok(n) if n.is_finite() && n > 0.0 => Ok(Checked { decimal: n, ..Default::default() }),
            _ => Err(fault("a positive number")),
        },
        Switch if ["on", "off"].contains(&text.to_ascii_lowercase().as_str()) => Ok(Checked::default()),
        Switch => Err(fault("On or Off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> (Option<ProcessGroup>, Vec<Complaint>) {
        parse("site", &[(key, value)])
    }

    #[test]
    fn defaults_are_mod_wsgis() {
        let (group, complaints) = parse::<&str, &str>("site", &[]);
        let group = group.unwrap();
        assert!(complaints.is_empty());
        assert_eq!((group.processes, group.threads, group.multiprocess), (1, 15, false));
        assert_eq!((group.connect_timeout, group.shutdown_timeout, group.listen_backlog), (15, 5, 100));
    }

    #[test]
    fn processes_makes_multiprocess_even_when_it_is_one() {
        assert!(one("processes", "1").0.unwrap().multiprocess);
    }

    #[test]
    fn an_unknown_option_is_an_error_in_mod_wsgis_words() {
        let (group, complaints) = one("processess", "2");
        assert!(group.is_none());
        assert!(complaints[0].to_string().starts_with("Invalid option to WSGI daemon process definition"));
    }

    #[test]
    fn values_that_do_not_fit_are_errors() {
        for (key, value) in [
            ("processes", "0"),
            ("processes", "many"),
            ("threads", "-1"),
            ("home", "relative"),
            ("umask", "9"),
            ("umask", "7777"),
            ("cpu-priority", "20"),
            ("switch-interval", "0"),
            ("switch-interval", "inf"),
            ("python-path", "/a:b"),
            ("server-metrics", "maybe"),
            ("user", ""),
            ("header-buffer-size", "100"),
        ] {
            let (group, complaints) = one(key, value);
            assert!(group.is_none(), "{key}={value}");
            assert!(complaints[0].to_string().contains(key), "{complaints:?}");
        }
    }

    #[test]
    fn every_option_is_in_force_or_warns_with_its_name() {
        for rule in RULES {
            let value = match rule.shape {
                Text | Names => "x",
                Path | Paths => "/x",
                Number(low, _) => {
                    if low > 0 {
                        "100000"
                    } else {
                        "1"
                    }
                }
                Signed(..) | Seconds | Decimal => "1",
                Octal => "022",
                Switch => "On",
            };
            let value = if matches!(rule.name, "processes" | "listen-backlog") { "2" } else { value };
            let (group, complaints) = one(rule.name, value);
            assert!(group.is_some(), "{}: {complaints:?}", rule.name);
            if rule.force == Full {
                assert!(complaints.is_empty(), "{}", rule.name);
                assert_ne!(group.unwrap(), ProcessGroup::named("site"), "{} changes nothing", rule.name);
            } else {
                assert!(complaints[0].to_string().contains(rule.name));
            }
        }
    }

    #[test]
    fn all_complaints_come_at_once() {
        let (_, complaints) =
            parse("g", &[("processes", "x"), ("nonsense", "1"), ("script-user", "a"), ("script-group", "b")]);
        assert_eq!(complaints.iter().filter(|c| c.is_error()).count(), 3);
    }
}
