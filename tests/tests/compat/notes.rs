//! The lists and the compatibility notes, `../shared/compat.md`, which lie beside the repository where mod_wsgid is
//! developed. Elsewhere the lists have their other sides alone.

use crate::lists::{LISTS, names, read};
use std::collections::BTreeSet;
use wsgid_tests::stage::repository;

/// Sections 1 to 5 and 7; mod_wsgi-express, which is section 6, is compared with itself by `tests/run --express`.
fn notes() -> Option<String> {
    let path = repository().join("../shared/compat.md");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "{} is not there: the lists are compared with this project's own sides alone",
            path.display()
        );
        return None;
    };
    let sections = text.split("\n## ").filter(|section| {
        ["1.", "2.", "3.", "4.", "5.", "7."].iter().any(|number| section.starts_with(number))
    });
    let sections: Vec<_> = sections.collect();
    assert_eq!(sections.len(), 6, "{} has other sections", path.display());
    Some(sections.join("\n"))
}

/// `a_{b,c}_d` is `a_b_d` and `a_c_d`.
fn unfolded(word: &str) -> Vec<String> {
    let parts = word.split_once("_{").and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    let Some((head, (choices, tail))) = parts else { return vec![word.into()] };
    choices.split(',').map(|choice| format!("{head}_{choice}{tail}").replace("__", "_")).collect()
}

fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Is it a name by its shape, wherever it stands? Words that are joined by `_`, headers of proxies, directives.
fn has_shape(word: &str) -> bool {
    let joined = word.contains('_') && !word.contains("..") && word.starts_with(char::is_alphanumeric);
    is_plain(word) && !word.ends_with('_') && (joined || word.starts_with("X-") || word.starts_with("WSGI"))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The name in a quotation that has one: alone, with what it is called with or assigned, or as a directive's.
fn name_in(quotation: &str) -> Option<String> {
    if let Some(value) = quotation.strip_prefix("%{") {
        let end = value.find([':', '}']).filter(|_| value.starts_with(char::is_alphabetic))?;
        return Some(format!("%{{{}}}", &value[..if value[end..].starts_with(':') { end + 1 } else { end }]));
    }
    let (name, rest) = quotation.split_at(quotation.find(['(', '=', ' ', '[']).unwrap_or(quotation.len()));
    let directive = name.trim_start_matches('<').starts_with("WSGI");
    let alone = rest.is_empty() || rest.trim_start().starts_with(['(', '=']) || directive;
    let begins = directive || name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let pattern = name.strip_suffix('*').filter(|start| start.ends_with(['_', '.', '-']));
    (alone && begins && is_plain(pattern.unwrap_or(name.trim_start_matches('<')))).then(|| name.to_string())
}

fn mentioned(notes: &str) -> BTreeSet<String> {
    let ends = |c: char| c.is_whitespace() || "`|()[]/;:,\"'→<>=≤≥≠+{}".contains(c);
    let words = notes.split_whitespace().flat_map(unfolded);
    let words = words.flat_map(|word| word.split(ends).map(String::from).collect::<Vec<_>>());
    let shaped = words.map(|word| word.trim_matches('.').to_string()).filter(|word| has_shape(word));
    quoted(notes).filter_map(name_in).chain(shaped).chain(numbers(notes)).collect()
}

/// `0057`, `0105/0109` and `0122–0124` in the sentence that tells of codes.
fn numbers(notes: &str) -> Vec<String> {
    let line = notes.lines().find(|line| line.contains("stable codes `WSGInnnn`")).unwrap();
    let line = line.split_once("e.g. ").unwrap().1;
    let digits = line.split(|c: char| c.is_whitespace() || c == '/');
    let mut numbers = Vec::new();
    for word in digits {
        let (from, to) = word.split_once('–').unwrap_or((word, word));
        let four = |word: &str| (word.len() == 4).then(|| word.parse::<u16>().ok()).flatten();
        if let (Some(from), Some(to)) = (four(from), four(to)) {
            numbers.extend((from..=to).map(|number| format!("WSGI{number:04}")));
        }
    }
    assert!(numbers.len() > 40, "{numbers:?}");
    numbers
}

/// A listed name or a part of one that the notes leave the rest to: `version` of a module, `request_started` among
/// events, `allow_access` whatever it answers, `_time_max_us` of every phase, `wsgi.*`.
fn is_known(word: &str, listed: &BTreeSet<String>) -> bool {
    listed.iter().any(|name| {
        match (word.strip_suffix('*'), name.strip_suffix(word), name.strip_prefix(word)) {
            (Some(start), ..) => name.starts_with(start),
            (_, Some(before), _) => {
                before.is_empty() || before.ends_with(['.', ':', '<']) || word.starts_with("_time")
            }
            (.., Some(after)) => after.starts_with(['.', ':']),
            _ => false,
        }
    })
}

/// Words of the notes that are no names of mod_wsgi's.
fn others() -> BTreeSet<String> {
    let text = read("tests/compat/words");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(String::from).collect()
}

#[test]
fn every_name_of_the_notes_is_listed() {
    let Some(notes) = notes() else { return };
    let listed: BTreeSet<String> = LISTS.iter().flat_map(|list| names(list)).collect();
    let (mentioned, others) = (mentioned(&notes), others());
    let (known, unknown): (Vec<_>, Vec<_>) = mentioned.iter().partition(|word| is_known(word, &listed));
    let unlisted: Vec<_> = unknown.into_iter().filter(|word| !others.contains(*word)).collect();
    assert!(unlisted.is_empty(), "in no list of tests/compat: {unlisted:?}");
    let idle: Vec<_> =
        others.iter().filter(|word| !mentioned.contains(*word) || known.contains(word)).collect();
    assert!(idle.is_empty(), "needless in tests/compat/words: {idle:?}");
}

/// The conditions of the table of statuses: one for each part of a cell.
fn conditions(notes: &str) -> BTreeSet<String> {
    let table = notes.split_once("\n### 7.2").unwrap().1.split("\n### ").next().unwrap();
    let mut found = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Condition")) {
        let mut cells = row.trim_matches('|').split('|');
        let (mut condition, status) = (cells.next().unwrap().trim().to_string(), cells.next().unwrap());
        // A second condition may stand with its status.
        condition.extend(
            status
                .split_once(';')
                .map(|(_, more)| format!(";{}", more.trim_end_matches(|c: char| " 0123456789".contains(c)))),
        );
        let condition = condition.replace(" / ", ";").replace(", ", ";");
        let parts = condition.split(';').map(|part| part.split(" (").next().unwrap().trim().to_string());
        found.extend(parts.filter(|part| !part.ends_with(')')));
    }
    found
}

#[test]
fn every_condition_of_the_notes_is_listed() {
    let Some(notes) = notes() else { return };
    let listed: BTreeSet<String> =
        names("statuses").iter().map(|name| name.split_once(' ').unwrap().1.to_string()).collect();
    let unlisted: Vec<_> = conditions(&notes).difference(&listed).cloned().collect();
    assert!(unlisted.is_empty(), "not in tests/compat/statuses.list: {unlisted:?}");
}

/// What administrators look for in logs: quoted in the last part of section 7.
#[test]
fn every_text_of_the_notes_is_listed() {
    let Some(notes) = notes() else { return };
    let texts: Vec<_> = notes.split_once("\n### 7.3").unwrap().1.split('"').skip(1).step_by(2).collect();
    let listed = names("texts");
    let unlisted: Vec<_> =
        texts.iter().filter(|text| !listed.iter().any(|known| text.contains(known))).collect();
    assert!(unlisted.is_empty(), "not in tests/compat/texts.list: {unlisted:?}");
    let gone: Vec<_> =
        listed.iter().filter(|known| !texts.iter().any(|text| text.contains(*known))).collect();
    assert!(gone.is_empty(), "in tests/compat/texts.list alone: {gone:?}");
}
