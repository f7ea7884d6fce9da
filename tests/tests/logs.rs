//! What applications log: at which level, in whose log, and that nothing of it is lost.

use serde_json::json;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack, each_mpm};

/// A site that keeps all of its log, each record with its source.
fn site(mpm: Mpm, app: &str) -> Stack {
    let config = format!(
        "LogLevel wsgi:debug\nErrorLogFormat \"[%l] [%a] [%F] %M\"\nWSGIScriptAlias / @APPS@/{app}.wsgi process-group=site application-group=%{{GLOBAL}}"
    );
    Stack::on(mpm).config("WSGIDaemonProcess site").bring(app).site("one.example", &config).run()
}

/// The line of an application in which a text stands, counted from 1.
fn line_of(app: &str, text: &str) -> usize {
    let path = format!("{}/apps/{app}.wsgi", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).unwrap();
    source.lines().position(|line| line.contains(text)).unwrap() + 1
}

/// The letters of the records that were cut out of a long one.
fn long_records(stack: &Stack) -> usize {
    let log = stack.log("one.example");
    log.lines().map(|line| line.matches('x').count()).filter(|letters| *letters > 100).sum()
}

each_mpm! {
    fn a_record_keeps_its_level_and_its_place(mpm) {
        let stack = site(mpm, "levels");
        stack.get_from("one.example", "/levels?t0k3n").expect(200);
        let place = format!("[levels.wsgi({})", line_of("levels", "# this line"));
        for (level, apaches) in [
            (50, "crit"),
            (45, "error"),
            (40, "error"),
            (35, "warn"),
            (30, "warn"),
            (25, "info"),
            (20, "info"),
            (15, "debug"),
            (10, "debug"),
            (5, "debug"),
        ] {
            let line = stack.logged("one.example", &[&format!("t0k3n of level {level}.")]);
            assert!(line.starts_with(&format!("[{apaches}] [127.0.0.1:")) && line.contains(&place), "{line}");
        }
        // They did not go in between what is written in parts.
        stack.logged("one.example", &["[error]", "t0k3n begun, ended"]);
        // The import was no request's.
        stack.logged("wsgid", &["WARN", "[site ", "imported at startup"]);
        assert!(!stack.log("one.example").contains("imported at startup"));
    }
}

#[test]
fn the_log_level_of_the_site_decides_what_is_kept() {
    let stack = Stack::on(Mpm::Event)
        .bring("levels")
        .site("one.example", "LogLevel wsgi:warn\nWSGIScriptAlias / @APPS@/levels.wsgi")
        .run();
    stack.get_from("one.example", "/levels?t0k3n").expect(200);
    let line = stack.logged("one.example", &["t0k3n of level 30."]);
    assert!(line.contains("[wsgi:warn]") && line.contains("[client 127.0.0.1:"), "{line}");
    stack.logged("one.example", &["t0k3n begun, ended"]);
    assert!(!stack.log("one.example").contains("t0k3n of level 25."));
}

#[test]
fn each_line_of_a_record_is_one_of_the_log() {
    let stack = site(Mpm::Event, "levels");
    stack.get_from("one.example", "/several?t0k3n").expect(200);
    for (level, text) in [
        ("info", "t0k3n first"),
        ("info", "t0k3n second"),
        ("error", "t0k3n with a traceback"),
        ("error", "Traceback (most recent call last):"),
        ("error", "RuntimeError: t0k3n on purpose"),
        ("warn", "t0k3n from here"),
        ("warn", "Stack (most recent call last):"),
    ] {
        stack.logged("one.example", &[&format!("[{level}]"), "[127.0.0.1:", &format!("] {text}")]);
    }
    assert_eq!(stack.log("one.example").matches("t0k3n first").count(), 1);
}

#[test]
fn a_record_that_can_not_be_formatted_fails_nobody() {
    let stack = site(Mpm::Event, "levels");
    stack.get_from("one.example", "/broken?t0k3n").expect(200);
    stack.logged("one.example", &["[127.0.0.1:", "--- Logging error ---"]);
    stack.logged("one.example", &["Arguments: ('t0k3n',)"]);
}

#[test]
fn odd_and_long_records_stay_readable_and_whole() {
    let stack = site(Mpm::Event, "levels");
    stack.get_from("one.example", "/odd?t0k3n").expect(200);
    stack.logged("one.example", &["\\\\udcff, NUL \\\\x00, escape \\x1b, umlaut "]);
    stack.logged("one.example", &["t0k3n begun, ended"]);
    assert_eq!(long_records(&stack), 20_000);
}

#[test]
fn a_record_of_no_request_is_the_daemons() {
    let stack = site(Mpm::Event, "levels");
    let name = stack.place.make_public_dir("markers").join("later");
    stack.get_from("one.example", &format!("/later?{}", name.display())).expect(200);
    stack.logged("one.example", &["begun, ended"]);
    std::fs::write(name.with_extension("go"), "").unwrap();
    stack.logged("wsgid", &["ERROR", "[site ", "after the request"]);
    stack.get_from("one.example", "/forked?t0k3n").expect(200);
    stack.logged("wsgid", &["[site ", "[Error] t0k3n in a child"]);
    assert!(!stack.log("one.example").contains("after the request"));
    assert!(!stack.log("one.example").contains("in a child"));
}

