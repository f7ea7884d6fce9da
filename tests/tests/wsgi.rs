//! PEP 3333 through the whole stack: what an application is given and what becomes of its answer.

use serde_json::{Value, json};
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack, each_mpm};

each_mpm! {
    fn an_answer_arrives_byte_for_byte(mpm) {
        let stack = Stack::on(mpm).app("hello").run();
        let reply = stack.get("/");
        let mut head: Vec<&str> = reply.head.split("\r\n").collect();
        head.retain(|line| !line.starts_with("Date: ") && !line.starts_with("Server: Apache/2.4"));
        head.sort();
        assert_eq!(head, ["", "", "Content-Length: 14", "Content-Type: text/plain", "HTTP/1.1 200 OK"]);
        assert_eq!(reply.body, b"Hello, world!\n");
    }

    fn a_connection_serves_many_requests(mpm) {
        let stack = Stack::on(mpm).app("hello").run();
        let mut connection = stack.connect();
        for _ in 0..50 {
            assert_eq!(connection.ask(&Request::get("/")).text(), "Hello, world!\n");
        }
    }

    fn the_environ_is_complete_and_exact(mpm) {
        let stack = Stack::on(mpm)
            .config("WSGIDaemonProcess site threads=3\nWSGIProcessGroup site\nSetEnv GREETING hello")
            .mount("/app", "environ")
            .run();
        let mut connection = stack.connect();
        let client = connection.writer().local_addr().unwrap().port();
        let target = "/app/some%20path/caf%C3%A9?x=1&y=%20";
        let request = Request::get(target)
            .host(&format!("localhost:{}", stack.port))
            .header("X-Thing", "one")
            .header("X-Thing", "two")
            .header("X_Under", "spoofed")
            .header("Proxy", "http://httpoxy.example")
            .header("Authorization", "Basic c2VjcmV0")
            .header("Cookie", "a=1");
        let environ = connection.ask(&request).expect(200).json();
        assert_strings(&environ, &stack, client);
        assert_wsgi_keys(&environ);
        assert_measured_keys(&environ);
    }
}

each_mpm! {
    /// One thread serves them all, from moulds of those before.
    fn a_request_sees_nothing_of_those_before(mpm) {
        let stack = Stack::on(mpm)
            .config(
                "WSGIDaemonProcess site processes=1 threads=1\nWSGIProcessGroup site\n\
                 SetEnv mod_wsgi.process_group forged\nSetEnv REQUEST_METHOD forged\nSetEnv wsgi.input forged",
            )
            .app("environ")
            .run();
        let mut connection = stack.connect();
        for turn in 0..96_u32 {
            // Every third is of a shape that changes: sometimes the same again, sometimes a new one.
            let shape = if turn % 3 == 0 { turn / 9 } else { turn % 2 };
            let mut request = Request::new(["GET", "DELETE"][turn as usize % 2], &format!("/p{turn}?q={turn}"))
                .host(&format!("h{}", turn % 4));
            for n in 0..shape % 7 {
                request = request.header(&format!("X-{shape}-{n}"), &turn.to_string());
            }
            if turn % 5 == 0 {
                request = request.header("Cookie", &format!("secret={turn}"));
            }
            let environ = connection.ask(&request).expect(200).json();
            let mut expected = vec![("HTTP_HOST".to_string(), format!("h{}", turn % 4))];
            expected.extend((0..shape % 7).map(|n| (format!("HTTP_X_{shape}_{n}"), turn.to_string())));
            if turn % 5 == 0 {
                expected.push(("HTTP_COOKIE".into(), format!("secret={turn}")));
            }
            expected.sort();
            let environ = environ.as_object().unwrap();
            let headers = environ.iter().filter(|(name, _)| name.starts_with("HTTP_"));
            let mut seen: Vec<(String, String)> =
                headers.map(|(name, value)| (name.clone(), value[1].as_str().unwrap().into())).collect();
            seen.sort();
            assert_eq!(seen, expected, "request {turn}");
            assert_eq!(environ["REQUEST_METHOD"][1], ["GET", "DELETE"][turn as usize % 2]);
            assert_eq!(environ["PATH_INFO"][1], format!("/p{turn}"));
            assert_eq!(environ["mod_wsgi.path_info"][1], format!("/p{turn}"));
            assert_eq!(environ["QUERY_STRING"][1], format!("q={turn}"));
            assert_eq!(environ["mod_wsgi.process_group"][1], "site");
            assert_eq!(environ["wsgi.input"][0], "Input");
            assert!(environ.values().all(|value| value[0] != "NoneType"), "{environ:?}");
        }
    }
}

