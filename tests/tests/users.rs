//! Each process group as its own user. Only root can give that; otherwise these tests say that they
//! did not run.

use nix::sys::signal::Signal;
use nix::unistd::{Group, User, getuid};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use wsgid_tests::family::Process;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack, each_mpm};

/// Users that every distribution has, beside the web server's.
const ONE: &str = "games";
const TWO: &str = "daemon";

fn root() -> bool {
    if !getuid().is_root() {
        eprintln!("not run: switching users needs root");
    }
    getuid().is_root()
}

fn user(name: &str) -> User {
    User::from_name(name).unwrap().unwrap()
}

/// A user's groups as id(1) knows them.
fn groups_of(name: &str) -> Value {
    let output = Command::new("id").args(["-G", name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut groups: Vec<u32> = text.split_whitespace().map(|id| id.parse().unwrap()).collect();
    groups.sort();
    json!(groups)
}

fn two_users(mpm: Mpm) -> Stack {
    Stack::on(mpm)
        .bring("whoami")
        .config(&format!("WSGIDaemonProcess one user={ONE} group={ONE}"))
        .config(&format!("WSGIDaemonProcess two user={TWO} group={TWO}"))
        .config("WSGIScriptAlias /one @APPS@/whoami.wsgi process-group=one application-group=%{GLOBAL}")
        .config("WSGIScriptAlias /two @APPS@/whoami.wsgi process-group=two application-group=%{GLOBAL}")
        .run()
}

each_mpm! {
    fn two_groups_are_two_users_and_neither_reads_the_others_file(mpm) {
        if !root() {
            return;
        }
        let stack = two_users(mpm);
        for name in [ONE, TWO] {
            let file = stack.place.write(&format!("secrets/{name}"), format!("of {name}"));
            chown(&file, Some(user(name).uid.as_raw()), None).unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        }
        for (path, own, other) in [("/one", ONE, TWO), ("/two", TWO, ONE)] {
            let secret = |name: &str| stack.place.path("secrets").join(name).display().to_string();
            let who = stack.get(&format!("{path}?{}", secret(own))).expect(200).json();
            let (uid, gid) = (json!(user(own).uid.as_raw()), json!(user(own).gid.as_raw()));
            assert_eq!([&who["uid"], &who["euid"]], [&uid, &uid]);
            assert_eq!([&who["gid"], &who["egid"]], [&gid, &gid]);
            assert_eq!(who["groups"], groups_of(own));
            assert_eq!(who["home"], json!(user(own).dir));
            assert_eq!(who["content"], json!(format!("of {own}")));
            let who = stack.get(&format!("{path}?{}", secret(other))).expect(200).json();
            assert_eq!(who["content"], "PermissionError");
        }
    }
}

#[test]
fn groups_are_named_by_number_and_supplemented() {
    if !root() {
        return;
    }
    let (one, mail) = (user(ONE), Group::from_name("mail").unwrap().unwrap().gid.as_raw());
    let stack = Stack::on(Mpm::Event)
        .config(&format!(
            "WSGIDaemonProcess one user=#{} group=mail supplementary-groups={TWO},{ONE}",
            one.uid
        ))
        .config("WSGIProcessGroup one")
        .app("whoami")
        .run();
    let who = stack.get("/").expect(200).json();
    assert_eq!((&who["uid"], &who["gid"]), (&json!(one.uid.as_raw()), &json!(mail)));
    let mut expected = vec![user(TWO).gid.as_raw(), one.gid.as_raw(), mail];
    expected.sort();
    assert_eq!(who["groups"], json!(expected));
}

/// What a worker was started with by root must not be left in its hands.
#[test]
fn a_worker_keeps_nothing_of_roots() {
    if !root() {
        return;
    }
    let stack = two_users(Mpm::Event);
    let pid = stack.get("/one").expect(200).json()["pid"].clone();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        let found = status.lines().find(|found| found.starts_with(line)).unwrap();
        assert_eq!(found.split_whitespace().nth(1), Some("0000000000000000"), "{found}");
    }
    let id = user(ONE).uid;
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uids, format!("Uid:\t{id}\t{id}\t{id}\t{id}"));
    let environment = stack.get("/one").json()["environment"].clone();
    for name in environment.as_object().unwrap().keys() {
        assert!(!name.starts_with("NOTIFY"), "the daemon's {name}");
    }
}

#[test]
fn an_ordinary_user_runs_it_all() {
    let stack = Stack::on(Mpm::Event)
        .as_user("nobody")
        .config("WSGIDaemonProcess site user=games group=games\nWSGIProcessGroup site")
        .app("whoami")
        .run();
    let who = stack.get("/").expect(200).json();
    let expected = if getuid().is_root() { user("nobody").uid } else { getuid() };
    assert_eq!(who["uid"], json!(expected.as_raw()));
}

/// A root directory with the system's own Python in it, for as long as it lives.
struct Jail(std::path::PathBuf);

