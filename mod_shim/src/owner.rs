//! `script-user=` and `script-group=`: whose scripts a process group runs.
//!
//! A script that anybody else could have written would run with the rights of the group's user. So its file
//! has to belong to that user, or group, and so has its directory, and nobody else may write to either.
//!
//! It is looked at for each request, by name, and the worker opens it by name later. What is exchanged in
//! between is exchanged by someone who may write to the directory, and that is why the directory counts. For
//! the same reason every link on the way counts by the directory that it lies in: mod_wsgi looks at the first
//! of them alone, so that a link of the right user's could lead through a place that is open to all. As there,
//! directories further up are not looked at.

use crate::fault::Fault;
use crate::message::{self, Message};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whose a script has to be, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// `script-user=`.
    User(u32),
    /// `script-group=`.
    Group(u32),
}

/// What is looked at: the numbers of what may be wrong with it.
struct Kind {
    what: &'static str,
    unknown: [&'static Message; 2],
    stranger: [&'static Message; 2],
    open_to_all: [&'static Message; 2],
    open_to_group: &'static Message,
}

const FILE: Kind = Kind {
    what: "The script",
    unknown: [message::SCRIPT_USER_UNKNOWN, message::SCRIPT_GROUP_UNKNOWN],
    stranger: [message::SCRIPT_USER, message::SCRIPT_GROUP],
    open_to_all: [message::SCRIPT_USER_WORLD, message::SCRIPT_GROUP_WORLD],
    open_to_group: message::SCRIPT_USER_GROUP,
};

const DIRECTORY: Kind = Kind {
    what: "The script's directory",
    unknown: [message::SCRIPT_USER_NO_DIRECTORY, message::SCRIPT_GROUP_NO_DIRECTORY],
    stranger: [message::SCRIPT_USER_DIRECTORY, message::SCRIPT_GROUP_DIRECTORY],
    open_to_all: [message::SCRIPT_USER_DIRECTORY_WORLD, message::SCRIPT_GROUP_DIRECTORY_WORLD],
    open_to_group: message::SCRIPT_USER_DIRECTORY_GROUP,
};

/// As many links as the kernel follows.
const LINKS: usize = 40;

/// May this script run in a group that asks for that owner?
pub fn check(owner: Owner, script: &Path) -> Result<(), Fault> {
    let mut path = script.to_path_buf();
    for _ in 0..LINKS {
        let directory = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        judge(owner, &DIRECTORY, &directory, fs::metadata(&directory))?;
        let found = fs::symlink_metadata(&path);
        if !found.as_ref().is_ok_and(Metadata::is_symlink) {
            return judge(owner, &FILE, &path, found);
        }
        let target = fs::read_link(&path);
        path = directory.join(target.map_err(|error| unknown(owner, &FILE, &path, &error))?);
    }
    let error = std::io::Error::from_raw_os_error(libc::ELOOP);
    Err(unknown(owner, &FILE, script, &error))
}

fn judge(owner: Owner, kind: &Kind, path: &Path, found: std::io::Result<Metadata>) -> Result<(), Fault> {
    const GROUP_WRITES: u32 = 0o020;
    const ALL_WRITE: u32 = 0o002;
    let found = found.map_err(|error| unknown(owner, kind, path, &error))?;
    let refuse = |message, why: String| {
        Err(Fault::Precondition(message, format!("{} {} {why}", kind.what, path.display())))
    };
    let (has, wanted, whose, option) = match owner {
        Owner::User(wanted) => (found.uid(), wanted, "user", "script-user"),
        Owner::Group(wanted) => (found.gid(), wanted, "group", "script-group"),
    };
    if has != wanted {
        let why = format!("belongs to {whose} #{has}, and {option} asks for #{wanted}");
        return refuse(owner.of(kind.stranger), why);
    }
    if matches!(owner, Owner::User(_)) && found.mode() & GROUP_WRITES != 0 {
        return refuse(kind.open_to_group, "is writable to its group".into());
    }
    if found.mode() & ALL_WRITE != 0 {
        return refuse(owner.of(kind.open_to_all), "is writable to all".into());
    }
    Ok(())
}

fn unknown(owner: Owner, kind: &Kind, path: &Path, error: &std::io::Error) -> Fault {
    let words = format!("{} {} can't be looked at: {error}", kind.what, path.display());
    Fault::Precondition(owner.of(kind.unknown), words)
}

impl Owner {
    fn of(self, [user, group]: [&'static Message; 2]) -> &'static Message {
        if matches!(self, Owner::User(_)) { user } else { group }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use tempfile::TempDir;

    fn place() -> (TempDir, PathBuf, [Owner; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("app.wsgi");
        fs::write(&script, "").unwrap();
        mode(&script, 0o644);
        mode(dir.path(), 0o755);
        let found = fs::metadata(&script).unwrap();
        (dir, script, [Owner::User(found.uid()), Owner::Group(found.gid())])
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[track_caller]
    fn number(owner: Owner, script: &Path) -> u16 {
        match check(owner, script) {
            Ok(()) => 0,
            Err(fault) => fault.message().number,
        }
    }

    #[test]
    fn the_owners_own_runs_and_a_strangers_does_not() {
        let (_dir, script, [user, group]) = place();
        assert_eq!((number(user, &script), number(group, &script)), (0, 0));
        // The directory comes first: who owns that can put any file there.
        assert_eq!(number(Owner::User(54321), &script), 171);
        assert_eq!(number(Owner::Group(54321), &script), 160);
    }

    /// Root alone can give a file away.
    #[test]
    fn a_strangers_script_does_not_run_in_the_owners_own_directory() {
        let (_dir, script, [user, group]) = place();
        for (owner, new_user, new_group, expected) in
            [(user, Some(54321), None, 164), (group, None, Some(54321), 155)]
        {
            match chown(&script, new_user, new_group) {
                Ok(()) => assert_eq!(number(owner, &script), expected),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
            }
        }
    }

    #[test]
    fn nobody_else_may_write() {
        let (dir, script, [user, group]) = place();
        let numbers = || (number(user, &script), number(group, &script));
        for (path, bits, expected) in [
            (script.as_path(), 0o664, (166, 0)),
            (&script, 0o646, (168, 157)),
            (dir.path(), 0o775, (173, 0)),
            (dir.path(), 0o757, (172, 161)),
        ] {
            let before = fs::metadata(path).unwrap().permissions();
            mode(path, bits);
            assert_eq!(numbers(), expected, "{} {bits:o}", path.display());
            fs::set_permissions(path, before).unwrap();
        }
        assert_eq!(numbers(), (0, 0));
    }

    #[test]
    fn what_is_not_there_does_not_run() {
        let (dir, script, [user, group]) = place();
        fs::remove_file(&script).unwrap();
        assert_eq!((number(user, &script), number(group, &script)), (162, 153));
        let below = dir.path().join("none/app.wsgi");
        assert_eq!((number(user, &below), number(group, &below)), (169, 158));
        symlink(&script, &script).unwrap();
        assert_eq!(number(user, &script), 162);
    }

    #[test]
    fn every_link_counts_by_its_directory() {
        let (dir, script, [user, _]) = place();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        mode(&open, 0o757);
        symlink(&script, open.join("second")).unwrap();
        let first = dir.path().join("first");
        symlink("open/second", &first).unwrap();
        assert_eq!(number(user, &first), 172, "anybody could make the second another");
        mode(&open, 0o755);
        assert_eq!(number(user, &first), 0);
    }
}
