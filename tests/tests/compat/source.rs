//! The lists and this project's own tables.

use crate::lists::{list, names, read, same};
use std::collections::BTreeSet;
use wsgid_proto::launch::Reason;
use wsgid_proto::options::RULES;

/// What stands between the two, wherever the first occurs.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split(after).next().unwrap()).collect()
}

/// The one thing that stands between them.
#[track_caller]
fn only<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let found = between(text, before, after);
    assert_eq!(found.len(), 1, "{before}: {found:?}");
    found[0]
}

#[test]
fn every_directive_is_listed() {
    let source = read("mod_shim/c/directives.c");
    let table = source.split("const command_rec wsgid_directives[]").nth(1).unwrap();
    let name = |word: &&str| {
        let rest = word.trim_start_matches('<').strip_prefix("WSGI");
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(char::is_alphanumeric))
    };
    let ours = table.split('"').filter(name).map(String::from).collect();
    same("directives", &names("directives"), &ours);
}

#[test]
fn every_option_is_listed() {
    let ours = RULES.iter().map(|rule| rule.name.to_string()).collect();
    same("options", &names("options"), &ours);
}

/// The paragraphs of the manual page, which are the rows of the module's table, as a test of its own knows: a
/// number each, and the status where there is one alone.
fn paragraphs() -> Vec<(String, Option<String>)> {
    let page = read("packaging/man/wsgid-messages.7");
    let lines = page.lines().filter_map(|line| line.strip_prefix(".It Li "));
    lines
        .map(|line| match line.split_once(" , ") {
            Some((number, status)) => (number.into(), Some(status.into())),
            None => (line.into(), None),
        })
        .collect()
}

#[test]
fn every_message_is_listed() {
    let ours = paragraphs().into_iter().map(|(number, _)| number).collect();
    same("messages", &names("messages"), &ours);
}

/// What mod_wsgi writes to logs: the manual page says what stands here instead.
#[test]
fn every_text_is_listed() {
    let page = read("packaging/man/wsgid-messages.7");
    let ours = page.lines().filter_map(|line| line.strip_prefix(".It Dq ")).map(String::from).collect();
    same("texts", &names("texts"), &ours);
}

/// What it says there is what the daemon says of a worker that it replaces.
#[test]
fn the_manual_page_has_the_daemons_words() {
    let page = read("packaging/man/wsgid-messages.7").replace("\\(aq", "'");
    let said: Vec<_> = between(&page, ".Dq worker is replaced: it ", "\n");
    let wrong: Vec<_> =
        said.iter().filter(|words| !Reason::ALL.iter().any(|reason| reason.words() == **words)).collect();
    assert!(said.len() == 5 && wrong.is_empty(), "{wrong:?} of {said:?}");
    assert!(page.contains(Reason::Deadlock.words()));
}

/// Those of the messages, that of a client who is too slow (which is httpd's to say), 200 for what is no fault here, and
/// "cut" for what keeps the status that it had begun with.
#[test]
fn every_status_is_listed() {
    let statuses = names("statuses");
    let listed = statuses.iter().map(|name| name.split(' ').next().unwrap().to_string()).collect();
    let mut ours: BTreeSet<String> = paragraphs().into_iter().filter_map(|(_, status)| status).collect();
    ours.extend(["200", "408", "cut"].map(String::from));
    same("statuses", &listed, &ours);
}

/// Each number that mod_wsgi has as well stands behind a condition of the status that it has.
#[test]
fn every_number_has_its_condition() {
    let mut listed = BTreeSet::new();
    for (condition, evidence) in list("statuses") {
        let status = condition.split(' ').next().unwrap();
        let numbers = evidence.split_whitespace().filter(|word| word.starts_with("WSGI"));
        listed.extend(numbers.map(|number| format!("{status} {number}")));
    }
    let statuses =
        paragraphs().into_iter().filter_map(|(number, status)| Some(format!("{} {number}", status?)));
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = statuses.partition(|pair| pair.contains("WSGI8"));
    let wrong: Vec<_> =
        listed.iter().filter(|pair| !ours.contains(*pair) && !theirs.contains(*pair)).collect();
    assert!(wrong.is_empty(), "the manual page has another status: {wrong:?}");
    let missing: Vec<_> = theirs.difference(&listed).collect();
    assert!(missing.is_empty(), "behind no condition of tests/compat/statuses.list: {missing:?}");
}

