//! `wsgid serve`: one application, no configuration, no root; and the quick start on top of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use wsgid_tests::place::Place;
use wsgid_tests::serve::Serve;
use wsgid_tests::stack::free_ports;
use wsgid_tests::stage::repository;
use wsgid_tests::wait::until;

fn place() -> Place {
    let place = Place::new(None);
    place.install_app("hello");
    place
}

fn saying(word: &str) -> String {
    format!(
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{word}']\n\n\n\
         other = application\n"
    )
}

#[test]
fn a_script_is_served_until_ctrl_c() {
    let place = place();
    let serve = Serve::start(place.root(), &["apps/hello.wsgi"]);
    assert_eq!(serve.get("/").expect(200).text(), "Hello, world!\n");
    assert_eq!(serve.get("/any/path?q").expect(200).text(), "Hello, world!\n");
    let said = serve.said();
    assert!(serve.interrupt().success(), "{said}");
}

#[test]
fn a_callable_of_a_module_is_served() {
    let place = place();
    place.write("package/__init__.py", "");
    place.write("package/site.py", saying("from a module"));
    for application in ["package.site:application", "package.site:other"] {
        let serve = Serve::start(place.root(), &[application]);
        assert_eq!(serve.get("/").expect(200).text(), "from a module", "{application}");
        assert!(serve.interrupt().success());
    }
}

#[test]
fn the_port_can_be_given() {
    let place = place();
    let [port] = free_ports();
    let serve = Serve::start(place.root(), &["apps/hello.wsgi", "--port", &port.to_string()]);
    assert_eq!(serve.port(), port);
    assert_eq!(serve.get("/").expect(200).text(), "Hello, world!\n");
    assert!(serve.interrupt().success());
}

#[test]
fn two_run_side_by_side() {
    let place = place();
    place.write("other.wsgi", saying("another"));
    let one = Serve::start(place.root(), &["apps/hello.wsgi"]);
    let two = Serve::start(place.root(), &["other.wsgi"]);
    assert_eq!(one.get("/").expect(200).text(), "Hello, world!\n");
    assert_eq!(two.get("/").expect(200).text(), "another");
    assert!(one.interrupt().success() && two.interrupt().success());
}

#[test]
fn changed_code_is_picked_up() {
    let place = place();
    place.write("beside.py", "word = 'old'\n");
    place.write(
        "app.wsgi",
        "import beside\n".to_string() + &saying("x").replace("b'x'", "beside.word.encode()"),
    );
    let serve = Serve::start(place.root(), &["app.wsgi", "--reload"]);
    assert_eq!(serve.get("/").expect(200).text(), "old");
    // Not the script itself, but what it imports.
    place.write("beside.py", "word = 'new'\nlonger = True\n");
    until("the new code", || serve.get("/").expect(200).text() == "new");
    assert!(serve.interrupt().success());
}

#[test]
fn logs_and_tracebacks_are_shown() {
    let place = place();
    place.install_app("failing");
    place.install_app("logging");
    let serve = Serve::start(place.root(), &["apps/failing.wsgi"]);
    assert_eq!(serve.get("/before").status, 500);
    serve.says("RuntimeError: raised before start_response on purpose");
    assert!(serve.interrupt().success());
    let serve = Serve::start(place.root(), &["apps/logging.wsgi"]);
    serve.get("/?t0k3n").expect(200);
    serve.says("print to stderr t0k3n");
    assert!(serve.interrupt().success());
}

/// One sentence, an exit status, no traceback or panic of ours.
#[track_caller]
fn refused(dir: &Path, arguments: &[&str], path: &str, told: &[&str]) {
    let mut serve = Serve::start_with(dir, arguments, path);
    let status = serve.ended();
    assert!(matches!(status.code(), Some(1..=100)), "{status}");
    until("an explanation", || told.iter().all(|part| serve.said().contains(part)));
    let said = serve.said();
    for ours in ["panicked", "RUST_BACKTRACE", "src/"] {
        assert!(!said.contains(ours), "{said}");
    }
}

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

#[test]
fn what_is_missing_or_taken_is_said_in_a_sentence() {
    let place = place();
    refused(place.root(), &["missing.wsgi"], PATH, &["missing.wsgi"]);
    refused(place.root(), &["no_such_module:application"], PATH, &["no_such_module"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(place.root(), &["apps/hello.wsgi", "--port", &port], PATH, &[&port, "in use"]);
    refused(place.root(), &["apps/hello.wsgi", "--nonsense"], PATH, &["--nonsense"]);
    refused(place.root(), &[], PATH, &["Usage"]);
}

#[test]
fn a_script_that_does_not_import_is_told_with_its_traceback() {
    let place = place();
    place.install_app("import_error");
    refused(place.root(), &["apps/import_error.wsgi"], PATH, &["RuntimeError: the import fails on purpose"]);
    place.install_app("no_callable");
    refused(place.root(), &["apps/no_callable.wsgi"], PATH, &["application", "no_callable.wsgi"]);
}

/// A directory with nothing but these programs.
fn path_with(place: &Place, programs: &[&str]) -> String {
    let dir = place.make_dir(&format!("only-{}", programs.len()));
    for program in programs {
        symlink(program, dir.join(Path::new(program).file_name().unwrap())).unwrap();
    }
    dir.display().to_string()
}

#[test]
fn a_missing_python_is_told() {
    let place = place();
    let path = path_with(&place, &[wsgid_tests::httpd::program().to_str().unwrap()]);
    refused(place.root(), &["apps/hello.wsgi"], &path, &["python3"]);
}

#[test]
fn a_missing_httpd_is_told() {
    let place = place();
    refused(
        place.root(),
        &["apps/hello.wsgi", "--httpd", "/nonexistent/httpd"],
        PATH,
        &["/nonexistent/httpd"],
    );
}

#[test]
fn the_quickstart_explains_itself() {
    let output =
        std::process::Command::new(repository().join("packaging/quickstart")).arg("--help").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("http://127.0.0.1:8000/"), "{said}");
    for script in
        ["packaging/quickstart", "packaging/install", "tests/run", ".ci/run", "packaging/prerequisites.sh"]
    {
        let checked =
            std::process::Command::new("bash").arg("-n").arg(repository().join(script)).output().unwrap();
        assert!(checked.status.success(), "{script}: {}", String::from_utf8_lossy(&checked.stderr));
        assert!(fs::read_to_string(repository().join(script)).unwrap().starts_with('#'));
    }
}
