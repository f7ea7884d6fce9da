//! What handlers answer for: files that `SetHandler` or `AddHandler` makes scripts of, and whatever has the
//! handler of a `WSGIHandlerScript`.

use super::dump::Directive;
use super::site::{Mount, Server, Site};
use super::words;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One of them.
pub struct Handled<'a> {
    /// Where it is, and the line that says what runs there.
    pub mount: Mount<'a>,
    /// The script of a `WSGIHandlerScript`; without, the files themselves are scripts.
    pub script: Option<PathBuf>,
    /// A line gives the handler to something. `Action` and `RewriteRule` can do so as well.
    pub used: bool,
}

/// Their handler is the module's own.
const OWN: [&str; 2] = ["wsgi-script", "application/x-httpd-wsgi"];

/// Those of a server; what the main server says is looked at once, with that.
pub fn of<'a>(site: &Site<'a>, server: &Server<'a>) -> Vec<Handled<'a>> {
    let mut uses = Vec::new();
    server.own.iter().for_each(|each| collect(each, &[], &mut uses));
    let mut handled: Vec<Handled<'a>> = uses.iter().filter_map(|each| each.handled(site, server)).collect();
    let everything = site.everything();
    let is_used = |script: &Directive| {
        everything.iter().any(|each| gives_handler(each) && each.first_word() == script.first_word())
    };
    // Which virtual host those of the main server are for, a request decides.
    let inherited = server.section.is_none() && site.servers.len() > 1;
    for script in scripts(&server.own).into_iter().filter(|script| !is_used(script)) {
        if !inherited || words::options(&script.args, 2).iter().any(|(key, _)| key == "process-group") {
            handled.push(of_script(site, script, None, format!("handler {}", script.first_word())));
        }
    }
    handled
}

fn gives_handler(directive: &Directive) -> bool {
    directive.is("SetHandler") || directive.is("AddHandler")
}

/// A line that gives a handler, and the sections around it.
struct Use<'a> {
    directive: &'a Directive,
    sections: Vec<&'a Directive>,
}

fn collect<'a>(directive: &'a Directive, around: &[&'a Directive], uses: &mut Vec<Use<'a>>) {
    if gives_handler(directive) {
        uses.push(Use { directive, sections: around.to_vec() });
    }
    let around = [around, &[directive]].concat();
    directive.children.iter().for_each(|each| collect(each, &around, uses));
}

/// Every `WSGIHandlerScript` among these, however deep.
fn scripts<'a>(list: &[&'a Directive]) -> Vec<&'a Directive> {
    let within = |each: &&'a Directive| scripts(&each.children.iter().collect::<Vec<_>>());
    list.iter()
        .flat_map(|each| each.is("WSGIHandlerScript").then_some(*each).into_iter().chain(within(each)))
        .collect()
}

fn of_script<'a>(site: &Site<'a>, script: &'a Directive, at: Option<Place>, location: String) -> Handled<'a> {
    let options = words::options(&script.args, 2).into_iter().collect();
    let used = at.is_some();
    let Place { target, url } = at.unwrap_or_default();
    let path = script.words().get(1).map(|path| site.absolute(path));
    Handled { mount: Mount { directive: script, location, target, url, options }, script: path, used }
}

/// What a section is for, as far as it is known.
#[derive(Default)]
struct Place {
    target: Option<PathBuf>,
    url: Option<String>,
}

impl<'a> Use<'a> {
    fn handled(&self, site: &Site<'a>, server: &Server<'a>) -> Option<Handled<'a>> {
        let name = self.directive.first_word();
        let place = self.place(site, server);
        let section = self.sections.first().map(|each| format!("<{} {}> ", each.name, each.args));
        let location = format!("{}(handler {name})", section.unwrap_or_default());
        if OWN.contains(&name.as_str()) {
            let Place { target, url } = place;
            let mount = Mount { directive: self.directive, location, target, url, options: HashMap::new() };
            return Some(Handled { mount, script: None, used: true });
        }
        let all = [scripts(&site.main().own), scripts(&server.own)].concat();
        let script = all.into_iter().rfind(|script| script.first_word() == name)?;
        Some(of_script(site, script, Some(place), location))
    }

    fn place(&self, site: &Site<'a>, server: &Server<'a>) -> Place {
        let known = |each: &&Directive| !each.args.contains('~') && !each.first_word().is_empty();
        let section = self.sections.first().filter(|each| known(each));
        let word = section.map(|each| each.first_word()).unwrap_or_default();
        match section {
            Some(each) if each.is("Directory") => Place { target: Some(self.in_directory(&word)), url: None },
            Some(each) if each.is("Location") => {
                let root = site.setting(server, "DocumentRoot").filter(|_| !is_mapped(site, server));
                let root = root.map(|root| site.absolute(&root.first_word()));
                let target = root.map(|root| directory(&root.join(word.trim_start_matches('/'))));
                Place { target, url: Some(word) }
            }
            _ => Place::default(),
        }
    }

    /// The one file that is meant, or the directory.
    fn in_directory(&self, path: &str) -> PathBuf {
        match self.sections[1..] {
            [files] if files.is("Files") && !files.args.contains(['*', '?', '[', '~']) => {
                Path::new(path).join(files.first_word())
            }
            _ => directory(Path::new(path)),
        }
    }
}

