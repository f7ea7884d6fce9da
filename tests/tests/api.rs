//! The modules `mod_wsgi` and `apache` as far as they reach beyond one request: the web server, signals, the
//! end of a process. What one request shows stands in the conformance table.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::File;
use std::time::Duration;
use wsgid_proto::launch::Reason;
use wsgid_tests::wait::{PATIENCE, until};
use wsgid_tests::{Mpm, Plan, Stack, each_mpm, eventually};

const SITE: &str = "WSGIDaemonProcess site threads=2\nWSGIProcessGroup site\nWSGIApplicationGroup %{GLOBAL}";

fn site(options: &str) -> Plan {
    Stack::on(Mpm::Event).config(&SITE.replace("threads=2", options)).app("api")
}

fn json(stack: &Stack, target: &str) -> Value {
    stack.get(target).expect(200).json()
}

/// As an administrator asks for new workers.
#[track_caller]
fn reload(stack: &Stack) {
    stack.wsgictl(&["reload", "site"]);
}

each_mpm! {
    fn apache_describes_the_web_server(mpm) {
        let stack = Stack::on(mpm).config(SITE).config("ServerTokens Full").app("api").run();
        let reply = stack.get("/apache").expect(200);
        let apache = reply.json();
        let server = reply.header("Server").unwrap();
        assert_eq!(apache["description"], server);
        let version: Vec<String> =
            apache["version"].as_array().unwrap().iter().map(ToString::to_string).collect();
        assert!(server.starts_with(&format!("Apache/{} ", version.join("."))), "{server}");
        assert_eq!(apache["mpm_name"], mpm.name().trim_start_matches("mpm_"));
        let (processes, threads) = (&apache["maximum_processes"], &apache["threads_per_process"]);
        assert!(processes.as_u64().unwrap() > 0);
        assert_eq!(threads.as_u64().unwrap() > 1, mpm != Mpm::Prefork);
        assert!(!apache["build_date"].as_str().unwrap().is_empty());
    }
}

/// The worker's last word on its end.
fn last_word(stack: &Stack, reason: &str) {
    let line = format!("the application hears process_stopping {{\"shutdown_reason\": \"{reason}\"}}");
    until("the event of its end", || stack.log("wsgid").contains(&line));
    // The daemon may quote it once more, escaped, as the last line of a worker that has ended.
    assert_eq!(stack.log("wsgid").matches("hears process_stopping {\"").count(), 1);
}

/// The daemon says why it replaces a worker, in words that administrators can look for.
#[track_caller]
fn is_replaced(stack: &Stack, reason: Reason) {
    stack.logged("wsgid", &[&format!("worker is replaced: it {}", reason.words()), "group=site"]);
}

#[test]
fn a_changed_script_is_the_reason_to_stop() {
    let stack = site("threads=2").run();
    let before = json(&stack, "/pid");
    let file = File::options().write(true).open(stack.place.path("apps/api.wsgi")).unwrap();
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(10)).unwrap();
    until("a new worker", || json(&stack, "/pid") != before);
    last_word(&stack, "script_reload");
    stack.logged("wsgid", &["starting worker", "group=site", "uid=", "gid=", "threads=2"]);
    stack.logged("wsgid", &["worker is ready", "group=site"]);
    stack.logged("wsgid", &["reload wanted: ", "apps/api.wsgi has changed", "group=site"]);
}

#[test]
fn so_is_whoever_asks_for_new_workers() {
    let stack = site("threads=2").run();
    let before = json(&stack, "/pid");
    reload(&stack);
    until("a new worker", || json(&stack, "/pid") != before);
    last_word(&stack, "graceful_signal");
}

#[test]
fn so_is_the_end_of_the_daemon() {
    let mut stack = site("threads=2").run();
    json(&stack, "/pid");
    stack.stop_daemon();
    last_word(&stack, "shutdown_signal");
    stack.logged("wsgid", &["worker exited with status 0", "group=site"]);
}

#[test]
fn so_are_signals() {
    for (signal, reason) in [
        (Signal::SIGTERM, "shutdown_signal"),
        (Signal::SIGINT, "shutdown_signal"),
        (Signal::SIGUSR1, "graceful_signal"),
    ] {
        let stack = site("threads=2").run();
        let pid = json(&stack, "/pid").as_i64().unwrap();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
        last_word(&stack, reason);
        if signal == Signal::SIGUSR1 {
            is_replaced(&stack, Reason::Graceful);
        }
    }
}

