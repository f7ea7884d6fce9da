//! As whom a process group runs. Where mod_wsgi has a rule, it is this one's too: `user=` and
//! `group=` default, each by itself, to the web server's; root is refused; supplementary groups are
//! those of the user's login unless they are listed.

use super::accounts::{Account, Accounts, Unreadable};
use std::path::PathBuf;
use wsgid_proto::options::ProcessGroup;

/// What the daemon may do about users.
#[derive(Debug, Clone)]
pub enum Privilege {
    /// It is root and runs each group as the user it asks for.
    Root {
        /// Even as root: for tests and for containers that know nobody else.
        allow_root: bool,
    },
    /// It is an ordinary user, or was told to behave like one: every group runs as the daemon.
    Own(Identity),
}

/// Whom a worker becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, the primary one among them.
    pub groups: Vec<u32>,
    /// Login name, or `#uid` of a user without one.
    pub name: String,
    /// Home directory; `/` without an entry in the user database.
    pub home: PathBuf,
    /// False where the worker simply stays who the daemon is.
    pub switch_user: bool,
}

/// Why a group can't run: its configuration is at fault, and asking again does not help.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `user=`.
    #[error("WSGI process group '{group}': there is no user '{user}'")]
    NoUser { group: String, user: String },
    /// `group=` or `supplementary-groups=`.
    #[error("WSGI process group '{group}': there is no group '{name}'")]
    NoGroup { group: String, name: String },
    /// uid 0.
    #[error("WSGI process group '{0}' is blocked from running as root: give it a user=")]
    Root(String),
    /// The lookup itself failed; a retry may help.
    #[error("WSGI process group '{group}': {fault}")]
    Lookup { group: String, fault: Unreadable },
}

/// Whom this process is, for [`Privilege::Own`].
pub fn own(accounts: &dyn Accounts) -> Result<Identity, Unreadable> {
    let uid = nix::unistd::geteuid().as_raw();
    let groups = nix::unistd::getgroups()?.into_iter().map(|gid| gid.as_raw()).collect();
    let account = accounts.user_of(uid)?.unwrap_or_else(|| nameless(uid));
    let gid = nix::unistd::getegid().as_raw();
    Ok(Identity { uid, gid, groups, name: account.name, home: account.home, switch_user: false })
}

/// Whom the group runs as, and a warning if that is not whom it asked for.
pub fn resolve(
    group: &ProcessGroup,
    web: (u32, u32),
    privilege: &Privilege,
    accounts: &dyn Accounts,
) -> Result<(Identity, Option<String>), Refusal> {
    let lookup = |fault| Refusal::Lookup { group: group.name.clone(), fault };
    let account = match &group.user {
        Some(user) => user_called(user, accounts)
            .map_err(lookup)?
            .ok_or_else(|| Refusal::NoUser { group: group.name.clone(), user: user.clone() })?,
        None => accounts.user_of(web.0).map_err(lookup)?.unwrap_or_else(|| nameless(web.0)),
    };
    let allow_root = match privilege {
        Privilege::Own(own) => return Ok((own.clone(), ignored_user(group, &account, own))),
        Privilege::Root { allow_root } => *allow_root,
    };
    if account.uid == 0 && !allow_root {
        return Err(Refusal::Root(group.name.clone()));
    }
    let gid = match &group.group {
        Some(name) => group_called(group, name, accounts)?,
        None => web.1,
    };
    let groups = supplementary(group, &account, gid, accounts)?;
    let Account { name, uid, home, .. } = account;
    Ok((Identity { uid, gid, groups, name, home, switch_user: true }, None))
}

fn ignored_user(group: &ProcessGroup, asked: &Account, own: &Identity) -> Option<String> {
    let asked = group.user.as_ref().filter(|_| asked.uid != own.uid)?;
    Some(format!(
        "WSGI process group '{}': user={asked} is ignored because wsgid does not run as root; it runs as {}.",
        group.name, own.name
    ))
}

fn supplementary(
    group: &ProcessGroup,
    account: &Account,
    gid: u32,
    accounts: &dyn Accounts,
) -> Result<Vec<u32>, Refusal> {
    let Some(listed) = &group.supplementary_groups else {
        let fault = |fault| Refusal::Lookup { group: group.name.clone(), fault };
        return if account.name.starts_with('#') {
            Ok(vec![gid])
        } else {
            accounts.groups_of(&account.name, gid).map_err(fault)
        };
    };
    let mut groups = vec![gid];
    for name in listed {
        let listed = group_called(group, name, accounts)?;
        if !groups.contains(&listed) {
            groups.push(listed);
        }
    }
    Ok(groups)
}

