//! When the machine runs out of something, or somebody scribbles on shared memory: what can still be answered is, in
//! time, nothing that was accepted is lost, and all is well again once it is over.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use wsgid_tests::family::descendants;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack};

const SITE: &str = "WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}";

fn pid(stack: &Stack) -> u32 {
    stack.get("/").expect(200).json()["pid"].as_u64().unwrap() as u32
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("only root can make a machine run out of things");
    }
    root
}

/// A file system of a few pages. It is gone when this is.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn over(path: PathBuf, size: &str) -> Self {
        let options = format!("size={size},mode=1777");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
        Self(path)
    }

    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = File::create(&filler).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// How many descriptors a process has, and may have from now on.
fn allow_descriptors(pid: u32, more: usize) -> usize {
    let has = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    limit_descriptors(pid, has + more);
    has
}

/// The soft limit, so that it may be raised again; as the user whose process it is, since root need not have the right.
fn limit_descriptors(pid: u32, most: usize) {
    let owner = fs::metadata(format!("/proc/{pid}")).unwrap();
    let mut command = Command::new("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--nofile={most}:")]);
    assert!(command.uid(owner.uid()).gid(owner.gid()).status().unwrap().success());
}

#[test]
fn a_full_disk_below_the_state_keeps_no_configuration_from_being_obeyed_and_spoils_none() {
    if !is_root() {
        return;
    }
    let mut stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=2")
        .bring("whoami")
        .config(SITE)
        .without_daemon()
        .run();
    let disk = SmallDisk::over(stack.place.make_dir("state"), "32k");
    stack.start_daemon();
    until("it serves", || stack.get("/").status == 200);
    let before = pid(&stack);
    let state = stack.place.path("state");
    let saved = || fs::read(state.join("configurations")).unwrap();
    let kept = saved();
    let filler = disk.fill();
    stack.reconfigure("threads=2", "threads=3");
    until("the new configuration is obeyed", || pid(&stack) != before);
    stack.logged("wsgid", &["configurations can't be saved", "No space left"]);
    // What was saved before is whole: the next daemon knows it, and httpd tells what has come since.
    assert_eq!(saved(), kept);
    stack.stop_daemon();
    stack.start_daemon();
    until("it serves again", || stack.get("/").status == 200);
    fs::remove_file(filler).unwrap();
    stack.reconfigure("threads=3", "threads=4");
    assert_ne!(saved(), kept);
    stack.get("/").expect(200);
    stack.stop_daemon();
}

#[test]
fn a_full_disk_below_the_spool_costs_memory_and_no_byte() {
    if !is_root() {
        return;
    }
    let app = "def application(environ, start_response):\n\
        \x20   body = environ['wsgi.input'].read()\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   yield b'%d\\n' % sum(body)\n\
        \x20   for part in range(64):\n\
        \x20       yield bytes([97 + part % 26]) * 65536\n";
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=2 request-buffer-size=65536 response-buffer-size=65536")
        .config("WSGIScriptAlias / @ROOT@/code/large.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/large.wsgi", app)
        .file("tmp/here", "")
        .run();
    let disk = SmallDisk::over(stack.place.path("tmp"), "128k");
    disk.fill();
    let body = vec![1; 4 << 20];
    let mut connection = stack.connect();
    // Nobody reads until all of the answer has been taken off the worker, or can't be any more.
    connection.send(Request::post("/", body.clone()).bytes());
    stack.logged("error", &["No space left"]);
    let reply = connection.reply().unwrap().expect(200);
    let expected: Vec<u8> = (0..64_u8).flat_map(|part| vec![97 + part % 26; 65536]).collect();
    assert!(reply.whole && reply.body.starts_with(b"4194304\n"));
    assert!(reply.body[8..] == expected, "{} bytes", reply.body.len());
}

#[test]
fn a_daemon_without_descriptors_starts_nobody_and_goes_on() {
    if !is_root() {
        return;
    }
    let stack = Stack::on(Mpm::Event).config("WSGIDaemonProcess site").bring("whoami").config(SITE).run();
    let (old, daemon) = (pid(&stack), stack.daemon().pid() as u32);
    allow_descriptors(daemon, 2);
    stack.logged("wsgid", &["ready"]);
    stack.place.write("apps/whoami.wsgi", stack.place.read("apps/whoami.wsgi") + "\n# changed\n");
    for _ in 0..20 {
        assert_eq!(pid(&stack), old);
    }
    stack.logged("wsgid", &["no worker can be started", "Too many open files"]);
    limit_descriptors(daemon, 1024);
    until("a new worker takes over", || pid(&stack) != old);
}

#[test]
fn a_worker_without_descriptors_serves_those_whom_it_knows_and_everybody_afterwards() {
    if !is_root() {
        return;
    }
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=4 connect-timeout=2 socket-timeout=2")
        .bring("waiting")
        .bring("whoami")
        .config("WSGIScriptAlias /waiting @APPS@/waiting.wsgi process-group=site application-group=%{GLOBAL}")
        .config(SITE)
        .run();
    let worker = pid(&stack);
    let has = allow_descriptors(worker, 0);
    // More at a time than it has connections: some can't come in, and are told so in time.
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let status = stack.get("/").status;
                    assert!([200, 503, 504].contains(&status), "{status}");
                }
            });
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(30));
    limit_descriptors(worker, has + 100);
    until("all are served again", || (0..20).all(|_| stack.get("/").status == 200));
    assert_eq!(pid(&stack), worker);
}