/// What is left to do when a worker has these options, and the reason that it hears then.
#[test]
fn each_way_to_be_replaced_is_told_as_the_reason() {
    let nothing = |_: &Stack| {};
    let sleep = |stack: &Stack| drop(stack.get("/sleep").expect(504));
    let signal = |number: Signal| move |stack: &Stack| drop(json(stack, &format!("/kill?{}", number as i32)));
    type Deed<'a> = &'a dyn Fn(&Stack);
    let cases: [(&str, Deed<'_>, &str); 7] = [
        ("maximum-requests=1", &nothing, "maximum_requests"),
        ("restart-interval=1", &nothing, "restart_interval"),
        ("inactivity-timeout=1", &nothing, "inactivity_timeout"),
        ("threads=1 request-timeout=1 graceful-timeout=1", &sleep, "request_timeout"),
        ("cpu-time-limit=60", &signal(Signal::SIGXCPU), "cpu_time_limit"),
        ("memory-high=1000000", &nothing, "memory_limit"),
        ("eviction-timeout=3", &signal(Signal::SIGUSR1), "eviction_signal"),
    ];
    for (options, deed, reason) in cases {
        let stack = site(options).run();
        json(&stack, "/pid");
        deed(&stack);
        let line = format!("hears process_stopping {{\"shutdown_reason\": \"{reason}\"}}");
        until(&line, || stack.log("wsgid").contains(&line));
        is_replaced(&stack, Reason::named(reason).unwrap());
    }
}

#[test]
fn an_application_that_did_not_start_is_told_so() {
    let app = "import mod_wsgi, sys\n\
               @mod_wsgi.subscribe_shutdown\n\
               def stopping(name, **payload):\n    print('hears', payload, file=sys.stderr)\n\
               raise RuntimeError('not yet')\n";
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site startup-timeout=1")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .file("code/app.wsgi", app)
        .run();
    stack.logged("wsgid", &["hears {'shutdown_reason': 'startup_timeout'}"]);
    is_replaced(&stack, Reason::Startup);
}

#[test]
fn a_signal_that_nobody_is_subscribed_to_ends_nothing() {
    let stack = site("threads=2").run();
    let pid = json(&stack, "/pid");
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        assert_eq!(json(&stack, &format!("/kill?{}", signal as i32)), pid);
        assert_eq!(json(&stack, "/pid"), pid);
    }
}

#[test]
fn a_handler_of_the_applications_is_ignored_and_the_log_says_where_it_was_set() {
    let stack = site("threads=2").run();
    let seen = json(&stack, "/signals");
    assert_eq!(
        seen,
        json!({"returned": true, "installed": false, "alarms": [], "function": "SignalIntercept"})
    );
    assert_eq!(json(&stack, "/forked"), 0);
    stack.logged("wsgid", &["The handler that the application sets for signal 14 is ignored"]);
    stack.logged("wsgid", &["given = signal.signal(signal.SIGALRM, ring)"]);
}

#[test]
fn unless_signals_are_not_restricted() {
    let stack = site("threads=2 restrict-signal=Off").run();
    let pid = json(&stack, "/kill?14");
    eventually(PATIENCE, "the handler's note", || {
        let seen = json(&stack, "/signals");
        if seen["alarms"] == json!([14]) { Ok(()) } else { Err(seen.to_string()) }
    });
    let seen = json(&stack, "/signals");
    assert_eq!((&seen["installed"], &seen["function"]), (&json!(true), &json!("function")));
    // It can be ended all the same.
    reload(&stack);
    until("a new worker", || json(&stack, "/pid") != pid);
}

/// A thread that is noting a request at the moment of the fork has the metrics' lock, and is not there in the child.
#[test]
fn a_forked_child_has_no_metrics() {
    let stack = site("threads=2").run();
    assert_eq!(json(&stack, "/measured"), json!([true, 0]));
}

#[test]
fn restricted_streams_are_errors_that_name_them() {
    let stack = site("threads=2").run();
    assert_eq!(json(&stack, "/streams"), json!([["_io.TextIOWrapper", "''"], ["_io.TextIOWrapper", "True"]]));
    let stack = site("threads=2 restrict-stdin=On restrict-stdout=On").run();
    let restricted =
        |name: &str| json!(["mod_wsgi.Restricted", format!("sys.{name} access restricted by mod_wsgi")]);
    assert_eq!(json(&stack, "/streams"), json!([restricted("stdin"), restricted("stdout")]));
}

#[test]
fn the_package_from_pypi_is_found_beside_the_module_and_not_run() {
    let stack = site("threads=2 python-path=@ROOT@/lib")
        .file("lib/mod_wsgi/__init__.py", "raise AssertionError('the package itself is not imported')\n")
        .file("lib/mod_wsgi/express.py", "WHERE = __name__\n")
        .run();
    assert_eq!(json(&stack, "/companion"), json!(["mod_wsgi.express", true, false]));
    let stack = site("threads=2").run();
    let missing = json(&stack, "/companion");
    assert!(missing.as_str().unwrap().contains("No module named 'mod_wsgi.express'"), "{missing}");
}

const WISHFUL: &str = "
import os
def reload_required(resource):
    if os.path.exists(resource + '.fail'):
        raise RuntimeError('it can not tell')
    return os.path.exists(resource + '.wish')
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

#[test]
fn a_script_may_ask_for_its_own_reload() {
    let stack = Stack::on(Mpm::Event)
        .config(SITE)
        .file("apps/wishful.wsgi", WISHFUL)
        .config("WSGIScriptAlias / @ROOT@/apps/wishful.wsgi")
        .run();
    let pid = || stack.get("/").expect(200).text();
    let before = pid();
    stack.place.write("apps/wishful.wsgi.fail", "");
    assert_eq!(pid(), before);
    stack.logged("error", &["it can not tell"]);
    std::fs::remove_file(stack.place.path("apps/wishful.wsgi.fail")).unwrap();
    stack.place.write("apps/wishful.wsgi.wish", "");
    assert_eq!(pid(), before, "the request that finds out is served by the code that is there");
    std::fs::remove_file(stack.place.path("apps/wishful.wsgi.wish")).unwrap();
    until("a new worker", || pid() != before);
}

#[test]
fn a_script_says_how_its_text_is_encoded() {
    let script = b"# -*- coding: latin-1 -*-\nWORD = '\xfcber'\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [WORD.encode('utf-8')]\n";
    let stack = Stack::on(Mpm::Event)
        .config(SITE)
        .file("apps/latin.wsgi", script)
        .config("WSGIScriptAlias / @ROOT@/apps/latin.wsgi")
        .run();
    assert_eq!(stack.get("/").expect(200).text(), "\u{fc}ber");
}
