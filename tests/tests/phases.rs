//! Every kind of process, killed or stopped in every phase of a request: whoever asks is answered in time, and all
//! others as if nothing were.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wsgid_tests::family::{Process, descendants};
use wsgid_tests::wait::until;
use wsgid_tests::{Connection, Mpm, Reply, Request, Stack};

const PHASES: [&str; 5] = ["called", "started", "answering", "reading", "closing"];

/// Two processes, so that there is another for others; short time-outs, so that they are seen to hold.
fn stack() -> Stack {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site processes=2 threads=3 socket-timeout=1 deadlock-timeout=1 shutdown-timeout=1 graceful-timeout=1")
        .bring("phases")
        .config("WSGIScriptAlias / @APPS@/phases.wsgi process-group=site application-group=%{GLOBAL}")
        .run();
    until("both are there", || stack.daemon().ready_workers("site").len() == 2);
    stack
}

/// A request that stands still in a phase.
struct Held {
    connection: Connection,
    mark: PathBuf,
    worker: Pid,
}

impl Held {
    fn begin(stack: &Stack, phase: &str) -> Self {
        let mark = stack.place.make_public_dir("marks").join(phase);
        for suffix in ["begun", "go"] {
            let _ = fs::remove_file(mark.with_extension(suffix));
        }
        let mut connection = stack.connect();
        let target = format!("/?{phase}={}", mark.display());
        let body = if phase == "reading" { 4 << 20 } else { 0 };
        connection.send(Request::post(&target, vec![b'x'; body]).bytes());
        let begun = mark.with_extension("begun");
        until("the application stands", || begun.exists());
        let worker = Pid::from_raw(fs::read_to_string(begun).unwrap().parse().unwrap());
        Self { connection, mark, worker }
    }

    fn go(&self) {
        fs::write(self.mark.with_extension("go"), "").unwrap();
    }
}

/// What the client sees: a status and whether the response was whole; or a connection that ends.
fn outcome(mut connection: Connection) -> (u16, bool) {
    connection.reply().map_or((0, false), |reply| (reply.status, reply.whole))
}

/// As if nothing were: at once, and right.
fn serves(stack: &Stack) {
    answers(|| stack.get("/"));
}

fn answers(mut ask: impl FnMut() -> Reply) {
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(ask().expect(200).text(), "one\ntwo\n");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// Whether the head had gone out before the worker stood still: then a fault can only cut the response short.
fn is_begun(phase: &str) -> bool {
    matches!(phase, "answering" | "closing")
}

#[test]
fn a_worker_that_is_killed() {
    let stack = stack();
    for phase in PHASES {
        let held = Held::begin(&stack, phase);
        kill(held.worker, Signal::SIGKILL).unwrap();
        let expected = if is_begun(phase) { (200, false) } else { (502, true) };
        assert_eq!(outcome(held.connection), expected, "{phase}");
        serves(&stack);
        until("there are two again", || stack.daemon().ready_workers("site").len() == 2);
    }
}

#[test]
fn a_worker_that_is_stopped() {
    let stack = stack();
    for phase in PHASES {
        let held = Held::begin(&stack, phase);
        let begun = Instant::now();
        kill(held.worker, Signal::SIGSTOP).unwrap();
        let expected = if is_begun(phase) { (200, false) } else { (504, true) };
        // It may be found out before the time is over, and is killed then.
        let seen = outcome(held.connection);
        assert!(seen == expected || seen == (502, true), "{phase}: {seen:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{phase}: {:?}", begun.elapsed());
        until("it is replaced", || {
            let ready = stack.daemon().ready_workers("site");
            ready.len() == 2 && !ready.contains(&(held.worker.as_raw() as u32))
        });
        serves(&stack);
    }
}

#[test]
fn a_daemon_that_is_killed_or_stopped() {
    let mut stack = stack();
    for phase in PHASES {
        // To a child of httpd's that knows the way: others would have to ask the daemon.
        let mut kept = stack.connect();
        answers(|| kept.ask(&Request::get("/")));
        let held = Held::begin(&stack, phase);
        stack.kill_daemon();
        answers(|| kept.ask(&Request::get("/")));
        held.go();
        assert_eq!(outcome(held.connection), (200, true), "{phase}");
        stack.start_daemon();
        until("they are taken over", || stack.daemon().ready_workers("site").len() == 2);

        let held = Held::begin(&stack, phase);
        stack.daemon().signal(Signal::SIGSTOP);
        answers(|| kept.ask(&Request::get("/")));
        held.go();
        assert_eq!(outcome(held.connection), (200, true), "{phase}");
        stack.daemon().signal(Signal::SIGCONT);
        serves(&stack);
    }
}

/// Of httpd's, all that there are: which one has the request is not to be seen.
fn children(stack: &Stack) -> Vec<Process> {
    descendants(stack.httpd().pid())
}

#[test]
fn children_of_httpd_that_are_killed() {
    let stack = stack();
    let workers = stack.daemon().ready_workers("site");
    for phase in PHASES {
        let held = Held::begin(&stack, phase);
        let children = children(&stack);
        children.iter().for_each(|child| child.signal(Signal::SIGKILL));
        until("they are gone", || !children.iter().any(Process::lives));
        assert!(!outcome(held.connection).1, "{phase}: their clients' connections go with them");
        held_go(&held.mark);
        until("others serve", || Connection::open(stack.port()).is_ok());
        serves(&stack);
        assert_eq!(stack.daemon().ready_workers("site"), workers, "{phase}: no worker is the worse for it");
    }
}

#[test]
fn children_of_httpd_that_are_stopped() {
    let stack = stack();
    let workers = stack.daemon().ready_workers("site");
    for phase in PHASES {
        let held = Held::begin(&stack, phase);
        let children = children(&stack);
        children.iter().for_each(|child| child.signal(Signal::SIGSTOP));
        // The application goes on as far as it can, and what it has answered is kept.
        held.go();
        until("nothing is under way", || {
            let pools = stack.daemon().pools("site");
            phase == "reading"
                || pools.iter().flat_map(|pool| &pool.workers).all(|worker| worker.claimed == 0)
        });
        children.iter().for_each(|child| child.signal(Signal::SIGCONT));
        assert_eq!(outcome(held.connection), (200, true), "{phase}");
        serves(&stack);
        assert_eq!(stack.daemon().ready_workers("site"), workers, "{phase}");
    }
}

fn held_go(mark: &std::path::Path) {
    fs::write(mark.with_extension("go"), "").unwrap();
}
