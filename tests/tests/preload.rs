//! `preload=on`: workers are copies of a template, and like any other workers in everything else.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use wsgid_tests::wait::until;
use wsgid_tests::{Connection, Mpm, Plan, Request, Stack};

fn plan(options: &str, app: &str) -> Plan {
    Stack::on(Mpm::Event).config(&format!("WSGIDaemonProcess site preload=on {options}")).config(&format!(
        "WSGIScriptAlias / @APPS@/{app}.wsgi process-group=site application-group=%{{GLOBAL}}"
    ))
}

fn site(options: &str) -> Stack {
    plan(options, "copied").bring("copied").run()
}

fn answer(stack: &Stack) -> Value {
    stack.get("/").expect(200).json()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

fn lives(pid: u32) -> bool {
    kill(Pid::from_raw(pid as i32), None).is_ok()
}

/// One answer of each worker there is.
fn each_worker(stack: &Stack, count: usize) -> Vec<Value> {
    until("they are there", || stack.daemon().ready_workers("site").len() == count);
    let go = stack.place.make_public_dir("markers").join("go");
    let _ = fs::remove_file(&go);
    // A request goes to the worker that has the fewest.
    let mut held: Vec<Connection> = (0..count).map(|_| stack.connect()).collect();
    held.iter_mut().for_each(|one| one.send(Request::get(&format!("/?{}", go.display())).bytes()));
    let claimed =
        || stack.daemon().pools("site").iter().flat_map(|pool| &pool.workers).map(|w| w.claimed).sum::<u32>();
    until("all have begun", || count as u32 == claimed());
    fs::write(&go, "").unwrap();
    let answers: Vec<Value> = held.iter_mut().map(|one| one.reply().unwrap().expect(200).json()).collect();
    let pids: BTreeSet<u32> = answers.iter().map(|answer| number(&answer["pid"])).collect();
    assert_eq!(pids.len(), count, "{answers:?}");
    answers
}

fn touch(stack: &Stack, app: &str) {
    let path = stack.place.path(&format!("apps/{app}.wsgi"));
    let code = fs::read_to_string(&path).unwrap();
    fs::write(&path, code + "\n# changed\n").unwrap();
}

#[test]
fn an_application_is_imported_once_for_all_workers_of_its_pool() {
    let stack = site("processes=3 threads=2");
    let answers = each_worker(&stack, 3);
    let template = number(&answers[0]["imported_by"]);
    for answer in &answers {
        assert_eq!(number(&answer["imported_by"]), template);
        assert_eq!(number(&answer["parent"]), template);
        assert_ne!(number(&answer["pid"]), template);
        assert_eq!(answer["leads"], true);
        assert_eq!(answer["main_thread"], true);
        assert_eq!(answer["metrics_of"], answer["pid"], "measured from its own beginning");
        assert!(number(&answer["frozen"]) > 1000, "{answer}");
        // The main thread, and those for requests; beside them what watches over Python's lock.
        assert!((3..=4).contains(&number(&answer["threads"])), "{answer}");
    }
    let numbers: BTreeSet<String> = answers.iter().map(|answer| answer["random"].to_string()).collect();
    assert_eq!(numbers.len(), 3, "copies that draw the same random numbers");
    stack.logged("wsgid", &["template is ready"]);
    stack.logged("error", &[&format!("served by {}", answers[0]["pid"])]);
}

#[test]
fn a_copy_holds_nothing_of_the_templates_or_its_siblings() {
    let stack = site("processes=4 threads=1");
    let sockets = |answer: &Value| -> BTreeSet<String> {
        let all = answer["descriptors"].as_array().unwrap().iter();
        let own = |name: &&str| name.starts_with("socket:") || name.starts_with("pipe:");
        all.map(|name| name.as_str().unwrap()).filter(own).map(String::from).collect()
    };
    let answers = each_worker(&stack, 4);
    for (at, answer) in answers.iter().enumerate() {
        let others = answers.iter().enumerate().filter(|(other, _)| *other != at);
        for (_, other) in others {
            let both: Vec<_> = sockets(answer).intersection(&sockets(other)).cloned().collect();
            assert!(both.is_empty(), "{both:?} in both of {answer} and {other}");
        }
        assert!(!answer["descriptors"].to_string().contains("pidfd"), "{answer}");
    }
}

#[test]
fn changed_code_is_imported_by_a_new_template_and_broken_code_replaces_nobody() {
    let stack = site("processes=2");
    let first = answer(&stack);
    touch(&stack, "copied");
    until("the new code serves", || answer(&stack)["imported_by"] != first["imported_by"]);
    until("the old template is gone", || !lives(number(&first["imported_by"])));
    let second = each_worker(&stack, 2);
    assert_eq!(second[0]["imported_by"], second[1]["imported_by"]);

    let path = stack.place.path("apps/copied.wsgi");
    let code = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{code}\nraise RuntimeError('not today')\n")).unwrap();
    stack.get("/").expect(200);
    stack.logged("wsgid", &["RuntimeError: not today"]);
    stack.logged("wsgid", &["the code on disk does not import"]);
    assert_eq!(answer(&stack)["imported_by"], second[0]["imported_by"]);

    fs::write(&path, format!("{code}\n# mended\n")).unwrap();
    until("the mended code serves", || answer(&stack)["imported_by"] != second[0]["imported_by"]);
    each_worker(&stack, 2);
}

#[test]
fn an_application_that_never_imported_is_tried_again_by_its_workers() {
    let stack = plan("processes=2", "failing_at_first")
        .file("apps/failing_at_first.wsgi", "raise RuntimeError('no database yet')\n")
        .run();
    stack.get("/").expect(500);
    let code =
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'yes']\n";
    fs::write(stack.place.path("apps/failing_at_first.wsgi"), code).unwrap();
    until("it serves", || stack.get("/").status == 200);
}

