//! Would anybody be let in? `Require` of mod_authz_core, and `Order`, `Allow` and `Deny` of
//! mod_access_compat. A denial is told only where every request is denied.

use super::dump::Directive;
use super::probe::Probe;
use super::sections::{Fit, Layer, Value};
use std::path::Path;

/// For whom a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Everybody.
    All,
    /// Nobody.
    Nobody,
    /// Some, or we can't tell.
    Some,
}

/// Where everybody is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial<'a> {
    /// The section that decides.
    pub section: &'a Directive,
}

/// The section that denies every request, if one does.
pub fn denial<'a>(layers: &[Layer<'a>]) -> Option<Denial<'a>> {
    let has = |name: &str| layers.iter().any(|layer| layer.all(name).next().is_some());
    if has("Satisfy") || has("AuthMerging") {
        return None;
    }
    let by_require = last_word(layers, require_of);
    let by_order = last_word(layers, order_of);
    [by_require, by_order]
        .into_iter()
        .flatten()
        .find(|(answer, _)| *answer == Answer::Nobody)
        .map(|(_, section)| Denial { section })
}

/// Could a file in one of these directories say otherwise?
pub fn overridden(probe: &dyn Probe, allowed: Value<'_>, file: &str, directory: &Path) -> bool {
    let may = match allowed {
        Value::Unset => false, // AllowOverride is None where nobody says
        Value::By(directive) => !directive.args.trim().eq_ignore_ascii_case("none"),
        Value::Open => true,
    };
    may && directory.ancestors().any(|above| probe.look(&above.join(file)).is_ok())
}

