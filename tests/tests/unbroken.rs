//! Three lifecycles under constant load: whatever is reloaded, restarted, renewed or killed, no request is lost that
//! could have been served. Each test prints how many there were and the longest that one took.
//! `tests/run --soak` repeats each deed twenty times, with requests of four seconds under way.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{ErrorKind, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use wsgid_tests::daemon::query;
use wsgid_tests::wait::{PATIENCE, until};
use wsgid_tests::{Connection, Mpm, Request, Stack, eventually};

const APP: &str = "\
import os, time
def application(environ, start_response):
    if environ['PATH_INFO'] == '/slow':
        time.sleep(float(environ['QUERY_STRING']))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(os.getpid()).encode()]
";

/// Browsers at work: many that ask and ask again, and one that waits for something long.
struct Load {
    port: u16,
    done: AtomicBool,
    served: AtomicU64,
    lost: Mutex<Vec<String>>,
    longest: AtomicU64,
    /// Seconds that the long request takes.
    long: f64,
}

impl Load {
    fn new(port: u16, long: f64) -> Self {
        let [served, longest] = [const { AtomicU64::new(0) }; 2];
        Self { port, done: AtomicBool::new(false), served, lost: Mutex::default(), longest, long }
    }

    /// One client, which keeps its connection as long as it may.
    fn ask(&self, target: &str, quick: bool) {
        let mut kept: Option<Connection> = None;
        while !self.done.load(Relaxed) {
            let begun = Instant::now();
            match self.exchange(&mut kept, target) {
                Ok(()) => {
                    self.served.fetch_add(1, Relaxed);
                }
                Err(what) => self.lost.lock().unwrap().push(what),
            }
            if quick {
                self.longest.fetch_max(begun.elapsed().as_millis() as u64, Relaxed);
            }
        }
    }