#[test]
fn a_worker_that_is_killed_is_replaced_off_the_same_template_and_the_log_says_how_it_died() {
    let stack = site("processes=2");
    let before = answer(&stack);
    send(number(&before["pid"]), Signal::SIGKILL);
    stack.logged("wsgid", &["was ended by SIGKILL"]);
    let after = each_worker(&stack, 2);
    assert!(after.iter().all(|answer| answer["imported_by"] == before["imported_by"]));
}

#[test]
fn without_its_template_a_worker_goes_on_and_the_next_comes_from_another() {
    let stack = site("processes=1");
    let first = answer(&stack);
    send(number(&first["imported_by"]), Signal::SIGKILL);
    stack.logged("wsgid", &["template was ended by SIGKILL"]);
    assert_eq!(answer(&stack)["pid"], first["pid"]);
    send(number(&first["pid"]), Signal::SIGUSR1);
    until("another has taken over", || answer(&stack)["pid"] != first["pid"]);
    assert_ne!(answer(&stack)["imported_by"], first["imported_by"]);
}

#[test]
fn a_template_that_forks_no_more_is_given_up() {
    let stack = site("processes=1 startup-timeout=1");
    let first = answer(&stack);
    send(number(&first["imported_by"]), Signal::SIGSTOP);
    send(number(&first["pid"]), Signal::SIGKILL);
    until("another serves", || {
        let reply = stack.get("/");
        reply.status == 200 && reply.json()["imported_by"] != first["imported_by"]
    });
    until("the old template is gone", || !lives(number(&first["imported_by"])));
    stack.logged("wsgid", &["template is killed: it forks no worker that is ready in time"]);
}

#[test]
fn a_copy_that_never_gets_to_be_a_worker_is_given_up_with_its_template() {
    let code = "import os, time\n\
        os.register_at_fork(after_in_child=lambda: time.sleep(3600))\n\
        def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'yes']\n";
    let stack = plan("processes=1 startup-timeout=1", "hooked").file("apps/hooked.wsgi", code).run();
    stack.logged("wsgid", &["template is killed: it forks no worker that is ready in time"]);
    // That nobody stays behind is seen when the stack ends.
}

/// It is in what the application does after a fork, and nobody but its template knows of it.
#[test]
fn a_copy_that_is_no_worker_yet_ends_with_the_daemon() {
    let code = "import os, time\n\
        def wait():\n    with open('@ROOT@/marks/begun', 'w') as mark: mark.write(str(os.getpid()))\n    \
        os.rename('@ROOT@/marks/begun', '@ROOT@/marks/copy')\n    time.sleep(3600)\n\
        os.register_at_fork(after_in_child=wait)\n";
    let mut stack = plan("processes=1", "hooked").file("apps/hooked.wsgi", code).without_daemon().run();
    let mark = stack.place.make_public_dir("marks").join("copy");
    for end in [Stack::kill_daemon, Stack::stop_daemon] {
        stack.start_daemon();
        until("there is a copy", || mark.exists());
        let copy: u32 = std::fs::read_to_string(&mark).unwrap().parse().unwrap();
        assert!(lives(copy));
        end(&mut stack);
        until("it is gone", || !lives(copy));
        std::fs::remove_file(&mark).unwrap();
    }
}

/// Who was to be forked off the old template still is.
#[test]
fn a_reload_during_the_first_import_makes_nobody_wait_in_vain() {
    let code = "import time\ntime.sleep(0.7)\n\
        def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'yes']\n";
    let stack = plan("processes=2", "slow_to_import").file("apps/slow_to_import.wsgi", code).run();
    stack.logged("wsgid", &["starting template"]);
    for _ in 0..3 {
        stack.wsgictl(&["reload", "site"]);
    }
    assert_eq!(stack.get("/").expect(200).text(), "yes");
    until("all are there", || stack.daemon().ready_workers("site").len() == 2);
    assert!(!stack.log("wsgid").contains("no worker stays up"), "{}", stack.log("wsgid"));
}

