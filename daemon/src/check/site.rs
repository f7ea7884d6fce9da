//! The configuration as servers, process groups and mounted applications.

use super::dump::{Directive, Dump, Place};
use super::words;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use wsgid_proto::expand;
use wsgid_proto::options::{self, ProcessGroup};

/// Everything, by the eyes of this module.
#[derive(Debug)]
pub struct Site<'a> {
    /// The main server first.
    pub servers: Vec<Server<'a>>,
    /// In the order of their declaration.
    pub groups: Vec<Group<'a>>,
    /// The dump it was made of.
    pub dump: &'a Dump,
}

/// The main server or a virtual host.
#[derive(Debug)]
pub struct Server<'a> {
    /// Its `ServerName`.
    pub name: &'a str,
    /// A virtual host's section; `None` is the main server.
    pub section: Option<&'a Directive>,
    /// What stands directly in it.
    pub own: Vec<&'a Directive>,
}

/// A `WSGIDaemonProcess`.
#[derive(Debug)]
pub struct Group<'a> {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub directive: &'a Directive,
    /// By which virtual host, as its `ServerName`; `None` is for all.
    pub owner: Option<&'a str>,
    /// Its options as they are written.
    pub written: Vec<(String, String)>,
    /// Its options, parsed.
    pub options: ProcessGroup,
    /// What the parser said of options without effect.
    pub warnings: Vec<String>,
}

impl Group<'_> {
    /// A service script: it has no thread for requests.
    pub fn is_service(&self) -> bool {
        self.written.iter().any(|(key, value)| key == "threads" && value == "0")
    }
}

/// Where an application is: a `WSGIScriptAlias` or `WSGIScriptAliasMatch`, or what a handler answers for.
#[derive(Debug)]
pub struct Mount<'a> {
    /// The line.
    pub directive: &'a Directive,
    /// The URL path, or the regular expression; for a handler, words for what it answers for.
    pub location: String,
    /// The script or the directory; `None` where a request decides.
    pub target: Option<PathBuf>,
    /// The URL path, where it is one.
    pub url: Option<String>,
    /// Of the line.
    pub options: HashMap<String, String>,
}

impl Mount<'_> {
    /// An option of the line.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }
}

impl<'a> Site<'a> {
    /// Sorts a dump.
    pub fn new(dump: &'a Dump) -> Self {
        let (hosts, main): (Vec<_>, Vec<_>) = dump.tree.iter().partition(|each| each.is("VirtualHost"));
        let name_of = |place: Option<&Place>| {
            let known = dump.servers.iter().find(|server| server.place.as_ref() == place);
            known.map_or("", |server| server.name.as_str())
        };
        let mut servers = vec![Server { name: name_of(None), section: None, own: main }];
        servers.extend(hosts.into_iter().map(|section| Server {
            name: name_of(Some(&section.place)),
            section: Some(section),
            own: section.children.iter().collect(),
        }));
        let mut groups = Vec::new();
        for server in &servers {
            for directive in server.all("WSGIDaemonProcess") {
                groups.extend(group(directive, server));
            }
        }
        groups.sort_by(|a: &Group<'_>, b| a.directive.place.cmp(&b.directive.place));
        Self { servers, groups, dump }
    }

    /// The main server.
    pub fn main(&self) -> &Server<'a> {
        &self.servers[0]
    }

