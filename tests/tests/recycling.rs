//! When workers are replaced although nothing is wrong with them, and that no request is lost to it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use wsgid_tests::wait::until;
use wsgid_tests::{Connection, Mpm, Request, Stack, each_mpm};

/// A stack whose group has these options, with an application of the tests' at `/`.
fn site(options: &str, app: &str) -> Stack {
    Stack::on(Mpm::Event)
        .config(&format!("WSGIDaemonProcess site {options}"))
        .bring(app)
        .config(&format!(
            "WSGIScriptAlias / @APPS@/{app}.wsgi process-group=site application-group=%{{GLOBAL}}"
        ))
        .run()
}

fn pid(stack: &Stack) -> u32 {
    stack.get("/").expect(200).json()["pid"].as_u64().unwrap() as u32
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// A request that waiting.wsgi has begun, and the file whose appearance ends it.
fn begin(stack: &Stack) -> (Connection, PathBuf, u32) {
    let name = stack.place.make_public_dir("markers").join("a");
    let mut connection = stack.connect();
    connection.send(Request::get(&format!("/?{}", name.display())).bytes());
    until("the application has begun", || name.with_extension("begun").exists());
    let pid = std::fs::read_to_string(name.with_extension("begun")).unwrap().parse().unwrap();
    (connection, name.with_extension("go"), pid)
}

each_mpm! {
    fn workers_are_replaced_after_their_number_of_requests_and_none_fails(mpm) {
        let stack = Stack::on(mpm)
            .config("WSGIDaemonProcess site processes=2 threads=3 maximum-requests=20 maximum-requests-jitter=5")
            .bring("whoami")
            .config("WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}")
            .run();
        let seen = stack.answered_by(4, 100);
        // At twice the number it is the end, whether or not somebody has taken over.
        assert!(seen.len() >= 400 / 50, "{seen:?}");
        stack.logged("wsgid", &["has served maximum-requests"]);
    }
}

#[test]
fn a_worker_for_one_request_is_said_to_be_that() {
    for (options, once) in [("threads=1 maximum-requests=1", true), ("threads=2 maximum-requests=1", false)] {
        let environ = site(options, "environ").get("/").expect(200).json();
        assert_eq!(environ["wsgi.run_once"], serde_json::json!(["bool", once]), "{options}");
    }
}

#[test]
fn workers_are_replaced_at_an_age() {
    let stack = site("restart-interval=1", "whoami");
    let first = pid(&stack);
    until("another worker answers", || pid(&stack) != first);
    stack.logged("wsgid", &["is as old as restart-interval"]);
}

#[test]
fn an_idle_worker_is_replaced_where_the_configuration_asks_for_its_application() {
    let stack = site("inactivity-timeout=1", "whoami");
    let first = pid(&stack);
    until("it has gone, with nobody asking", || {
        let ready = stack.daemon().ready_workers("site");
        ready.len() == 1 && ready[0] != first
    });
    stack.logged("wsgid", &["has had nothing to do for inactivity-timeout"]);
}

#[test]
fn an_idle_application_that_a_request_has_opened_is_closed_until_the_next() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site inactivity-timeout=1\nWSGIProcessGroup site")
        .app("whoami")
        .run();
    let first = pid(&stack);
    until("its pool has gone", || stack.daemon().pools("site").is_empty());
    stack.logged("wsgid", &["an idle application group is closed"]);
    assert_ne!(pid(&stack), first);
}

#[test]
fn requests_may_count_as_no_activity() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site inactivity-timeout=2")
        .bring("whoami")
        .config("WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Location /probe>\nWSGIIgnoreActivity On\n</Location>")
        .run();
    let probe = || stack.get("/probe").expect(200).json()["pid"].clone();
    let first = probe();
    until("it is idle all the same", || probe() != first);
}

#[test]
fn requests_that_count_keep_a_worker() {
    let stack = site("inactivity-timeout=1", "whoami");
    let first = pid(&stack);
    let begun = std::time::Instant::now();
    while begun.elapsed().as_secs_f64() < 2.5 {
        assert_eq!(pid(&stack), first);
    }
}

#[test]
fn a_signal_asks_for_a_successor_and_the_old_one_finishes() {
    let stack = site("threads=2 display-name=%{GROUP}", "waiting");
    let (mut connection, go, old) = begin(&stack);
    let line = std::fs::read_to_string(format!("/proc/{old}/cmdline")).unwrap();
    assert_eq!(line.trim_end_matches('\0'), "(wsgi:site)", "what pkill -f finds");
    send(old, Signal::SIGUSR1);
    until("a successor serves alone", || {
        let ready = stack.daemon().ready_workers("site");
        ready.len() == 1 && ready[0] != old
    });
    std::fs::write(go, "").unwrap();
    assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
}

