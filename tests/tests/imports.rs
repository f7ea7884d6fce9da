//! Scripts that run before any request asks for them: imported by workers as they start, or, without request
//! threads, in place of all else.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use wsgid_tests::venv::Python;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack, each_mpm};

/// An application, and beside it what it imports: names of modules that say in the log that they are.
const SHOW: &str = "\
import json, os, sys
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    imported = [module.name for module in list(sys.modules.values()) if getattr(module, 'name', '').startswith('warm')]
    return [json.dumps({'imported': imported, 'pid': os.getpid()}).encode()]
";

fn warm(name: &str) -> String {
    format!("import os\nname = 'warm-{name}'\nprint('imported', name, os.getpid(), flush=True)\n")
}

#[test]
fn scripts_are_imported_ahead_of_requests_in_their_order() {
    let stack = Stack::on(Mpm::Event)
        .file("apps/show.wsgi", SHOW)
        .file("apps/one.py", warm("one"))
        .file("apps/broken.py", "raise RuntimeError('broken on purpose')\n")
        .file("apps/two.py", warm("two"))
        .config("WSGIDaemonProcess site processes=2")
        .config("WSGIImportScript @APPS@/one.py process-group=site application-group=%{GLOBAL}")
        .config("WSGIImportScript @APPS@/broken.py process-group=site application-group=%{GLOBAL}")
        .config("WSGIImportScript apps/two.py process-group=site application-group=%{GLOBAL}")
        .config("WSGIImportScript @APPS@/two.py process-group=%{GLOBAL} application-group=alone")
        .config("WSGIScriptAlias / @APPS@/show.wsgi process-group=site application-group=%{GLOBAL}")
        .run();
    // Nobody has asked for anything.
    until("two workers of the one group, two of the other", || {
        stack.daemon().ready_workers("site").len() == 2 && !stack.daemon().ready_workers("").is_empty()
    });
    let worker = stack.daemon().ready_workers("site")[0].to_string();
    stack.logged("wsgid", &["imported warm-one", &worker]);
    stack.logged("wsgid", &["broken.py"]);
    stack.logged("wsgid", &["RuntimeError: broken on purpose"]);
    stack.logged("wsgid", &["imported warm-two", &worker]);
    let alone = stack.daemon().ready_workers("")[0].to_string();
    stack.logged("wsgid", &["imported warm-two", &alone]);
    let seen = stack.get("/").expect(200).json();
    assert_eq!(seen["imported"], json!(["warm-one", "warm-two"]));
}

/// What requests may not have run in a group is not imported there ahead of them either.
#[test]
fn a_group_imports_nothing_of_a_server_that_may_not_use_it() {
    let host = |name: &str, config: &str| format!("{config}\nWSGIScriptAlias / @APPS@/{name}.py");
    let stack = Stack::on(Mpm::Event)
        .file("apps/own.py", warm("own"))
        .file("apps/foreign.py", warm("foreign"))
        .file("apps/forbidden.py", warm("forbidden"))
        .config("WSGIApplicationGroup one\nWSGIProcessGroup bound")
        .site("one.example", &host("own", "WSGIDaemonProcess bound"))
        .site("two.example", &host("foreign", ""))
        .site("three.example", &host("forbidden", "WSGIProcessGroup all\nWSGIRestrictProcess other"))
        .config("WSGIDaemonProcess all")
        .config("WSGIImportScript @APPS@/own.py process-group=all application-group=last")
        .run();
    for (host, number) in [("two.example", "WSGI0152"), ("three.example", "WSGI0149")] {
        assert_eq!(stack.ask(&Request::get("/").host(host)).status, 500);
        stack.logged(host, &[number]);
    }
    until("both groups have imported what is theirs", || {
        ["bound", "all"].iter().all(|group| !stack.daemon().ready_workers(group).is_empty())
            && stack.log("wsgid").matches("imported warm-own").count() >= 2
    });
    for name in ["foreign", "forbidden"] {
        assert!(!stack.log("wsgid").contains(&format!("imported warm-{name}")), "{}", stack.log("wsgid"));
    }
}

