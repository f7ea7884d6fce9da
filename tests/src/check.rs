//! `wsgictl check` on the configuration of a place, and what it is told by the module.

use crate::httpd::program;
use crate::place::Place;
use crate::stage::staged;
use serde_json::Value;
use std::process::{Command, Output};

/// Runs it.
pub fn wsgictl(place: &Place, arguments: &[&str]) -> Output {
    let mut command = Command::new(staged("usr/bin/wsgictl"));
    command.arg("check").arg("--httpd").arg(program()).arg("--config").arg(place.path("httpd.conf"));
    command.args(arguments).output().unwrap()
}

/// Its exit status and its findings.
pub fn findings(place: &Place, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = wsgictl(place, &[&["--format", "json"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let findings = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), findings)
}

/// The lines of `httpd -t -D DUMP_WSGI`, as fields.
pub fn dump(place: &Place) -> Vec<Vec<String>> {
    let mut command = Command::new(program());
    command.arg("-f").arg(place.path("httpd.conf")).args(["-t", "-D", "DUMP_WSGI"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("end\n"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| line.split('\t').map(String::from).collect()).collect()
}
