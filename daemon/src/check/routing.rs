//! Applications: which URLs reach each, and what it will miss.

use super::Case;
use super::dump::{Directive, Place};
use super::finding::{Finding, Grade};
use super::handlers::{self, Handled};
use super::membership::Membership;
use super::scripts;
use super::sections::{self, Layer, Value, value};
use super::site::{Mount, Server};
use super::words;

/// All findings on applications.
pub fn check(case: &Case<'_>) -> Vec<Finding> {
    let everything = case.site.everything();
    let mut findings = Vec::new();
    let mut blind: Vec<Place> = Vec::new();
    for server in &case.site.servers {
        findings.extend(hidden(&case.site.own_aliases(server)));
        let access_file = case.site.setting(server, "AccessFileName");
        let access_file = access_file.map_or(".htaccess".into(), Directive::first_word);
        for alias in &case.site.aliases(server) {
            let layers = sections::for_mount(&case.site, server, alias, scripts::is_directory(case, alias));
            let group = Membership::of(case, server, alias, &layers);
            findings.extend(group.findings(case, server, alias, &layers));
            let user = group.walker(case, server);
            findings.extend(scripts::check(case, alias, user.as_ref(), &layers, &access_file));
            if says_nothing_of_authorization(case, server, alias, &layers) {
                blind.push(alias.directive.place.clone());
            }
        }
        for Handled { mount, script, used } in &handlers::of(&case.site, server) {
            let layers = sections::for_mount(&case.site, server, mount, scripts::is_directory(case, mount));
            let group = Membership::of(case, server, mount, &layers);
            findings.extend(group.findings(case, server, mount, &layers));
            let user = group.walker(case, server);
            findings.extend(
                script.as_ref().and_then(|path| scripts::loaded(case, mount.directive, path, &user?)),
            );
            let directory = mount.target.as_deref().map(scripts::directory_of);
            findings.extend(directory.and_then(|at| scripts::denial(case, mount, &layers, at, &access_file)));
            if *used && says_nothing_of_authorization(case, server, mount, &layers) {
                blind.push(mount.directive.place.clone());
            }
        }
    }
    for each in &everything {
        findings.extend(scripts::named(case, each));
        findings.extend(group_by_host(each));
    }
    findings.extend(blind.into_iter().min().map(|place| authorization(&place)));
    findings.extend(without_exec_cgi(&everything));
    findings
}

