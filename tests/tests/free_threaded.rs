//! Free-threaded Pythons (PEP 703): with their GIL unless they are to do without, and then in parallel.
//!
//! No distribution that this is tested on has one, so most of these are run by `tests/run --free-threaded PYTHON`
//! alone.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use wsgid_proto::launch::{EXTENSIONS, bootstrap};
use wsgid_tests::place::Place;
use wsgid_tests::serve::Serve;
use wsgid_tests::{Mpm, Plan, Stack};

/// Two requests of one process give each other the word many times over without ever waiting: with a GIL that
/// is handed on once an hour the first never hears of the second.
const TURNS: &str = "\
import json, sys, time

turn = [0]

def play(me):
    end = time.monotonic() + 10
    for _ in range(1000):
        while turn[0] != me:
            if time.monotonic() > end:
                return False
        turn[0] = 1 - me
    return True

def application(environ, start_response):
    me = environ['QUERY_STRING']
    said = {'abiflags': sys.abiflags, 'gil': getattr(sys.flags, 'gil', None), 'executable': sys.executable}
    said['has_gil'] = getattr(sys, '_is_gil_enabled', lambda: True)()
    if me:
        said['played'] = play(int(me))
    start_response('200 OK', [])
    return [json.dumps(said).encode()]
";

fn site(config: &str) -> Plan {
    Stack::on(Mpm::Event)
        .file("turns.wsgi", TURNS)
        .config("<Directory @ROOT@>\nRequire all granted\n</Directory>")
        .config("WSGIDaemonProcess site processes=1 threads=2 switch-interval=3600\nWSGIProcessGroup site")
        .config(config)
        .config("WSGIScriptAlias / @ROOT@/turns.wsgi")
}

/// The one that is to be tried.
fn python() -> PathBuf {
    std::env::var_os("WSGID_FREE_THREADED").expect("tests/run --free-threaded PYTHON sets it").into()
}

/// With that.
fn free_threaded(config: &str) -> Plan {
    let python = python();
    let home = python.parent().and_then(Path::parent).expect("HOME/bin/python");
    site(&format!("WSGIPythonHome @HOME@\n{config}")).with("HOME", home)
}

fn said(stack: &Stack, target: &str) -> Value {
    stack.get(target).expect(200).json()
}

#[ignore = "needs a free-threaded Python: tests/run --free-threaded"]
#[test]
fn threads_run_in_parallel() {
    let stack = free_threaded("WSGIFreeThreading On").run();
    let both = std::thread::scope(|scope| {
        let players = ["/?0", "/?1"].map(|target| scope.spawn(|| said(&stack, target)));
        players.map(|player| player.join().unwrap())
    });
    for one in both {
        assert_eq!((&one["played"], &one["has_gil"]), (&json!(true), &json!(false)), "{one}");
    }
}

#[ignore = "needs a free-threaded Python: tests/run --free-threaded"]
#[test]
fn unless_that_is_wanted_there_is_a_gil() {
    let stack = free_threaded("").run();
    let one = said(&stack, "/");
    assert_eq!(
        (&one["abiflags"], &one["has_gil"], &one["gil"]),
        (&json!("t"), &json!(true), &json!(1)),
        "{one}"
    );
    stack.logged("wsgid", &["keeps its GIL: free-threading is off"]);
}

#[ignore = "needs a free-threaded Python: tests/run --free-threaded"]
#[test]
fn sections_may_say_so_of_single_application_groups() {
    let section =
        "<WSGIInterpreterOptions application-group=free>\nWSGIFreeThreading On\n</WSGIInterpreterOptions>";
    let alias = "WSGIScriptAlias /free @ROOT@/turns.wsgi application-group=free";
    let stack = free_threaded(&format!("{section}\n{alias}")).run();
    assert_eq!(said(&stack, "/free")["has_gil"], json!(false));
    assert_eq!(said(&stack, "/")["has_gil"], json!(true));
}

#[ignore = "needs a free-threaded Python: tests/run --free-threaded"]
#[test]
fn a_module_that_needs_the_gil_brings_it_back_and_the_log_names_it() {
    // A module of C that says nothing of the matter needs it. The standard library has none, so this one is made.
    let module = "#include <Python.h>\n\
        static struct PyModuleDef def = { PyModuleDef_HEAD_INIT, \"needy\", NULL, -1, NULL };\n\
        PyMODINIT_FUNC PyInit_needy(void) { return PyModule_Create(&def); }\n";
    let forced = "WSGIDaemonProcess forced env=PYTHON_GIL=0\n\
        WSGIScriptAlias /forced @ROOT@/turns.wsgi process-group=forced application-group=%{GLOBAL}";
    let plan = free_threaded(&format!("WSGIFreeThreading On\n{forced}"));
    let mut stack = plan.file("lib/needy.c", module).without_daemon().run();
    let lib = stack.place.path("lib");
    let ask = "import sysconfig; print(sysconfig.get_path('include'))";
    let include = Command::new(python()).args(["-c", ask]).output().unwrap().stdout;
    let include = String::from_utf8(include).unwrap();
    let mut compiler = Command::new("cc");
    compiler.current_dir(&lib).args(["-shared", "-fPIC", "-o", "needy.so", "needy.c", "-I", include.trim()]);
    assert!(compiler.status().unwrap().success());
    let script = std::fs::read_to_string(stack.place.path("turns.wsgi")).unwrap();
    let script = format!("import sys; sys.path.insert(0, {lib:?}); import needy\n{script}");
    std::fs::write(stack.place.path("turns.wsgi"), script).unwrap();
    stack.start_daemon();
    assert_eq!(said(&stack, "/")["has_gil"], json!(true));
    stack.logged("wsgid", &["RuntimeWarning", "needy"]);
    assert_eq!(said(&stack, "/forced")["has_gil"], json!(false));
}

#[test]
fn a_python_with_a_gil_keeps_it_and_the_log_says_so() {
    let stack = site("WSGIFreeThreading On").run();
    assert_eq!(said(&stack, "/")["has_gil"], json!(true));
    stack.logged("wsgid", &["free-threading=On has no effect: Python 3."]);
}

/// What a worker of another Python would say, as far as it can be told without one.
fn refusal(pretence: &str) -> String {
    let program = format!("import sys; {pretence}\n{}", bootstrap(&EXTENSIONS[..1], false));
    let output = Command::new("/usr/bin/python3").args(["-c", &program]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_python_that_is_not_served_says_why() {
    let said = refusal("sys.abiflags = 't'; sys.version_info = (3, 13)");
    assert!(
        said.ends_with("is a free-threaded Python 3.13, and there is no _wsgid.cpython-313t.so for it\n"),
        "{said}"
    );
    let said = refusal("sys.version_info = (3, 8)");
    assert!(said.ends_with("is Python 3.8; the oldest that mod_wsgid serves is 3.9\n"), "{said}");
}

#[ignore = "needs a free-threaded Python: tests/run --free-threaded"]
#[test]
fn serve_has_it_too() {
    let python = python();
    let place = Place::new(None);
    place.write("turns.wsgi", TURNS);
    for (more, has_gil) in [(&["--free-threading"][..], false), (&[], true)] {
        let arguments = [&["turns.wsgi", "--python", python.to_str().unwrap()], more].concat();
        let serve = Serve::start(place.root(), &arguments);
        assert_eq!(serve.get("/").expect(200).json()["has_gil"], json!(has_gil));
        assert!(serve.interrupt().success());
    }
}