fn group_called(group: &ProcessGroup, name: &str, accounts: &dyn Accounts) -> Result<u32, Refusal> {
    if let Some(gid) = number(name) {
        return Ok(gid);
    }
    let found = accounts.group(name).map_err(|fault| Refusal::Lookup { group: group.name.clone(), fault })?;
    found.ok_or_else(|| Refusal::NoGroup { group: group.name.clone(), name: name.into() })
}

fn user_called(user: &str, accounts: &dyn Accounts) -> Result<Option<Account>, Unreadable> {
    match number(user) {
        Some(uid) => Ok(Some(accounts.user_of(uid)?.unwrap_or_else(|| nameless(uid)))),
        None => accounts.user(user),
    }
}

/// `#1000`, as Apache writes numbers where names are due.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix('#')?.parse().ok()
}

fn nameless(uid: u32) -> Account {
    Account { name: format!("#{uid}"), uid, gid: uid, home: "/".into() }
}

#[cfg(test)]
mod tests {
    use super::super::accounts::fixture::Few;
    use super::*;

    const WEB: (u32, u32) = (33, 34);

    fn group(options: &[(&str, &str)]) -> ProcessGroup {
        wsgid_proto::options::parse("site", options).0.unwrap()
    }

    fn as_root(options: &[(&str, &str)]) -> Result<Identity, Refusal> {
        let privilege = Privilege::Root { allow_root: false };
        resolve(&group(options), WEB, &privilege, &Few).map(|(identity, _)| identity)
    }

    #[test]
    fn a_group_runs_as_the_web_server_unless_it_says_otherwise() {
        let web = as_root(&[]).unwrap();
        assert_eq!((web.uid, web.gid, web.groups.as_slice()), (33, 34, &[34][..]));
        let bob = as_root(&[("user", "bob")]).unwrap();
        assert_eq!((bob.uid, bob.gid, bob.groups.as_slice()), (1000, 34, &[34, 50][..]));
        let both = as_root(&[("user", "#1000"), ("group", "bob")]).unwrap();
        assert_eq!((both.name.as_str(), both.gid), ("bob", 1000));
    }

    #[test]
    fn listed_groups_replace_those_of_the_login() {
        let bob = as_root(&[("user", "bob"), ("supplementary-groups", "bob, #7")]).unwrap();
        assert_eq!(bob.groups, [34, 1000, 7]);
    }

    #[test]
    fn numbers_need_no_entry() {
        let nobody = as_root(&[("user", "#4242")]).unwrap();
        assert_eq!((nobody.uid, nobody.name.as_str(), nobody.groups.as_slice()), (4242, "#4242", &[34][..]));
    }

    #[test]
    fn refusals_name_the_group_and_the_culprit() {
        for (options, culprit) in [
            (&[("user", "eve")][..], "'eve'"),
            (&[("group", "eves")], "'eves'"),
            (&[("supplementary-groups", "staff,eves")], "'eves'"),
            (&[("user", "root")], "root"),
            (&[("user", "#0")], "root"),
        ] {
            let text = as_root(options).unwrap_err().to_string();
            assert!(text.contains("'site'") && text.contains(culprit), "{text}");
        }
    }

    #[test]
    fn root_is_allowed_where_that_was_asked_for() {
        let privilege = Privilege::Root { allow_root: true };
        let (root, _) = resolve(&group(&[("user", "root")]), WEB, &privilege, &Few).unwrap();
        assert_eq!(root.uid, 0);
    }

    #[test]
    fn an_ordinary_daemon_runs_everything_as_itself_and_says_so() {
        let me = as_root(&[("user", "bob")]).unwrap();
        let privilege = Privilege::Own(Identity { switch_user: false, ..me.clone() });
        let (web, warning) = resolve(&group(&[("user", "web")]), WEB, &privilege, &Few).unwrap();
        assert_eq!((web.uid, web.switch_user), (1000, false));
        assert!(warning.unwrap().contains("user=web is ignored because wsgid does not run as root"));
        for options in [&[][..], &[("user", "bob")]] {
            assert_eq!(resolve(&group(options), WEB, &privilege, &Few).unwrap().1, None);
        }
    }
}
