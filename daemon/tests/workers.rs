//! Workers of a real daemon: how they come, serve, change and go.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

mod common;
use common::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use wsgid_proto::board::{PoolState, SlotState};

#[test]
fn a_configured_group_gets_its_workers_and_apache_its_board() {
    let daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "ok");
    let group = daemon.tree.group("site", &[("processes", "2"), ("threads", "3")]);
    daemon.configure(&configuration(vec![group], &[("site", &script)]));
    let pids = daemon.settled("site", 2);
    let (opened, board) = daemon.open(&question("site", "")).unwrap();
    board.look(|board| {
        assert_eq!((board.slots(), board.pool_state()), (6, PoolState::Open));
        for slot in 0..2 {
            assert_eq!(board.slot(slot).unwrap().state, SlotState::Ready);
            assert_eq!(board.capacity(slot), 3);
            assert!(pids.contains(&board.pid(slot)));
            let serial = board.slot(slot).unwrap().serial;
            let socket = std::path::Path::new(&opened.socket_dir)
                .join(wsgid_proto::broker::worker_socket(opened.pool, serial));
            std::os::unix::net::UnixStream::connect(socket).unwrap();
        }
    });
    daemon.logged("the application says hello");
}

#[test]
fn a_worker_is_its_user_and_has_nothing_it_should_not() {
    let daemon = Daemon::start();
    let home = daemon.tree.path("").display().to_string();
    let options = [("home", home.as_str()), ("umask", "027"), ("cpu-priority", "3"), ("lang", "C.UTF-8")];
    let user: &[(&str, &str)] =
        if is_root() { &[("user", "nobody"), ("supplementary-groups", "#77")] } else { &[] };
    let group = daemon.tree.group("site", &[&options, user].concat());
    let script = daemon.tree.script("app.wsgi", "ok");
    daemon.configure(&configuration(vec![group], &[("site", &script)]));
    let pid = daemon.settled("site", 1)[0];
    let facts = fs::read_to_string(daemon.tree.path(&format!("facts/{pid}.json"))).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    let is = |name: &str, value: serde_json::Value| assert_eq!(facts[name], value, "{name}");
    if is_root() {
        is("uid", 65534.into());
        is("gid", 33.into());
        is("groups", vec![33, 77].into());
        is("capabilities", "0".repeat(32).into());
        assert_eq!(facts["environment"]["USER"], "nobody");
    }
    is("sid", pid.into());
    is("no_new_privileges", "1".into());
    is("nice", 3.into());
    is("umask", "0027".into());
    is("cwd", home.trim_end_matches('/').into());
    is("fds", vec![0, 1, 2, 4, 5, 6, 7, 8, 10, 11].into());
    assert_eq!(facts["environment"]["LANG"], "C.UTF-8");
    assert_eq!(facts["environment"]["LISTEN_FDS"], serde_json::Value::Null);
}

#[test]
fn an_unchanged_group_is_not_touched_and_a_changed_one_rolls() {
    let daemon = Daemon::start();
    let tree = &daemon.tree;
    let script = tree.script("app.wsgi", "ok");
    let configured = |threads| {
        let groups = vec![tree.group("calm", &[]), tree.group("site", &[("threads", threads)])];
        configuration(groups, &[("calm", &script), ("site", &script)])
    };
    daemon.configure(&configured("3"));
    let (calm, old) = (daemon.settled("calm", 1), daemon.settled("site", 1));
    let (opened, board) = daemon.open(&question("site", "")).unwrap();
    daemon.configure(&configured("3"));
    assert_eq!((daemon.settled("calm", 1), daemon.settled("site", 1)), (calm.clone(), old.clone()));
    daemon.configure(&configured("4"));
    gone(&old);
    assert_ne!(daemon.settled("site", 1), old);
    assert_eq!(daemon.settled("calm", 1), calm);
    assert_eq!(board.look(|board| board.pool_state()), PoolState::Closed);
    let (again, board) = daemon.open(&question("site", "")).unwrap();
    assert_ne!(again.pool, opened.pool);
    assert_eq!(board.look(|board| board.capacity(0)), 4);
}

#[test]
fn a_removed_group_drains() {
    let daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "ok");
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[("site", &script)]));
    let pids = daemon.settled("site", 1);
    let (_, board) = daemon.open(&question("site", "")).unwrap();
    daemon.configure(&configuration(vec![], &[]));
    gone(&pids);
    assert_eq!(board.look(|board| board.pool_state()), PoolState::Closed);
    eventually("an empty status", || daemon.status().is_empty().then_some(()));
}

#[test]
fn a_group_whose_new_options_do_not_work_is_served_by_its_old_workers() {
    let daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "ok");
    let good = daemon.tree.group("site", &[]);
    daemon.configure(&configuration(vec![good.clone()], &[("site", &script)]));
    let pids = daemon.settled("site", 1);
    let mut bad = good.clone();
    bad.options = vec![("python-home".into(), "/nonexistent".into())];
    daemon.configure(&configuration(vec![bad], &[("site", &script)]));
    daemon.in_trouble("site", "python-home=/nonexistent");
    assert_eq!(daemon.workers("site", "ready"), pids);
    daemon.configure(&configuration(vec![good], &[("site", &script)]));
    assert_eq!(daemon.settled("site", 1), pids);
    daemon.out_of_trouble("site");
}