/// Names that stand in no table, and where they stand.
const SINGLE: &[(&str, &str)] = &[
    ("wsgi_module", "mod_shim/c/module.c"),
    ("mod_wsgi.c", "mod_shim/c/module.c"),
    ("wsgi-script", "mod_shim/c/wsgid.h"),
    ("application/x-httpd-wsgi", "mod_shim/c/handler.c"),
    ("alias-forced-type", "mod_shim/c/alias.c"),
    ("application", "mod_shim/c/config.c"),
    ("%{GROUP}", "daemon/src/supervisor/plan.rs"),
    ("handle_request", "mod_shim/c/scripts.c"),
    ("reload_required", "daemon/worker/src/scripts.rs"),
];

fn single() -> impl Iterator<Item = String> {
    SINGLE.iter().map(|(name, place)| {
        assert!(read(place).contains(name), "{name} is not in {place}");
        name.to_string()
    })
}

/// Options of mounts, special values and providers.
fn words_of_directives() -> Vec<String> {
    let [route, hooks] = ["route.c", "hooks.c"].map(|name| read(&format!("mod_shim/c/{name}")));
    let expand = read("proto/src/expand.rs");
    let values = only(&expand, "\nfn expand(", "\n}\n");
    let mut ours: Vec<String> =
        between(&route, "strcmp(key, \"", "\"").into_iter().map(String::from).collect();
    ours.extend(between(values, "b\"", "\"").into_iter().map(|name| format!("%{{{name}}}")));
    ours.extend(
        between(&hooks, "PROVIDER_GROUP, \"", "\"").into_iter().map(|name| format!("provider:{name}")),
    );
    ours
}

/// A script's functions, and what `python/hooks.py` makes of their answers; that one may raise, it can't say.
fn verdicts() -> Vec<String> {
    let hooks = read("daemon/worker/src/python/hooks.py");
    let mut ours = Vec::new();
    for entry in only(&hooks, "\nHOOKS = {", "\n}\n").split(": (").skip(1) {
        let function = entry.split('\'').nth(1).unwrap();
        let reader =
            entry.lines().rfind(|line| line.starts_with("        ")).unwrap().trim().trim_end_matches(',');
        let body = only(&hooks, &format!("\ndef {reader}("), "\ndef ");
        let said = [between(body, "return '", "'"), between(body, "else '", "'"), vec!["missing", "raises"]];
        ours.extend(said.concat().into_iter().map(|answer| format!("{function}:{answer}")));
    }
    let route = only(&hooks, "\ndef route(", "\ndef ");
    let functions = only(route, "for name in (", ")").split(", ").map(|name| name.trim_matches('\''));
    let said = functions.chain(between(route, "return '", "'")).chain(["raises"]);
    ours.extend(said.map(|name| format!("dispatch:{name}")));
    ours
}

#[test]
fn every_name_of_mounts_and_scripts_is_listed() {
    let ours = single().chain(words_of_directives()).chain(verdicts()).collect();
    same("mounts", &names("mounts"), &ours);
}

/// Why a worker stops.
#[test]
fn every_reason_is_listed() {
    let listed = names("api").into_iter().filter(|name| name.starts_with("reason:")).collect();
    same("api", &listed, &Reason::ALL.iter().map(|reason| format!("reason:{}", reason.name())).collect());
}

/// Headers that proxies say something with.
#[test]
fn every_header_of_proxies_is_listed() {
    let source = read("mod_shim/src/trusted.rs");
    let table = only(&source, "const KNOWN: &[(&str, Category)] = &[", "];");
    let listed = names("environ").into_iter().filter(|name| name.starts_with("X-")).collect();
    same("environ", &listed, &between(table, "(\"", "\"").into_iter().map(String::from).collect());
}