/// Strings whose values are known, and beyond them and the two lists below no other key at all.
fn assert_strings(environ: &Value, stack: &Stack, client: u16) {
    let root = stack.place.root().display();
    let expected = json!({
        "GREETING": "hello",
        "HTTP_HOST": format!("localhost:{}", stack.port),
        "HTTP_X_THING": "one, two",
        "HTTP_COOKIE": "a=1",
        "SERVER_NAME": "localhost",
        "SERVER_ADDR": "127.0.0.1",
        "SERVER_PORT": stack.port.to_string(),
        "SERVER_ADMIN": "admin@localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": client.to_string(),
        "DOCUMENT_ROOT": format!("{root}/htdocs"),
        "CONTEXT_PREFIX": "",
        "CONTEXT_DOCUMENT_ROOT": format!("{root}/htdocs"),
        "REQUEST_SCHEME": "http",
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "x=1&y=%20",
        "REQUEST_URI": "/app/some%20path/caf%C3%A9?x=1&y=%20",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/some path/caf\u{c3}\u{a9}",
        "SCRIPT_FILENAME": format!("{root}/apps/environ.wsgi"),
        "wsgi.url_scheme": "http",
        "mod_wsgi.process_group": "site",
        "mod_wsgi.application_group": format!("localhost:{}|/app", stack.port),
        "mod_wsgi.callable_object": "application",
        "mod_wsgi.request_handler": "wsgi-script",
        "mod_wsgi.handler_script": "",
        "mod_wsgi.script_name": "/app",
        "mod_wsgi.path_info": "/some path/caf\u{c3}\u{a9}",
        "mod_wsgi.listener_host": "127.0.0.1",
        "mod_wsgi.listener_port": stack.port.to_string(),
        "type(environ)": "dict",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(environ[name], json!(["str", value]), "{name}");
    }
    let known = |name: &&String| {
        expected.get(name).is_some()
            || WSGI.iter().any(|(known, ..)| known == name)
            || MEASURED.iter().any(|(known, _)| known == name)
            || BY_APACHE.contains(&name.as_str())
    };
    let further: Vec<&String> = environ.as_object().unwrap().keys().filter(|name| !known(name)).collect();
    assert_eq!(further, [] as [&String; 0], "keys beyond the expected ones");
    for name in ["mod_wsgi.request_id", "mod_wsgi.connection_id"] {
        assert!(environ[name].is_null() || environ[name][0] == "str", "{name}: {}", environ[name]);
    }
    let software = environ["SERVER_SOFTWARE"][1].as_str().unwrap();
    assert!(software.starts_with("Apache/2.4."), "{software}");
}

/// What Apache makes up; the two ids only if something has been logged with them.
const BY_APACHE: &[&str] = &["SERVER_SOFTWARE", "mod_wsgi.request_id", "mod_wsgi.connection_id"];

/// Keys of PEP 3333 with their types and values.
const WSGI: &[(&str, &str, &str)] = &[
    ("wsgi.version", "tuple", "[1,0]"),
    ("wsgi.multithread", "bool", "true"),
    ("wsgi.multiprocess", "bool", "false"),
    ("wsgi.run_once", "bool", "false"),
    ("wsgi.input_terminated", "bool", "true"),
    ("wsgi.input", "", "null"),
    ("wsgi.errors", "", "null"),
    ("wsgi.file_wrapper", "type", "null"),
];

fn assert_wsgi_keys(environ: &Value) {
    for (name, kind, value) in WSGI {
        assert_eq!(environ[name][1].to_string(), *value, "{name}");
        assert!(kind.is_empty() || environ[name][0] == *kind, "{name}: {}", environ[name]);
    }
}

/// Keys whose values differ from run to run, with their types.
const MEASURED: &[(&str, &str)] = &[
    ("apache.version", "tuple"),
    ("mod_wsgi.version", "tuple"),
    ("mod_wsgi.server_pid", "str"),
    ("mod_wsgi.thread_id", "int"),
    ("mod_wsgi.request_start", "float"),
    ("mod_wsgi.queue_start", "float"),
    ("mod_wsgi.daemon_start", "float"),
    ("mod_wsgi.application_start", "float"),
];

fn assert_measured_keys(environ: &Value) {
    for (name, kind) in MEASURED {
        assert_eq!(environ[name][0], *kind, "{name}: {}", environ[name]);
    }
    let times: Vec<f64> = MEASURED[4..].iter().map(|(name, _)| environ[name][1].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] > 1.7e9, "{times:?} are not moments in order");
    assert!(times[3] - times[0] < 60.0, "{times:?} are far apart");
    assert_eq!(environ["apache.version"][1][0], 2);
}

