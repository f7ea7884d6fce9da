//! `wsgid-launch`, killed or stopped at each of its steps, as strace(1) can do it at a system call: whoever waits for
//! the worker is answered in time by the next, and nothing is left of the process.

use nix::sys::signal::Signal;
use nix::unistd::getuid;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, Instant};
use wsgid_tests::family::Process;
use wsgid_tests::stage::staged;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Stack};

/// The time-out of a start, and another start.
const IN_TIME: Duration = Duration::from_secs(10);

/// The first call of each step. The first of all is the dynamic linker's, before there is a step.
const STEPS: [&str; 13] = [
    "brk",
    "sched_setscheduler",
    "setsid",
    "prlimit64",
    "setpriority",
    "umask",
    "setgroups",
    "setresgid",
    "setresuid",
    "capset",
    "chdir",
    "close_range",
    "execve",
];

/// In the place of the launcher: has the first start traced, and all others as they are. Being bash's, it leaves
/// the descriptors alone that are the launcher's.
const STAND_IN: &str = r#"#!/bin/bash
lib=${0%/*}
if mv "$lib/fate" "$lib/taken" 2>/dev/null; then
    echo $$ >"$lib/pid"
    read -r call inject <"$lib/taken"
    exec strace -D -o "$lib/trace" -e trace="$call" -e inject="$inject" "$lib/real"
fi
exec "$lib/real"
"#;

/// A daemon whose first launcher has this fate at this step.
fn stack(call: &str, fate: Signal) -> Stack {
    let mut stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site processes=1 umask=022 cpu-priority=1 cpu-time-limit=600 startup-timeout=2 shutdown-timeout=1")
        .bring("whoami")
        .config("WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}")
        .file("parts/wsgid-launch", STAND_IN)
        .file("parts/fate", format!("{call} {call}:signal={fate}:when=1\n"))
        .without_daemon()
        .run();
    let lib = stack.place.path("parts");
    fs::set_permissions(lib.join("wsgid-launch"), Permissions::from_mode(0o755)).unwrap();
    symlink(staged("usr/lib/wsgid/wsgid-launch"), lib.join("real")).unwrap();
    for extension in fs::read_dir(staged("usr/lib/wsgid")).unwrap().map(|entry| entry.unwrap()) {
        let name = extension.file_name();
        if name.to_str().unwrap().starts_with("_wsgid.") {
            symlink(extension.path(), lib.join(name)).unwrap();
        }
    }
    stack.start_daemon();
    stack
}

fn meets(step: &str, fate: Signal) {
    let stack = stack(step, fate);
    let trace = |wanted: &str| {
        let text = stack.place.read("parts/trace");
        assert!(text.contains(wanted), "{step} {fate}: {text:?}");
    };
    let begun = Instant::now();
    stack.get("/").expect(200);
    assert!(begun.elapsed() < IN_TIME, "{step} {fate}: {:?}", begun.elapsed());
    if fate == Signal::SIGSTOP {
        trace("stopped by SIGSTOP");
    }
    until("nothing is left of it", || {
        Process::find(stack.place.read("parts/pid").trim().parse().unwrap()).is_none()
    });
    trace("killed by SIGKILL");
    assert_eq!(stack.daemon().ready_workers("site").len(), 1);
    stack.get("/").expect(200);
}

/// Can one process trace another here, and switch users?
fn may_trace() -> bool {
    let traces = || Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    let may = getuid().is_root() && traces().is_ok_and(|status| status.success());
    if !may {
        eprintln!("not run: it needs root, and leave to trace processes");
    }
    may
}

fn at_each_step(fate: Signal) {
    if !may_trace() {
        return;
    }
    // Each is mostly spent waiting.
    for steps in STEPS.chunks(4) {
        std::thread::scope(|scope| {
            for step in steps {
                scope.spawn(|| meets(step, fate));
            }
        });
    }
}

#[test]
fn killed_at_each_step() {
    at_each_step(Signal::SIGKILL);
}

#[test]
fn stopped_at_each_step() {
    at_each_step(Signal::SIGSTOP);
}
