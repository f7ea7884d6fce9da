//! What a worker is told before it is one: the plan for the launcher and the plan for the
//! interpreter, both made of nothing but values.

use crate::configuration::Group;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;
use wsgid_proto::launch::{LaunchPlan, WorkerPlan};
use wsgid_proto::options::ProcessGroup;

/// Between a service manager and the daemon alone; a worker that answered to them would confuse it.
const NOT_INHERITED: &[&str] = &["NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID", "WSGID_LIBDIR"];
const NOT_INHERITED_PREFIXES: &[&str] = &["LISTEN_", "WATCHDOG_"];

/// A worker's place: what distinguishes it from its colleagues.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The pool's random number.
    pub pool: u64,
    /// Which application of the group.
    pub application_group: &'a str,
    /// What to import first, or to run where there are no request threads.
    pub scripts: &'a [Bytes],
    /// Slot on the board.
    pub slot: u32,
    /// Which worker.
    pub serial: u32,
}

/// The launcher's plan; `bootstrap` is what Python is to run.
pub fn launch_plan(
    group: &Group,
    interpreter: &Path,
    bootstrap: String,
    environment: Vec<Bytes>,
) -> LaunchPlan {
    let options = &group.options;
    let identity = &group.identity;
    let program = Bytes::copy_from_slice(interpreter.as_os_str().as_bytes());
    LaunchPlan {
        group: options.name.clone(),
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups.clone(),
        switch_user: identity.switch_user,
        umask: options.umask,
        nice: options.cpu_priority,
        batch: options.cpu_batch,
        cpu_seconds: options.cpu_time_limit.into(),
        cpu_seconds_hard: cpu_seconds_hard(options),
        data_bytes: options.memory_limit,
        address_bytes: options.virtual_memory_limit,
        root: options.chroot.clone().unwrap_or_default(),
        directory: directory(group),
        environment,
        arguments: arguments(options, program.clone(), bootstrap),
        program,
    }
}

/// At the soft limit SIGXCPU makes a worker ask for a successor; until the hard one it has as long as it may
/// need to finish.
fn cpu_seconds_hard(options: &ProcessGroup) -> u64 {
    [options.cpu_time_limit, 1, options.graceful_timeout, options.shutdown_timeout]
        .into_iter()
        .map(u64::from)
        .sum()
}

/// Python's own options, then what it is to run.
fn arguments(options: &ProcessGroup, program: Bytes, bootstrap: String) -> Vec<Bytes> {
    let mut arguments = vec![program];
    arguments.extend((0..options.python_optimize).map(|_| Bytes::from("-O")));
    if options.dont_write_bytecode {
        arguments.push(Bytes::from("-B"));
    }
    for warning in &options.python_warnings {
        arguments.extend([Bytes::from("-W"), Bytes::from(warning.clone())]);
    }
    arguments.extend([Bytes::from("-c"), Bytes::from(bootstrap)]);
    arguments
}

/// As mod_wsgi has it: `home=`, else the user's own home if that is not the web server's user.
fn directory(group: &Group) -> Bytes {
    let identity = &group.identity;
    match &group.options.home {
        Some(home) => home.clone(),
        None if group.options.chroot.is_some() => Bytes::from("/"),
        None if identity.switch_user && identity.uid != group.web_uid => {
            Bytes::copy_from_slice(identity.home.as_os_str().as_bytes())
        }
        None => Bytes::from("/"),
    }
}

/// After so long without anything to do a worker says so; what follows from it is the pool's to decide.
fn idle_seconds(options: &ProcessGroup) -> u32 {
    let idle = if options.processes_min.is_some() { options.idle_timeout } else { 0 };
    [idle, options.inactivity_timeout].into_iter().filter(|&seconds| seconds > 0).min().unwrap_or(0)
}

/// Often enough to be sure of a silence, and seldom enough to let an idle machine sleep: milliseconds. A silence is
/// looked for also where a request may take only so long.
fn beat(options: &ProcessGroup) -> u64 {
    let deadlock = Duration::from_secs(options.deadlock_timeout.into());
    let times = [Some(deadlock).filter(|time| !time.is_zero()), options.request_limit()];
    let quarter = times.into_iter().flatten().min().map(|time| time.as_millis() as u64 / 4);
    quarter.map_or(0, |quarter| quarter.clamp(250, 30_000))
}

