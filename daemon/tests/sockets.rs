//! The two sockets of a real daemon, the state it keeps, and `wsgictl`.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

mod common;
use common::*;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use wsgid_proto::Message;
use wsgid_proto::broker::{OpenPool, RefusalCause};
use wsgid_proto::control::{Configured, Known, KnownReply};
use wsgid_proto::frame::{Kind, header};

#[test]
fn a_refused_configuration_changes_nothing_and_names_what_is_wrong() {
    let daemon = Daemon::start();
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[]));
    daemon.open(&question("site", "")).unwrap();
    let pids = daemon.settled("site", 1);
    let groups = vec![
        daemon.tree.group("one", &[("user", "nosuchuser")]),
        daemon.tree.group("two", &[("threads", "x")]),
    ];
    let refused: Configured = daemon.ask(&configuration(groups, &[]));
    for part in ["'one'", "nosuchuser", "'two'", "threads"] {
        assert!(refused.refusal.contains(part), "{}", refused.refusal);
    }
    assert_eq!(daemon.settled("site", 1), pids);
    if is_root() {
        let refused: Configured =
            daemon.ask(&configuration(vec![daemon.tree.group("one", &[("user", "root")])], &[]));
        assert!(refused.refusal.contains("blocked from running as root"));
    }
}

#[test]
fn options_without_effect_are_the_modules_to_tell() {
    let daemon = Daemon::start();
    let group = daemon.tree.group("site", &[("deadlock-timeout", "60")]);
    let configured = daemon.configure(&configuration(vec![group], &[]));
    assert_eq!((&configured.warnings[..], &configured.refusal[..]), (&[][..], ""));
}

#[test]
fn garbage_is_hung_up_on_and_disturbs_nobody() {
    let daemon = Daemon::start();
    for socket in ["control.sock", "broker.sock"] {
        let frames = [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            vec![0xff; 5],
            vec![0xff, 0xff, 0xff, 0x7f, Kind::Configure as u8],
            header(Kind::RequestHead, 1 << 20).to_vec(),
            [&header(Kind::OpenPool, 4)[..], b"\xff\xff\xff\xff"].concat(),
            [&header(Kind::Configure, 4)[..], b"\xff\xff\xff\xff"].concat(),
        ];
        for frame in frames {
            let mut stream = daemon.connect(socket);
            let _ = stream.write_all(&frame);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest); // ends, with or without a reset
            assert!(rest.is_empty());
        }
    }
    let half_said: Vec<_> = (0..50).map(|_| daemon.connect("control.sock")).collect();
    assert!(!daemon.ask::<KnownReply>(&Known { instance: "x".into() }).known);
    drop(half_said);
}

#[test]
fn the_broker_refuses_with_a_cause() {
    let daemon = Daemon::start();
    let cause = |ask: &OpenPool| daemon.open(ask).map(|_| ()).unwrap_err().cause;
    assert_eq!(cause(&question("site", "")), RefusalCause::UnknownInstance);
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[]));
    assert!(daemon.ask::<KnownReply>(&Known { instance: "/run/test.pid".into() }).known);
    assert_eq!(cause(&question("other", "")), RefusalCause::UnknownGroup);
}

#[test]
fn requests_do_not_open_pools_without_end() {
    let daemon = Daemon::start();
    let mut group = daemon.tree.group("site", &[]);
    group.options = vec![("python-home".into(), "/nonexistent".into())]; // pools, but no processes
    daemon.configure(&configuration(vec![group], &[]));
    for number in 0..wsgid_proto::bounds::OPENED_POOLS {
        daemon.open(&question("site", &format!("host-{number}"))).unwrap();
    }
    let count =
        || daemon.ask::<wsgid_proto::control::Status>(&wsgid_proto::control::StatusQuery {}).pools.len();
    assert_eq!(count(), wsgid_proto::bounds::OPENED_POOLS);
    daemon.open(&question("site", "one-more")).unwrap();
    assert_eq!(count(), wsgid_proto::bounds::OPENED_POOLS, "an idle one makes room");
}

