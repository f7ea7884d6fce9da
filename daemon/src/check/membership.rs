//! Which process group an application runs in, and whether it may.

use super::Case;
use super::dump::{Directive, Place};
use super::finding::{Finding, Grade};
use super::groups::unusable;
use super::owner;
use super::sections::{Layer, Value, value};
use super::site::{Group, Mount, Server, settled};
use super::way::Walker;

/// Which process group an application runs in.
pub enum Membership {
    /// This one, as somebody wrote here.
    Written(String, Place),
    /// The implicit one, because nobody wrote anything.
    Default,
    /// Requests decide.
    Open,
}

impl Membership {
    /// What the line, its sections and its server say.
    pub fn of<'a>(case: &Case<'a>, server: &Server<'a>, mount: &Mount<'a>, layers: &[Layer<'a>]) -> Self {
        let said =
            match (mount.option("process-group"), value(&case.site, server, layers, "WSGIProcessGroup")) {
                (Some(name), _) => (name.to_string(), mount.directive),
                (None, Value::By(directive)) => (directive.first_word(), directive),
                (None, Value::Unset) => return Self::Default,
                (None, Value::Open) => return Self::Open,
            };
        settled(&said.0).map_or(Self::Open, |name| Self::Written(name.into(), said.1.place.clone()))
    }

    /// All findings on it.
    pub fn findings<'a>(
        &self,
        case: &Case<'a>,
        server: &Server<'a>,
        mount: &Mount<'a>,
        layers: &[Layer<'a>],
    ) -> Vec<Finding> {
        let restrict = case.site.setting(server, "WSGIRestrictEmbedded");
        let restricted = restrict.filter(|directive| directive.first_word().eq_ignore_ascii_case("on"));
        let groups: Vec<&str> = case
            .site
            .usable(server)
            .filter(|group| !group.is_service())
            .map(|group| group.name.as_str())
            .collect();
        let found = match self {
            Self::Open => None,
            Self::Written(name, place) if !name.is_empty() => {
                unusable(case, server, name, place).or_else(|| service(case, name, mount))
            }
            _ if restricted.is_some() => restricted.map(|directive| refused(mount, directive)),
            Self::Default if !groups.is_empty() => Some(implicit(case, mount, &groups)),
            _ => None,
        };
        let among = self.name().and_then(|name| not_among(case, server, mount, layers, name));
        let stranger = self.group(case, server).and_then(|group| owner::check(case, mount, group));
        found.into_iter().chain(among).chain(stranger).collect()
    }

    /// Empty for the implicit group.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Written(name, _) => Some(name),
            Self::Default => Some(""),
            Self::Open => None,
        }
    }

    /// As whom the application runs, where that is known.
    pub fn walker(&self, case: &Case<'_>, server: &Server<'_>) -> Option<Walker> {
        match self.name()? {
            "" => Some(case.web.clone()),
            _ => case.walker(self.group(case, server)?),
        }
    }

    /// The declared group, where it is one that may be used.
    fn group<'c>(&self, case: &'c Case<'_>, server: &Server<'_>) -> Option<&'c Group<'c>> {
        let name = self.name()?;
        case.site.usable(server).find(|group| group.name == name)
    }
}

/// `WSGIRestrictProcess` lists the groups that may be used.
fn not_among<'a>(
    case: &Case<'a>,
    server: &Server<'a>,
    mount: &Mount<'a>,
    layers: &[Layer<'a>],
    name: &str,
) -> Option<Finding> {
    let Value::By(list) = value(&case.site, server, layers, "WSGIRestrictProcess") else { return None };
    let allowed = list.words().iter().any(|word| settled(word).is_none_or(|word| word == name));
    let shown =
        if name.is_empty() { "the implicit process group".into() } else { format!("process group '{name}'") };
    let what = format!(
        "{} runs in {shown}, which WSGIRestrictProcess at {}:{} does not allow; requests are answered 500.",
        mount.location, list.place.file, list.place.line
    );
    let mend = "Add the group to the list (%{GLOBAL} is the implicit one), or give the application one of those in it.";
    (!allowed).then(|| Finding::new(Grade::Error, &mount.directive.place, what, mend))
}

