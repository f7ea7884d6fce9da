//! Users and groups, as the system's databases know them.

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::CString;
use std::path::PathBuf;

/// An entry of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

/// The user database could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the user database can't be read: {0}")]
pub struct Unreadable(#[from] Errno);

/// Where names and numbers are looked up.
pub trait Accounts {
    /// A user by name.
    fn user(&self, name: &str) -> Result<Option<Account>, Unreadable>;
    /// A user by number.
    fn user_of(&self, uid: u32) -> Result<Option<Account>, Unreadable>;
    /// A group's number.
    fn group(&self, name: &str) -> Result<Option<u32>, Unreadable>;
    /// The groups a login of that user would have, `gid` among them.
    fn groups_of(&self, name: &str, gid: u32) -> Result<Vec<u32>, Unreadable>;
}

/// The system's own: nsswitch, and so files, LDAP or whatever else.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemAccounts;

impl Accounts for SystemAccounts {
    fn user(&self, name: &str) -> Result<Option<Account>, Unreadable> {
        Ok(User::from_name(name)?.map(account))
    }

    fn user_of(&self, uid: u32) -> Result<Option<Account>, Unreadable> {
        Ok(User::from_uid(Uid::from_raw(uid))?.map(account))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, Unreadable> {
        Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
    }

    fn groups_of(&self, name: &str, gid: u32) -> Result<Vec<u32>, Unreadable> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        Ok(getgrouplist(&name, Gid::from_raw(gid))?.into_iter().map(Gid::as_raw).collect())
    }
}

fn account(user: User) -> Account {
    Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir }
}

/// A small household for tests: root, web (33) and bob (1000, also in group 50).
#[cfg(test)]
pub mod fixture {
    use super::*;

    /// See above.
    pub struct Few;

    fn few() -> [Account; 3] {
        let account =
            |name: &str, id, home: &str| Account { name: name.into(), uid: id, gid: id, home: home.into() };
        [account("root", 0, "/root"), account("web", 33, "/var/www"), account("bob", 1000, "/home/bob")]
    }

    impl Accounts for Few {
        fn user(&self, name: &str) -> Result<Option<Account>, Unreadable> {
            Ok(few().into_iter().find(|account| account.name == name))
        }

        fn user_of(&self, uid: u32) -> Result<Option<Account>, Unreadable> {
            Ok(few().into_iter().find(|account| account.uid == uid))
        }

        fn group(&self, name: &str) -> Result<Option<u32>, Unreadable> {
            Ok([("staff", 50), ("bob", 1000)]
                .into_iter()
                .find(|(group, _)| *group == name)
                .map(|(_, gid)| gid))
        }

        fn groups_of(&self, name: &str, gid: u32) -> Result<Vec<u32>, Unreadable> {
            Ok(if name == "bob" { vec![gid, 50] } else { vec![gid] })
        }
    }
}
