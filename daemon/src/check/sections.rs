//! Which sections of the configuration apply to a file and its URL, in httpd's order, and what they say.
//!
//! Nothing is guessed: a section whose regular expression, condition or method would have to be tried
//! applies [perhaps](Fit::Perhaps), and what follows from it is then left open.

use super::dump::Directive;
use super::site::{Mount, Server, Site};
use std::path::{Component, Path};

/// Does a section apply?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// To every request for the application.
    Surely,
    /// To some, or nobody knows.
    Perhaps,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'t> {
    /// The script, or the directory of scripts; `None` where each request has another.
    pub path: Option<&'t Path>,
    /// `path` is a directory, so that names in it are not known.
    pub is_directory: bool,
    /// The URL path at which it is; `None` behind a regular expression.
    pub url: Option<&'t str>,
}

/// A section that applies, and what stands directly in it.
#[derive(Debug)]
pub struct Layer<'a> {
    /// The section.
    pub section: &'a Directive,
    /// Whether it does.
    pub fit: Fit,
}

impl<'a> Layer<'a> {
    /// Its directives of a name.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a Directive> {
        self.section.children.iter().filter(move |each| each.is(name))
    }
}

/// What is configured for an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    Unset,
    /// This directive decides.
    By(&'a Directive),
    /// A request decides.
    Open,
}

/// What sections and the server say under a name.
pub fn value<'a>(site: &Site<'a>, server: &Server<'a>, layers: &[Layer<'a>], name: &str) -> Value<'a> {
    let outside = site.setting(server, name).map_or(Value::Unset, Value::By);
    layers.iter().fold(outside, |value, layer| match (layer.all(name).last(), layer.fit) {
        (None, _) => value,
        (Some(directive), Fit::Surely) => Value::By(directive),
        (Some(_), Fit::Perhaps) => Value::Open,
    })
}

/// The sections for an application.
pub fn for_mount<'a>(
    site: &Site<'a>,
    server: &Server<'a>,
    mount: &Mount<'a>,
    is_directory: bool,
) -> Vec<Layer<'a>> {
    let url = mount.url.as_deref();
    layers(site, server, &Target { path: mount.target.as_deref(), is_directory, url })
}

/// The sections for a target: directories from the shortest on, then expressions, files, locations and
/// conditions; the main server's before the virtual host's.
pub fn layers<'a>(site: &Site<'a>, server: &Server<'a>, target: &Target<'_>) -> Vec<Layer<'a>> {
    let mut own: Vec<&'a Directive> = site.main().own.clone();
    if server.section.is_some() {
        own.extend(&server.own);
    }
    let named = |name: &'static str| own.iter().copied().filter(move |each| each.is_section && each.is(name));
    let mut plain: Vec<&Directive> = named("Directory").filter(|each| !is_expression(each)).collect();
    plain.sort_by_key(|each| depth(&each.first_word()));
    let expressions = named("Directory").filter(|each| is_expression(each)).chain(named("DirectoryMatch"));
    let directories: Vec<Layer<'a>> = plain
        .into_iter()
        .chain(expressions)
        .filter_map(|each| applies(each, directory(each, target)))
        .collect();
    let files = own.iter().copied().chain(directories.iter().flat_map(|layer| &layer.section.children));
    let files: Vec<Layer<'a>> = files.filter_map(|each| applies(each, file(each, target))).collect();
    let locations = own.iter().copied().filter_map(|each| applies(each, location(each, target)));
    let conditions = own.iter().copied().filter(|each| is_condition(each));
    let conditions = conditions.map(|section| Layer { section, fit: Fit::Perhaps });
    let outer = directories.into_iter().chain(files).chain(locations).chain(conditions);
    outer.flat_map(with_conditions).collect()
}

/// A section and the conditions within it, however deep.
fn with_conditions(layer: Layer<'_>) -> Vec<Layer<'_>> {
    let inner = layer.section.children.iter().filter(|each| is_condition(each));
    let inner: Vec<Layer<'_>> =
        inner.flat_map(|section| with_conditions(Layer { section, fit: Fit::Perhaps })).collect();
    std::iter::once(layer).chain(inner).collect()
}

fn applies(section: &Directive, fit: Option<Fit>) -> Option<Layer<'_>> {
    Some(Layer { section, fit: fit? })
}

fn is_condition(section: &Directive) -> bool {
    ["If", "ElseIf", "Else", "Limit", "LimitExcept"].iter().any(|name| section.is(name))
}

fn is_expression(section: &Directive) -> bool {
    section.first_word() == "~"
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|name| !name.is_empty()).count()
}