#[test]
fn another_list_of_scripts_means_other_workers() {
    let mut stack = Stack::on(Mpm::Event)
        .file("apps/show.wsgi", SHOW)
        .file("apps/one.py", warm("one"))
        .file("apps/two.py", warm("two"))
        .config("WSGIDaemonProcess site")
        .config("WSGIImportScript @APPS@/one.py process-group=site application-group=%{GLOBAL}")
        .config("WSGIScriptAlias / @APPS@/show.wsgi process-group=site application-group=%{GLOBAL}")
        .run();
    let first = stack.get("/").expect(200).json();
    assert_eq!(first["imported"], json!(["warm-one"]));
    stack.graceful();
    assert_eq!(stack.get("/").expect(200).json()["pid"], first["pid"]);
    stack.reconfigure("one.py", "two.py");
    until("a worker that has imported the other", || {
        stack.get("/").expect(200).json()["imported"] == json!(["warm-two"])
    });
}

#[test]
fn no_list_of_scripts_means_workers_without_them() {
    let mut stack = Stack::on(Mpm::Event)
        .file("apps/show.wsgi", SHOW)
        .file("apps/one.py", warm("one"))
        .config("WSGIDaemonProcess site umask=022")
        .config("WSGIImportScript @APPS@/one.py process-group=site application-group=%{GLOBAL}")
        // A directory of scripts: the configuration names none of them.
        .config("WSGIScriptAlias / @APPS@/\nWSGIProcessGroup site\nWSGIApplicationGroup %{GLOBAL}")
        .run();
    let seen = |stack: &Stack| stack.get("/show.wsgi").expect(200).json();
    assert_eq!(seen(&stack)["imported"], json!(["warm-one"]));
    stack.reconfigure("WSGIImportScript", "#WSGIImportScript");
    until("a worker that has not imported it", || seen(&stack)["imported"] == json!([]));
    // What requests have taught the pool is no reason for another one.
    let second = seen(&stack);
    stack.graceful();
    assert_eq!(seen(&stack), second);
    // Nor is it imported by the workers of a group that changes at the same time.
    stack.reconfigure("#WSGIImportScript", "WSGIImportScript");
    until("a worker that has imported it", || seen(&stack)["imported"] == json!(["warm-one"]));
    let before = said(&stack, "imported one ").len();
    stack.reconfigure("umask=022\nWSGIImportScript", "umask=027\n#WSGIImportScript");
    until("a worker of the changed group", || seen(&stack)["imported"] == json!([]));
    assert_eq!(said(&stack, "imported one ").len(), before);
}

#[test]
fn workers_give_way_only_to_those_that_import_every_script() {
    let stack = Stack::on(Mpm::Event)
        .file("apps/show.wsgi", SHOW)
        .file("apps/one.py", warm("one"))
        .config("WSGIDaemonProcess site")
        .config("WSGIImportScript @APPS@/one.py process-group=site application-group=%{GLOBAL}")
        .config("WSGIScriptAlias / @APPS@/show.wsgi process-group=site application-group=%{GLOBAL}")
        .run();
    let pid = || stack.get("/").expect(200).json()["pid"].clone();
    let first = pid();
    stack.place.write("apps/one.py", "raise RuntimeError('no more')\n");
    stack.place.write("apps/show.wsgi", format!("{SHOW}\n"));
    assert_eq!(pid(), first);
    stack.logged("wsgid", &["does not import"]);
    assert_eq!(pid(), first);
    stack.place.write("apps/one.py", warm("one"));
    until("the mended script is tried", || pid() != first);
}

/// What a line of the service's in the log says behind these words.
fn said(stack: &Stack, words: &str) -> Vec<String> {
    let log = stack.log("wsgid");
    let lines = log.lines().filter_map(|line| line.split_once(words));
    lines.map(|(_, rest)| rest.trim().to_string()).collect()
}

fn service(mpm: Mpm) -> Stack {
    Stack::on(mpm)
        .bring("service")
        .bring("hello")
        .config("WSGIDaemonProcess worker threads=0 umask=022")
        .config("WSGIImportScript @APPS@/service.wsgi process-group=worker application-group=%{GLOBAL}")
        .config(
            "WSGIScriptAlias / @APPS@/hello.wsgi\n<Location /service>\nWSGIProcessGroup worker\n</Location>",
        )
        .run()
}

fn is_gone(pid: u32) -> bool {
    kill(Pid::from_raw(pid as i32), None).is_err()
}

/// The process of the service, once it has begun.
fn begun(stack: &Stack, number: usize) -> u32 {
    until("the service has begun", || said(stack, "begun ").len() >= number);
    said(stack, "begun ")[number - 1].split(' ').next().unwrap().parse().unwrap()
}

