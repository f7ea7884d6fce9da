//! Behind every name stand tests, and they are there.

use crate::lists::{LISTS, list, names};
use std::collections::BTreeSet;
use std::process::Command;
use wsgid_tests::stage::repository;
use wsgid_tests::venv::venv;

/// The rows of the conformance suite, by the suite's own word.
fn rows() -> BTreeSet<String> {
    let tell = "from conformance.table import load; print(*load(), sep='\\n')";
    let mut command = Command::new(venv("plain", &[]).join("bin/python"));
    command.env("PYTHONPATH", env!("CARGO_MANIFEST_DIR")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.args(["-c", tell]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

/// The text in which a test has to be: of a file, or of all files of a directory.
fn text_of(place: &str) -> Option<String> {
    let tests = repository().join("tests/tests");
    let files = [repository().join(place), tests.join(format!("{place}.rs"))];
    if let Some(file) = files.into_iter().find(|path| path.is_file()) {
        return std::fs::read_to_string(file).ok();
    }
    let files = std::fs::read_dir(tests.join(place)).ok()?;
    Some(files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect())
}

/// Is it a test, and one that is run?
fn is_there(evidence: &str, rows: &BTreeSet<String>) -> bool {
    if let Some(slug) = evidence.strip_prefix("row:") {
        return rows.contains(slug);
    }
    // The number of a message, which has evidence of its own.
    if evidence.starts_with("WSGI") {
        return names("messages").contains(evidence);
    }
    let Some((place, function)) = evidence.split_once("::") else { return false };
    let text = text_of(place).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let heads = [("#[test]", format!("fn {function}() {{")), ("", format!("fn {function}(mpm) {{"))];
    heads.iter().any(|(above, head)| {
        lines.windows(2).any(|pair| pair[1] == head && (above.is_empty() || pair[0] == *above))
    })
}

#[test]
fn every_name_has_a_test_that_is_there() {
    let rows = rows();
    let mut wrong = Vec::new();
    for (name, evidence) in LISTS.iter().flat_map(|name| list(name)) {
        if let Some(reason) = evidence.strip_prefix('!') {
            if reason.trim().is_empty() {
                wrong.push(format!("{name}: no reason"));
            }
            continue;
        }
        if evidence.is_empty() {
            wrong.push(format!("{name}: no test"));
        }
        let missing = evidence.split_whitespace().filter(|test| !is_there(test, &rows));
        wrong.extend(missing.map(|test| format!("{name}: there is no {test}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