fn service(case: &Case<'_>, name: &str, mount: &Mount<'_>) -> Option<Finding> {
    let group = case.site.groups.iter().find(|group| group.name == name && group.is_service())?;
    let what = format!(
        "Requests for {} go to process group '{name}', which has threads=0 at {}:{} and so none for requests.",
        mount.location, group.directive.place.file, group.directive.place.line
    );
    let mend = "Give the application a group with threads, and keep this one for its WSGIImportScript.";
    Some(Finding::new(Grade::Error, &mount.directive.place, what, mend))
}

fn refused(mount: &Mount<'_>, by: &Directive) -> Finding {
    let what = format!(
        "{} runs in no declared process group, and WSGIRestrictEmbedded at {}:{} has such requests answered 500.",
        mount.location, by.place.file, by.place.line
    );
    Finding::new(
        Grade::Error,
        &mount.directive.place,
        what,
        "Add process-group= with the name of a declared group.",
    )
}

fn implicit(case: &Case<'_>, mount: &Mount<'_>, groups: &[&str]) -> Finding {
    let what = format!(
        "{} runs in the implicit process group, as user {}, although there is a declared one ({}).",
        mount.location,
        case.web.name,
        groups.join(", ")
    );
    let mend = format!(
        "Add process-group={} to the line; or process-group=%{{GLOBAL}} if this is meant. WSGIRestrictEmbedded On keeps \
         applications from getting there by mistake.",
        groups[0]
    );
    Finding::new(Grade::Warning, &mount.directive.place, what, mend)
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
    fn an_application_in_the_implicit_group_by_mistake() {
        let begun = format!("{SAID}WSGIDaemonProcess g\nWSGIScriptAlias /a /srv/a.wsgi process-group=g\n");
        let text = format!("{begun}WSGIScriptAlias /b /srv/b.wsgi");
        assert_found(
            &scripts(),
            &text,
            &[("4: Warning", "/b runs in the implicit process group, as user web")],
        );
        assert_found(&scripts(), &format!("{text} process-group=%{{GLOBAL}}"), &[]);
        let by_section = format!("{text}\n<Directory /srv>\nWSGIProcessGroup g\n</Directory>");
        assert_found(&scripts(), &by_section, &[]);
        let refused = format!("{text}\nWSGIRestrictEmbedded On");
        assert_found(&scripts(), &refused, &[("4: Error", "WSGIRestrictEmbedded at /etc/site.conf:5")]);
        // Where nothing is declared, nothing else could have been meant.
        assert_found(&scripts(), &format!("{SAID}WSGIScriptAlias / /srv/a.wsgi"), &[]);
    }

    #[test]
    fn requests_for_a_service() {
        let text =
            format!("{SAID}WSGIDaemonProcess g threads=0\nWSGIScriptAlias / /srv/a.wsgi process-group=g");
        let found = super::super::case::fixture::found(&scripts(), &text);
        assert!(
            found.iter().any(|line| line.starts_with("3: Error: Requests for / go to process group 'g'")),
            "{found:?}"
        );
    }

    #[test]
    fn a_group_that_is_not_allowed() {
        let begun = format!("{SAID}WSGIDaemonProcess g\nWSGIScriptAlias / /srv/a.wsgi process-group=g\n");
        let expected = [("3: Error", "does not allow")];
        assert_found(&scripts(), &format!("{begun}WSGIRestrictProcess %{{GLOBAL}}"), &expected);
        assert_found(&scripts(), &format!("{begun}WSGIRestrictProcess other g"), &[]);
    }

    #[test]
    fn an_inherited_group_that_belongs_elsewhere() {
        let text = "
            WSGIPassAuthorization Off
            WSGIProcessGroup one
            <VirtualHost *:80>
            ServerName one.example
            WSGIDaemonProcess one
            WSGIScriptAlias / /srv/a.wsgi
            </VirtualHost>
            <VirtualHost *:80>
            ServerName two.example
            WSGIScriptAlias / /srv/b.wsgi
            </VirtualHost>";
        assert_found(&scripts(), text, &[("3: Error", "this one is two.example")]);
    }
}