/// Seen to be one by its last letter, be it there or not.
fn directory(path: &Path) -> PathBuf {
    path.join("")
}

/// What may lead a URL elsewhere than below `DocumentRoot`.
const MAPPING: [&str; 10] = [
    "Alias",
    "AliasMatch",
    "ScriptAlias",
    "ScriptAliasMatch",
    "WSGIScriptAlias",
    "WSGIScriptAliasMatch",
    "RewriteRule",
    "UserDir",
    "VirtualDocumentRoot",
    "VirtualScriptAlias",
];

fn is_mapped(site: &Site<'_>, server: &Server<'_>) -> bool {
    MAPPING.iter().any(|name| site.setting(server, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    const DENIED: &str =
        "WSGIPassAuthorization Off\n<Directory />\nRequire all denied\nOptions ExecCGI\n</Directory>\n";

    #[test]
    fn files_that_are_scripts_and_that_nobody_gets() {
        for inner in ["AddHandler wsgi-script .py", "<Files app.py>\nSetHandler wsgi-script\n</Files>"] {
            let text = format!("{DENIED}<Directory /srv/apps>\n{inner}\n");
            let at = if inner.starts_with('<') { "8: Error" } else { "7: Error" };
            let expected = [(at, "for <Directory /srv/apps> (handler wsgi-script) will be answered 403")];
            assert_found(&Few::new(), &format!("{text}</Directory>"), &expected);
            assert_found(&Few::new(), &format!("{text}Require all granted\n</Directory>"), &[]);
        }
        let file = "<Directory /srv>\n<Files app.py>\nRequire all granted\n</Files>\n</Directory>\n";
        let text = format!("{DENIED}{file}<Directory /srv/apps>\n<Files app.py>\nSetHandler wsgi-script\n");
        assert_found(&Few::new(), &format!("{text}</Files>\n</Directory>"), &[]);
    }

    #[test]
    fn a_handler_script_whose_urls_nobody_gets() {
        let script = "WSGIHandlerScript mine /srv/h.py\nDocumentRoot /srv/htdocs\n";
        let text = format!("{DENIED}{script}<Location /x>\nSetHandler mine\n</Location>\n");
        let there = || Few::new().file("/srv/h.py");
        let expected = [("6: Error", "for <Location /x> (handler mine) will be answered 403")];
        assert_found(&there(), &text, &expected);
        let granted = "<Directory /srv/htdocs>\nRequire all granted\n</Directory>";
        assert_found(&there(), &format!("{text}{granted}"), &[]);
        // It may be anywhere.
        assert_found(&there(), &format!("{text}Alias /x /srv/other"), &[]);
    }

    #[test]
    fn applications_of_a_handler_are_looked_at_as_others_are() {
        let script = "WSGIHandlerScript mine /srv/h.py";
        let text =
            format!("WSGIDaemonProcess g user=bob\n{script}\n<Location />\nSetHandler mine\n</Location>\n");
        let there = || Few::new().file_of("/srv/h.py", 0o600, 1000);
        let expected = [
            ("2: Error", "WSGIHandlerScript can't be loaded from /srv/h.py: user web is denied"),
            ("2: Warning", "<Location /> (handler mine) runs in the implicit process group"),
            ("2: Note", "Authorization header"),
        ];
        let unused = ("1: Warning", "nothing names it");
        assert_found(&there(), &text, &[&[unused], &expected[..]].concat());
        assert_found(&there(), &format!("{text}WSGIProcessGroup g\nWSGIPassAuthorization On"), &[]);
        let elsewhere = format!(
            "{script}\n<VirtualHost *:80>\nWSGIDaemonProcess g user=bob\nWSGIProcessGroup g\nWSGIPassAuthorization On\n"
        );
        for used in ["<Location />\nSetHandler mine\n</Location>\n", "RewriteRule . - [H=mine]\n"] {
            assert_found(&there(), &format!("{elsewhere}{used}</VirtualHost>"), &[]);
        }
        let files = "<Directory /srv>\nOptions ExecCGI\nSetHandler wsgi-script\n</Directory>";
        assert_found(&there(), files, &[("3: Note", "Authorization header")]);
    }
}