/// As in mod_wsgi, `%{GROUP}` is `(wsgi:name)`; any other name stands as it is.
fn display_name(options: &ProcessGroup) -> String {
    match options.display_name.as_deref() {
        Some("%{GROUP}") => format!("(wsgi:{})", options.name),
        other => other.unwrap_or_default().into(),
    }
}

/// Spread over the jitter, so that workers that begin together are not worn together.
fn maximum_requests(options: &ProcessGroup, serial: u32) -> u64 {
    let (most, jitter) = (u64::from(options.maximum_requests), u64::from(options.maximum_requests_jitter));
    if most == 0 { 0 } else { most + u64::from(serial.wrapping_mul(0x9E37_79B9)) % (jitter + 1) }
}

/// The interpreter's plan.
pub fn worker_plan(group: &Group, place: Place<'_>, watch: bool) -> WorkerPlan {
    let options = &group.options;
    WorkerPlan {
        pool: place.pool,
        slot: place.slot,
        serial: place.serial,
        threads: options.threads,
        follow: options.cpu_batch,
        stack_size: options.stack_size,
        switch_interval: options.switch_interval.unwrap_or(0.0),
        process_group: options.name.clone(),
        application_group: place.application_group.into(),
        multiprocess: options.multiprocess,
        python_path: options.python_path.clone(),
        home: options.home.clone().unwrap_or_default(),
        preload: place.scripts.iter().map(|script| script.slice_ref(options.path_inside(script))).collect(),
        web_uid: group.web_uid,
        shutdown_seconds: options.shutdown_timeout,
        watch,
        processes: options.processes,
        server_metrics: false, // as long as there is no descriptor
        restrict_stdin: options.restrict_stdin,
        restrict_stdout: options.restrict_stdout,
        restrict_signal: options.restrict_signal,
        destroy_interpreter: options.destroy_interpreter,
        maximum_requests: maximum_requests(options, place.serial),
        inactivity_seconds: idle_seconds(options),
        display_name: display_name(options),
        beat_milliseconds: beat(options),
        send_buffer: options.send_buffer_size,
        receive_buffer: options.receive_buffer_size,
        reload_at_once: options.reload_at_once,
        reload_on: options.reload_on.clone(),
        locale: options.locale.clone().unwrap_or_default(),
        attach: Bytes::new(), // the premises know, here and below
        template: false,
        server: (*group.server).clone(),
    }
}

/// The worker's environment: the daemon's, with the user's own home and name.
pub fn environment(inherited: impl Iterator<Item = (OsString, OsString)>, group: &Group) -> Vec<Bytes> {
    let mut variables: BTreeMap<Vec<u8>, Vec<u8>> = inherited
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .filter(|(name, _)| is_inherited(name))
        .collect();
    let mut set = |name: &str, value: &[u8]| variables.insert(name.into(), value.to_vec());
    set("HOME", group.identity.home.as_os_str().as_bytes());
    if !group.identity.name.starts_with('#') {
        set("USER", group.identity.name.as_bytes());
        set("LOGNAME", group.identity.name.as_bytes());
    }
    let options = &group.options;
    if let Some(lang) = &options.lang {
        set("LANG", lang.as_bytes());
    }
    if let Some(locale) = &options.locale {
        set("LC_ALL", locale.as_bytes());
    }
    if let Some(eggs) = &options.python_eggs {
        set("PYTHON_EGG_CACHE", eggs);
    }
    if let Some(seed) = &options.python_hash_seed {
        set("PYTHONHASHSEED", seed.as_bytes());
    }
    for (name, value) in &options.env {
        set(name, value);
    }
    variables.into_iter().map(|(name, value)| Bytes::from([&name[..], b"=", &value[..]].concat())).collect()
}