/// Each section replaces what was said before; one that applies perhaps can only confirm it.
fn last_word<'a>(
    layers: &[Layer<'a>],
    answer_of: impl Fn(&'a Directive) -> Option<Answer>,
) -> Option<(Answer, &'a Directive)> {
    let mut word = None;
    for layer in layers {
        let Some(answer) = answer_of(layer.section) else { continue };
        let before = word.map_or(Answer::All, |(answer, _)| answer);
        let certain = layer.fit == Fit::Surely || answer == before;
        word = Some((if certain { answer } else { Answer::Some }, layer.section));
    }
    word
}

const CONTAINERS: [&str; 3] = ["RequireAny", "RequireAll", "RequireNone"];

fn is_rule(directive: &Directive) -> bool {
    directive.is("Require") || CONTAINERS.iter().any(|name| directive.is(name))
}

/// What the rules that stand in a section come to; `None` without rules.
fn require_of(section: &Directive) -> Option<Answer> {
    let rules: Vec<&Directive> = section.children.iter().filter(|each| is_rule(each)).collect();
    (!rules.is_empty()).then(|| any(rules))
}

fn answer(rule: &Directive) -> Answer {
    let inner = || rule.children.iter().filter(|each| is_rule(each)).collect::<Vec<_>>();
    match rule.words().iter().map(|word| word.to_ascii_lowercase()).collect::<Vec<_>>().as_slice() {
        _ if rule.is("RequireAny") => any(inner()),
        _ if rule.is("RequireAll") => all(inner()),
        _ if rule.is("RequireNone") => Answer::Some,
        [all, granted] if all == "all" && granted == "granted" => Answer::All,
        [all, denied] if all == "all" && denied == "denied" => Answer::Nobody,
        [not, all, granted] if not == "not" && all == "all" && granted == "granted" => Answer::Nobody,
        _ => Answer::Some,
    }
}

fn any(rules: Vec<&Directive>) -> Answer {
    let answers: Vec<Answer> = rules.into_iter().map(answer).collect();
    match () {
        () if answers.contains(&Answer::All) => Answer::All,
        () if answers.contains(&Answer::Some) || answers.is_empty() => Answer::Some,
        () => Answer::Nobody,
    }
}

fn all(rules: Vec<&Directive>) -> Answer {
    let answers: Vec<Answer> = rules.into_iter().map(answer).collect();
    match () {
        () if answers.contains(&Answer::Nobody) => Answer::Nobody,
        () if answers.contains(&Answer::Some) || answers.is_empty() => Answer::Some,
        () => Answer::All,
    }
}

/// The old manner: a section that says any of it replaces all of it.
fn order_of(section: &Directive) -> Option<Answer> {
    let said = |name: &str| section.children.iter().filter(|each| each.is(name)).collect::<Vec<_>>();
    let (orders, allows, denies) = (said("Order"), said("Allow"), said("Deny"));
    if orders.is_empty() && allows.is_empty() && denies.is_empty() {
        return None;
    }
    let from_all = |list: &[&Directive]| {
        list.iter().any(|each| each.words().iter().skip(1).any(|w| w.eq_ignore_ascii_case("all")))
    };
    let order =
        orders.last().map_or("deny,allow".into(), |each| each.args.to_ascii_lowercase().replace(' ', ""));
    Some(match order.as_str() {
        "allow,deny" if allows.is_empty() || from_all(&denies) => Answer::Nobody,
        "allow,deny" if from_all(&allows) && denies.is_empty() => Answer::All,
        "deny,allow" if from_all(&allows) || denies.is_empty() => Answer::All,
        "deny,allow" if from_all(&denies) && allows.is_empty() => Answer::Nobody,
        _ => Answer::Some,
    })
}

#[cfg(test)]
mod tests {
    use super::super::probe::fixture::Few;
    use super::super::sections::{Target, layers};
    use super::super::site::{Site, fixture};
    use super::*;

    /// The line of the section that denies `/srv/site/app.wsgi` to everybody.
    fn denied(text: &str) -> Option<u32> {
        let text = format!("<Directory />\nRequire all denied\n</Directory>\n{text}");
        let dump = fixture::dump(&text);
        let site = Site::new(&dump);
        let target =
            Target { path: Some(Path::new("/srv/site/app.wsgi")), is_directory: false, url: Some("/") };
        denial(&layers(&site, site.main(), &target)).map(|denial| denial.section.place.line)
    }

    #[test]
    fn everybody_is_denied_where_nothing_grants() {
        assert_eq!(denied(""), Some(1));
        assert_eq!(denied("<Directory /srv/site/static>\nRequire all granted\n</Directory>"), Some(1));
        assert_eq!(denied("<Directory /srv/site>\nRequire all denied\n</Directory>"), Some(4));
        let both = "<RequireAll>\nRequire all granted\nRequire all denied\n</RequireAll>";
        assert_eq!(denied(&format!("<Directory /srv>\n{both}\n</Directory>")), Some(4));
        let old = "<Directory /srv>\nRequire all granted\nOrder deny,allow\nDeny from all\n</Directory>";
        assert_eq!(denied(old), Some(4));
        assert_eq!(denied("<Directory /srv>\nRequire all granted\nOrder allow,deny\n</Directory>"), Some(4));
    }

    #[test]
    fn whatever_may_grant_raises_no_alarm() {
        for grant in [
            "<Directory /srv>\nRequire all granted\n</Directory>",
            "<Directory /srv>\nRequire ip 10\n</Directory>",
            "<Directory /srv>\n<RequireAny>\nRequire all denied\nRequire valid-user\n</RequireAny>\n</Directory>",
            "<Directory /srv/site>\n<Files app.wsgi>\nRequire all granted\n</Files>\n</Directory>",
            "<Files *.wsgi>\nRequire all granted\n</Files>",
            "<DirectoryMatch ^/srv>\nRequire all granted\n</DirectoryMatch>",
            "<Location />\nRequire all granted\n</Location>",
            "<Directory /srv>\n<If \"true\">\nRequire all granted\n</If>\n</Directory>",
            "<Directory /srv>\n<Limit GET>\nRequire all granted\n</Limit>\n</Directory>",
            "<Directory /srv>\nSatisfy Any\n</Directory>",
            "<Directory /srv>\nRequire all granted\nOrder allow,deny\nAllow from all\n</Directory>",
            "<Directory /srv>\nRequire all granted\nOrder deny,allow\nDeny from all\nAllow from 10\n</Directory>",
            "<Directory /s*>\nRequire all granted\n</Directory>",
        ] {
            assert_eq!(denied(grant), None, "{grant}");
        }
    }

    #[test]
    fn a_file_in_the_directory_may_say_otherwise_where_that_is_allowed() {
        let dump = fixture::dump("AllowOverride All\nAllowOverride None");
        let site = Site::new(&dump);
        let [all, none] = [0, 1].map(|n| Value::By(site.main().own[n]));
        let with = Few::new().file("/srv/.htaccess").dir("/srv/site", 0o755, 0);
        let at = |allowed| overridden(&with, allowed, ".htaccess", Path::new("/srv/site"));
        assert!(at(all) && at(Value::Open));
        assert!(!at(none) && !at(Value::Unset));
        assert!(!overridden(&Few::new(), all, ".htaccess", Path::new("/srv/site")));
    }
}
