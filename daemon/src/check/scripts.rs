//! Scripts: are they there, may httpd find them, may the worker read them, is anybody let in?

use super::Case;
use super::dump::Directive;
use super::files::way_finding;
use super::finding::{Finding, Grade};
use super::grants;
use super::probe::Kind;
use super::sections::{Layer, Value};
use super::site::Mount;
use super::way::{End, Need, Walker, way};
use super::words;
use std::path::Path;

/// Is the target a directory of scripts? Where it can't be seen, its last letter has to do.
pub fn is_directory(case: &Case<'_>, mount: &Mount<'_>) -> bool {
    let Some(path) = &mount.target else { return false };
    match way(case.probe, &case.finder, path, Need::Nothing) {
        End::There(_, kind) => kind == Kind::Directory,
        _ => path.to_str().is_some_and(|path| path.ends_with('/')),
    }
}

/// All findings on it. `user` is the application's, where that is known.
pub fn check(
    case: &Case<'_>,
    mount: &Mount<'_>,
    user: Option<&Walker>,
    layers: &[Layer<'_>],
    access_file: &str,
) -> Vec<Finding> {
    let Some(path) = mount.target.as_deref() else { return Vec::new() };
    let line = (&mount.directive.place, Grade::Error);
    let (needs, directory) = match is_directory(case, mount) {
        true => ([Need::Execute; 2], path),
        false => ([Need::Nothing, Need::Read], path.parent().unwrap_or(path)),
    };
    let by_web = way_finding(case, line, "The web server does not get to", &case.finder, path, needs[0]);
    let missing = by_web.as_ref().is_some_and(|finding| finding.what.contains("there is no"));
    let by_user = user
        .filter(|_| !missing)
        .and_then(|user| way_finding(case, line, "The application does not get to", user, path, needs[1]));
    [by_web, by_user, denial(case, mount, layers, directory, access_file)].into_iter().flatten().collect()
}

/// Where a script stands, or the directory of scripts, which ends with a slash.
pub fn directory_of(path: &Path) -> &Path {
    let is_directory = path.to_str().is_some_and(|path| path.ends_with('/'));
    if is_directory { path } else { path.parent().unwrap_or(path) }
}

/// Directives that name a script for which no request decides where it runs.
const NAMING: &[&str] = &[
    "WSGIImportScript",
    "WSGIAccessScript",
    "WSGIAuthUserScript",
    "WSGIAuthGroupScript",
    "WSGIDispatchScript",
];

/// A script that no URL leads to: is it there for whoever loads it?
pub fn named(case: &Case<'_>, directive: &Directive) -> Option<Finding> {
    NAMING.iter().find(|name| directive.is(name))?;
    let path = case.site.absolute(directive.words().first()?);
    let options = words::options(&directive.args, 1);
    let group = options.iter().find(|(key, _)| key == "process-group").map(|(_, value)| value.as_str());
    let user = match group {
        None | Some("%{GLOBAL}") => case.web.clone(), // scripts of access control run in the implicit group
        name => case.walker(case.site.groups.iter().find(|group| name == Some(&group.name))?)?,
    };
    loaded(case, directive, &path, &user)
}

/// Does whoever runs it get to the script that a directive names?
pub fn loaded(case: &Case<'_>, directive: &Directive, path: &Path, user: &Walker) -> Option<Finding> {
    let begun = format!("{} can't be loaded from", directive.name);
    way_finding(case, (&directive.place, Grade::Error), &begun, user, path, Need::Read)
}

/// `directory` is where the script stands.
pub fn denial(
    case: &Case<'_>,
    mount: &Mount<'_>,
    layers: &[Layer<'_>],
    directory: &Path,
    access_file: &str,
) -> Option<Finding> {
    let denial = grants::denial(layers)?;
    // AllowOverride stands in directories alone.
    let allowed = layers.iter().fold(Value::Unset, |value, layer| {
        let says = layer.all("AllowOverride").chain(layer.all("AllowOverrideList")).last();
        says.map_or(value, Value::By)
    });
    if grants::overridden(case.probe, allowed, access_file, directory) {
        return None;
    }
    let Directive { name, args, place, .. } = denial.section;
    let what = format!(
        "Every request for {} will be answered 403, \"client denied by server configuration\": the last word on it \
         has <{name} {args}> at {}:{}.",
        mount.location, place.file, place.line
    );
    let shown = directory.display();
    let mend = format!("Add: <Directory {shown}> Require all granted </Directory>, or whom else you let in.");
    Some(Finding::new(Grade::Error, &mount.directive.place, what, mend))
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    const BEGUN: &str = "WSGIPassAuthorization Off\nWSGIDaemonProcess g user=bob";
    const MOUNTED: &str = "\nWSGIScriptAlias / /home/bob/site/app.wsgi process-group=g";

    fn home(mode: u32) -> Few {
        Few::new().dir("/home/bob", mode, 1000).file_of("/home/bob/site/app.wsgi", 0o640, 1000)
    }

    #[test]
    fn a_home_directory_that_is_closed_to_the_web_server() {
        let text = format!("{BEGUN}{MOUNTED}");
        let expected = [(
            "3: Error",
            "The web server does not get to /home/bob/site/app.wsgi: user web is denied at /home/bob (mode 0700)",
        )];
        assert_found(&home(0o700), &text, &expected);
        assert_found(&home(0o711), &text, &[]);
        assert_found(&home(0o700).acl("/home/bob"), &text, &[]);
        assert_found(&home(0o700), &format!("{text}\nAssignUserID bob bob"), &[]);
    }

    #[test]
    fn a_script_that_the_application_may_not_read() {
        let text = format!("WSGIPassAuthorization Off\nWSGIDaemonProcess g{MOUNTED}");
        let expected = [(
            "3: Error",
            "The application does not get to /home/bob/site/app.wsgi: user web is denied at /home/bob/site/app.wsgi (mode 0640)",
        )];
        assert_found(&home(0o711), &text, &expected);
    }

    #[test]
    fn a_script_that_is_missing() {
        let text = format!("{BEGUN}{MOUNTED}");
        assert_found(&Few::new(), &text, &[("3: Error", "there is no /home.")]);
        let pattern = "WSGIPassAuthorization Off\nWSGIScriptAliasMatch ^/(.*) /home/$1/app.wsgi";
        assert_found(&Few::new(), pattern, &[]);
    }

    #[test]
    fn scripts_that_no_url_leads_to() {
        let import = "WSGIImportScript /home/bob/site/app.wsgi application-group=%{GLOBAL} process-group=";
        let text = format!("WSGIDaemonProcess g user=bob\n{import}g\n{import}%{{GLOBAL}}");
        let denied = "WSGIImportScript can't be loaded from /home/bob/site/app.wsgi: user web is denied";
        assert_found(&home(0o700), &text, &[("3: Error", denied)]);
        let handler = "WSGIDaemonProcess g user=bob\nWSGIHandlerScript my-handler /srv/h.py process-group=g";
        assert_found(
            &Few::new(),
            handler,
            &[("2: Error", "WSGIHandlerScript can't be loaded from /srv/h.py")],
        );
        let access = "<Location />\nWSGIAccessScript /home/bob/site/app.wsgi\n</Location>";
        assert_found(&home(0o711), access, &[("2: Error", "user web is denied at /home/bob/site/app.wsgi")]);
    }

    #[test]
    fn where_one_may_not_look_is_said_once() {
        let expected = [("0: Note", "for lack of permission: /home/bob/site.")];
        assert_found(&home(0o711).forbid("/home/bob"), &format!("{BEGUN}{MOUNTED}"), &expected);
    }

    #[test]
    fn requests_that_nobody_lets_in() {
        let denied = format!("{BEGUN}{MOUNTED}\n<Directory />\nRequire all denied\n</Directory>");
        assert_found(
            &home(0o711),
            &denied,
            &[("3: Error", "the last word on it has <Directory /> at /etc/site.conf:4")],
        );
        let granted = format!("{denied}\n<Directory /home/bob/site>\nRequire all granted\n</Directory>");
        assert_found(&home(0o711), &granted, &[]);
        let left_to_a_file = format!("{denied}\n<Directory /home>\nAllowOverride AuthConfig\n</Directory>");
        assert_found(&home(0o711).file("/home/bob/site/.htaccess"), &left_to_a_file, &[]);
    }
}
