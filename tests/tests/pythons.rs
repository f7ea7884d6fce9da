//! Interpreters: several versions side by side, virtual environments, and none inside httpd.

use serde_json::json;
use std::os::unix::fs::MetadataExt;
use wsgid_tests::httpd::web_user;
use wsgid_tests::venv::{Python, venv};
use wsgid_tests::{Mpm, Plan, Request, Stack, each_mpm};

#[test]
fn every_python_of_this_machine_answers_in_one_apache() {
    let pythons = Python::all();
    if pythons.len() == 1 {
        eprintln!("only one Python on this machine: tried with 3.{} alone", pythons[0].minor);
    }
    let mut plan = Stack::on(Mpm::Event).bring("whoami");
    for python in &pythons {
        let (minor, prefix) = (python.minor, python.prefix.display());
        plan = plan.config(&format!("WSGIDaemonProcess py{minor} python-home={prefix}"));
        plan = plan.config(&format!(
            "WSGIScriptAlias /{minor} @APPS@/whoami.wsgi process-group=py{minor} application-group=%{{GLOBAL}}"
        ));
    }
    let stack = plan.run();
    for _ in 0..3 {
        for python in &pythons {
            let who = stack.get(&format!("/{}", python.minor)).expect(200).json();
            assert_eq!((&who["version"][0], &who["version"][1]), (&json!(3), &json!(python.minor)));
            assert_eq!(who["process_group"], json!(format!("py{}", python.minor)));
        }
    }
}

/// Python's own directories, the libraries it would be loaded from, or our extension.
fn names_python(map: &str) -> bool {
    ["libpython", "/python3", "/_wsgid"].iter().any(|part| map.contains(part))
}

each_mpm! {
    fn httpd_has_no_python_while_it_serves(mpm) {
        let stack = Stack::on(mpm).mount("/x", "whoami").app("hello").run();
        let mut connections: Vec<_> = (0..8).map(|_| stack.connect()).collect();
        for connection in &mut connections {
            connection.ask(&Request::get("/")).expect(200);
        }
        let mut looked_at = 0;
        for pid in stack.httpd().children().into_iter().chain([stack.httpd().pid(), stack.daemon().pid()]) {
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
            assert!(maps.contains("apache2") || maps.contains("httpd") || maps.contains("wsgid"), "{maps}");
            assert_eq!(maps.lines().find(|line| names_python(line)), None, "process {pid}");
            looked_at += 1;
        }
        assert!(looked_at >= 3);
        // The same look finds it where it is.
        let worker = stack.get("/x").expect(200).json()["pid"].clone();
        let maps = std::fs::read_to_string(format!("/proc/{worker}/maps")).unwrap();
        assert!(maps.lines().any(names_python), "{maps}");
    }
}

/// A project with a module beside its script and a virtual environment.
fn project(config: &str) -> Plan {
    Stack::on(Mpm::Event)
        .with("VENV", venv("plain", &[]))
        .bring("whoami")
        .file("project/beside.py", "word = 'beside'\n")
        .file("project/paths.pth", "@ROOT@/project/deeper\n")
        .file("project/deeper/deep.py", "word = 'deep'\n")
        .file("project/app.wsgi", IMPORTER)
        .config(config)
        .config("<Directory @ROOT@/project>\nRequire all granted\n</Directory>")
        .config("WSGIScriptAlias /imports @ROOT@/project/app.wsgi")
        .mount("/", "whoami")
}

const IMPORTER: &str = "\
import beside, deep
def application(environ, start_response):
    start_response('200 OK', [])
    return [(beside.word + ' ' + deep.word).encode()]
";