#[test]
fn paths_are_split_as_apache_splits_them() {
    let stack = Stack::on(Mpm::Event).mount("/a/b", "environ").mount("/", "environ").run();
    for (target, script_name, path_info) in [
        ("/a/b", "/a/b", ""),
        ("/a/b/", "/a/b", "/"),
        ("/a/b/c//d", "/a/b", "/c/d"),
        ("/a//b/c", "/a/b", "/c"),
        ("/a/bc", "", "/a/bc"),
        ("/", "", "/"),
        ("/x%3Fy%25", "", "/x?y%"),
    ] {
        let environ = stack.get(target).expect(200).json();
        let got = [&environ["SCRIPT_NAME"][1], &environ["PATH_INFO"][1], &environ["REQUEST_URI"][1]];
        assert_eq!(got, [script_name, path_info, target], "{target}");
    }
}

each_mpm! {
    fn a_body_is_read_in_every_way(mpm) {
        let stack = Stack::on(mpm).app("echo").run();
        let body = "one\ntwo two\n\nlast without end";
        for (target, expected) in [
            ("/read", json!([body, ""])),
            ("/read/7", json!(["one\ntwo", " two\n\nl", "ast wit", "hout en", "d", ""])),
            ("/readline", json!(["one\n", "two two\n", "\n", "last without end", ""])),
            ("/readline/5", json!(["one\n", "two t", "wo\n", "\n", "last ", "witho", "ut en", "d", ""])),
            ("/readlines", json!(["one\n", "two two\n", "\n", "last without end", ""])),
            ("/iterate", json!(["one\n", "two two\n", "\n", "last without end", ""])),
        ] {
            assert_eq!(stack.post(target, body).expect(200).json(), expected, "{target}");
        }
        for target in ["/read", "/read/7", "/readline", "/readlines", "/iterate"] {
            assert_eq!(stack.post(target, "").expect(200).json(), json!([""]), "{target}");
            assert_eq!(stack.get(target).expect(200).json(), json!([""]), "{target}");
        }
    }

    fn lines_cross_the_parts_in_which_they_arrive(mpm) {
        let stack = Stack::on(mpm).app("echo").run();
        let lines: Vec<String> = (0..4000).map(|n| format!("{n:05} {}\n", "x".repeat(n % 500))).collect();
        let expected = [&lines[..], &["".into()]].concat();
        for target in ["/readline", "/iterate"] {
            let got = stack.post(target, lines.concat()).expect(200).json();
            assert!(got == json!(expected), "{target}: lines differ");
        }
    }

    fn write_and_the_iterable_follow_one_another(mpm) {
        let stack = Stack::on(mpm).app("writer").run();
        assert_eq!(stack.get("/").expect(200).text(), "first second third\n");
    }

    fn status_and_headers_are_the_applications(mpm) {
        let stack = Stack::on(mpm).app("headers").run();
        let reply = stack.get("/");
        assert_eq!((reply.status, reply.reason.as_str()), (418, "I am a teapot"));
        assert_eq!(reply.all("Set-Cookie"), ["a=1", "b=2"]);
        assert_eq!(reply.all("WWW-Authenticate"), ["Basic realm=\"a\"", "Bearer realm=\"b\""]);
        assert_eq!(reply.header("Content-Type"), Some("text/plain; charset=UTF-8"));
        assert_eq!((reply.header("ETag"), reply.header("X-Empty")), (Some("\"tag\""), Some("")));
        assert_eq!(reply.header("X-Latin"), Some("caf\u{e9}"));
        assert_eq!(reply.body, b"short and stout\n");
    }

    fn start_response_may_be_taken_back_until_something_is_sent(mpm) {
        let stack = Stack::on(mpm).app("replaced").run();
        let reply = stack.get("/");
        assert_eq!((reply.status, reply.reason.as_str(), reply.header("X-First")), (503, "Sorry", None));
        assert_eq!(reply.text(), "the error page\n");
        let late = stack.connect().ask(&Request::get("/late"));
        assert_eq!((late.status, late.text().as_str(), late.whole), (200, "already sent\n", false));
        stack.logged("error", &["ValueError: on purpose"]);
    }

    fn a_head_request_has_the_head_alone(mpm) {
        let stack = Stack::on(mpm).app("hello").run();
        let mut connection = stack.connect();
        let reply = connection.ask(&Request::new("HEAD", "/"));
        assert_eq!((reply.status, reply.header("Content-Length")), (200, Some("14")));
        // Were there a body, it would be taken for the next reply's head.
        assert_eq!(connection.ask(&Request::get("/")).text(), "Hello, world!\n");
    }

    fn close_is_called_however_it_ends(mpm) {
        let stack = Stack::on(mpm).app("closing").run();
        let markers = stack.place.make_public_dir("markers");
        let marker = |name: &str| markers.join(name);
        let ask = |how: &str| stack.connect().ask(&Request::get(&format!("{how}?{}", marker(&how[1..]).display())));
        assert_eq!(ask("/whole").text(), "a part\n");
        until("close() after the end", || marker("whole").exists());
        let raised = ask("/raises");
        assert_eq!((raised.text().as_str(), raised.whole), ("a part\n", false));
        until("close() after an exception", || marker("raises").exists());
        stack.logged("error", &["RuntimeError: raised midway on purpose"]);
        // A client that goes away in the middle.
        let mut connection = stack.connect();
        connection.send(Request::get(&format!("/endless?{}", marker("endless").display())).bytes());
        connection.read_exact(100_000).unwrap();
        drop(connection);
        until("close() after the client is gone", || marker("endless").exists());
    }

    fn parts_are_sent_as_they_come(mpm) {
        let stack = Stack::on(mpm).app("waiting").run();
        let name = stack.place.make_public_dir("markers").join("a");
        let mut connection = stack.connect();
        connection.send(Request::get(&format!("/streamed?{}", name.display())).bytes());
        let head = connection.head_reply().unwrap();
        assert_eq!(head.header("Transfer-Encoding"), Some("chunked"));
        // The application sends nothing more before it sees the file.
        assert_eq!(connection.chunk().unwrap(), b"before\n");
        std::fs::write(name.with_extension("go"), "").unwrap();
        assert_eq!(connection.chunk().unwrap(), b"after\n");
        assert_eq!(connection.chunk().unwrap(), b"");
    }

    fn requests_run_side_by_side_in_threads(mpm) {
        let stack = Stack::on(mpm)
            .config("WSGIDaemonProcess site threads=6\nWSGIProcessGroup site")
            .app("together")
            .run();
        let mut connections: Vec<_> = (0..6).map(|_| stack.connect()).collect();
        for connection in &mut connections {
            connection.send(Request::get("/?6").bytes());
        }
        for connection in &mut connections {
            assert_eq!(connection.reply().unwrap().expect(200).text(), "together\n");
        }
    }
}