each_mpm! {
    fn a_service_runs_without_requests_and_has_signals(mpm) {
        let stack = service(mpm);
        let pid = begun(&stack, 1);
        assert_eq!(said(&stack, "begun "), [format!("{pid} True True")], "main thread, signals");
        assert_eq!(stack.daemon().ready_workers("worker"), [pid]);
        // One that it has no handler for, and that is an event for others, is nothing to it.
        kill(Pid::from_raw(pid as i32), Signal::SIGHUP).unwrap();
        kill(Pid::from_raw(pid as i32), Signal::SIGUSR2).unwrap();
        stack.logged("wsgid", &["signalled", &pid.to_string()]);
        stack.get("/service").expect(500);
        stack.logged("error", &["WSGI8040", "'worker'", "threads=0"]);
        assert_eq!(stack.get("/").expect(200).text(), "Hello, world!\n");
        assert_eq!(stack.daemon().ready_workers("worker"), [pid]);
    }

    fn a_service_is_told_to_end_and_only_then_begins_anew(mpm) {
        let mut stack = service(mpm);
        let first = begun(&stack, 1);
        stack.graceful();
        assert_eq!(stack.daemon().ready_workers("worker"), [first], "nothing has changed for it");
        stack.reconfigure("umask=022", "umask=027");
        let second = begun(&stack, 2);
        assert_eq!(said(&stack, "told to end "), [format!("{first} 0")]);
        assert!(is_gone(first));
        // A signal from outside is the same to it.
        kill(Pid::from_raw(second as i32), Signal::SIGTERM).unwrap();
        let third = begun(&stack, 3);
        assert!(third != second && is_gone(second));
        // So is an order to reload.
        stack.wsgictl(&["reload", "--all"]);
        let fourth = begun(&stack, 4);
        assert!(fourth != third && is_gone(third));
        assert!(!stack.log("wsgid").contains("Address already in use"), "two were there at once");
        stack.reconfigure("WSGIImportScript", "#WSGIImportScript");
        until("the service has gone with its line", || is_gone(fourth));
        assert!(stack.daemon().pools("worker").is_empty());
    }
}

#[test]
fn a_service_that_ends_is_started_again_and_one_that_fails_says_why() {
    let stack = Stack::on(Mpm::Event)
        .file("apps/short.py", "import sys\nprint('short')\nsys.exit(3)\n")
        .file("apps/failing.py", "raise RuntimeError('on purpose')\n")
        .config("WSGIDaemonProcess short threads=0\nWSGIDaemonProcess failing threads=0")
        .config("WSGIDaemonProcess idle threads=0")
        .config("WSGIImportScript @APPS@/short.py process-group=short application-group=%{GLOBAL}")
        .config("WSGIImportScript @APPS@/failing.py process-group=failing application-group=%{GLOBAL}")
        .run();
    until("three times", || said(&stack, "] short").len() >= 3);
    stack.logged("wsgid", &["service script exited with status 0", "short"]);
    stack.logged("wsgid", &["RuntimeError: on purpose"]);
    stack.logged("wsgid", &["service script exited with status 1", "failing"]);
    stack.logged("error", &["'idle'", "threads=0"]);
    assert_ne!(stack.ask(&Request::get("/")).status, 503);
}

/// Its threads outlast by far what they would get at an end.
const THREADED: &str = "\
import atexit, os, threading, time
def work():
    time.sleep(4)
    print('still at work', os.getpid())
    threading.Thread(target=time.sleep, args=(600,)).start()
threading.Thread(target=work).start()
atexit.register(print, 'ended', os.getpid())
";

#[test]
fn threads_of_a_service_go_on_until_it_is_told_to_end() {
    let mut plan = Stack::on(Mpm::Event).file("apps/threaded.py", THREADED);
    let pythons = Python::all();
    for python in &pythons {
        let (minor, prefix) = (python.minor, python.prefix.display());
        let import = "WSGIImportScript @APPS@/threaded.py application-group=%{GLOBAL}";
        plan = plan.config(&format!(
            "WSGIDaemonProcess py{minor} threads=0 shutdown-timeout=1 python-home={prefix}\n{import} process-group=py{minor}"
        ));
    }
    let stack = plan.run();
    until("they work on behind their scripts", || said(&stack, "still at work").len() >= pythons.len());
    let first = said(&stack, "still at work");
    assert_eq!(said(&stack, "ended"), <[&str; 0]>::default());
    stack.wsgictl(&["reload", "--all"]);
    until("each is told to end", || first.iter().all(|pid| said(&stack, "ended").contains(pid)));
}
