//! Process groups: which are declared, which are named, and by whom.

use super::Case;
use super::dump::{Directive, Place};
use super::finding::{Finding, Grade};
use super::site::{Group, Server, settled};
use super::words;

/// A place that names a group.
#[derive(Debug, Clone)]
pub struct Naming<'a> {
    /// As it is written.
    pub name: String,
    /// Where.
    pub place: &'a Place,
}

/// All findings on groups.
pub fn check(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut named = Vec::new();
    for server in &case.site.servers {
        for naming in server.own.iter().flat_map(|each| namings(each)) {
            findings
                .extend(settled(&naming.name).and_then(|name| unusable(case, server, name, naming.place)));
            named.push(naming.name);
        }
    }
    findings.extend(case.site.everything().into_iter().filter_map(|each| section_for_nobody(case, each)));
    let by_script = case.site.everything().iter().any(|each| each.is("WSGIDispatchScript"));
    if !by_script && named.iter().all(|name| settled(name).is_some()) {
        let unused = case.site.groups.iter().filter(|group| !named.contains(&group.name));
        findings.extend(unused.map(never_used));
    }
    findings
}

/// A `<WSGIInterpreterOptions>` for the workers of a group that nobody declared.
fn section_for_nobody(case: &Case<'_>, section: &Directive) -> Option<Finding> {
    let options =
        if section.is("WSGIInterpreterOptions") { words::options(&section.args, 0) } else { Vec::new() };
    let (_, name) = options.into_iter().find(|(key, _)| key.eq_ignore_ascii_case("process-group"))?;
    let known =
        settled(&name).is_none_or(str::is_empty) || case.site.groups.iter().any(|group| group.name == name);
    let what = format!("The section has no effect: no process group '{name}' is declared.");
    let mend = format!("Correct the name, or declare it: WSGIDaemonProcess {name}.");
    (!known).then(|| Finding::new(Grade::Warning, &section.place, what, mend))
}

/// The groups that a directive names, and those within it.
fn namings(directive: &Directive) -> Vec<Naming<'_>> {
    let skip = [
        ("WSGIScriptAlias", 2),
        ("WSGIScriptAliasMatch", 2),
        ("WSGIImportScript", 1),
        ("WSGIHandlerScript", 2),
    ];
    let options = skip
        .iter()
        .find(|(name, _)| directive.is(name))
        .map(|(_, skip)| words::options(&directive.args, *skip));
    let option =
        options.into_iter().flatten().find(|(key, _)| key == "process-group").map(|(_, value)| value);
    let own = directive.is("WSGIProcessGroup").then(|| directive.first_word());
    let here = own.or(option).map(|name| Naming { name, place: &directive.place });
    here.into_iter().chain(directive.children.iter().flat_map(namings)).collect()
}

/// A finding if requests to this server may not use a group of that name. What the main server says is for
/// all virtual hosts, and good for some if one of them has the group.
pub fn unusable(case: &Case<'_>, server: &Server<'_>, name: &str, place: &Place) -> Option<Finding> {
    let declared: Vec<&Group<'_>> = case.site.groups.iter().filter(|group| group.name == name).collect();
    let usable = case.site.usable(server).any(|group| group.name == name);
    if name.is_empty() || usable {
        return None;
    }
    let Some(group) = declared.first() else {
        let known: Vec<&str> = case.site.groups.iter().map(|group| group.name.as_str()).collect();
        let known =
            if known.is_empty() { "none is".into() } else { format!("declared are: {}", known.join(", ")) };
        let what =
            format!("No process group '{name}' is declared ({known}); requests here are answered 500.");
        let mend = format!("Correct the name, or declare it: WSGIDaemonProcess {name}.");
        return Some(Finding::new(Grade::Error, place, what, mend));
    };
    server.section?;
    let what = format!(
        "Process group '{name}' belongs to the virtual hosts of ServerName {}, by its declaration at {}:{}; this one \
         is {}, and its requests are answered 500.",
        group.owner.unwrap_or_default(),
        group.directive.place.file,
        group.directive.place.line,
        server.name
    );
    let mend = "Declare the group outside of virtual hosts, or one of its own for each ServerName.";
    Some(Finding::new(Grade::Error, place, what, mend))
}

fn never_used(group: &Group<'_>) -> Finding {
    let what = format!("Process group '{}' is declared, and nothing names it.", group.name);
    let mend = format!(
        "Add process-group={} to the application's WSGIScriptAlias, or take the line out.",
        group.name
    );
    Finding::new(Grade::Warning, &group.directive.place, what, mend)
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    #[test]
    fn a_group_that_nobody_declared() {
        let text = "WSGIDaemonProcess site\nWSGIProcessGroup side\n<Location /x>\nWSGIProcessGroup site\n</Location>";
        assert_found(
            &Few::new(),
            text,
            &[("2: Error", "No process group 'side' is declared (declared are: site)")],
        );
    }

    #[test]
    fn a_section_for_a_group_that_nobody_declared() {
        let section = |name: &str| {
            format!(
                "<WSGIInterpreterOptions process-group={name}>\nWSGIRestrictStdin On\n</WSGIInterpreterOptions>"
            )
        };
        let expected = [("1: Warning", "no process group 'side' is declared")];
        assert_found(&Few::new(), &section("side"), &expected);
        let declared = format!("WSGIDaemonProcess site\nWSGIProcessGroup site\n{}", section("site"));
        assert_found(&Few::new(), &declared, &[]);
        assert_found(&Few::new(), &section("%{GLOBAL}"), &[]);
    }

    #[test]
    fn a_group_of_another_virtual_host() {
        let text = "
            <VirtualHost *:80>
            ServerName one.example
            WSGIDaemonProcess one
            WSGIProcessGroup one
            </VirtualHost>
            <VirtualHost *:443>
            ServerName ONE.example
            WSGIProcessGroup one
            </VirtualHost>
            <VirtualHost *:80>
            ServerName two.example
            WSGIImportScript /srv/x.py process-group=one application-group=%{GLOBAL}
            </VirtualHost>";
        assert_found(
            &Few::new().file("/srv/x.py"),
            text,
            &[("13: Error", "ServerName one.example, by its declaration at /etc/site.conf:4")],
        );
    }

    #[test]
    fn a_group_that_nothing_names() {
        assert_found(&Few::new(), "WSGIDaemonProcess site", &[("1: Warning", "nothing names it")]);
        let by_request = "WSGIDaemonProcess site\nWSGIProcessGroup %{ENV:GROUP}";
        assert_found(&Few::new(), by_request, &[]);
        let by_script = "WSGIDaemonProcess site\nWSGIDispatchScript /srv/dispatch.py";
        assert_found(&Few::new().file("/srv/dispatch.py"), by_script, &[]);
    }
}