fn is_inherited(name: &[u8]) -> bool {
    let is = |known: &&str| name == known.as_bytes();
    let begins = |prefix: &&str| name.starts_with(prefix.as_bytes());
    !NOT_INHERITED.iter().any(is) && !NOT_INHERITED_PREFIXES.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Identity;
    use wsgid_proto::control::GroupDefinition;

    fn group(options: &[(&str, &str)]) -> Group {
        Group {
            definition: GroupDefinition { name: "site".into(), ..Default::default() },
            options: wsgid_proto::options::parse("site", options).0.unwrap(),
            identity: Identity {
                uid: 1000,
                gid: 33,
                groups: vec![33, 50],
                name: "bob".into(),
                home: "/home/bob".into(),
                switch_user: true,
            },
            web_uid: 33,
            web_gid: 33,
            server: Default::default(),
        }
    }

    fn environment_of(group: &Group, inherited: &[(&str, &str)]) -> Vec<String> {
        let inherited = inherited.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let text = |variable: Bytes| String::from_utf8(variable.to_vec()).unwrap();
        environment(inherited, group).into_iter().map(text).collect()
    }

    #[test]
    fn the_working_directory_is_mod_wsgis() {
        let plan = |group: &Group| launch_plan(group, Path::new("/venv/bin/python"), "begin".into(), vec![]);
        assert_eq!(plan(&group(&[])).directory, "/home/bob");
        assert_eq!(plan(&group(&[("home", "/srv")])).directory, "/srv");
        let same = Group { web_uid: 1000, ..group(&[]) };
        assert_eq!(plan(&same).directory, "/");
        assert_eq!(plan(&same).arguments[..2], ["/venv/bin/python", "-c"]);
    }

    #[test]
    fn the_environment_is_the_users_and_free_of_the_service_manager() {
        let inherited = [
            ("NOTIFY_SOCKET", "/run/x"),
            ("LISTEN_FDS", "1"),
            ("WATCHDOG_USEC", "1"),
            ("INVOCATION_ID", "x"),
            ("HOME", "/root"),
            ("PATH", "/bin"),
        ];
        let group = group(&[("lang", "de_DE.UTF-8"), ("locale", "C.UTF-8"), ("python-eggs", "/eggs")]);
        let expected = [
            "HOME=/home/bob",
            "LANG=de_DE.UTF-8",
            "LC_ALL=C.UTF-8",
            "LOGNAME=bob",
            "PATH=/bin",
            "PYTHON_EGG_CACHE=/eggs",
            "USER=bob",
        ];
        assert_eq!(environment_of(&group, &inherited), expected);
    }

    #[test]
    fn pythons_own_options_stand_before_the_bootstrap() {
        let options = [
            ("python-optimize", "2"),
            ("dont-write-bytecode", "On"),
            ("python-warnings", "error"),
            ("python-warnings", "ignore::DeprecationWarning"),
            ("python-hash-seed", "7"),
        ];
        let group = group(&options);
        let plan = launch_plan(&group, Path::new("/p"), "begin".into(), vec![]);
        let expected =
            ["/p", "-O", "-O", "-B", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", "begin"];
        assert_eq!(plan.arguments, expected);
        assert!(environment_of(&group, &[("PYTHONHASHSEED", "0")]).contains(&"PYTHONHASHSEED=7".into()));
    }

    #[test]
    fn limits_and_threads_reach_their_plans() {
        let group =
            group(&[("cpu-time-limit", "9"), ("memory-limit", "10"), ("processes", "1"), ("threads", "3")]);
        let plan = launch_plan(&group, Path::new("/p"), "begin".into(), vec![]);
        assert_eq!((plan.cpu_seconds, plan.data_bytes, plan.uid, plan.gid), (9, 10, 1000, 33));
        let scripts = [Bytes::from("/app.wsgi"), Bytes::from("/more.py")];
        let place = Place { pool: 7, application_group: "a", scripts: &scripts, slot: 1, serial: 2 };
        let plan = worker_plan(&group, place, true);
        assert_eq!((plan.threads, plan.multiprocess, plan.watch, plan.web_uid), (3, true, true, 33));
        assert_eq!((plan.pool, plan.slot, plan.serial, plan.preload), (7, 1, 2, scripts.to_vec()));
    }
}
