//! What goes wrong, how it is answered and where it is told. Every site has an error log of its own,
//! and what concerns one is not found in the other's.

use std::time::Duration;
use wsgid_tests::httpd::configtest;
use wsgid_tests::{Mpm, Request, Stack, each_mpm, eventually};

each_mpm! {
    fn streams_end_in_the_log_of_the_requests_own_site(mpm) {
        let stack = two_sites(mpm, "WSGIScriptAlias / @APPS@/logging.wsgi").bring("logging").run();
        let mut connection = stack.connect();
        let port = connection.writer().local_addr().unwrap().port();
        let client = format!("[client 127.0.0.1:{port}]");
        connection.ask(&Request::get("/?t0k3n").host("one.example")).expect(200);
        for text in [
            "errors.write t0k3n",
            "errors.writelines t0k3n",
            "in two parts t0k3n",
            "no end of line t0k3n",
            "mlaut t0k3n",
            "print to stderr t0k3n",
            "print to stdout t0k3n",
        ] {
            let line = stack.logged("one.example", &[text, &client]);
            assert!(line.contains("[wsgi:error]"), "{line}");
        }
        assert!(!stack.log("two.example").contains("t0k3n"));
        assert!(!stack.log("error").contains("t0k3n"));
    }

    fn an_exception_is_a_500_with_its_traceback(mpm) {
        let stack = two_sites(mpm, "WSGIScriptAlias / @APPS@/failing.wsgi").bring("failing").run();
        for (how, told) in [
            ("before", "RuntimeError: raised before start_response on purpose"),
            ("after-start", "RuntimeError: raised after start_response on purpose"),
            ("exit", "SystemExit"),
            ("no-start", "start_response"),
            ("status", "2OO OK"),
            ("status-split", "status"),
            ("header-name", "X Y"),
            ("header-split", "X-Header"),
            ("headers-tuple", "list"),
            ("none", "NoneType"),
            ("text", "byte string"),
        ] {
            let reply = stack.get_from("one.example", &format!("/{how}"));
            assert_eq!(reply.status, 500, "{how}");
            assert!(reply.text().contains("Internal Server Error"), "{how}: no error page of Apache's");
            assert!(!reply.head.contains("X-Split"), "{how}: {}", reply.head);
            stack.logged("one.example", &[told, "[client 127.0.0.1:"]);
        }
        stack.logged("one.example", &["Exception occurred processing WSGI script '", "failing.wsgi'."]);
        stack.logged("one.example", &["Traceback (most recent call last)"]);
        stack.logged("one.example", &["failing.wsgi", "line", "in application"]);
        assert!(!stack.log("two.example").contains("Traceback"));
        // The same worker goes on.
        assert_eq!(stack.get_from("one.example", "/good").expect(200).text(), "it did not fail\n");
    }

    fn an_answer_that_fails_midway_is_never_made_to_look_whole(mpm) {
        let stack = Stack::on(mpm).app("failing").run();
        let midway = stack.connect().ask(&Request::get("/midway"));
        assert_eq!((midway.status, midway.text().as_str(), midway.whole), (200, "a part\n", false));
        stack.logged("error", &["RuntimeError: raised midway on purpose"]);
        let short = stack.connect().ask(&Request::get("/short"));
        assert_eq!((short.status, short.text().as_str(), short.whole), (200, "short", false));
    }

    fn a_script_that_is_missing_is_a_404(mpm) {
        let stack = two_sites(mpm, "WSGIScriptAlias / @APPS@/missing.wsgi").run();
        stack.get_from("one.example", "/").expect(404);
        stack.logged("one.example", &["missing.wsgi"]);
    }

    fn a_script_that_does_not_import_is_a_500(mpm) {
        let stack = two_sites(mpm, "WSGIScriptAlias /i @APPS@/import_error.wsgi\nWSGIScriptAlias /s @APPS@/syntax_error.wsgi")
            .bring("import_error")
            .bring("syntax_error")
            .run();
        for _ in 0..2 {
            stack.get_from("one.example", "/i").expect(500);
            stack.get_from("one.example", "/s").expect(500);
        }
        stack.logged("one.example", &["[client 127.0.0.1:", "Traceback (most recent call last)"]);
        stack.logged("one.example", &["Failed to exec Python script file '", "import_error.wsgi'."]);
        stack.logged("one.example", &["[client 127.0.0.1:", "RuntimeError: the import fails on purpose"]);
        stack.logged("one.example", &["[client 127.0.0.1:", "SyntaxError"]);
        assert!(!stack.log("two.example").contains("Traceback"));
        // Mended, it is served.
        stack.place.write("apps/import_error.wsgi", MENDED);
        eventually(Duration::from_secs(30), "the mended script", || {
            let reply = stack.get_from("one.example", "/i");
            if reply.status == 200 { Ok(()) } else { Err(reply.head) }
        });
    }

    fn a_callable_that_is_missing_is_a_500_that_names_it(mpm) {
        let stack = two_sites(mpm, "WSGIScriptAlias / @APPS@/no_callable.wsgi").bring("no_callable").run();
        stack.get_from("one.example", "/").expect(500);
        stack.logged("one.example", &["[client 127.0.0.1:", "no_callable.wsgi", "'application'"]);
        assert!(!stack.log("two.example").contains("no_callable"));
    }

    fn an_unknown_group_is_a_500_that_names_it(mpm) {
        let stack = two_sites(mpm, "WSGIScriptAlias / @APPS@/hello.wsgi\nWSGIProcessGroup nosuch").bring("hello").run();
        stack.get_from("one.example", "/").expect(500);
        stack.logged("one.example", &["nosuch"]);
        assert_eq!(stack.get_from("two.example", "/").expect(200).text(), "Hello, world!\n");
    }
}

