//! Requests and workers that take too long or too much: the client hears in time, whatever Python does, and
//! nobody else is harmed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack, each_mpm};

/// One path for each way to be slow; any other answers with the worker's process id.
const SLOW: &str = "\
import os, re, sys, time
kept = []
def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/sleep':
        time.sleep(600)
    if path == '/python':
        while True:
            pass
    if path == '/lock':
        sys.setswitchinterval(1000)
        re.match('(a+)+$', 'a' * 64 + 'b')
    if path == '/grow':
        kept.append(bytearray(os.urandom(1 << 20)) * 128)
    if path == '/half':
        time.sleep(1)
    if path == '/begun':
        write = start_response('200 OK', [])
        write(b'begun')
        time.sleep(600)
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

/// In one word: the time that a request with this option is over in, if it is over in time.
const SOON: Duration = Duration::from_secs(8);

fn site(mpm: Mpm, options: &str) -> Stack {
    site_of(mpm, options, SLOW)
}

fn site_of(mpm: Mpm, options: &str, app: &str) -> Stack {
    Stack::on(mpm)
        .config(&format!("WSGIDaemonProcess site {options}"))
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", app)
        .run()
}

/// Asks, expects 504, and in time.
fn times_out(stack: &Stack, path: &str) {
    let begun = Instant::now();
    stack.get(path).expect(504);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < SOON, "{path} took {took:?}");
}

fn another_serves(stack: &Stack, old: &str) {
    until("another worker serves", || stack.get("/").expect(200).text() != old);
}

each_mpm! {
    fn a_request_has_its_time_and_the_worker_goes(mpm) {
        let stack = site(mpm, "threads=2 request-timeout=1 graceful-timeout=1 shutdown-timeout=1");
        let old = stack.get("/").expect(200).text();
        times_out(&stack, "/sleep");
        another_serves(&stack, &old);
        stack.logged("error", &["WSGI8061", "request-timeout"]);
        stack.logged("wsgid", &["takes longer than request-timeout"]);
    stack.logged("wsgid", &["code/app.wsgi\"", "in application"]);
        let old = Pid::from_raw(old.parse().unwrap());
        until("the old worker has gone", || kill(old, None).is_err());
    }
}

#[test]
fn a_request_that_holds_pythons_lock_has_its_time_too() {
    let stack = site(Mpm::Event, "threads=1 request-timeout=1 graceful-timeout=1 shutdown-timeout=1");
    let old = stack.get("/").expect(200).text();
    times_out(&stack, "/lock");
    // What the daemon knows of it is from outside.
    stack.logged("wsgid", &["takes longer than request-timeout"]);
    stack.logged("wsgid", &["code/app.wsgi\"", "in application"]);
    another_serves(&stack, &old);
}

#[test]
fn a_worker_that_is_stopped_keeps_nobody_waiting() {
    let stack = site(Mpm::Event, "threads=1 request-timeout=1 graceful-timeout=1 shutdown-timeout=1");
    let old = stack.get("/").expect(200).text();
    let pid = Pid::from_raw(old.parse().unwrap());
    let mut connection = stack.connect();
    connection.send(Request::get("/half").bytes());
    until("the worker has it", || stack.daemon().pools("site")[0].workers.iter().any(|w| w.claimed == 1));
    kill(pid, Signal::SIGSTOP).unwrap();
    assert_eq!(connection.reply().unwrap().status, 504);
    another_serves(&stack, &old);
    until("it is killed", || kill(pid, None).is_err());
}

/// It has nothing that could take too long, and takes up nothing.
#[test]
fn a_worker_that_is_stopped_while_idle_keeps_nobody_waiting_for_long() {
    let stack = site(Mpm::Event, "threads=2 request-timeout=1 graceful-timeout=1 shutdown-timeout=1");
    let old = stack.get("/").expect(200).text();
    kill(Pid::from_raw(old.parse().unwrap()), Signal::SIGSTOP).unwrap();
    times_out(&stack, "/");
    until("another worker serves", || {
        let reply = stack.get("/");
        reply.status == 200 && reply.text() != old
    });
    stack.logged("wsgid", &["has not served anybody within request-timeout"]);
}

/// It has a free thread, which is of no use to anybody, and its successor takes its time.
#[test]
fn a_worker_without_pythons_lock_is_not_asked_again() {
    let stack = site_of(
        Mpm::Event,
        "threads=2 request-timeout=1 graceful-timeout=1 shutdown-timeout=1",
        &format!("import time\ntime.sleep(3)\n{SLOW}"),
    );
    let old = stack.get("/").expect(200).text();
    times_out(&stack, "/lock");
    stack.logged("wsgid", &["has not served anybody within request-timeout"]);
    assert_ne!(stack.get("/").expect(200).text(), old);
}

#[test]
fn an_answer_that_does_not_end_is_cut_short() {
    let stack = site(Mpm::Event, "threads=1 request-timeout=1");
    let mut connection = stack.connect();
    connection.send(Request::get("/begun").bytes());
    assert_eq!(connection.head_reply().unwrap().status, 200);
    assert_eq!(connection.chunk().unwrap(), b"begun");
    assert!(connection.chunk().is_err(), "it must not look whole");
}