impl Jail {
    /// `None` where nothing can be mounted.
    fn at(path: std::path::PathBuf) -> Option<Self> {
        let jail = Self(path);
        for (name, kind) in [("usr", "bind"), ("proc", "proc")] {
            let target = jail.0.join(name);
            std::fs::create_dir_all(&target).unwrap();
            let mut mount = Command::new("mount");
            match kind {
                "bind" => mount.args(["--bind", "/usr"]),
                _ => mount.args(["-t", kind, kind]),
            };
            if !mount.arg(&target).status().is_ok_and(|status| status.success()) {
                eprintln!("not run: nothing can be mounted here");
                return None;
            }
        }
        for name in ["bin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), jail.0.join(name)).unwrap();
        }
        Some(jail)
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        for name in ["usr", "proc"] {
            let _ = Command::new("umount").arg("--lazy").arg(self.0.join(name)).status();
        }
    }
}

/// Says which process it is.
const WHICH: &str = "\
import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

/// A stack whose worker has a root directory of its own, or `None` where there can't be one.
fn jailed(app: &str) -> Option<(Stack, Jail)> {
    if !root() {
        return None;
    }
    let mut stack = Stack::on(Mpm::Event)
        .config(&format!("WSGIDaemonProcess site user={ONE} chroot=@ROOT@/jail"))
        .config("WSGIScriptAlias / @ROOT@/jail/srv/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/jail/srv>\nRequire all granted\n</Directory>")
        .file("jail/srv/app.wsgi", app)
        .without_daemon()
        .run();
    // To be dropped before the stack: unmounted before its directory goes.
    let jail = Jail::at(stack.place.path("jail"))?;
    stack.start_daemon();
    until("it serves", || stack.get("/").status == 200);
    Some((stack, jail))
}

#[test]
fn workers_may_have_a_root_directory_of_their_own() {
    let app = "import os, json\n\
               def application(environ, start_response):\n    start_response('200 OK', [])\n    \
               told = [sorted(os.listdir('/')), os.getcwd(), __file__, environ['SCRIPT_FILENAME'], os.getuid()]\n    \
               return [json.dumps(told).encode()]\n";
    let Some((mut stack, _jail)) = jailed(app) else { return };
    let told = stack.get("/").expect(200).json();
    let uid = user(ONE).uid.as_raw();
    let inside = ["bin", "lib", "lib64", "proc", "srv", "usr"];
    assert_eq!(told, json!([inside, "/", "/srv/app.wsgi", "/srv/app.wsgi", uid]));
    stack.stop_daemon();
}

/// The next daemon's socket is not to be seen from there, and is found all the same; and so is that there will be
/// none.
#[test]
fn a_worker_with_a_root_directory_of_its_own_outlives_the_daemon() {
    let Some((mut stack, _jail)) = jailed(WHICH) else { return };
    let worker = stack.daemon().ready_workers("site")[0];
    // To a child of httpd's that knows the way: others would have to ask the daemon.
    let mut kept = stack.connect();
    let mut serves = move || assert_eq!(kept.ask(&Request::get("/")).expect(200).text(), worker.to_string());
    serves();
    for (number, deed) in ["kill", "leave", "renew"].into_iter().enumerate() {
        match deed {
            "kill" => stack.kill_daemon(),
            "leave" => stack.have_daemon_leave(),
            _ => stack.daemon().signal(Signal::SIGHUP),
        }
        serves();
        if deed != "renew" {
            stack.start_daemon();
        }
        until("it is taken over", || {
            stack.log("wsgid").matches("worker is taken over").count() == number + 1
        });
        serves();
        assert_eq!(stack.daemon().ready_workers("site"), [worker]);
    }
    stack.have_daemon_leave();
    serves();
    std::fs::remove_dir_all(stack.place.path("run")).unwrap();
    until("it ends", || Process::find(worker as i32).is_none());
}

/// Says how many bytes and descriptors it is sent by whoever comes first.
const IMPOSTOR: &str = "\
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind('\\0' + sys.argv[1])
listener.listen()
stream, _ = listener.accept()
sent, riders, _, _ = socket.recv_fds(stream, 100, 10)
print(len(sent), len(riders))
";

/// While there is no daemon anybody may listen at its abstract name.
#[test]
fn a_worker_with_a_root_directory_of_its_own_hands_nothing_to_anybody_but_root() {
    let Some((mut stack, _jail)) = jailed(WHICH) else { return };
    let worker = stack.daemon().ready_workers("site")[0];
    stack.kill_daemon();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", IMPOSTOR]).arg(stack.place.path("run/attach.sock"));
    let mut impostor = python.uid(user(TWO).uid.as_raw()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    impostor.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(impostor.wait().unwrap().success());
    assert_eq!(said, "0 0\n");
    stack.start_daemon();
    until("it is taken over", || stack.daemon().ready_workers("site") == [worker]);
    assert_eq!(stack.get("/").expect(200).text(), worker.to_string());
}
