//! Two programs that know PEP 3333 by heart stand between the server and applications, and complain of
//! neither: Python's own `wsgiref.validate`, and Werkzeug's `LintMiddleware` with warnings as errors.

use serde_json::json;
use wsgid_tests::venv::venv;
use wsgid_tests::{Mpm, Request, Stack, each_mpm};

const APPS: &[&str] = &["checked", "hello", "headers", "echo", "writer", "logging", "replaced", "file"];

const CONFIG: &str = "
WSGIDaemonProcess site python-home=@VENV@
WSGIScriptAlias / @APPS@/checked.wsgi process-group=site application-group=%{GLOBAL}
";

fn checked(mpm: Mpm) -> Stack {
    let plan = Stack::on(mpm).with("VENV", venv("lint", &["werkzeug>=3,<4"])).file("htdocs/file", "a file\n");
    APPS.iter().fold(plan.config(CONFIG), |plan, name| plan.bring(name)).run()
}

/// What applications do beside reading, each with the status and text that are due.
const ANSWERS: &[(&str, u16, &str)] = &[
    ("hello/", 200, "Hello, world!\n"),
    ("headers/", 418, "short and stout\n"),
    ("writer/", 200, "first second third\n"),
    ("logging/?t0k3n", 200, "logged\n"),
    ("replaced/", 503, "the error page\n"),
    ("file/whole?@FILE@", 200, "a file\n"),
    ("file/length/7?@FILE@", 200, "a file\n"),
];

#[track_caller]
fn nobody_complained(stack: &Stack) {
    // What a checker says when it is collected raises nothing.
    for log in [stack.log("error"), stack.log("wsgid")] {
        for word in ["Traceback", "Warning", "AssertionError", "garbage"] {
            assert!(!log.contains(word), "{log}");
        }
    }
}

each_mpm! {
    fn nobody_has_cause_to_complain(mpm) {
        let stack = checked(mpm);
        let file = stack.place.path("htdocs/file").display().to_string();
        for check in ["validator", "lint"] {
            for (what, status, text) in ANSWERS {
                let target = format!("/{check}/{what}").replace("@FILE@", &file);
                assert_eq!(stack.get(&target).expect(*status).text(), *text, "{target}");
            }
            stack.ask(&Request::post(&format!("/{check}/echo/stream"), "a body")).expect(200);
            stack.logged("error", &["errors.writelines t0k3n"]);
            stack.connect().ask(&Request::new("HEAD", &format!("/{check}/hello/"))).expect(200);
        }
        nobody_complained(&stack);
    }

    fn a_body_may_be_read_in_every_way_that_is_allowed(mpm) {
        let stack = checked(mpm);
        for (target, expected) in [
            ("/validator/echo/read/4", json!(["one\n", "two ", "two", ""])),
            ("/validator/echo/readline", json!(["one\n", "two two", ""])),
            ("/validator/echo/readline/5", json!(["one\n", "two t", "wo", ""])),
            ("/validator/echo/readlines", json!(["one\n", "two two", ""])),
            ("/validator/echo/readlines/3", json!(["one\n", "two two", ""])),
            ("/validator/echo/iterate", json!(["one\n", "two two", ""])),
            ("/lint/echo/read/4", json!(["one\n", "two ", "two", ""])),
            ("/lint/echo/iterate", json!(["one\n", "two two", ""])),
        ] {
            assert_eq!(stack.post(target, "one\ntwo two").expect(200).json(), expected, "{target}");
        }
        nobody_complained(&stack);
    }
}

/// Without a size, neither thinks that a body may be read.
#[test]
fn both_do_complain_where_there_is_cause() {
    let stack = checked(Mpm::Event);
    stack.post("/validator/echo/read", "a body").expect(500);
    stack.logged("error", &["AssertionError"]);
    stack.post("/lint/echo/read", "a body").expect(500);
    stack.logged("error", &["WSGIWarning: WSGI does not guarantee an EOF marker"]);
}