#[test]
fn a_child_of_httpd_without_descriptors_answers_what_it_has_taken_in() {
    if !is_root() {
        return;
    }
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=4 connect-timeout=1")
        .bring("whoami")
        .config(SITE)
        .run();
    let mut kept: Vec<_> = (0..4).map(|_| stack.connect()).collect();
    kept.iter_mut().for_each(|one| drop(one.ask(&Request::get("/")).expect(200)));
    let children: Vec<u32> = descendants(stack.httpd().pid()).iter().map(|child| child.pid as u32).collect();
    let before: Vec<usize> = children.iter().map(|child| allow_descriptors(*child, 0)).collect();
    // At once, so that connections to the worker beyond the kept ones are needed.
    kept.iter_mut().for_each(|one| one.send(Request::get("/").bytes()));
    for one in &mut kept {
        let status = one.reply().unwrap().status;
        assert!([200, 503].contains(&status), "{status}");
    }
    children.iter().zip(before).for_each(|(child, has)| limit_descriptors(*child, has + 1000));
    until("all are served again", || (0..20).all(|_| stack.get("/").status == 200));
}

/// Time-outs are no times of day.
#[test]
fn a_clock_that_jumps_is_nobodys_concern() {
    let app = "import os, time\n\
        def application(environ, start_response):\n\
        \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
        \x20   return [b'%d %d' % (os.getpid(), time.gmtime().tm_year)]\n";
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site restart-interval=3600 inactivity-timeout=3600 request-timeout=60 deadlock-timeout=60")
        .config("WSGIScriptAlias / @ROOT@/code/year.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/year.wsgi", app)
        .file("clock", "+0")
        .run();
    let ask = || {
        let text = stack.get("/").expect(200).text();
        let (pid, year) = text.split_once(' ').unwrap();
        (pid.parse::<u32>().unwrap(), year.parse::<i32>().unwrap())
    };
    let (worker, year) = ask();
    for (jump, years) in [("+800d", 2..=3), ("-800d", -3..=-2), ("+0", 0..=1)] {
        stack.place.write("clock", jump);
        until("the clock has jumped", || years.contains(&(ask().1 - year)));
        for _ in 0..20 {
            assert_eq!(ask().0, worker, "{jump}");
        }
        assert_eq!(stack.daemon().ready_workers("site"), [worker], "{jump}");
    }
    stack.place.write("clock", "-800d");
    stack.place.write("code/year.wsgi", format!("{app}\n# changed\n"));
    until("new code serves", || ask().0 != worker);
}

/// The files behind a pool's board, as the daemon has them open.
fn board(stack: &Stack) -> File {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", stack.daemon().pid())).unwrap();
    let is_board = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("memfd:wsgid-board"))
    };
    let found = descriptors.map(|entry| entry.unwrap().path()).find(is_board).expect("a board");
    File::options().read(true).write(true).open(found).unwrap()
}

fn scribble(stack: &Stack, with: impl Fn(usize) -> u8) {
    use std::os::unix::fs::FileExt;
    let board = board(stack);
    let size = board.metadata().unwrap().len() as usize;
    board.write_all_at(&(0..size).map(with).collect::<Vec<u8>>(), 0).unwrap();
}

fn noise() -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_board_of_garbage_is_replaced_and_who_has_a_worker_keeps_it() {
    if !is_root() {
        return;
    }
    let noise = noise();
    let failing = |at: usize| if at / 8 == 1 { (at % 8 == 0) as u8 * 3 } else { 0 };
    let garbage: [(&str, &dyn Fn(usize) -> u8); 5] = [
        ("noise", &|at| noise[at % noise.len()]),
        ("ones", &|_| 0xff),
        ("nothing", &|_| 0),
        ("a pool that fails", &failing),
        ("text", &|at| b"GET / HTTP/1.1\r\n"[at % 16]),
    ];
    for (what, with) in garbage {
        let stack = Stack::on(Mpm::Event)
            .config("WSGIDaemonProcess site processes=2 threads=2 connect-timeout=8 queue-timeout=8")
            .bring("waiting")
            .bring("whoami")
            .config(
                "WSGIScriptAlias /waiting @APPS@/waiting.wsgi process-group=site application-group=%{GLOBAL}",
            )
            .config(SITE)
            .run();
        until("both are there", || stack.daemon().ready_workers("site").len() == 2);
        let name = stack.place.make_public_dir("markers").join("a");
        let mut held = stack.connect();
        held.send(Request::get(&format!("/waiting?{}", name.display())).bytes());
        until("the application has begun", || name.with_extension("begun").exists());
        let before = stack.daemon().ready_workers("site");
        scribble(&stack, with);
        let begun = Instant::now();
        until(&format!("{what}: it serves again"), || stack.get("/").status == 200);
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:?}", begun.elapsed());
        for _ in 0..20 {
            stack.get("/").expect(200);
        }
        fs::write(name.with_extension("go"), "").unwrap();
        assert_eq!(held.reply().unwrap().expect(200).text(), "waited\n", "{what}");
        until("the old ones have gone", || {
            before.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        });
        assert!(stack.log("wsgid").contains("has been overwritten"), "{what}: {}", stack.log("wsgid"));
    }
}