#[test]
fn workers_outlive_a_daemon_that_is_killed_and_their_template_does_not() {
    let mut stack = site("processes=2");
    let before = each_worker(&stack, 2);
    // To a child of httpd's that knows the way: others would have to ask the daemon.
    let mut kept = stack.connect();
    kept.ask(&Request::get("/")).expect(200);
    stack.kill_daemon();
    until("the template is gone", || !lives(number(&before[0]["imported_by"])));
    kept.ask(&Request::get("/")).expect(200);
    stack.start_daemon();
    until("they are taken over", || stack.daemon().ready_workers("site").len() == 2);
    let known = |answer: &Value| before.iter().any(|known| known["pid"] == answer["pid"]);
    assert!(each_worker(&stack, 2).iter().all(known));
    stack.wsgictl(&["reload", "site"]);
    until("new ones serve", || !known(&answer(&stack)));
}

#[test]
fn a_daemon_that_starts_anew_leaves_no_template_and_no_zombie_behind() {
    let stack = site("processes=2");
    let before = each_worker(&stack, 2);
    let template = number(&before[0]["imported_by"]);
    stack.daemon().signal(Signal::SIGHUP);
    // A zombie would still have its number.
    until("the template is gone", || !lives(template));
    until("they are taken over", || stack.log("wsgid").matches("worker is taken over").count() == 2);
    let after = each_worker(&stack, 2);
    assert!(after.iter().all(|answer| before.iter().any(|known| known["pid"] == answer["pid"])));
}

#[test]
fn no_request_is_lost_while_copies_are_worn_and_replaced() {
    let stack = site("processes=2 threads=3 maximum-requests=15 maximum-requests-jitter=5");
    let seen = stack.answered_by(4, 100);
    assert!(seen.len() >= 8, "{seen:?}");
    assert!(!stack.log("wsgid").contains("ERROR"), "{}", stack.log("wsgid"));
}

#[test]
fn what_is_to_be_done_at_the_end_is_done_in_workers_and_not_in_the_template() {
    let mut stack = site("processes=1");
    let told = stack.place.make_public_dir("apps/told");
    stack.wsgictl(&["reload", "site"]);
    until("a template has told", || fs::read_dir(&told).unwrap().count() > 0);
    let worker = loop {
        let worker = answer(&stack);
        if told.join(format!("imported.{}", worker["imported_by"])).exists() {
            break worker;
        }
    };
    stack.stop_daemon();
    until("the template is gone", || !lives(number(&worker["imported_by"])));
    let pid = &worker["pid"];
    let names: BTreeSet<String> = ["imported", "atexit", "shutdown"]
        .iter()
        .map(|what| format!("{what}.{}", if *what == "imported" { &worker["imported_by"] } else { pid }))
        .collect();
    let found: BTreeSet<String> = fs::read_dir(&told)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| names.contains(name) || name.ends_with(&worker["imported_by"].to_string()))
        .collect();
    assert_eq!(found, names);
}

#[test]
fn copies_run_as_the_groups_user() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("only root can switch users");
    }
    let stack = site("user=nobody home=/ processes=2");
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    for answer in each_worker(&stack, 2) {
        assert_eq!(number(&answer["uid"]), nobody);
    }
}

#[test]
fn why_there_is_no_template_is_told_where_it_is_looked_for() {
    let stack = site("home=/nowhere processes=2");
    stack.get("/").expect(503);
    stack.logged("wsgid", &["was not forked: its template exited", "/nowhere"]);
    let trouble = &stack.daemon().pools("site")[0].trouble;
    assert!(trouble.contains("/nowhere"), "{trouble}");
}

#[test]
fn threads_of_the_import_are_missed_and_the_log_says_so() {
    let code = "import threading, time\n\
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n\
        def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'yes']\n";
    let stack = plan("processes=1", "threaded").file("apps/threaded.wsgi", code).run();
    stack.get("/").expect(200);
    stack.logged("wsgid", &["no other threads than their own: 1 of the import's"]);
}

#[test]
fn an_import_that_takes_too_long_is_ended() {
    let code = "import time\ntime.sleep(3600)\n";
    let stack = plan("processes=1 startup-timeout=1", "sleeping").file("apps/sleeping.wsgi", code).run();
    stack.logged("wsgid", &["template is killed: it has not imported in 1 seconds"]);
}

#[test]
fn a_service_has_no_template_and_the_log_says_so() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=0 preload=on")
        .bring("service")
        .config("WSGIImportScript @APPS@/service.wsgi process-group=site application-group=%{GLOBAL}")
        .run();
    stack.logged("wsgid", &["preload=on has no effect"]);
}
