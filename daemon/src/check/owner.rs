//! `script-user=` and `script-group=`: would a script be refused for whose it is? As the module does, this
//! looks at the file and its directory; of links on the way, at where the last one leads.

use super::case::Case;
use super::finding::{Finding, Grade};
use super::probe::{Kind, Seen};
use super::site::{Group, Mount};
use super::way::{End, Need, Walker, way};
use std::path::Path;

/// Whose a script has to be.
enum Wanted<'g> {
    User(&'g str, u32),
    Group(&'g str, u32),
}

/// The reason for which requests would be answered 403.
pub fn check(case: &Case<'_>, mount: &Mount<'_>, group: &Group<'_>) -> Option<Finding> {
    let path = mount.target.as_deref()?;
    let options = &group.options;
    let by_user =
        options.script_user.as_deref().and_then(|name| Some(Wanted::User(name, case.uid_of(name)?)));
    let by_group =
        || options.script_group.as_deref().and_then(|name| Some(Wanted::Group(name, case.gid_of(name)?)));
    let wanted = by_user.or_else(by_group)?;
    let End::There(real, kind) = way(case.probe, &Walker::root(), path, Need::Nothing) else { return None };
    if kind != Kind::File {
        return None; // each request names another script
    }
    let looked_at = [path.parent(), real.parent(), Some(&real)];
    let (at, fault) = looked_at.into_iter().flatten().find_map(|at: &Path| {
        let seen = case.probe.look(at).ok().filter(|seen| seen.kind != Kind::Link)?;
        Some((at, wanted.fault(&seen)?))
    })?;
    let (option, name) = wanted.option();
    let what = format!(
        "{} will be answered 403: process group '{}' has {option}={name}, and {} {fault}.",
        mount.location,
        group.name,
        at.display()
    );
    let mend =
        format!("Let {} belong to {name}, and nobody else write to it; or take {option} out.", at.display());
    Some(Finding::new(Grade::Error, &mount.directive.place, what, mend))
}

impl Wanted<'_> {
    fn option(&self) -> (&str, &str) {
        match self {
            Self::User(name, _) => ("script-user", name),
            Self::Group(name, _) => ("script-group", name),
        }
    }

    fn fault(&self, seen: &Seen) -> Option<String> {
        let (stranger, open) = match self {
            Self::User(_, uid) => (seen.uid != *uid, seen.mode & 0o022 != 0),
            Self::Group(_, gid) => (seen.gid != *gid, seen.mode & 0o002 != 0),
        };
        match (stranger, open) {
            (true, _) => Some(format!("belongs to user #{} and group #{}", seen.uid, seen.gid)),
            (false, true) => Some(format!("can be written by others (mode {:04o})", seen.mode)),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    fn text(option: &str) -> String {
        let group = format!("WSGIPassAuthorization Off\nWSGIDaemonProcess g user=bob {option}");
        format!("{group}\nWSGIScriptAlias / /home/bob/app.wsgi process-group=g")
    }

    fn home(directory: u32, file: u32, owner: u32) -> Few {
        Few::new().dir("/home/bob", directory, owner).file_of("/home/bob/app.wsgi", file, owner)
    }

    #[test]
    fn a_script_that_is_a_strangers_or_open_to_others() {
        let bob = text("script-user=bob");
        assert_found(&home(0o755, 0o644, 1000), &bob, &[]);
        assert_found(&home(0o755, 0o644, 33), &bob, &[("3: Error", "/home/bob belongs to user #33")]);
        let open =
            [("3: Error", "script-user=bob, and /home/bob/app.wsgi can be written by others (mode 0664)")];
        assert_found(&home(0o755, 0o664, 1000), &bob, &open);
        assert_found(&home(0o755, 0o664, 1000), &text("script-group=bob"), &[]);
        assert_found(&home(0o757, 0o664, 1000), &text("script-group=bob"), &[("3: Error", "(mode 0757)")]);
    }
}