#[test]
fn the_others_of_a_worker_finish() {
    let stack = site(Mpm::Event, "threads=2 request-timeout=1");
    let old = stack.get("/").expect(200).text();
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| times_out(&stack, "/sleep"));
        for _ in 0..3 {
            // Each of these begins before or after the end of the other, and lives through it.
            stack.get("/half").expect(200);
        }
        stuck.join().unwrap();
    });
    another_serves(&stack, &old);
}

#[test]
fn a_request_that_unwinds_costs_nobody_else_anything() {
    let stack = site(Mpm::Event, "threads=1 request-timeout=1 interrupt-timeout=5");
    let old = stack.get("/").expect(200).text();
    times_out(&stack, "/python");
    stack.logged("error", &["WSGI8060", "RequestTimeout"]);
    for _ in 0..20 {
        assert_eq!(stack.get("/").expect(200).text(), old, "the worker stays, and no later request is hit");
    }
    // And what can't unwind goes the other way.
    let begun = Instant::now();
    stack.get("/sleep").expect(504);
    assert!(begun.elapsed() >= Duration::from_secs(6), "{:?}", begun.elapsed());
    another_serves(&stack, &old);
}

#[test]
fn a_worker_without_pythons_lock_is_replaced() {
    let stack = site(Mpm::Event, "threads=2 deadlock-timeout=2");
    let old = stack.get("/").expect(200).text();
    let reply = stack.get("/lock");
    assert_eq!(reply.status, 502, "{}", reply.text());
    stack.logged("error", &["has not had Python's lock for deadlock-timeout"]);
    another_serves(&stack, &old);
}

#[test]
fn a_worker_that_waits_has_pythons_lock() {
    let stack = site(Mpm::Event, "threads=1 deadlock-timeout=1");
    let old = stack.get("/").expect(200).text();
    for _ in 0..3 {
        assert_eq!(stack.get("/half").expect(200).text(), old);
    }
}

#[test]
fn a_worker_that_grows_is_replaced() {
    let stack = site(Mpm::Event, "threads=2 memory-high=100000000");
    let old = stack.get("/").expect(200).text();
    assert_eq!(stack.get("/grow").expect(200).text(), old);
    another_serves(&stack, &old);
    stack.logged("wsgid", &["more than memory-high"]);
}

#[test]
fn a_worker_that_grows_over_the_other_mark_is_not_kept_until_another_is_there() {
    let stack = site(Mpm::Event, "threads=2 memory-max=100000000");
    let old = stack.get("/").expect(200).text();
    stack.get("/grow");
    another_serves(&stack, &old);
    stack.logged("wsgid", &["more than memory-max"]);
}

#[test]
fn requests_of_a_worker_that_is_replaced_have_graceful_timeout() {
    let stack = site(Mpm::Event, "threads=2 graceful-timeout=1 shutdown-timeout=1");
    let old = stack.get("/").expect(200).text();
    let mut waiting = stack.connect();
    waiting.send(Request::get("/sleep").bytes());
    until("it is served", || stack.daemon().pools("site")[0].workers.iter().any(|worker| worker.claimed > 0));
    let begun = Instant::now();
    stack.wsgictl(&["reload", "site"]);
    another_serves(&stack, &old);
    assert_eq!(waiting.reply().unwrap().status, 502);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(10), "{waited:?}");
}

/// As long as there is no room for it, an answer waits; and not for ever.
#[test]
fn a_client_that_takes_nothing_has_its_time() {
    let app = "def application(environ, start_response):\n    start_response('200 OK', [])\n    \
               return [b'x' * (64 << 20)]\n";
    for options in ["response-socket-timeout=1", "socket-timeout=1"] {
        let stack = Stack::on(Mpm::Event)
            .config(&format!(
                "Timeout 600\nWSGIDaemonProcess site response-buffer-size=0 threads=1 {options}"
            ))
            .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
            .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
            .file("code/app.wsgi", app)
            .run();
        let mut stalled = stack.connect();
        stalled.send(Request::get("/").bytes());
        assert_eq!(stalled.head_reply().unwrap().status, 200);
        // The one thread is free again when the client has been given up.
        until("its thread is free", || {
            stack.daemon().pools("site")[0].workers.iter().all(|worker| worker.claimed == 0)
        });
    }
}

#[test]
fn sockets_have_the_buffers_that_are_asked_for() {
    let app = "\
import os, socket, stat
def sizes():
    for name in os.listdir('/proc/self/fd'):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            one = socket.socket(fileno=os.dup(int(name)))
            if one.family == socket.AF_UNIX:
                yield [one.getsockopt(socket.SOL_SOCKET, what) for what in (socket.SO_SNDBUF, socket.SO_RCVBUF)]
        except OSError:
            pass
def application(environ, start_response):
    start_response('200 OK', [])
    return [repr([20480, 40960] in list(sizes())).encode()]
";
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site send-buffer-size=10240 receive-buffer-size=20480")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", app)
        .run();
    // Linux doubles what it is told: socket(7).
    assert_eq!(stack.get("/").expect(200).text(), "True");
}