#[test]
fn the_headers_that_apache_withholds_are_withheld() {
    let stack = Stack::on(Mpm::Event)
        .mount("/plain", "environ")
        .bring("environ")
        .config("WSGIScriptAlias /passed @APPS@/environ.wsgi pass-authorization=On")
        .config("<Location /directive>\nWSGIPassAuthorization On\n</Location>")
        .mount("/directive", "environ")
        .run();
    let ask = |target: &str| {
        let request =
            Request::get(target).header("Authorization", "Bearer x").header("Proxy-Authorization", "y");
        stack.ask(&request).expect(200).json()
    };
    assert_eq!(ask("/plain").get("HTTP_AUTHORIZATION"), None);
    for target in ["/passed", "/directive"] {
        let environ = ask(target);
        assert_eq!(environ["HTTP_AUTHORIZATION"], json!(["str", "Bearer x"]), "{target}");
        assert_eq!(environ.get("HTTP_PROXY_AUTHORIZATION"), None, "{target}");
    }
}

#[test]
fn https_is_told_by_the_environment() {
    let stack = Stack::on(Mpm::Event).config("SetEnvIf X-Tls yes HTTPS=1").app("environ").run();
    let environ = stack.ask(&Request::get("/").header("X-Tls", "yes")).json();
    assert_eq!(environ["wsgi.url_scheme"], json!(["str", "https"]));
    assert_eq!(environ.get("HTTPS"), None);
    assert_eq!(stack.get("/").json()["wsgi.url_scheme"], json!(["str", "http"]));
}