    /// What a server says, or else the main server.
    pub fn setting(&self, server: &Server<'a>, name: &str) -> Option<&'a Directive> {
        server.all(name).last().or_else(|| self.main().all(name).last())
    }

    /// A server's aliases, in the order in which they are tried.
    pub fn aliases(&self, server: &Server<'a>) -> Vec<Mount<'a>> {
        let inherited = server.section.map(|_| self.own_aliases(self.main())).unwrap_or_default();
        self.own_aliases(server).into_iter().chain(inherited).collect()
    }

    /// Those that stand in the server itself.
    pub fn own_aliases(&self, server: &Server<'a>) -> Vec<Mount<'a>> {
        let mounts =
            server.own.iter().filter(|each| each.is("WSGIScriptAlias") || each.is("WSGIScriptAliasMatch"));
        mounts.filter_map(|directive| self.alias(directive)).collect()
    }

    fn alias(&self, directive: &'a Directive) -> Option<Mount<'a>> {
        let mut words = directive.words().into_iter();
        let (location, target) = (words.next()?, words.next()?);
        let is_match = directive.is("WSGIScriptAliasMatch");
        let target = (!is_match || !target.contains('$')).then(|| self.absolute(&target));
        let options = words::options(&directive.args, 2).into_iter().collect();
        let url = (!is_match).then(|| location.clone());
        Some(Mount { directive, location, target, url, options })
    }

    /// httpd takes relative paths from its `ServerRoot`.
    pub fn absolute(&self, path: &str) -> PathBuf {
        let root = self.dump.facts.get("server-root").map_or("/", String::as_str);
        Path::new(root).join(path)
    }

    /// The groups of a name that requests to this server may use.
    pub fn usable(&self, server: &Server<'_>) -> impl Iterator<Item = &Group<'a>> {
        let name = server.name.to_string();
        self.groups
            .iter()
            .filter(move |group| group.owner.is_none_or(|owner| owner.eq_ignore_ascii_case(&name)))
    }

    /// Every directive of the configuration, however deep.
    pub fn everything(&self) -> Vec<&'a Directive> {
        fn collect<'a>(list: &'a [Directive], into: &mut Vec<&'a Directive>) {
            for each in list {
                into.push(each);
                collect(&each.children, into);
            }
        }
        let mut all = Vec::new();
        collect(&self.dump.tree, &mut all);
        all
    }
}

impl<'a> Server<'a> {
    /// Its directives of a name, outside of sections.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a Directive> {
        self.own.iter().copied().filter(move |each| each.is(name))
    }
}

fn group<'a>(directive: &'a Directive, server: &Server<'a>) -> Option<Group<'a>> {
    let name = directive.first_word();
    let written = words::options(&directive.args, 1);
    let (options, warnings) = options::parse(&name, &written);
    let options = options?; // httpd has refused what does not parse
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let owner = server.section.map(|_| server.name);
    Some(Group { name, directive, owner, written, options, warnings })
}

/// A group's name as requests will have it: `None` where each request decides.
pub fn settled(name: &str) -> Option<&str> {
    match name {
        "%{GLOBAL}" => Some(""),
        name => (!expand::is_dynamic(name.as_bytes())).then_some(name),
    }
}

/// Configurations for tests.
#[cfg(test)]
pub mod fixture {
    use super::super::dump::{ServerFact, directive};
    use super::*;

    /// A configuration as httpd would tell it, line numbers from 1, all in `/etc/site.conf`. Continuation
    /// lines and quotes around sections' arguments are not known here.
    pub fn dump(text: &str) -> Dump {
        let facts = [("server-root", "/etc/apache"), ("web-uid", "33"), ("web-gid", "33")];
        let facts = facts.map(|(name, value)| (name.to_string(), value.to_string())).into();
        let mut dump = Dump { facts, ..Dump::default() };
        let mut open: Vec<Directive> = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() {
                continue;
            }
            let (name, args) = line.split_once(' ').unwrap_or((line, ""));
            let place = Place { file: "/etc/site.conf".into(), line: number };
            let done = match (line.starts_with("</"), line.starts_with('<')) {
                (false, true) => {
                    open.push(directive(place, name.trim_end_matches('>'), args));
                    continue;
                }
                (true, _) => open.pop().unwrap(),
                _ => directive(place, name, args),
            };
            open.last_mut().map_or(&mut dump.tree, |section| &mut section.children).push(done);
        }
        dump.servers = servers(&dump.tree);
        dump
    }

    fn servers(tree: &[Directive]) -> Vec<ServerFact> {
        let name_in = |list: &[Directive]| {
            list.iter()
                .find(|each| each.is("ServerName"))
                .map_or("main.example".into(), Directive::first_word)
        };
        let hosts = tree.iter().filter(|each| each.is("VirtualHost"));
        let host =
            |host: &Directive| ServerFact { place: Some(host.place.clone()), name: name_in(&host.children) };
        std::iter::once(ServerFact { place: None, name: name_in(tree) }).chain(hosts.map(host)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        WSGIDaemonProcess all threads=2
        WSGIScriptAlias /shared wsgi/shared.py
        <VirtualHost *:80>
        ServerName One.example
        WSGIDaemonProcess one user=bob
        WSGIScriptAlias / /srv/one.wsgi process-group=one application-group=%{GLOBAL}
        WSGIScriptAliasMatch ^/x/(.*) /srv/$1.wsgi
        </VirtualHost>
        <VirtualHost *:81>
        ServerName two.example
        WSGIProcessGroup all
        </VirtualHost>";

    #[test]
    fn servers_have_names_groups_and_aliases() {
        let dump = fixture::dump(TEXT);
        let site = Site::new(&dump);
        let names: Vec<_> = site.servers.iter().map(|server| server.name).collect();
        assert_eq!(names, ["main.example", "One.example", "two.example"]);
        let groups: Vec<_> =
            site.groups.iter().map(|g| (g.name.as_str(), g.owner, g.options.threads)).collect();
        assert_eq!(groups, [("all", None, 2), ("one", Some("One.example"), 15)]);
        let aliases = site.aliases(&site.servers[1]);
        let targets: Vec<_> = aliases.iter().map(|alias| alias.target.as_deref()).collect();
        let expected = [Some("/srv/one.wsgi"), None, Some("/etc/apache/wsgi/shared.py")];
        assert_eq!(targets, expected.map(|path| path.map(Path::new)));
        assert_eq!(aliases[0].option("application-group"), Some("%{GLOBAL}"));
        assert_eq!(site.aliases(&site.servers[2]).len(), 1);
        assert_eq!(site.usable(&site.servers[2]).count(), 1);
        assert_eq!(site.setting(&site.servers[2], "wsgiprocessgroup").unwrap().first_word(), "all");
        assert!(site.setting(&site.servers[1], "WSGIProcessGroup").is_none());
    }

    #[test]
    fn some_names_wait_for_a_request() {
        assert_eq!(settled("%{GLOBAL}"), Some(""));
        assert_eq!(settled("site"), Some("site"));
        assert_eq!(settled("%{ENV:X}"), None);
    }
}
