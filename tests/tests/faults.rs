//! What breaks around the three lifecycles, and how little of it is noticed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use wsgid_tests::venv::venv;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack};

const SITE: &str = "WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}";

fn pid(stack: &Stack) -> i32 {
    stack.get("/").expect(200).json()["pid"].as_i64().unwrap() as i32
}

/// An environment that is taken away while it is used: nobody new can start, and nobody old has to go.
#[test]
fn a_virtual_environment_may_vanish() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site python-home=@ROOT@/venv")
        .bring("whoami")
        .config(SITE)
        .without_daemon();
    let mut stack = stack.run();
    let link = stack.place.path("venv");
    std::os::unix::fs::symlink(venv("plain", &[]), &link).unwrap();
    stack.start_daemon();
    until("it serves", || stack.get("/").status == 200);
    let before = pid(&stack);
    std::fs::remove_file(&link).unwrap();
    stack.wsgictl(&["reload", "site"]);
    stack.logged("wsgid", &["no worker can be started", "venv"]);
    for _ in 0..20 {
        assert_eq!(pid(&stack), before);
    }
    std::os::unix::fs::symlink(venv("plain", &[]), &link).unwrap();
    until("a new worker takes over", || pid(&stack) != before);
}

/// Without a place to write it down, a configuration is obeyed all the same.
#[test]
fn the_state_directory_may_be_lost() {
    let mut stack =
        Stack::on(Mpm::Event).config("WSGIDaemonProcess site threads=2").bring("whoami").config(SITE).run();
    let before = pid(&stack);
    std::fs::remove_dir_all(stack.place.path("state")).unwrap();
    stack.reconfigure("threads=2", "threads=3");
    until("the new configuration is obeyed", || pid(&stack) != before);
    stack.logged("wsgid", &["configurations can't be saved", "a restart will not know them"]);
    stack.stop_daemon();
    stack.start_daemon();
    // httpd asks whether it is known, and says it again.
    until("it is told once more", || stack.get("/").status == 200);
}

/// More callers at once than a worker's socket has places for: they wait, and nobody is turned away.
#[test]
fn a_short_backlog_is_only_a_queue() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=15 listen-backlog=1")
        .bring("whoami")
        .config(SITE)
        .run();
    pid(&stack);
    std::thread::scope(|scope| {
        // Each over a connection of its own: httpd closes kept ones when its threads are few.
        let ask = || (0..20).map(|_| pid(&stack)).all(|pid| pid > 0);
        let all: Vec<_> = (0..40).map(|_| scope.spawn(ask)).collect();
        assert!(all.into_iter().all(|each| each.join().unwrap()));
    });
}

/// A daemon that is stopped, not killed, is missed by nobody who knows the way; and it goes on where it was.
#[test]
fn a_stopped_daemon_is_not_missed() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site processes=2 threads=2")
        .bring("whoami")
        .config(SITE)
        .run();
    until("both are there", || stack.daemon().ready_workers("site").len() == 2);
    let mut kept = stack.connect();
    kept.ask(&Request::get("/")).expect(200);
    stack.daemon().signal(Signal::SIGSTOP);
    for _ in 0..50 {
        kept.ask(&Request::get("/")).expect(200);
    }
    stack.daemon().signal(Signal::SIGCONT);
    assert_eq!(stack.daemon().ready_workers("site").len(), 2);
}

/// A worker that is stopped while it has nothing to do is asked nothing for ever: the deadlock is found.
#[test]
fn a_stopped_worker_is_replaced() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site deadlock-timeout=1")
        .bring("whoami")
        .config(SITE)
        .run();
    let old = pid(&stack);
    kill(Pid::from_raw(old), Signal::SIGSTOP).unwrap();
    until("another is there", || {
        let ready = stack.daemon().ready_workers("site");
        ready.len() == 1 && ready[0] as i32 != old
    });
    assert_ne!(pid(&stack), old);
}

/// The file with the records of workers is the daemon's alone.
#[test]
fn records_are_not_for_everybody() {
    let stack = Stack::on(Mpm::Event).config("WSGIDaemonProcess site").bring("whoami").config(SITE).run();
    pid(&stack);
    let mut seen = 0;
    for entry in std::fs::read_dir(stack.place.path("run/w")).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{:?}", entry.path());
        seen += 1;
    }
    assert_eq!(seen, 2, "a socket and a record");
}
