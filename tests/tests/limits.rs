//! What the operating system is told to allow a group: seen from within its workers, beside a group without limits.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack};

fn limited(option: &str) -> Stack {
    Stack::on(Mpm::Event)
        .bring("limits")
        .config(&format!("WSGIDaemonProcess site threads=2 {option}\nWSGIDaemonProcess free threads=2"))
        .config("WSGIScriptAlias /free @APPS@/limits.wsgi process-group=free application-group=%{GLOBAL}")
        .config("WSGIScriptAlias / @APPS@/limits.wsgi process-group=site application-group=%{GLOBAL}")
        .run()
}

fn told(stack: &Stack, target: &str) -> Value {
    stack.get(target).expect(200).json()
}

#[test]
fn a_group_has_its_cpu_priority() {
    let stack = limited("cpu-priority=7");
    assert_eq!(told(&stack, "/")["priority"], 7);
    assert_ne!(told(&stack, "/free")["priority"], 7);
}

/// The scheduling policies of all threads of httpd's children: field 41 of proc_pid_stat(5). A thread may end, and a
/// child, while this looks.
fn policies_of_httpd(stack: &Stack) -> BTreeSet<i64> {
    let threads = |child: i32| fs::read_dir(format!("/proc/{child}/task")).into_iter().flatten().flatten();
    let policy = |thread: PathBuf| {
        let stat = fs::read_to_string(thread.join("stat")).ok()?;
        Some(stat.rsplit(')').next()?.split_ascii_whitespace().nth(41 - 3)?.parse().unwrap())
    };
    let children = stack.httpd().children();
    children.into_iter().flat_map(threads).filter_map(|thread| policy(thread.path())).collect()
}

#[test]
fn workers_and_children_of_httpd_do_not_take_the_processor_from_whoever_wakes_them() {
    // Their numbers in sched.h.
    let (other, batch) = (0, 3);
    let stack = limited("cpu-scheduling=inherit");
    assert_eq!(told(&stack, "/free")["policy"], batch);
    assert_eq!(told(&stack, "/")["policy"], other);
    until("every child has begun", || policies_of_httpd(&stack) == BTreeSet::from([batch]));
    // An answer may be sent with another slice of time than the usual one, which a thread has again then.
    let mut connection = stack.connect();
    for _ in 0..20 {
        let answer = connection.ask(&Request::get("/free")).expect(200).json();
        assert!(answer["slice"].is_u64());
        assert_eq!(answer["slices_of_httpd"], json!([answer["slice"]]));
    }
    let as_it_is = Stack::on(Mpm::Prefork).config("WSGICPUScheduling inherit").without_daemon().run();
    // The child that answers has begun.
    as_it_is.get("/");
    assert_eq!(policies_of_httpd(&as_it_is), BTreeSet::from([other]));
}

#[test]
fn threads_that_follow_their_client_are_not_bound_by_that_and_bound_ones_do_not_follow() {
    let stack = limited("");
    let everywhere = told(&stack, "/")["processors"].clone();
    let mut connection = stack.connect();
    // More than make a row, of which many may end with a move.
    for _ in 0..45 {
        assert_eq!(connection.ask(&Request::get("/")).expect(200).json()["processors"], everywhere);
    }
    let last = everywhere.as_array().unwrap().last().unwrap();
    told(&stack, &format!("/bind?{last}"));
    for _ in 0..45 {
        assert_eq!(connection.ask(&Request::get("/")).expect(200).json()["processors"], json!([last]));
    }
}

#[test]
fn request_threads_have_stacks_of_their_size() {
    let stack = limited("stack-size=1048576");
    assert_eq!(told(&stack, "/")["stack"], 1 << 20);
    assert_ne!(told(&stack, "/free")["stack"], 1 << 20);
}

/// The limit is a number of bytes, and more than that can't be had: a MemoryError, and not the end of the worker.
#[test]
fn a_group_has_no_more_memory_than_its_limit() {
    for (option, name) in [("memory-limit", "data"), ("virtual-memory-limit", "space")] {
        let limit = 2_u64 << 30;
        let stack = limited(&format!("{option}={limit}"));
        let before = told(&stack, "/take?1");
        assert_eq!(before[name], json!([limit, limit]));
        assert_ne!(told(&stack, "/free")[name], json!([limit, limit]));
        stack.get("/take?3072").expect(500);
        stack.logged("error", &["MemoryError"]);
        assert_eq!(told(&stack, "/take?1")["pid"], before["pid"]);
    }
}
