//! The lists, and how one is compared with its other side.

use std::collections::{BTreeMap, BTreeSet};
use wsgid_tests::stage::repository;

/// `absent` has what mod_wsgi has, or had, and this project has not.
pub const LISTS: &[&str] =
    &["absent", "api", "directives", "environ", "messages", "mounts", "options", "statuses", "texts"];

pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Names and the words behind them, which two blanks divide.
pub fn list(name: &str) -> BTreeMap<String, String> {
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

pub fn names(list_name: &str) -> BTreeSet<String> {
    list(list_name).into_keys().collect()
}

#[track_caller]
pub fn same(list_name: &str, listed: &BTreeSet<String>, other: &BTreeSet<String>) {
    let unlisted: Vec<_> = other.difference(listed).collect();
    let gone: Vec<_> = listed.difference(other).collect();
    assert!(unlisted.is_empty(), "not in tests/compat/{list_name}.list: {unlisted:?}");
    assert!(gone.is_empty(), "in tests/compat/{list_name}.list and nowhere else: {gone:?}");
}