each_mpm! {
    fn the_error_stream_is_a_text_stream(mpm) {
        let stack = site(mpm, "streams");
        let traits = stack.get_from("one.example", "/use?t0k3n").expect(200).json();
        let expected = json!([
            false, false, true, false, "utf-8", "backslashreplace", "<wsgi.errors>", "w", false, false,
            "_io.TextIOWrapper", "mod_wsgi.Log"
        ]);
        assert_eq!(traits, expected);
        for text in [
            "t0k3n by a handler",
            "t0k3n printed 1",
            "Traceback (most recent call last):",
            "RuntimeError: t0k3n on purpose",
            "t0k3n of several",
            "t0k3n surrogate \\\\udcff, NUL \\\\x00, escape \\x1b, euro ",
            "t0k3n without an end",
            "t0k3n after close",
            "t0k3n as bytes",
            "t0k3n no descriptor: fileno",
        ] {
            stack.logged("one.example", &["[error] [127.0.0.1:", &format!("] {text}")]);
        }
        assert_eq!(long_records(&stack), 20_000);
    }
}

/// `mod_wsgi.Log`, to which code that is handed `wsgi.errors.buffer` may write text as well as bytes.
#[test]
fn what_lies_under_the_error_stream_is_a_stream_too() {
    let stack = site(Mpm::Event, "streams");
    let traits = stack.get_from("one.example", "/below?t0k3n").expect(200).json();
    let expected = json!([false, false, true, false, false, "<wsgi.errors>", "utf-8", "backslashreplace"]);
    assert_eq!(traits, expected);
    for line in ["t0k3n of text, t0k3n of bytes", "t0k3n flushed", "t0k3n closed", "t0k3n after close"] {
        let logged = stack.logged("one.example", &[line]);
        assert!(logged.ends_with(&format!("] {line}")), "{logged}");
    }
}

#[test]
fn a_stream_ends_with_its_request() {
    let config = "WSGIDaemonProcess site threads=1\nWSGIProcessGroup site";
    let stack = Stack::on(Mpm::Event).config(config).app("streams").run();
    stack.post("/keep", "a body").expect(200);
    // The thread's next request gets another one, or what was kept would write into its log.
    assert_eq!(stack.get("/same").expect(200).json(), false);
    let told = stack.get("/after").expect(200).json();
    let methods = told.as_object().unwrap();
    assert_eq!(methods.len(), 13);
    for (name, raised) in methods {
        // Python's own writelines() writes item by item.
        let name = name.replace("errors: writelines", "errors: write");
        assert_eq!(*raised, format!("{name} after the request has ended"));
    }
    assert!(!stack.log("error").contains("too late"));
}

#[test]
fn what_a_request_does_to_its_stream_is_not_there_for_the_next() {
    let config = "WSGIDaemonProcess site threads=1\nWSGIProcessGroup site";
    let stack = Stack::on(Mpm::Event).config(config).app("streams").run();
    for how in ["attribute", "mode", "encoding", "text"] {
        stack.get(&format!("/change?{how}")).expect(200);
        let state = stack.get("/state").expect(200).json();
        assert_eq!(state, json!([{"mode": "w"}, "utf-8", true]), "{how}");
    }
    stack.logged("error", &["of the next"]);
    let log = stack.log("error");
    let lines: Vec<_> = log.lines().filter_map(|line| line.split("] ").last()).collect();
    let held = lines.iter().position(|line| *line == "held back").expect("it is not lost");
    assert_eq!(lines[held + 1], "of the next");
    let client = |line: usize| log.lines().nth(line).unwrap().split("[client ").nth(1).unwrap().to_string();
    assert_ne!(client(held).split(']').next(), client(held + 1).split(']').next(), "{log}");
}

#[test]
fn that_a_script_is_loaded_is_told() {
    let stack = Stack::on(Mpm::Event).app("hello").run();
    stack.get("/").expect(200);
    stack.logged("wsgid", &["INFO", "Loading WSGI script '", "/hello.wsgi'."]);
}

/// The thread that waits for the body has the connection, and is not there in the child.
#[test]
fn a_forked_child_waits_for_no_stream_of_the_request() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site request-buffer-size=0\nWSGIProcessGroup site")
        .app("forking")
        .run();
    let name = stack.place.make_public_dir("markers").join("a");
    let mut connection = stack.connect();
    let request =
        Request::post(&format!("/?{}", name.display()), "late").header("Expect", "100-continue").bytes();
    let (head, body) = request.split_at(request.len() - 4);
    connection.send(head);
    // So the thread is reading.
    assert_eq!(connection.reply().unwrap().status, 100);
    std::fs::write(name.with_extension("go"), "").unwrap();
    until("the child's end", || name.with_extension("ended").exists());
    connection.send(body);
    assert_eq!(connection.reply().unwrap().expect(200).text(), "0\n");
    stack.logged("wsgid", &["printed by the child"]);
}

const STANDARD: &str = "\
import io, json, sys
def application(environ, start_response):
    traits = []
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        traits.append([stream.encoding, stream.errors, stream.line_buffering, stream.write_through])
        print('t0k3n one\\nt0k3n two, odd \\udcff.', file=stream)
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(traits).encode()]
";

#[test]
fn the_standard_streams_are_line_buffered_and_replace_what_is_no_text() {
    let config = "ErrorLogFormat \"[%l] %M\"\nWSGIScriptAlias / @APPS@/standard.wsgi process-group=site";
    let stack = Stack::on(Mpm::Event)
        .file("apps/standard.wsgi", STANDARD)
        .config("WSGIDaemonProcess site")
        .site("one.example", config)
        .run();
    let traits = stack.get_from("one.example", "/").expect(200).json();
    assert_eq!(traits, json!([["utf-8", "replace", true, true], ["utf-8", "replace", true, true]]));
    stack.logged("one.example", &["t0k3n two"]);
    let log = stack.log("one.example");
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("[error]")).collect();
    let said = ["[error] t0k3n one", "[error] t0k3n two, odd ?."];
    assert_eq!(lines, [said, said].concat(), "each line is one record");
}