    /// A kept connection that the server closes before it has said a word is no lost request: RFC 9112, 9.3.1.
    fn exchange(&self, kept: &mut Option<Connection>, target: &str) -> Result<(), String> {
        loop {
            let reused = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(self.port).map_err(|e| format!("connecting: {e}"))?,
            };
            let sent = connection.writer().write_all(&Request::get(target).bytes());
            match sent.and_then(|()| connection.reply()) {
                Ok(reply) if reply.status == 200 && reply.whole => {
                    let closes = reply.header("Connection").is_some_and(|word| word == "close");
                    *kept = (!closes).then_some(connection);
                    return Ok(());
                }
                Ok(reply) => return Err(format!("{} {}", reply.status, reply.text())),
                Err(e) if reused && is_unanswered(&e) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

fn is_unanswered(error: &std::io::Error) -> bool {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => true,
        ErrorKind::UnexpectedEof => error.to_string().contains("[]"),
        _ => false,
    }
}

/// How often, and with how long a request under way.
#[derive(Clone, Copy)]
struct Extent {
    times: usize,
    long: f64,
}

const SHORT: Extent = Extent { times: 3, long: 0.5 };
const WHOLE: Extent = Extent { times: 20, long: 4.0 };

fn stack(options: &str) -> Stack {
    let others: String = (1..5).map(|n| format!("WSGIDaemonProcess other{n} threads=2\n")).collect();
    Stack::on(Mpm::Event)
        .config(&format!("{others}WSGIDaemonProcess site threads=15 connect-timeout=30 {options}"))
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", APP)
        .run()
}

/// Does something again and again under load; what was lost.
fn under_load(
    title: &str,
    mut stack: Stack,
    extent: Extent,
    deed: impl Fn(&mut Stack, &Load),
) -> Vec<String> {
    until("both workers are there", || ready(&stack).len() == 2);
    let load = Load::new(stack.port(), extent.long);
    std::thread::scope(|scope| {
        (0..16).for_each(|_| drop(scope.spawn(|| load.ask("/", true))));
        scope.spawn(|| load.ask(&format!("/slow?{}", load.long), false));
        until("requests are served", || load.served.load(Relaxed) > 100);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..extent.times {
                deed(&mut stack, &load);
                served_more(&load);
            }
        }));
        load.done.store(true, Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    let lost = load.lost.into_inner().unwrap();
    let (served, longest) = (load.served.into_inner(), load.longest.into_inner());
    println!("{title}: {} times, {served} served, {} lost, longest {longest} ms", extent.times, lost.len());
    lost
}

fn served_more(load: &Load) {
    let so_far = load.served.load(Relaxed);
    until("requests are served", || load.served.load(Relaxed) > so_far + 50);
}

fn ready(stack: &Stack) -> Vec<u32> {
    query(&stack.place.path("run/control.sock")).map_or(Vec::new(), |status| {
        let pools = status.pools.iter().filter(|pool| pool.process_group == "site");
        let workers = pools.flat_map(|pool| &pool.workers).filter(|worker| worker.state == "ready");
        workers.map(|worker| worker.pid).collect()
    })
}

/// Until all workers are others.
fn replaced(stack: &Stack, before: &[u32]) {
    eventually(PATIENCE, "other workers", || match ready(stack) {
        now if now.len() == before.len() && now.iter().all(|pid| !before.contains(pid)) => Ok(()),
        now => Err(format!("{before:?} became {now:?}")),
    });
}

/// Until the same workers are there, and are looked after.
fn kept(stack: &Stack, before: &[u32]) {
    eventually(PATIENCE, "the same workers", || match ready(stack) {
        now if now.len() == before.len() && now.iter().all(|pid| before.contains(pid)) => Ok(()),
        now => Err(format!("{before:?} became {now:?}")),
    });
}

fn touch(stack: &Stack) {
    let path = stack.place.path("code/app.wsgi");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written + Duration::from_secs(10)).unwrap();
}

macro_rules! unbroken {
    ($($(#[$doc:meta])* $name:ident [$options:expr] $deed:expr;)+) => {$(
        mod $name {
            use super::*;

            fn body(extent: Extent) {
                let lost = under_load(stringify!($name), stack($options), extent, $deed);
                assert!(lost.is_empty(), "{} lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
            }

            $(#[$doc])*
            #[test]
            fn few_times() {
                body(SHORT);
            }

            #[test]
            #[ignore = "takes a minute"]
            fn many_times() {
                body(WHOLE);
            }
        }
    )+};
}

unbroken! {
    /// What the load itself costs, to compare the others with.
    undisturbed ["processes=2"] |_, load| (0..20).for_each(|_| served_more(load));
    touched ["processes=2"] |stack, _| {
        let before = ready(stack);
        touch(stack);
        replaced(stack, &before);
    };
    reloaded ["processes=2"] |stack, _| {
        let before = ready(stack);
        stack.wsgictl(&["reload", "site"]);
        replaced(stack, &before);
    };
    signalled ["processes=2"] |stack, _| {
        let before = ready(stack);
        before.iter().for_each(|&pid| kill(Pid::from_raw(pid as i32), Signal::SIGUSR1).unwrap());
        replaced(stack, &before);
    };
    graceful ["processes=2"] |stack, _| {
        let before = ready(stack);
        stack.graceful();
        kept(stack, &before);
    };
    reconfigured ["processes=2 env=N="] |stack, _| {
        let before = ready(stack);
        stack.reconfigure("env=N=", "env=N=x");
        replaced(stack, &before);
    };
    renewed ["processes=2"] |stack, _| {
        let before = ready(stack);
        let readied = stack.log("wsgid").matches(" is ready").count();
        stack.daemon().signal(Signal::SIGHUP);
        until("it has begun anew", || stack.log("wsgid").matches(" is ready").count() > readied);
        kept(stack, &before);
    };
    /// As the unit has it.
    restarted ["processes=2"] |stack, _| {
        let before = ready(stack);
        stack.have_daemon_leave();
        stack.start_daemon();
        kept(stack, &before);
    };
    /// A stop is to the end: what comes in between waits until everything has been started again.
    stopped_and_started ["processes=2"] |stack, _| {
        stack.stop_daemon();
        stack.start_daemon();
        until("workers are there", || ready(stack).len() == 2);
    };
    killed ["processes=2"] |stack, load| {
        let before = ready(stack);
        stack.kill_daemon();
        served_more(load); // by workers without a daemon
        stack.start_daemon();
        kept(stack, &before);
    };
    recycled ["processes=2 maximum-requests=300 maximum-requests-jitter=100"] |stack, _| {
        let before = ready(stack);
        replaced(stack, &before);
    };
}

/// A worker that dies takes along what was in it, and nothing else.
mod a_killed_worker {
    use super::*;

    /// It has so many threads.
    const THREADS: usize = 15;

    fn body(options: &str, extent: Extent) {
        let lost = under_load("a killed worker", stack(options), extent, |stack, _| {
            let before = ready(stack);
            kill(Pid::from_raw(before[0] as i32), Signal::SIGKILL).unwrap();
            until("another is there", || {
                let now = ready(stack);
                now.len() == 2 && !now.contains(&before[0])
            });
        });
        assert!(lost.iter().all(|what| what.starts_with("502 ")), "{lost:?}");
        assert!(lost.len() <= extent.times * THREADS, "more than it has threads: {}", lost.len());
    }

    #[test]
    fn few_times() {
        body("processes=2", SHORT);
    }

    #[test]
    #[ignore = "takes a minute"]
    fn many_times() {
        body("processes=2", WHOLE);
    }
}

/// Open descriptors and resident memory in KiB.
fn weight(pid: i32) -> (usize, u64) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    (descriptors, line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0))
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_graceful_restarts_leak_nothing() {
    let stack = stack("processes=2");
    until("workers are there", || ready(&stack).len() == 2);
    let workers = ready(&stack);
    stack.get("/").expect(200);
    let all = |stack: &Stack| {
        let worker = workers[0] as i32;
        [stack.httpd().pid(), stack.daemon().pid(), worker].map(weight)
    };
    // The first few fill caches.
    (0..50).for_each(|_| stack.graceful());
    let before = all(&stack);
    (0..1000).for_each(|_| stack.graceful());
    stack.get("/").expect(200);
    let after = all(&stack);
    let sockets = std::fs::read_dir(stack.place.path("run/w")).unwrap().count();
    println!("httpd, daemon, worker: (descriptors, KiB) {before:?} -> {after:?}; {sockets} files of workers");
    for (name, (before, after)) in ["httpd", "daemon", "worker"].iter().zip(before.iter().zip(&after)) {
        assert!(after.0 <= before.0 + 2, "{name}: {} -> {} descriptors", before.0, after.0);
        assert!(after.1 <= before.1 + 4096, "{name}: {} -> {} KiB", before.1, after.1);
    }
    assert_eq!((ready(&stack), sockets), (workers, 4), "two workers with a socket and a record each");
}
