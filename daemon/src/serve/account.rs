//! As whom the application runs. Without root there is no choice. Root is the last choice: what is
//! served belongs to somebody, or else can be read by the web server's user.

use crate::configuration::accounts::{Account, Accounts, Unreadable};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Users that distributions give their httpd.
const WEB_USERS: &[&str] = &["www-data", "apache", "http", "daemon"];

/// There is nobody to run it as.
#[derive(Debug, thiserror::Error)]
pub enum NoAccount {
    /// `--user` by somebody who is not root.
    #[error("--user needs root; without it the application runs as you")]
    NotRoot,
    /// `--user` with a name nobody has.
    #[error("there is no user '{0}'")]
    Unknown(String),
    /// No httpd was ever installed, it seems.
    #[error(
        "there is no user www-data or apache for httpd to run as: install apache2 (Debian) or httpd (Fedora/RHEL)"
    )]
    NoWebUser,
    /// The lookup failed.
    #[error("{0}")]
    Lookup(#[from] Unreadable),
}

/// The two users of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accountable {
    /// Not root: everything runs as whoever asks.
    Ourselves,
    /// Root: httpd's children are `web`; the application is `application`.
    Users { web: Account, application: Account },
    /// Root, and nobody else can read the application. To be warned about, unless it was asked for.
    AsRoot { web: Account, asked_for: bool },
}

impl Accountable {
    /// Who the web server's children are, if that is somebody else than we.
    pub fn web(&self) -> Option<&Account> {
        match self {
            Self::Ourselves => None,
            Self::Users { web, .. } | Self::AsRoot { web, .. } => Some(web),
        }
    }

    /// Who the workers are, if that is somebody else than we.
    pub fn application(&self) -> Option<&Account> {
        match self {
            Self::Users { application, .. } => Some(application),
            Self::Ourselves | Self::AsRoot { .. } => None,
        }
    }
}

/// Decides. `served` is the script, or the directory of the module.
pub fn decide(
    is_root: bool,
    asked_for: Option<&str>,
    served: &Path,
    accounts: &dyn Accounts,
) -> Result<Accountable, NoAccount> {
    if !is_root {
        return if asked_for.is_some() { Err(NoAccount::NotRoot) } else { Ok(Accountable::Ourselves) };
    }
    let web = web_user(accounts)?;
    if let Some(name) = asked_for {
        let application = accounts.user(name)?.ok_or_else(|| NoAccount::Unknown(name.into()))?;
        return Ok(match application.uid {
            0 => Accountable::AsRoot { web, asked_for: true },
            _ => Accountable::Users { web, application },
        });
    }
    let owner = fs::metadata(served).map_or(0, |about| about.uid());
    if owner != 0 {
        if let Some(application) = accounts.user_of(owner)? {
            return Ok(Accountable::Users { web, application });
        }
    }
    if may_reach(&web, accounts, served)? {
        return Ok(Accountable::Users { application: web.clone(), web });
    }
    Ok(Accountable::AsRoot { web, asked_for: false })
}

fn web_user(accounts: &dyn Accounts) -> Result<Account, NoAccount> {
    for name in WEB_USERS {
        if let Some(account) = accounts.user(name)? {
            return Ok(account);
        }
    }
    Err(NoAccount::NoWebUser)
}

/// May that user read a file, or enter a directory, and everything above it? By mode bits, as far as
/// they tell.
pub fn may_reach(account: &Account, accounts: &dyn Accounts, path: &Path) -> Result<bool, Unreadable> {
    let groups = accounts.groups_of(&account.name, account.gid)?;
    let Ok(path) = fs::canonicalize(path) else { return Ok(false) };
    let permits = |path: &Path, wanted: u32| {
        fs::metadata(path).is_ok_and(|about| {
            let shift = match about {
                ref about if about.uid() == account.uid => 6,
                ref about if groups.contains(&about.gid()) => 3,
                _ => 0,
            };
            about.mode() >> shift & wanted == wanted
        })
    };
    let last = if path.is_dir() { 5 } else { 4 };
    Ok(account.uid == 0 || permits(&path, last) && path.ancestors().skip(1).all(|above| permits(above, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::accounts::fixture::Few;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn without_root_there_is_no_choice() {
        let decide = |user| decide(false, user, Path::new("/"), &Few);
        assert_eq!(decide(None).unwrap(), Accountable::Ourselves);
        assert!(decide(Some("bob")).unwrap_err().to_string().contains("needs root"));
    }

    #[test]
    fn reach_follows_the_mode_bits_of_the_whole_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.wsgi");
        fs::write(&file, "").unwrap();
        let bob = Few.user("bob").unwrap().unwrap();
        let reaches = |dir_mode, file_mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(file_mode)).unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(dir_mode)).unwrap();
            may_reach(&bob, &Few, &file).unwrap()
        };
        assert!(reaches(0o711, 0o644));
        assert!(!reaches(0o711, 0o640));
        assert!(!reaches(0o700, 0o644));
        assert!(!may_reach(&bob, &Few, &dir.path().join("gone")).unwrap());
    }
}