#[test]
fn a_group_has_its_virtual_environment_and_paths() {
    let stack = project(
        "WSGIDaemonProcess site python-home=@VENV@ python-path=@ROOT@/project home=@ROOT@/htdocs umask=027 \
         lang=C.UTF-8 locale=C.UTF-8\nWSGIProcessGroup site\nWSGIApplicationGroup %{GLOBAL}",
    )
    .run();
    let who = stack.get("/").expect(200).json();
    let venv = venv("plain", &[]);
    assert_eq!(who["prefix"], json!(venv));
    assert_eq!(who["executable"], json!(venv.join("bin/python")));
    assert_eq!(who["cwd"], json!(stack.place.path("htdocs")));
    assert_eq!(
        (&who["environment"]["LANG"], &who["environment"]["LC_ALL"]),
        (&json!("C.UTF-8"), &json!("C.UTF-8"))
    );
    let path: Vec<&str> = who["path"].as_array().unwrap().iter().map(|dir| dir.as_str().unwrap()).collect();
    let root = stack.place.root().display();
    assert_eq!(
        &path[..3],
        [format!("{root}/htdocs"), format!("{root}/project"), format!("{root}/project/deeper")]
    );
    assert_eq!(stack.get("/imports").expect(200).text(), "beside deep");
}

#[test]
fn the_implicit_group_has_the_servers_python_and_path() {
    let stack = project("WSGIPythonHome @VENV@\nWSGIPythonPath @ROOT@/project").run();
    assert_eq!(stack.get("/").expect(200).json()["prefix"], json!(venv("plain", &[])));
    assert_eq!(stack.get("/imports").expect(200).text(), "beside deep");
}

#[test]
fn a_declared_group_has_the_servers_python_but_not_its_path() {
    let stack = project(
        "WSGIPythonHome @VENV@\nWSGIPythonPath @ROOT@/project\nWSGIDaemonProcess site\nWSGIProcessGroup site",
    )
    .run();
    assert_eq!(stack.get("/").expect(200).json()["prefix"], json!(venv("plain", &[])));
    stack.get("/imports").expect(500);
    stack.logged("error", &["ModuleNotFoundError: No module named 'beside'"]);
}

/// Where packages that came as archives are unpacked: `pkg_resources` goes by the variable.
#[test]
fn eggs_are_unpacked_where_the_group_has_them() {
    let group = |name: &str| format!("WSGIScriptAlias /{name} @APPS@/whoami.wsgi process-group={name}");
    let stack = Stack::on(Mpm::Event)
        .config("WSGIPythonEggs @ROOT@/eggs\nWSGIDaemonProcess own python-eggs=@ROOT@/others\nWSGIDaemonProcess none")
        .config(&[group("own"), group("none")].join("\n"))
        .app("whoami")
        .run();
    let cache =
        |target: &str| stack.get(target).expect(200).json()["environment"]["PYTHON_EGG_CACHE"].clone();
    assert_eq!(cache("/"), json!(stack.place.path("eggs")));
    assert_eq!(cache("/own"), json!(stack.place.path("others")));
    // As in mod_wsgi, what the main server says is for the implicit group.
    assert_eq!(cache("/none"), json!(null));
}

#[test]
fn a_python_home_that_is_none_is_told_and_harms_nobody_else() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess bad python-home=/nonexistent connect-timeout=2\nWSGIDaemonProcess good")
        .bring("hello")
        .config("WSGIScriptAlias /bad @APPS@/hello.wsgi process-group=bad")
        .config("WSGIScriptAlias /good @APPS@/hello.wsgi process-group=good")
        .run();
    stack.get("/bad").expect(503);
    wsgid_tests::wait::until("a log names it", || {
        (stack.log("error") + &stack.log("wsgid")).contains("/nonexistent")
    });
    assert_eq!(stack.get("/good").expect(200).text(), "Hello, world!\n");
}

#[test]
fn files_that_an_application_makes_have_its_umask_and_owner() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site umask=0027\nWSGIProcessGroup site")
        .app("closing")
        .run();
    let marker = stack.place.make_public_dir("markers").join("a");
    stack.get(&format!("/whole?{}", marker.display())).expect(200);
    wsgid_tests::wait::until("the file", || marker.exists());
    let meta = std::fs::metadata(&marker).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o640);
    if nix::unistd::getuid().is_root() {
        let user = nix::unistd::User::from_name(web_user()).unwrap().unwrap();
        assert_eq!(meta.uid(), user.uid.as_raw());
    }
}