/// The first alias that matches is taken, so a shorter one must not stand before a longer.
fn hidden(aliases: &[Mount<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (n, alias) in aliases.iter().enumerate() {
        if let Some(other) = aliases[..n].iter().find(|other| covers(other, alias)) {
            let what = format!(
                "{} is never reached: {} at {}:{} covers it, and the first that matches is taken.",
                alias.location, other.location, other.directive.place.file, other.directive.place.line
            );
            let mend = "Move the longer path above the shorter one.";
            findings.push(Finding::new(Grade::Error, &alias.directive.place, what, mend));
        }
    }
    findings
}

fn covers(shorter: &Mount<'_>, longer: &Mount<'_>) -> bool {
    let (Some(short), Some(long)) = (&shorter.url, &longer.url) else { return false };
    let names = |url: &str| -> Vec<String> {
        url.split('/').filter(|name| !name.is_empty()).map(String::from).collect()
    };
    let needs_slash = short.ends_with('/') && !long.ends_with('/');
    let (few, many) = (names(short), names(long));
    many.starts_with(&few) && !(needs_slash && many.len() == few.len() && !few.is_empty())
}

/// Whoever decided has said so, or lets httpd authenticate.
fn says_nothing_of_authorization<'a>(
    case: &Case<'a>,
    server: &Server<'a>,
    alias: &Mount<'a>,
    layers: &[Layer<'a>],
) -> bool {
    let unset = |name| value(&case.site, server, layers, name) == Value::Unset;
    alias.option("pass-authorization").is_none()
        && ["WSGIPassAuthorization", "CGIPassAuth", "AuthType"].into_iter().all(unset)
}

fn authorization(place: &Place) -> Finding {
    let what =
        "Applications here don't see the Authorization header, and httpd authenticates nobody for them.";
    let mend = "Set WSGIPassAuthorization On where an application checks passwords or tokens itself; Off says that none \
                does.";
    Finding::new(Grade::Note, place, what, mend)
}

/// A client may claim any Host.
fn group_by_host(directive: &Directive) -> Option<Finding> {
    let skip = if directive.is("WSGIScriptAlias") || directive.is("WSGIScriptAliasMatch") { 2 } else { 1 };
    let option =
        words::options(&directive.args, skip).into_iter().find(|(key, _)| key == "application-group");
    let name = match option {
        _ if directive.is("WSGIApplicationGroup") => directive.first_word(),
        Some((_, value)) if directive.name.to_ascii_lowercase().starts_with("wsgi") => value,
        _ => return None,
    };
    let what = "Clients choose the application group by the Host header they send: each name is an interpreter of its own.";
    let mend = "Use %{SERVER}, which is the virtual host's ServerName, or %{GLOBAL}.";
    (name == "%{HOST}").then(|| Finding::new(Grade::Warning, &directive.place, what, mend))
}

/// Scripts that a handler finds, rather than an alias, need `Options ExecCGI`.
fn without_exec_cgi(everything: &[&Directive]) -> Option<Finding> {
    let says = |name: &str, wanted: &[&str]| {
        everything.iter().filter(|each| each.is(name)).any(|each| {
            each.words()
                .iter()
                .any(|word| wanted.contains(&word.trim_start_matches('+').to_ascii_lowercase().as_str()))
        })
    };
    let allowed = says("Options", &["execcgi", "all"]) || says("AllowOverride", &["all", "options"]);
    let handler = everything.iter().find(|each| {
        (each.is("SetHandler") || each.is("AddHandler"))
            && ["wsgi-script", "application/x-httpd-wsgi"].contains(&each.first_word().as_str())
    })?;
    let what = "Scripts that are found by this handler are answered 403: Options ExecCGI is on nowhere.";
    let mend = "Add Options +ExecCGI to the directory, or mount the script with WSGIScriptAlias.";
    (!allowed).then(|| Finding::new(Grade::Error, &handler.place, what, mend))
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    const SAID: &str = "WSGIPassAuthorization Off\n";

    fn scripts() -> Few {
        Few::new().file("/srv/a.wsgi").file("/srv/b.wsgi")
    }

    #[test]
    fn a_longer_path_behind_a_shorter_one() {
        for (first, second, hidden) in [
            ("/", "/api", true),
            ("/api", "/", false),
            ("/app", "/app/below", true),
            ("/app", "/apple", false),
            ("/app/", "/app", false),
            ("/app", "/app", true),
        ] {
            let text =
                format!("{SAID}WSGIScriptAlias {first} /srv/a.wsgi\nWSGIScriptAlias {second} /srv/b.wsgi");
            let expected = [("3: Error", "at /etc/site.conf:2 covers it")];
            assert_found(&scripts(), &text, if hidden { &expected } else { &[] });
        }
    }

    #[test]
    fn clients_that_choose_the_interpreter() {
        let text = format!(
            "{SAID}WSGIApplicationGroup %{{HOST}}\nWSGIScriptAlias / /srv/a.wsgi application-group=%{{HOST}}"
        );
        assert_found(&scripts(), &text, &[("2: Warning", "Host header"), ("3: Warning", "Host header")]);
    }

    #[test]
    fn a_header_that_will_be_missing() {
        let text = "WSGIScriptAlias /a /srv/a.wsgi\nWSGIScriptAlias /b /srv/b.wsgi";
        assert_found(&scripts(), text, &[("1: Note", "Authorization header")]);
        let basic = format!("{text}\n<Location />\nAuthType Basic\n</Location>");
        assert_found(&scripts(), &basic, &[]);
    }

    #[test]
    fn a_handler_without_leave_to_execute() {
        let text = format!("{SAID}<Directory /srv>\nAddHandler wsgi-script .wsgi\n</Directory>");
        assert_found(&Few::new(), &text, &[("3: Error", "ExecCGI is on nowhere")]);
        assert_found(&Few::new(), &format!("{text}\n<Directory /srv>\nOptions +ExecCGI\n</Directory>"), &[]);
    }
}
