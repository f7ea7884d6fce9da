//! Which thread a request gets, and that none is lost: whoever dies, whenever it does.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use wsgid_tests::board::PoolBoard;
use wsgid_tests::family::{Process, descendants};
use wsgid_tests::wait::{PATIENCE, until};
use wsgid_tests::{Connection, Mpm, Plan, Request, Stack, eventually};

/// Threads of the pool under test.
const THREADS: u32 = 2;

/// /wait holds its thread until QUERY.go is there, /read reads its body first, /flood answers more than
/// all buffers between it and its client can hold; anything else is answered at once.
const APP: &str = r#"
import os, time

def mark(name):
    with open(name + ".new", "w"):
        pass
    os.rename(name + ".new", name + ".begun")

def flood(name):
    mark(name)
    for _ in range(4096):
        yield bytes(65536)

def application(environ, start_response):
    name, path = environ["QUERY_STRING"], environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/flood":
        return flood(name)
    if path == "/read":
        environ["wsgi.input"].read(1)
        mark(name)
        environ["wsgi.input"].read()
    if path == "/wait":
        mark(name)
        while not os.path.exists(name + ".go"):
            time.sleep(0.005)
    return [b"served\n"]
"#;

/// A group with that application and these options. It is preloaded: no request is needed to start it.
fn plan(mpm: Mpm, options: &str) -> Plan {
    Stack::on(mpm)
        .config(&format!("WSGIDaemonProcess site {options}"))
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", APP)
}

/// Starts it, and waits for so many workers.
fn run(plan: Plan, workers: usize) -> (Stack, PoolBoard) {
    let stack = plan.run();
    until("the workers are ready", || stack.daemon().ready_workers("site").len() == workers);
    stack.place.make_public_dir("markers");
    let board = PoolBoard::of(&stack, "site");
    (stack, board)
}

fn start(mpm: Mpm) -> (Stack, PoolBoard) {
    run(plan(mpm, &format!("threads={THREADS} listen-backlog=1")), 1)
}

/// A request that the application has begun and holds.
struct Held {
    connection: Connection,
    name: PathBuf,
}

impl Held {
    fn begin(stack: &Stack, name: &str) -> Self {
        let held = Self::send(stack, name);
        held.until_begun();
        held
    }

    fn send(stack: &Stack, name: &str) -> Self {
        let name = stack.place.path("markers").join(name);
        let mut connection = stack.connect();
        connection.send(Request::get(&format!("/wait?{}", name.display())).bytes());
        Self { connection, name }
    }

    fn until_begun(&self) {
        until_begun(&self.name);
    }

    fn go(&self) {
        std::fs::write(self.name.with_extension("go"), "").unwrap();
    }

    fn finish(mut self) {
        self.go();
        assert_eq!(self.connection.reply().unwrap().expect(200).text(), "served\n");
    }
}

fn until_begun(name: &Path) {
    until("the application has begun", || name.with_extension("begun").exists());
}

/// SIGKILL for every child of httpd, which starts others. Until they are gone they may still take a
/// connection into the grave.
fn kill_children(stack: &Stack) {
    let children = descendants(stack.httpd().pid());
    children.iter().for_each(|child| child.signal(Signal::SIGKILL));
    until("they are gone", || !children.iter().any(Process::lives));
}

/// As many requests as there are threads are in the application at the same time, and when they have
/// ended nothing is claimed any more.
#[track_caller]
fn all_threads_serve(stack: &Stack, board: &PoolBoard) {
    let held: Vec<Held> = (0..THREADS).map(|n| Held::begin(stack, &format!("proof{n}"))).collect();
    held.into_iter().for_each(Held::finish);
    until("nothing is left of the dead", || (board.claimed(), board.waiting(), board.in_hand()) == (0, 0, 0));
}