#[test]
fn changed_code_rolls_and_broken_code_replaces_nothing() {
    let daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "ok");
    let group = daemon.tree.group("site", &[("processes", "2")]);
    daemon.configure(&configuration(vec![group], &[("site", &script)]));
    let first = daemon.settled("site", 2);
    daemon.tree.script("app.wsgi", "ok, and new");
    gone(&first);
    let second = daemon.settled("site", 2);
    daemon.tree.script("app.wsgi", "broken");
    daemon.logged("workers with the code from before go on serving");
    assert_eq!(daemon.settled("site", 2), second);
    daemon.in_trouble("site", "does not import");
    daemon.tree.script("app.wsgi", "ok, repaired");
    gone(&second);
    daemon.settled("site", 2);
    daemon.out_of_trouble("site");
}

#[test]
fn a_pool_opened_by_a_request_grows_as_it_is_crowded() {
    let daemon = Daemon::start();
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[("processes", "2")])], &[]));
    let ask = question("site", "host.example");
    let (opened, _) = daemon.open(&ask).unwrap();
    daemon.settled("site", 1);
    assert_eq!(daemon.open(&ask).unwrap().0.pool, opened.pool);
    daemon.settled("site", 1);
    let crowded = wsgid_proto::broker::OpenPool { crowded: true, ..ask };
    daemon.open(&crowded).unwrap();
    daemon.settled("site", 2);
    daemon.open(&crowded).unwrap();
    daemon.settled("site", 2);
}

#[test]
fn a_killed_worker_is_replaced_and_its_slot_is_free_again() {
    let daemon = Daemon::start();
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[]));
    let (_, board) = daemon.open(&question("site", "")).unwrap();
    let pid = daemon.settled("site", 1)[0];
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    daemon.logged("was ended by SIGKILL");
    gone(&[pid]);
    assert_ne!(daemon.settled("site", 1), [pid]);
    assert_eq!(
        board.look(|board| (board.slot(0).unwrap().state, board.slot(0).unwrap().serial)),
        (SlotState::Ready, 2)
    );
}

#[test]
fn a_pool_that_can_not_start_fails_alone_and_says_why() {
    let daemon = Daemon::start();
    let crash = daemon.tree.script("crash.wsgi", "crash");
    let mut missing = daemon.tree.group("missing", &[]);
    missing.options = vec![("python-home".into(), "/nonexistent".into())];
    let groups = vec![missing, daemon.tree.group("crashing", &[]), daemon.tree.group("calm", &[])];
    daemon.configure(&configuration(groups, &[("missing", &crash), ("crashing", &crash)]));
    let (_, calm) = daemon.open(&question("calm", "")).unwrap();
    daemon.settled("calm", 1);
    assert_eq!(calm.look(|board| board.pool_state()), PoolState::Open);
    for (group, words) in [("missing", "python-home=/nonexistent"), ("crashing", "crashed, as was asked for")]
    {
        let (_, board) = daemon.open(&question(group, "")).unwrap();
        eventually("a failing board", || {
            (board.look(|board| board.pool_state()) == PoolState::Failing).then_some(())
        });
        daemon.in_trouble(group, words);
    }
    daemon.tree.script("crash.wsgi", "ok");
    daemon.settled("crashing", 1);
}

#[test]
fn a_launch_step_that_fails_is_named() {
    let daemon = Daemon::start();
    let group = daemon.tree.group("site", &[("home", "/nonexistent/home")]);
    daemon.configure(&configuration(vec![group], &[]));
    daemon.open(&question("site", "")).unwrap();
    daemon.logged("step 10");
    daemon.in_trouble("site", "/nonexistent/home");
    daemon.logged("exited with status 80");
}

#[test]
fn hang_up_starts_the_program_anew() {
    let daemon = Daemon::start();
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[]));
    daemon.open(&question("site", "")).unwrap();
    daemon.settled("site", 1);
    daemon.signal(Signal::SIGHUP);
    daemon.logged("starting anew");
    daemon.logged("wsgid 0.1.0 is ready");
}

#[test]
fn an_orderly_end_leaves_nobody_behind_even_if_they_resist() {
    let mut daemon = Daemon::start();
    let (good, stubborn) =
        (daemon.tree.script("app.wsgi", "ok"), daemon.tree.script("stubborn.wsgi", "stubborn"));
    let timeout = [("shutdown-timeout", "1")];
    let groups = vec![daemon.tree.group("good", &timeout), daemon.tree.group("stubborn", &timeout)];
    daemon.configure(&configuration(groups, &[("good", &good), ("stubborn", &stubborn)]));
    let pids = [daemon.settled("good", 1), daemon.settled("stubborn", 1)].concat();
    let (_, board) = daemon.open(&question("stubborn", "")).unwrap();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(board.look(|board| board.pool_state()), PoolState::Closed);
    let run = daemon.tree.path("run");
    assert!(!run.join("control.sock").exists() && !run.join("broker.sock").exists());
    assert_eq!(fs::read_dir(run.join("w")).unwrap().count(), 0);
}

#[test]
fn a_worker_that_never_gets_ready_ends_with_the_daemon() {
    let mut daemon = Daemon::start();
    let script = daemon.tree.script("app.wsgi", "mute");
    daemon.configure(&configuration(vec![daemon.tree.group("site", &[])], &[("site", &script)]));
    let pid = eventually("a worker", || daemon.workers("site", "starting").first().copied());
    daemon.logged("the application says hello");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(!is_alive(pid));
}
