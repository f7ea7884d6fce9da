//! What a check comes to: findings, in words for people or in JSON for programs.

use super::dump::Place;
use std::fmt::Write;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Requests will fail, or the configuration is refused.
    Error,
    /// It works, but hardly as it was meant.
    Warning,
    /// Good to know.
    Note,
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is, or may be, wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where; `None` where it is about no line.
    pub place: Option<Place>,
    /// How bad.
    pub grade: Grade,
    /// A sentence.
    pub what: String,
    /// A sentence that begins with a verb.
    pub mend: String,
}

impl Finding {
    /// About a place.
    pub fn new(grade: Grade, place: &Place, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), grade, what: what.into(), mend: mend.into() }
    }

    /// About no place.
    pub fn general(grade: Grade, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { place: None, grade, what: what.into(), mend: mend.into() }
    }
}

/// By place, those without one at the end, and each said once: virtual hosts share what the main server says.
pub fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    let key = |finding: &Finding| {
        (finding.place.is_none(), finding.place.clone(), finding.grade, finding.what.clone())
    };
    findings.sort_by_cached_key(key);
    findings.dedup();
    findings
}

/// The findings for people: a line that editors can jump to, and one on how to mend it.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { place, grade, what, mend } in findings {
        if let Some(Place { file, line }) = place {
            let _ = write!(text, "{}:{line}: ", printable(file));
        }
        let _ = writeln!(text, "{}: {}\n    {}", grade.name(), printable(what), printable(mend));
    }
    let _ = writeln!(text, "{}", summary(findings));
    text
}

/// Names of files are their owners': what would move a terminal's cursor, or begin another line, is spelt out.
fn printable(text: &str) -> String {
    let spelt = |letter: char| letter.is_control().then(|| letter.escape_default().to_string());
    text.chars().map(|letter| spelt(letter).unwrap_or_else(|| letter.into())).collect()
}

fn summary(findings: &[Finding]) -> String {
    let counted = [Grade::Error, Grade::Warning, Grade::Note].map(|grade| {
        let number = findings.iter().filter(|finding| finding.grade == grade).count();
        format!("{number} {}{}", grade.name(), if number == 1 { "" } else { "s" })
    });
    if findings.is_empty() { "nothing found".into() } else { counted.join(", ") }
}

/// The findings for programs: an array of objects, one to a line.
pub fn json(findings: &[Finding]) -> String {
    let objects = findings.iter().map(|Finding { place, grade, what, mend }| {
        let (file, line) = match place {
            Some(place) => (quoted(&place.file), place.line.to_string()),
            None => ("null".into(), "null".into()),
        };
        format!(
            "  {{\"grade\": \"{}\", \"file\": {file}, \"line\": {line}, \"what\": {}, \"mend\": {}}}",
            grade.name(),
            quoted(what),
            quoted(mend)
        )
    });
    format!("[\n{}\n]\n", objects.collect::<Vec<_>>().join(",\n"))
}

/// A JSON string (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            ..' ' => {
                let _ = write!(quoted, "\\u{:04x}", letter as u32);
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u32) -> Place {
        Place { file: "/etc/a.conf".into(), line }
    }

    #[test]
    fn people_read_a_place_what_is_wrong_and_how_to_mend_it() {
        let findings = [
            Finding::new(Grade::Error, &place(3), "It rains.", "Take an umbrella."),
            Finding::general(Grade::Note, "It is late.", "Go home."),
        ];
        let expected = "/etc/a.conf:3: error: It rains.\n    Take an umbrella.\n\
            note: It is late.\n    Go home.\n1 error, 0 warnings, 1 note\n";
        assert_eq!(text(&findings), expected);
        assert_eq!(text(&[]), "nothing found\n");
    }

    #[test]
    fn no_name_of_a_file_does_anything_to_a_terminal() {
        let what = "/venv/bin/python leads to \u{1b}]0;gone\u{7}\n/etc/a.conf:1: error: \u{9b}2J, ü.";
        let text = text(&[Finding::new(Grade::Error, &place(3), what, "m")]);
        let spelt = "leads to \\u{1b}]0;gone\\u{7}\\n/etc/a.conf:1: error: \\u{9b}2J, ü.\n    m\n";
        assert!(text.contains(spelt), "{text}");
    }

    #[test]
    fn programs_read_json() {
        let findings = [
            Finding::new(Grade::Warning, &place(7), "a \"quoted\"\tword, a \\ and ü", "m"),
            Finding::general(Grade::Note, "n", "m"),
        ];
        let expected = concat!(
            "[\n",
            r#"  {"grade": "warning", "file": "/etc/a.conf", "line": 7, "#,
            r#""what": "a \"quoted\"\u0009word, a \\ and ü", "mend": "m"},"#,
            "\n",
            r#"  {"grade": "note", "file": null, "line": null, "what": "n", "mend": "m"}"#,
            "\n]\n"
        );
        assert_eq!(json(&findings), expected);
        assert_eq!(json(&[]), "[\n\n]\n");
    }

    #[test]
    fn what_two_servers_share_is_said_once_and_places_are_in_order() {
        let at = |line| Finding::new(Grade::Error, &place(line), "x", "y");
        assert_eq!(in_order(vec![at(9), at(2), at(9)]), [at(2), at(9)]);
    }
}