/// Stops the worker, and waits until every thread of it stands still.
fn stop_worker(stack: &Stack) -> Pid {
    let pid = stack.daemon().ready_workers("site")[0] as i32;
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    let stands = |task: PathBuf| {
        let stat = std::fs::read_to_string(task.join("stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().starts_with('T')
    };
    until("it stands still", || {
        std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(|task| stands(task.unwrap().path()))
    });
    Pid::from_raw(pid)
}

/// Connects until nobody can any more.
fn fill_backlog(board: &PoolBoard) -> Vec<OwnedFd> {
    let address = UnixAddr::new(&board.sockets()[0]).unwrap();
    let mut fillers = Vec::new();
    loop {
        let filler = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            None,
        )
        .unwrap();
        match connect(filler.as_raw_fd(), &address) {
            Ok(()) => fillers.push(filler),
            Err(Errno::EAGAIN) => return fillers,
            Err(e) => panic!("{e}"),
        }
    }
}

/// The same for an MPM of processes and one of threads.
macro_rules! both_mpms {
    ($(fn $name:ident($mpm:ident) $body:block)*) => {$(
        mod $name {
            use super::*;
            fn body($mpm: Mpm) $body
            #[test]
            fn prefork() { body(Mpm::Prefork) }
            #[test]
            fn event() { body(Mpm::Event) }
        }
    )*};
}

both_mpms! {
    fn a_child_killed_in_the_queue_leaves_its_place(mpm) {
        let (stack, board) = start(mpm);
        let held: Vec<Held> = (0..THREADS).map(|n| Held::begin(&stack, &format!("held{n}"))).collect();
        let _queued = Held::send(&stack, "queued");
        until("it waits", || board.waiting() == 1);
        kill_children(&stack);
        held.iter().for_each(Held::go);
        all_threads_serve(&stack, &board);
    }

    fn a_child_killed_between_claim_and_head_gives_the_claim_back(mpm) {
        let (stack, board) = start(mpm);
        let worker = stop_worker(&stack);
        let fillers = fill_backlog(&board);
        // Connecting is what it can't do now, with the claim in hand.
        let _stuck = Held::send(&stack, "stuck");
        until("it has claimed", || (board.claimed(), board.in_hand()) == (1, 1));
        kill_children(&stack);
        drop(fillers);
        kill(worker, Signal::SIGCONT).unwrap();
        all_threads_serve(&stack, &board);
    }

    fn a_child_killed_with_half_a_head_sent_gives_the_claim_back(mpm) {
        // More than a socket holds.
        let variables: String = (0..64).map(|n| format!("SetEnv LONG{n} {}\n", "x".repeat(8000))).collect();
        let options = format!("threads={THREADS}");
        let (stack, board) = run(plan(mpm, &options).module("env").config(&variables), 1);
        let worker = stop_worker(&stack);
        let _stuck = Held::send(&stack, "stuck");
        until("it sends", || (board.claimed(), board.in_hand()) == (1, 1));
        kill_children(&stack);
        kill(worker, Signal::SIGCONT).unwrap();
        all_threads_serve(&stack, &board);
    }

    fn a_child_killed_while_the_application_runs_costs_no_thread(mpm) {
        let (stack, board) = start(mpm);
        let held = Held::begin(&stack, "held");
        kill_children(&stack);
        assert_eq!(board.claimed(), 1, "the application still runs");
        held.go();
        all_threads_serve(&stack, &board);
    }

    fn a_child_killed_while_it_relays_the_answer_costs_no_thread(mpm) {
        let (stack, board) = start(mpm);
        let name = stack.place.path("markers/flood");
        let mut connection = stack.connect();
        connection.send(Request::get(&format!("/flood?{}", name.display())).bytes());
        assert_eq!(connection.head_reply().unwrap().status, 200);
        until_begun(&name);
        kill_children(&stack);
        all_threads_serve(&stack, &board);
    }

    fn a_child_killed_while_it_relays_the_body_costs_no_thread(mpm) {
        let (stack, board) = run(plan(mpm, &format!("threads={THREADS} request-buffer-size=0")), 1);
        let name = stack.place.path("markers/upload");
        let mut connection = stack.connect();
        let mut request = Request::post(&format!("/read?{}", name.display()), "x".repeat(1 << 20)).bytes();
        request.truncate(request.len() / 2);
        connection.send(request);
        until_begun(&name);
        kill_children(&stack);
        all_threads_serve(&stack, &board);
    }

    fn nothing_waits_behind_a_busy_worker_while_another_is_idle(mpm) {
        let (stack, _) = run(plan(mpm, "processes=2 threads=1"), 2);
        let held = Held::begin(&stack, "held");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| assert_eq!(stack.get("/").expect(200).text(), "served\n")));
            }
        });
        held.finish();
    }

    fn workers_are_replaced_under_load_and_no_request_fails(mpm) {
        let rolls = std::cell::Cell::new(4);
        replaced_under_load(mpm, || rolls.replace(rolls.get() - 1) > 0);
    }

    fn a_full_queue_is_said_at_once_and_when_to_come_back(mpm) {
        let plan = plan(mpm, "threads=1 queue-size=1")
            .file("htdocs/busy.html", "come back later\n")
            .config("Alias /busy.html @ROOT@/htdocs/busy.html\nErrorDocument 503 /busy.html");
        let (stack, board) = run(plan, 1);
        let held = Held::begin(&stack, "held");
        let queued = Held::send(&stack, "queued");
        until("one waits", || board.waiting() == 1);
        let reply = stack.get("/").expect(503);
        assert_eq!((reply.header("Retry-After"), reply.text().as_str()), (Some("5"), "come back later\n"));
        stack.logged("error", &["[wsgi:", "'site' are busy", "queue-size"]);
        held.finish();
        queued.finish();
        assert_eq!(stack.get("/").expect(200).header("Retry-After"), None);
    }
}