/// What somebody else on this host gets for a frame.
fn as_stranger(daemon: &Daemon, socket: &str, frame: &[u8]) -> Output {
    let speak = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.connect(sys.argv[1])\n\
        s.sendall(bytes.fromhex(sys.argv[2]))\n\
        s.settimeout(20)\n\
        sys.stdout.buffer.write(s.recv(65536))\n";
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = daemon.tree.path("run").join(socket);
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", speak]).arg(path).arg(hex).uid(65534).gid(65534).output().unwrap()
}

#[test]
fn strangers_configure_nothing_and_open_nothing() {
    if !is_root() {
        return; // there is nobody else to be
    }
    let daemon = Daemon::start();
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[]));
    let control = as_stranger(&daemon, "control.sock", &configuration(vec![], &[]).frame());
    assert!(!control.status.success(), "the mode alone keeps them out");
    fs::set_permissions(daemon.tree.path("run/control.sock"), Permissions::from_mode(0o666)).unwrap();
    let control = as_stranger(&daemon, "control.sock", &configuration(vec![], &[]).frame());
    assert!(control.stdout.is_empty());
    daemon.logged("only root and the daemon's own user may configure it");
    let broker = as_stranger(&daemon, "broker.sock", &question("site", "").frame());
    assert_eq!(broker.stdout[4], Kind::PoolRefused as u8);
    daemon.logged("user 65534 is not the web server of this instance");
    assert!(daemon.open(&question("site", "")).is_ok());
}

#[test]
fn a_restarted_daemon_runs_what_ran_before() {
    let daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "ok");
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[("site", &script)]));
    let pids = daemon.settled("site", 1);
    let daemon = Daemon::in_tree(daemon.stop());
    assert_ne!(daemon.settled("site", 1), pids);
    let tree = daemon.stop();
    fs::write(tree.path("state/configurations"), "garbage").unwrap();
    let daemon = Daemon::in_tree(tree);
    daemon.logged("its checksum is wrong or missing");
    let tree = daemon.stop();
    for name in ["configurations", "configurations.previous"] {
        fs::write(tree.path("state").join(name), "garbage").unwrap();
    }
    let daemon = Daemon::in_tree(tree);
    daemon.logged("are of no use");
    assert!(daemon.status().is_empty());
}

#[test]
fn what_an_httpd_left_wins_over_what_is_remembered() {
    let daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "ok");
    daemon.configure(&configuration(vec![daemon.tree.group("old", &[])], &[("old", &script)]));
    let tree = daemon.stop();
    let left = configuration(vec![tree.group("new", &[])], &[("new", &script)]);
    let file = tree.path("run/pending/left.configure");
    fs::write(&file, left.frame()).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let daemon = Daemon::in_tree(tree);
    daemon.settled("new", 1);
    assert!(daemon.workers("old", "ready").is_empty());
    assert!(!file.exists());
    let daemon = Daemon::in_tree(daemon.stop());
    daemon.settled("new", 1);
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let daemon = Daemon::start();
    let second = daemon.tree.command().output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another wsgid (process"), "{said}");
    assert!(daemon.status().is_empty(), "the first one still answers");
}

fn wsgictl(daemon: &Daemon, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsgictl"));
    command.arg("--runtime-dir").arg(daemon.tree.path("run")).args(arguments).output().unwrap()
}

#[test]
fn wsgictl_shows_and_reloads() {
    let daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "ok");
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[("site", &script)]));
    let pids = daemon.settled("site", 1);
    let shown = wsgictl(&daemon, &["status"]);
    assert!(shown.status.success());
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("site") && shown.contains(&pids[0].to_string()), "{shown}");
    assert!(wsgictl(&daemon, &["reload", "site"]).status.success());
    gone(&pids);
    daemon.settled("site", 1);
    let refused = wsgictl(&daemon, &["reload", "nonsense"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no process group 'nonsense'"));
    let tree = daemon.stop();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsgictl"));
    let nobody = command.arg("--runtime-dir").arg(tree.path("run")).arg("status").output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
}

#[test]
fn the_launcher_does_nothing_without_a_plan() {
    let output = Command::new(env!("CARGO_BIN_EXE_wsgid-launch")).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by wsgid"));
}