const MENDED: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'mended']
";

/// Two sites; `one.example` has this configuration, `two.example` a good application.
fn two_sites(mpm: Mpm, config: &str) -> wsgid_tests::Plan {
    Stack::on(mpm)
        .site("one.example", config)
        .bring("hello")
        .site("two.example", "WSGIScriptAlias / @APPS@/hello.wsgi")
}

/// `httpd -t` with these lines: whether it is good, and what it says.
fn check(config: &str) -> (bool, String) {
    let place = Stack::on(Mpm::Event).bring("hello").config(config).without_daemon().lay_out();
    configtest(&place)
}

#[test]
fn an_unknown_option_stops_the_configuration_at_its_line() {
    let place = Stack::on(Mpm::Event)
        .config("# a line\nWSGIDaemonProcess site processess=2\n# another")
        .without_daemon()
        .lay_out();
    let (good, said) = configtest(&place);
    let text = place.read("httpd.conf");
    let line = text.lines().position(|line| line.contains("processess")).unwrap() + 1;
    assert!(!good, "{said}");
    let at = format!("Syntax error on line {line} of {}", place.path("httpd.conf").display());
    assert!(said.contains(&at), "{said}");
    assert!(said.contains("Invalid option to WSGI daemon process definition"), "{said}");
    assert!(said.contains("'processess'"), "{said}");
}

#[test]
fn what_can_not_be_meant_stops_the_configuration() {
    for (config, told) in [
        ("WSGIDaemonProcess site threads=many", "threads"),
        ("WSGIDaemonProcess site home=relative", "home"),
        ("WSGIDaemonProcess site user=nosuchuser0", "nosuchuser0"),
        ("WSGIDaemonProcess site group=nosuchgroup0", "nosuchgroup0"),
        ("WSGIDaemonProcess site user=root", "root"),
        ("WSGIDaemonProcess site\nWSGIDaemonProcess site", "duplicates"),
        ("WSGIDaemonProcess", "WSGIDaemonProcess"),
        ("WSGIScriptAlias /x", "WSGIScriptAlias"),
        ("WSGIScriptAlias /x @APPS@/hello.wsgi nonsense=1", "nonsense"),
        ("WSGIScriptAliasMatch ( @APPS@/hello.wsgi", "regular expression"),
        ("WSGIScriptAlias /x @APPS@/hello.wsgi process-group=late application-group=%{GLOBAL}", "late"),
        ("WSGIPassAuthorization maybe", "WSGIPassAuthorization"),
        ("WSGIPythonHashSeed -1", "WSGIPythonHashSeed"),
        ("WSGIPythonOptimize 3", "WSGIPythonOptimize"),
        ("WSGIRestrictStdin maybe", "WSGIRestrictStdin"),
        ("<VirtualHost *:81>\nWSGIPythonHome /usr\n</VirtualHost>", "WSGIPythonHome"),
    ] {
        let (good, said) = check(config);
        assert!(!good, "accepted: {config}\n{said}");
        assert!(said.to_lowercase().contains(&told.to_lowercase()), "{config}\n{said}");
    }
}

#[test]
fn the_module_is_known_by_its_old_names() {
    let both = "<IfModule mod_wsgi.c>\n<IfModule wsgi_module>\nNonsense\n</IfModule>\n</IfModule>";
    let (good, said) = check(both);
    assert!(!good && said.contains("Nonsense"), "{said}");
    let (good, said) = check("LogLevel wsgi:debug\nWSGISocketPrefix /var/run/wsgi");
    assert!(good, "{said}");
}

#[test]
fn a_group_of_another_site_is_unknown() {
    let stack = Stack::on(Mpm::Event)
        .bring("whoami")
        .site(
            "one.example",
            "WSGIDaemonProcess private\nWSGIProcessGroup private\nWSGIScriptAlias / @APPS@/whoami.wsgi",
        )
        .site("two.example", "WSGIProcessGroup private\nWSGIScriptAlias / @APPS@/whoami.wsgi")
        .run();
    assert_eq!(stack.get_from("one.example", "/").expect(200).json()["process_group"], "private");
    stack.get_from("two.example", "/").expect(500);
    stack.logged("two.example", &["private"]);
}

#[test]
fn embedded_code_can_be_forbidden() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIRestrictEmbedded On\nWSGIDaemonProcess site")
        .bring("hello")
        .config("WSGIScriptAlias /site @APPS@/hello.wsgi process-group=site")
        .mount("/", "hello")
        .run();
    stack.get("/").expect(500);
    assert_eq!(stack.get("/site").expect(200).text(), "Hello, world!\n");
}

/// Names of groups and variables come from clients, too, where the configuration takes them from there.
#[test]
fn what_is_longer_than_any_group_or_request_is_refused() {
    let stack = Stack::on(Mpm::Event)
        .config("LimitRequestFields 0\nLimitRequestFieldSize 70000")
        .config("SetEnvIf X-Group (.+) GROUP=$1")
        .config("WSGIApplicationGroup %{ENV:GROUP}")
        .app("hello")
        .run();
    let named = |length: usize| stack.ask(&Request::get("/").header("X-Group", &"g".repeat(length))).status;
    assert_eq!((named(512), named(513)), (200, 500));
    stack.logged("error", &["WSGI8001"]);
    let mut large = Request::get("/").header("X-Group", "short");
    for number in 0..260 {
        large = large.header(&format!("X-Large-{number}"), &"x".repeat(65_000));
    }
    assert_eq!(stack.ask(&large).status, 500);
    stack.logged("error", &["WSGI8002"]);
    assert_eq!(named(5), 200);
}
