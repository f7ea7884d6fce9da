//! Directives and options that are accepted and change nothing. Which they are is the module's to say.

use super::Case;
use super::finding::{Finding, Grade};

const MEND: &str = "Take it out, or leave it if the same file is to serve mod_wsgi too.";

/// All of them.
pub fn check(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for directive in case.site.everything() {
        let command = case.site.dump.commands.iter().find(|command| directive.is(&command.name));
        let is_so = |word: &String| directive.first_word().eq_ignore_ascii_case(word);
        let idle = command.filter(|command| !command.no_effect.is_empty());
        if let Some(command) = idle.filter(|command| !command.unless.as_ref().is_some_and(is_so)) {
            let what = format!("{} {}.", command.name, command.no_effect);
            findings.push(Finding::new(Grade::Warning, &directive.place, what, MEND));
        }
    }
    for group in &case.site.groups {
        let warnings = group.warnings.iter();
        findings
            .extend(warnings.map(|what| Finding::new(Grade::Warning, &group.directive.place, what, MEND)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    #[test]
    fn what_changes_nothing_is_named() {
        let text =
            "WSGISocketPrefix /run/wsgi\nWSGIDaemonProcess g socket-user=web threads=3\nWSGIProcessGroup g";
        let expected = [("1: Warning", "WSGIDaemonSocket names"), ("2: Warning", "'socket-user'")];
        assert_found(&Few::new(), text, &expected);
    }
}
