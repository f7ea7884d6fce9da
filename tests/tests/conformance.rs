//! The conformance suite of `tests/conformance/` on every MPM and over every protocol, and the same suite
//! asked of mod_wsgi: what is different there is on a list, and nothing else is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use wsgid_tests::venv::{certificate, venv};
use wsgid_tests::{Mpm, Plan, Stack, theirs};

/// One test for each protocol that the MPM can speak; mod_http2 does not serve prefork.
macro_rules! conformance {
    ($($mpm:ident $variant:ident: $($name:ident $protocol:literal),+;)*) => {$(
        mod $mpm {
            $(#[test] fn $name() { super::conforms(wsgid_tests::Mpm::$variant, $protocol) })+
        }
    )*};
}

conformance! {
    event Event: http_1_0 "http-1.0", http_1_1 "http-1.1", http_2 "http-2", tls "tls", tls_http_2 "tls-http-2";
    worker Worker: http_1_0 "http-1.0", http_1_1 "http-1.1", http_2 "http-2", tls "tls", tls_http_2 "tls-http-2";
    prefork Prefork: http_1_0 "http-1.0", http_1_1 "http-1.1", tls "tls";
}

/// The interpreter of the suite's runner.
fn runner() -> PathBuf {
    venv("conformance", &["h2>=4.1,<5"]).join("bin/python")
}

/// `python -m conformance` with these words.
fn suite(words: &[String]) -> Output {
    let mut command = Command::new(runner());
    command.env("PYTHONPATH", env!("CARGO_MANIFEST_DIR")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["-m", "conformance"]).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn configuration(words: &[&str]) -> String {
    let output =
        suite(&[&["configuration"], words].concat().iter().map(|word| word.to_string()).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The configuration of the rows, on this MPM.
fn plan(mpm: Mpm, configuration: &str) -> Plan {
    let mut plan = Stack::on(mpm).config(configuration).with("SITE", "@ROOT@/site");
    for module in ["filter", "deflate", "reqtimeout", "ssl", "authn_core", "authn_file", "authz_user"] {
        plan = plan.module(module);
    }
    plan = plan.module("auth_basic").module("auth_digest");
    if mpm != Mpm::Prefork {
        plan = plan.module("http2");
    }
    for name in ["key.pem", "certificate.pem"] {
        plan = plan.file(&format!("tls/{name}"), std::fs::read(certificate().join(name)).unwrap());
    }
    for (name, content) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")) {
        plan = plan.file(&format!("site/conformance/{name}"), content);
    }
    plan
}

/// The suite's files, as workers import them: relative names and contents.
fn sources(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() && name != "__pycache__" {
            found.extend(
                sources(&path).into_iter().map(|(below, content)| (format!("{name}/{below}"), content)),
            );
        } else if [".py", ".wsgi", ".htpasswd"].iter().any(|end| name.ends_with(end)) {
            found.push((name, std::fs::read(path).unwrap()));
        }
    }
    found
}

/// The words of a command that asks this stack over a protocol.
fn at(stack: &Stack, command: &str, protocol: &str) -> Vec<String> {
    let root = stack.place.root().to_str().unwrap();
    let (port, tls_port) = (stack.port.to_string(), stack.tls_port.to_string());
    let words = [command, "--root", root, "--port", &port, "--tls-port", &tls_port, "--protocol", protocol];
    words.map(String::from).to_vec()
}

fn conforms(mpm: Mpm, protocol: &str) {
    let stack = plan(mpm, &configuration(&[])).run();
    stack.place.make_public_dir("markers");
    let output = suite(&at(&stack, "run", protocol));
    assert!(output.status.success(), "{mpm:?}, {protocol}:\n{}", said(&output));
}

/// `tests/run --parity`.
#[test]
#[ignore = "builds mod_wsgi from PyPI: tests/run --parity"]
fn parity() {
    let mut agreed = true;
    let stack = plan(Mpm::Event, &configuration(&["--theirs"])).served_by(theirs::module()).run();
    stack.place.make_public_dir("markers");
    for protocol in ["http-1.1", "http-2"] {
        // Much of what is waited for never comes, and on an idle machine what comes is there at once.
        let patience = ["--patience", "4", "--trace-patience", "1"].map(String::from);
        let output = suite(&[at(&stack, "parity", protocol), patience.to_vec()].concat());
        println!("{}", said(&output));
        agreed &= output.status.success();
    }
    assert!(agreed, "mod_wsgi and the list of differences do not agree");
}
