//! Access control that leaves its questions to a script, where no script is named anywhere.

use super::Case;
use super::finding::{Finding, Grade};

/// A directive with a word that asks, and the directive that names who answers.
const ASKING: &[(&str, &str, &str)] = &[
    ("AuthBasicProvider", "wsgi", "WSGIAuthUserScript"),
    ("AuthDigestProvider", "wsgi", "WSGIAuthUserScript"),
    ("Require", "wsgi-group", "WSGIAuthGroupScript"),
];

/// All findings on them. A `.htaccess` file that may name a script silences this.
pub fn check(case: &Case<'_>) -> Vec<Finding> {
    let everything = case.site.everything();
    let has_word = |words: Vec<String>, wanted: &[&str]| {
        words.iter().any(|word| wanted.iter().any(|each| word.eq_ignore_ascii_case(each)))
    };
    let open = everything
        .iter()
        .any(|each| each.is("AllowOverride") && has_word(each.words(), &["all", "authconfig"]));
    let mut findings = Vec::new();
    for (name, word, script) in ASKING.iter().filter(|_| !open) {
        if everything.iter().any(|each| each.is(script)) {
            continue;
        }
        let asking = everything.iter().filter(|each| each.is(name) && has_word(each.words(), &[word]));
        findings.extend(asking.map(|each| {
            let what = format!("{name} asks a script here, and no {script} names one; nobody is let in.");
            Finding::new(
                Grade::Error,
                &each.place,
                what,
                format!("Add {script} with the path of the script."),
            )
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    #[test]
    fn questions_that_nobody_answers() {
        let text = "<Location />\nAuthBasicProvider file wsgi\nRequire wsgi-group staff\n</Location>";
        let expected = [
            ("2: Error", "no WSGIAuthUserScript names one"),
            ("3: Error", "no WSGIAuthGroupScript names one"),
        ];
        assert_found(&Few::new(), text, &expected);
        let scripts = "WSGIAuthUserScript /srv/a.py\nWSGIAuthGroupScript /srv/a.py";
        let answered = format!("{text}\n<Location />\n{scripts}\n</Location>");
        assert_found(&Few::new().file("/srv/a.py"), &answered, &[]);
        let left_open = format!("{text}\n<Directory />\nAllowOverride AuthConfig\n</Directory>");
        assert_found(&Few::new(), &left_open, &[]);
    }
}