/// A connection to a worker serves virtual hosts of other patience, one after the other.
#[test]
fn a_request_has_the_timeout_of_its_own_virtual_host() {
    let plan = plan(Mpm::Prefork, "threads=1")
        .config("StartServers 1\nServerLimit 1\nMaxRequestWorkers 1")
        .site("patient.example", "")
        .site("hasty.example", "Timeout 1");
    let (stack, _) = run(plan, 1);
    stack.ask(&Request::get("/").host("hasty.example")).expect(200);
    let held = Held::begin(&stack, "held");
    // That it takes longer than the other host's Timeout is what is tried.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    held.finish();
}

/// Requests on one connection.
const REQUESTS: usize = 20;

/// Several requests on one connection, none of which fails.
fn ask_often(stack: &Stack) {
    let mut connection = stack.connect();
    for _ in 0..REQUESTS {
        let reply = connection.ask(&Request::get("/"));
        assert!(reply.whole);
        assert_eq!(reply.expect(200).text(), "served\n");
    }
}

/// Replaces all workers, again and again as long as there is to be one `more` time, while requests come.
fn replaced_under_load(mpm: Mpm, more: impl Fn() -> bool) {
    let (stack, board) = run(plan(mpm, "processes=2 threads=2"), 2);
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    ask_often(&stack);
                    served.fetch_add(1, Relaxed);
                }
            });
        }
        // However this ends, the others do.
        let rolled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut rolls = 0;
            while more() {
                roll(&stack, &served);
                rolls += 1;
            }
            println!("{rolls} rolls, {} requests", served.load(Relaxed) * REQUESTS);
        }));
        over.store(true, Relaxed);
        rolled.unwrap();
    });
    until("nothing is claimed", || (board.claimed(), board.in_hand()) == (0, 0));
}

/// For a minute: `tests/run --soak`.
mod workers_are_replaced_for_a_minute_and_no_request_fails {
    use super::*;

    fn body(mpm: Mpm) {
        let begun = std::time::Instant::now();
        replaced_under_load(mpm, || begun.elapsed().as_secs() < 60);
    }

    #[test]
    #[ignore = "takes a minute"]
    fn prefork() {
        body(Mpm::Prefork)
    }

    #[test]
    #[ignore = "takes a minute"]
    fn event() {
        body(Mpm::Event)
    }
}

/// How many sockets httpd's only child has open.
fn sockets_of_httpd(stack: &Stack) -> usize {
    let [child] = stack.httpd().children()[..] else { panic!("not one child") };
    let links = fs::read_dir(format!("/proc/{child}/fd")).unwrap().flatten();
    let names = links.filter_map(|link| fs::read_link(link.path()).ok());
    names.filter(|name| name.to_string_lossy().starts_with("socket:")).count()
}

/// While nobody asks for anything: those to workers that have gone within half a minute, others when they have not
/// been used for a minute.
#[test]
#[ignore = "takes a minute and a half"]
fn kept_connections_that_lead_nowhere_or_that_nobody_uses_are_closed() {
    let plan = plan(Mpm::Event, "processes=2 threads=2")
        .config("StartServers 1\nServerLimit 1\nThreadsPerChild 4\nMaxRequestWorkers 4");
    let (stack, _) = run(plan, 2);
    let before = sockets_of_httpd(&stack);
    let closed_within = |seconds: u64| {
        stack.get("/").expect(200);
        // The client's own, too, until httpd has seen that it has gone.
        assert!(sockets_of_httpd(&stack) > before);
        move |stack: &Stack| {
            eventually(Duration::from_secs(seconds), "the connection is closed", || {
                match sockets_of_httpd(stack) {
                    now if now == before => Ok(()),
                    now => Err(format!("{now} sockets, and {before} before")),
                }
            });
        }
    };
    let closed = closed_within(50);
    let old = stack.daemon().ready_workers("site");
    stack.wsgictl(&["reload", "site"]);
    until("other workers serve", || {
        let new = stack.daemon().ready_workers("site");
        new.len() == 2 && !new.iter().any(|worker| old.contains(worker))
    });
    closed(&stack);
    closed_within(110)(&stack);
}

/// `wsgictl reload site`, and waits until new workers serve and a request has been served since.
fn roll(stack: &Stack, served: &AtomicUsize) {
    let before = stack.daemon().ready_workers("site");
    let mut command = std::process::Command::new(wsgid_tests::stage::staged("usr/bin/wsgictl"));
    command.arg("--socket").arg(stack.place.path("run/control.sock")).args(["reload", "site"]);
    assert!(command.output().unwrap().status.success());
    eventually(PATIENCE, "other workers", || match stack.daemon().ready_workers("site") {
        now if now.len() == before.len() && now.iter().all(|pid| !before.contains(pid)) => Ok(()),
        now => Err(format!("{before:?} became {now:?}")),
    });
    let so_far = served.load(Relaxed);
    until("requests are served", || served.load(Relaxed) > so_far);
}

#[test]
fn without_a_daemon_the_client_is_told_when_to_come_back() {
    let stack = plan(Mpm::Event, "threads=1").without_daemon().run();
    assert_eq!(stack.get("/").expect(503).header("Retry-After"), Some("10"));
}
