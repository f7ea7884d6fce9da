//! Nothing of mod_wsgi's is forgotten: `tests/compat` lists every name that a configuration, an application or an
//! administrator may know of it, each with the tests that show what becomes of it here. A name without a test, a
//! test that is not there, and a name of ours that no list has, all fail.
//!
//! A line is a name and its evidence: `file::test` of `tests/tests`, `row:slug` of the conformance suite,
//! `path/of/file.rs::test` of a crate, or `! reason` where there can be no test, or no effect to test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use wsgid_proto::options::{Force, RULES, Shape};
use wsgid_tests::httpd::configtest;
use wsgid_tests::stage::repository;
use wsgid_tests::venv::venv;
use wsgid_tests::{Mpm, Stack};

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A list: names and the words behind them.
fn list(name: &str) -> BTreeMap<String, String> {
    let text = read(&format!("tests/compat/{name}.list"));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut entries = BTreeMap::new();
    for line in lines {
        let (name, evidence) = line.split_once("  ").unwrap_or((line, ""));
        let again = entries.insert(name.to_string(), evidence.trim().to_string());
        assert_eq!(again, None, "{name} is listed twice");
    }
    entries
}

const LISTS: &[&str] = &["api", "directives", "environ", "messages", "mounts", "options", "statuses"];

/// The rows of the conformance suite, by the suite's own word.
fn rows() -> BTreeSet<String> {
    let tell = "from conformance.table import load; print(*load(), sep='\\n')";
    let mut command = Command::new(venv("plain", &[]).join("bin/python"));
    command.env("PYTHONPATH", env!("CARGO_MANIFEST_DIR")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.args(["-c", tell]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

/// The file in which a test has to be.
fn file_of(test: &str) -> Option<(PathBuf, &str)> {
    let (place, function) = test.split_once("::")?;
    let tests = repository().join("tests/tests");
    let places =
        [repository().join(place), tests.join(format!("{place}.rs")), tests.join(place).join("main.rs")];
    Some((places.into_iter().find(|path| path.is_file())?, function))
}

fn is_there(evidence: &str, rows: &BTreeSet<String>) -> bool {
    if let Some(slug) = evidence.strip_prefix("row:") {
        return rows.contains(slug);
    }
    file_of(evidence).is_some_and(|(path, function)| {
        let text = std::fs::read_to_string(path).unwrap();
        [format!("fn {function}()"), format!("fn {function}(mpm)")].iter().any(|head| text.contains(head))
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

/// The first words after a prefix, one for each line that has it.
fn words_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let rest = text.lines().filter_map(|line| line.trim_start().strip_prefix(prefix));
    let ends = |c: char| !(c.is_alphanumeric() || "_-<".contains(c));
    rest.map(|rest| rest.split(ends).next().unwrap().to_string()).filter(|word| !word.is_empty()).collect()
}

#[track_caller]
fn same(list_name: &str, listed: BTreeSet<String>, ours: BTreeSet<String>) {
    let (unlisted, gone): (Vec<_>, Vec<_>) =
        (ours.difference(&listed).collect(), listed.difference(&ours).collect());
    assert!(unlisted.is_empty(), "not in tests/compat/{list_name}.list: {unlisted:?}");
    assert!(gone.is_empty(), "in tests/compat/{list_name}.list and nowhere else: {gone:?}");
}

fn names(list_name: &str) -> BTreeSet<String> {
    list(list_name).into_keys().collect()
}

#[test]
fn every_directive_is_listed() {
    let source = read("mod_shim/c/directives.c");
    let table = source.split("const command_rec wsgid_directives[]").nth(1).unwrap();
    let ours = table.split('"').map(String::from);
    let name = |word: &String| {
        let rest = word.trim_start_matches('<').strip_prefix("WSGI");
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(char::is_alphanumeric))
    };
    same("directives", names("directives"), ours.filter(name).collect());
}

#[test]
fn every_option_is_listed() {
    same("options", names("options"), RULES.iter().map(|rule| rule.name.to_string()).collect());
}

/// The manual page has every number, as a test of the module's own knows.
#[test]
fn every_message_is_listed() {
    same("messages", names("messages"), words_after(&read("packaging/man/wsgid-messages.7"), ".It Li "));
}

/// The stubs have every name of the modules, as a test of theirs knows.
#[test]
fn every_name_of_the_modules_is_listed() {
    let mut ours = BTreeSet::new();
    for module in ["mod_wsgi", "apache"] {
        let stub = read(&format!("daemon/worker/stubs/{module}-stubs/__init__.pyi"));
        for line in stub.lines() {
            let bare = line.strip_prefix("def ").or(line.strip_prefix("class ")).unwrap_or(line);
            let name: String = bare.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let defined = bare != line || line[name.len()..].starts_with(':');
            if defined && !name.is_empty() && !name.starts_with('_') {
                ours.insert(format!("{module}.{name}"));
            }
        }
    }
    let listed = names("api").into_iter().filter(|name| !name.contains(':')).collect();
    same("api", listed, ours);
}

/// Something that the option takes.
fn sample(shape: &Shape) -> String {
    match shape {
        Shape::Number(least, _) | Shape::Size(least) => least.max(&1).to_string(),
        Shape::Path | Shape::Paths => "/srv".into(),
        Shape::Switch => "On".into(),
        Shape::Choice(words) => words[0].into(),
        _ => "7".into(),
    }
}

#[test]
fn an_option_without_effect_is_named() {
    let idle: Vec<_> = RULES.iter().filter(|rule| rule.force != Force::Full).collect();
    assert!(!idle.is_empty());
    let options: Vec<String> =
        idle.iter().map(|rule| format!("{}={}", rule.name, sample(&rule.shape))).collect();
    let config = format!("WSGIDaemonProcess site {}", options.join(" "));
    let (good, said) = configtest(&Stack::on(Mpm::Event).config(&config).without_daemon().lay_out());
    assert!(good, "{said}");
    for rule in idle {
        let Force::Moot(why) = rule.force else { continue };
        let named = said.lines().find(|line| line.contains(&format!("'{}'", rule.name)));
        assert!(named.is_some_and(|line| line.contains(why)), "{}: {said}", rule.name);
    }
}

#[test]
fn what_access_control_no_longer_asks_is_named() {
    let config = "<Location />\nWSGIGroupAuthoritative Off\n</Location>";
    let (good, said) = configtest(&Stack::on(Mpm::Event).config(config).without_daemon().lay_out());
    assert!(good && said.contains("WSGIGroupAuthoritative"), "{said}");
}