#[test]
fn a_worker_that_has_used_up_its_cpu_time_is_replaced_with_what_it_has() {
    let app = "import os\n\
               def application(environ, start_response):\n\
               \x20   start_response('200 OK', [])\n\
               \x20   used = sum(os.times()[:2])\n\
               \x20   while environ['PATH_INFO'] == '/work' and sum(os.times()[:2]) < used + 1.5:\n\
               \x20       pass\n\
               \x20   return [str(os.getpid()).encode()]\n";
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site cpu-time-limit=1")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", app)
        .run();
    let old = stack.get("/work").expect(200).text();
    until("another worker answers", || stack.get("/").expect(200).text() != old);
    stack.logged("wsgid", &["has used up cpu-time-limit"]);
}

#[test]
fn a_worker_without_its_application_is_replaced_until_there_is_one() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site startup-timeout=1")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", "raise RuntimeError('not yet')\n")
        .run();
    stack.get("/").expect(500);
    stack.logged("wsgid", &["had not imported its application within startup-timeout"]);
}

#[test]
fn variables_of_a_group_are_in_its_environment() {
    let stack = site("env=PLAIN=1 env='SAID=with spaces = and all' env=HOME=/elsewhere", "whoami");
    let environment = stack.get("/").expect(200).json()["environment"].clone();
    for (name, value) in [("PLAIN", "1"), ("SAID", "with spaces = and all"), ("HOME", "/elsewhere")] {
        assert_eq!(environment[name], value, "{environment}");
    }
}

#[test]
fn variables_come_from_a_file_and_follow_it() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site env=KEPT=before env=LATER=before env-file=@ROOT@/site.env")
        .bring("whoami")
        .config("WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}")
        .file("site.env", "# of the site\nexport SECRET='a b'\nLATER=after\n")
        .run();
    let variable = |name: &str| stack.get("/").expect(200).json()["environment"][name].clone();
    assert_eq!([variable("KEPT"), variable("SECRET"), variable("LATER")], ["before", "a b", "after"]);
    stack.place.write("site.env", "SECRET=c\n");
    stack.graceful();
    until("the new value is there", || variable("SECRET") == "c");
    stack.place.write("site.env", "SECRET=c\nnonsense\n");
    let (good, said) = wsgid_tests::httpd::configtest(&stack.place);
    assert!(!good && said.contains("site.env: line 2 is not of the form NAME=value"), "{said}");
}

#[test]
fn a_pool_grows_with_its_load_and_shrinks_again() {
    let stack = site("processes-min=1 processes-max=3 threads=1 idle-timeout=1", "waiting");
    until("one is there", || stack.daemon().ready_workers("site").len() == 1);
    let markers = stack.place.make_public_dir("markers");
    let name = |n: u32| markers.join(format!("r{n}"));
    let mut connections: Vec<Connection> = (0..3)
        .map(|n| {
            let mut connection = stack.connect();
            connection.send(Request::get(&format!("/?{}", name(n).display())).bytes());
            connection
        })
        .collect();
    until("each has a worker of its own", || (0..3).all(|n| name(n).with_extension("begun").exists()));
    assert_eq!(stack.daemon().ready_workers("site").len(), 3);
    (0..3).for_each(|n| std::fs::write(name(n).with_extension("go"), "").unwrap());
    for connection in &mut connections {
        connection.reply().unwrap().expect(200);
    }
    until("one is left", || stack.daemon().ready_workers("site").len() == 1);
}

#[test]
fn a_pool_without_workers_starts_with_a_request() {
    let stack = site("processes-min=0 processes=2 idle-timeout=1", "whoami");
    assert!(stack.daemon().pools("site").is_empty(), "nobody has asked for it");
    let first = pid(&stack);
    until("it has gone", || stack.daemon().pools("site").is_empty());
    assert_ne!(pid(&stack), first);
}

#[test]
fn other_files_than_the_script_mean_new_code() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site reload-on=@ROOT@/code/version reload-on=@ROOT@/code/none")
        .bring("whoami")
        .config("WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}")
        .file("code/version", "1")
        .run();
    let first = pid(&stack);
    std::fs::remove_file(stack.place.path("code/version")).unwrap();
    until("another worker answers", || pid(&stack) != first);
    let second = pid(&stack);
    std::fs::write(stack.place.path("code/none"), "").unwrap();
    until("and another", || pid(&stack) != second);
}

#[test]
fn a_request_whose_worker_dies_is_given_to_another_where_that_is_allowed() {
    for (options, status) in [("replay=On", 200), ("replay=Off", 502)] {
        let stack = site(&format!("processes=1 {options}"), "waiting");
        let (mut connection, go, old) = begin(&stack);
        send(old, Signal::SIGKILL);
        std::fs::write(&go, "").unwrap();
        assert_eq!(connection.reply().unwrap().status, status, "{options}");
        if status == 200 {
            stack.logged("error", &["SIGKILL", "another has it now"]);
        }
    }
}