fn directory(section: &Directive, target: &Target<'_>) -> Option<Fit> {
    let (Some(path), false) = (target.path, is_expression(section) || section.is("DirectoryMatch")) else {
        return Some(Fit::Perhaps);
    };
    let names: Vec<&str> = path
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { name.to_str() } else { None })
        .collect();
    let directories = if target.is_directory { &names[..] } else { &names[..names.len().saturating_sub(1)] };
    covers(&section.first_word(), directories, target.is_directory)
}

/// Does a pattern of names lead to these names or to one above? One that leads below is another's, unless
/// what is asked for is a whole directory.
fn covers(pattern: &str, names: &[&str], is_directory: bool) -> Option<Fit> {
    let mut fit = Fit::Surely;
    let mut names = names.iter();
    for wanted in pattern.split('/').filter(|name| !name.is_empty()) {
        let Some(name) = names.next() else { return is_directory.then_some(Fit::Perhaps) };
        match matches(wanted, name) {
            Some(true) => {}
            Some(false) => return None,
            None => fit = Fit::Perhaps,
        }
    }
    Some(fit)
}

fn file(section: &Directive, target: &Target<'_>) -> Option<Fit> {
    let known =
        target.path.filter(|_| !target.is_directory).and_then(Path::file_name).and_then(|name| name.to_str());
    match (section.is_section, section.is("Files"), section.is("FilesMatch"), known) {
        (true, false, true, _) | (true, true, _, None) => Some(Fit::Perhaps),
        (true, true, ..) if is_expression(section) => Some(Fit::Perhaps),
        (true, true, _, Some(name)) => match matches(&section.first_word(), name) {
            Some(true) => Some(Fit::Surely),
            Some(false) => None,
            None => Some(Fit::Perhaps),
        },
        _ => None,
    }
}

fn location(section: &Directive, target: &Target<'_>) -> Option<Fit> {
    match (section.is("Location"), section.is("LocationMatch"), target.url) {
        (true, _, Some(url)) if !is_expression(section) => {
            let names: Vec<&str> = url.split('/').filter(|name| !name.is_empty()).collect();
            covers(&section.first_word(), &names, false)
        }
        (true, ..) | (_, true, _) => Some(Fit::Perhaps),
        _ => None,
    }
}

/// One name against a pattern with `*` and `?`; `None` where brackets would have to be tried.
fn matches(pattern: &str, name: &str) -> Option<bool> {
    if pattern.contains(['[', '\\']) {
        return None;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    Some(glob(&pattern, &name))
}

/// Goes back to the last star where a letter does not fit.
fn glob(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&letter) if letter == '?' || letter == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::super::site::fixture;
    use super::*;

    const TEXT: &str = "
        <Directory /srv/site>
        WSGIProcessGroup site
        <Files *.wsgi>
        WSGICallableObject app
        </Files>
        <Files other.py>
        WSGICallableObject wrong
        </Files>
        </Directory>
        <Directory />
        WSGIProcessGroup root
        WSGIApplicationGroup root
        </Directory>
        <Directory /srv/sit>
        WSGIApplicationGroup wrong
        </Directory>
        <DirectoryMatch ^/srv/.*>
        WSGIScriptReloading Off
        </DirectoryMatch>
        <Location /app>
        WSGIPassAuthorization On
        <If \"-n %{QUERY_STRING}\">
        WSGIChunkedRequest On
        </If>
        </Location>
        <Location /app/below>
        WSGIErrorOverride On
        </Location>";

    fn said(name: &str) -> String {
        let dump = fixture::dump(TEXT);
        let site = Site::new(&dump);
        let target =
            Target { path: Some(Path::new("/srv/site/x/a.wsgi")), is_directory: false, url: Some("/app") };
        match value(&site, site.main(), &layers(&site, site.main(), &target), name) {
            Value::By(directive) => directive.first_word(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn sections_come_in_httpds_order() {
        assert_eq!(said("WSGIProcessGroup"), "site");
        assert_eq!(said("WSGIApplicationGroup"), "root");
        assert_eq!(said("WSGICallableObject"), "app");
        assert_eq!(said("WSGIPassAuthorization"), "On");
        assert_eq!(said("WSGIErrorOverride"), "Unset");
        assert_eq!(said("WSGIRestrictProcess"), "Unset");
    }

    #[test]
    fn expressions_and_conditions_leave_it_open() {
        assert_eq!(said("WSGIScriptReloading"), "Open");
        assert_eq!(said("WSGIChunkedRequest"), "Open");
    }

    #[test]
    fn names_match_patterns() {
        for (pattern, name, expected) in [
            ("a*b", "axxb", true),
            ("a*b", "axxbc", false),
            ("*", "", true),
            ("?", "", false),
            ("*.wsgi", "a.wsgi.wsgi", true),
            ("site", "site", true),
            ("sit", "site", false),
        ] {
            assert_eq!(matches(pattern, name), Some(expected), "{pattern} {name}");
        }
        assert_eq!(matches("[ab]", "a"), None);
    }
}
