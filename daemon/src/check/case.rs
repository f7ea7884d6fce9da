//! One configuration on one machine, and every check on it.

use super::dump::Dump;
use super::finding::{Finding, Grade};
use super::probe::Probe;
use super::site::{Group, Site};
use super::way::Walker;
use super::{groups, homes, idle, providers, routing};
use crate::configuration::accounts::Unreadable;
use crate::configuration::{Accounts, Privilege, identity};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What every check looks at.
pub struct Case<'a> {
    /// Servers, groups, applications.
    pub site: Site<'a>,
    /// The file system.
    pub probe: &'a dyn Probe,
    accounts: &'a dyn Accounts,
    privilege: Privilege,
    /// The web server's user.
    pub web: Walker,
    /// Who looks for scripts: the web server's user, or root where each virtual host may have another (mpm_itk).
    pub finder: Walker,
    web_gid: u32,
    unseen: RefCell<BTreeSet<PathBuf>>,
}

impl Case<'_> {
    /// As whom a group's workers go about; `None` where that can't be found out, and where they see another
    /// file system.
    pub fn walker(&self, group: &Group<'_>) -> Option<Walker> {
        if group.written.iter().any(|(key, _)| key == "chroot") {
            return None;
        }
        let web = (self.web.uid, self.web_gid);
        let (found, _) = identity::resolve(&group.options, web, &self.privilege, self.accounts).ok()?;
        Some(Walker { name: found.name, uid: found.uid, groups: found.groups })
    }

    /// A user's number, by name or as `#uid`.
    pub fn uid_of(&self, name: &str) -> Option<u32> {
        match name.strip_prefix('#') {
            Some(number) => number.parse().ok(),
            None => Some(self.accounts.user(name).ok()??.uid),
        }
    }

    /// A group's.
    pub fn gid_of(&self, name: &str) -> Option<u32> {
        match name.strip_prefix('#') {
            Some(number) => number.parse().ok(),
            None => self.accounts.group(name).ok()?,
        }
    }

    /// For the note on what could not be looked at.
    pub fn not_seen(&self, path: PathBuf) {
        self.unseen.borrow_mut().insert(path);
    }
}

/// Every check, on what is given.
pub fn findings(
    dump: &Dump,
    probe: &dyn Probe,
    accounts: &dyn Accounts,
    privilege: Privilege,
) -> Result<Vec<Finding>, Unreadable> {
    let fact = |name| dump.number(name).unwrap_or(u32::MAX);
    let (uid, gid) = (fact("web-uid"), fact("web-gid"));
    let account = accounts.user_of(uid)?;
    let web = Walker {
        groups: account.as_ref().map_or(Ok(vec![gid]), |account| accounts.groups_of(&account.name, gid))?,
        name: account.map_or_else(|| format!("#{uid}"), |account| account.name),
        uid,
    };
    let site = Site::new(dump);
    let itk = site.everything().iter().any(|each| each.is("AssignUserID") || each.is("AssignUserIDExpr"));
    let case = Case {
        site,
        probe,
        accounts,
        privilege,
        finder: if itk { Walker::root() } else { web.clone() },
        web,
        web_gid: gid,
        unseen: RefCell::default(),
    };
    let mut findings = [
        groups::check(&case),
        routing::check(&case),
        idle::check(&case),
        providers::check(&case),
        homes::check(&case),
    ]
    .concat();
    findings.extend(daemon(&case));
    findings.extend(unseen(&case));
    Ok(findings)
}

fn daemon(case: &Case<'_>) -> Option<Finding> {
    let socket = Path::new(case.site.dump.facts.get("control-socket")?);
    let error = case.probe.listens(socket).err()?;
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        case.not_seen(socket.into());
        return None;
    }
    let what = format!("The daemon does not listen at {}: {error}.", socket.display());
    let mend = "Start wsgid before httpd; or name its socket with WSGIDaemonSocket.";
    // Without a line that names it, the first that needs it.
    let named = case.site.main().all("WSGIDaemonSocket").last();
    let needing =
        || case.site.everything().into_iter().find(|each| each.name.to_ascii_uppercase().starts_with("WSGI"));
    let line = named.or_else(needing);
    Some(match line {
        Some(directive) => Finding::new(Grade::Note, &directive.place, what, mend),
        None => Finding::general(Grade::Note, what, mend),
    })
}

fn unseen(case: &Case<'_>) -> Option<Finding> {
    let unseen = case.unseen.borrow();
    let shown: Vec<String> = unseen.iter().take(3).map(|path| path.display().to_string()).collect();
    let further = if unseen.len() > shown.len() { " and others" } else { "" };
    let what = format!("Not looked at, for lack of permission: {}{further}.", shown.join(", "));
    (!unseen.is_empty()).then(|| Finding::general(Grade::Note, what, "Run wsgictl check as root."))
}

/// What the checks find in a configuration, for their tests.
#[cfg(test)]
pub mod fixture {
    use super::super::{dump, finding, site};
    use super::*;
    use crate::configuration::accounts::fixture::Few as FewUsers;

    /// As `line: grade: sentence`.
    pub fn found(probe: &dyn Probe, text: &str) -> Vec<String> {
        let mut dump = site::fixture::dump(text);
        dump.facts.insert("control-socket".into(), "/run/wsgid/control.sock".into());
        dump.commands.push(dump::Command {
            name: "WSGISocketPrefix".into(),
            no_effect: "has nothing to do here: WSGIDaemonSocket names the daemon's socket".into(),
            unless: None,
        });
        let root = Privilege::Root { allow_root: true };
        let findings = findings(&dump, probe, &FewUsers, root).unwrap();
        let shown = |finding: &Finding| {
            let line = finding.place.as_ref().map_or(0, |place| place.line);
            format!("{line}: {:?}: {}", finding.grade, finding.what)
        };
        finding::in_order(findings).iter().map(shown).collect()
    }

    /// Exactly these, in this order, each by its beginning and by what it must contain.
    #[track_caller]
    pub fn assert_found(probe: &dyn Probe, text: &str, expected: &[(&str, &str)]) {
        let found = found(probe, text);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (finding, (beginning, part)) in found.iter().zip(expected) {
            assert!(
                finding.starts_with(beginning) && finding.contains(part),
                "{beginning} {part}: {found:#?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::fixture::Few;
    use super::fixture::assert_found;

    #[test]
    fn a_daemon_that_does_not_listen() {
        let silent = Few::new().without_daemon();
        assert_found(&silent, "WSGIDaemonSocket /run/wsgid/control.sock", &[("1: Note", "does not listen")]);
        let text = "User web\nWSGIProcessGroup %{GLOBAL}";
        assert_found(&silent, text, &[("2: Note", "does not listen")]);
    }
}
