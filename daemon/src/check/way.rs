//! The way to a file, as somebody else would go it: every directory's permissions, every link. Root can
//! look at all of it, and so tells where another user would be stopped.

use super::probe::{Kind, Probe, Seen};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The kernel's own bound.
const LINKS: u32 = 40;

/// Somebody who goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walker {
    /// Their name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// All their groups.
    pub groups: Vec<u32>,
}

/// Permission bits, as one of the three digits of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To be there, and no more.
    Nothing = 0,
    /// A program, or a directory to look a name up in.
    Execute = 1,
    /// A file.
    Read = 4,
}

impl Walker {
    /// Who gets everywhere.
    pub fn root() -> Self {
        Self { name: "root".into(), uid: 0, groups: vec![0] }
    }

    fn may(&self, seen: &Seen, need: Need) -> bool {
        let bits = need as u32;
        if self.uid == 0 {
            return need != Need::Execute || seen.kind == Kind::Directory || seen.mode & 0o111 != 0;
        }
        let shift = match () {
            () if seen.uid == self.uid => 6,
            () if self.groups.contains(&seen.gid) => 3,
            () => 0,
        };
        seen.mode >> shift & bits == bits
    }
}

/// Where the way ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At the file, whose path without links this is.
    There(PathBuf, Kind),
    /// At a name that denies.
    Closed(PathBuf, Seen),
    /// At a name that does not exist.
    Missing(PathBuf),
    /// At a link to a name that does not exist.
    Dangling { link: PathBuf, to: PathBuf },
    /// Somewhere that we can't judge: links in a circle, a file on the way, permissions beyond the mode.
    Unsure,
    /// Where those who check may not look.
    Unseen(PathBuf),
}

/// Goes.
pub fn way(probe: &dyn Probe, who: &Walker, path: &Path, need: Need) -> End {
    let mut ahead: VecDeque<OsString> = names(path);
    let mut at = PathBuf::from("/");
    let (mut seen, mut links) = (None, 0);
    // The last link, and how many of the names ahead are its own.
    let (mut link, mut of_link) = (PathBuf::new(), 0_usize);
    while let Some(name) = ahead.pop_front() {
        let through = (of_link > 0).then_some(&link);
        of_link = of_link.saturating_sub(1);
        if name == ".." {
            at.pop();
            continue;
        }
        let here = match probe.look(&at) {
            Ok(here) => here,
            Err(error) => return not_seen(at, &error, through),
        };
        if here.kind != Kind::Directory {
            return End::Unsure; // what follows is path info to httpd
        }
        if !who.may(&here, Need::Execute) {
            return closed(probe, at, here);
        }
        let next = at.join(&name);
        let found = match probe.look(&next) {
            Ok(found) => found,
            Err(error) => return not_seen(next, &error, through),
        };
        if found.kind != Kind::Link {
            (at, seen) = (next, Some(found));
            continue;
        }
        let Ok(to) = probe.link(&next) else { return End::Unsure };
        links += 1;
        if links > LINKS {
            return End::Unsure;
        }
        let further = names(&to);
        of_link += further.len();
        ahead = further.into_iter().chain(ahead).collect();
        if to.is_absolute() {
            at = "/".into();
        }
        link = next;
    }
    match seen {
        Some(seen) if !who.may(&seen, need) => closed(probe, at, seen),
        Some(_) => arrived(probe, at),
        None => End::There(at, Kind::Directory),
    }
}

/// `..` may have led back to somewhere else than where was looked last.
fn arrived(probe: &dyn Probe, at: PathBuf) -> End {
    match probe.look(&at) {
        Ok(seen) => End::There(at, seen.kind),
        Err(_) => End::Unsure,
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

fn closed(probe: &dyn Probe, at: PathBuf, seen: Seen) -> End {
    if probe.has_acl(&at) { End::Unsure } else { End::Closed(at, seen) }
}

fn not_seen(at: PathBuf, error: &io::Error, link: Option<&PathBuf>) -> End {
    match (error.kind(), link) {
        (io::ErrorKind::NotFound, Some(link)) => End::Dangling { link: link.clone(), to: at },
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => End::Missing(at),
        (io::ErrorKind::PermissionDenied, _) => End::Unseen(at),
        _ => End::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::fixture::Few;
    use super::*;

    fn bob() -> Walker {
        Walker { name: "bob".into(), uid: 1000, groups: vec![1000, 50] }
    }

    fn to(probe: &Few, path: &str, need: Need) -> End {
        way(probe, &bob(), Path::new(path), need)
    }

    #[test]
    fn the_first_name_that_denies_is_told() {
        let tree = Few::new().dir("/home/ann", 0o700, 1001).dir("/home/bob", 0o700, 1000);
        let tree = tree.file("/home/ann/site/app.wsgi").file_of("/home/bob/app.wsgi", 0o600, 1000);
        assert!(
            matches!(to(&tree, "/home/ann/site/app.wsgi", Need::Read), End::Closed(at, _) if at == Path::new("/home/ann"))
        );
        assert_eq!(
            to(&tree, "/home/bob/app.wsgi", Need::Read),
            End::There("/home/bob/app.wsgi".into(), Kind::File)
        );
        assert!(matches!(
            way(&tree, &Walker::root(), Path::new("/home/ann/site/app.wsgi"), Need::Read),
            End::There(..)
        ));
    }

    #[test]
    fn of_owner_group_and_others_one_decides() {
        for (mode, owner, open) in [
            (0o640, 1000, true),
            (0o040, 1000, false), // the owner is not asked as one of the group
            (0o640, 50, true),
            (0o604, 50, false),
            (0o604, 7, true),
            (0o640, 7, false),
        ] {
            let tree = Few::new().file_of("/srv/x", mode, owner);
            assert_eq!(matches!(to(&tree, "/srv/x", Need::Read), End::There(..)), open, "{mode:o} {owner}");
        }
    }

    #[test]
    fn links_are_gone_along() {
        let tree = Few::new().program("/usr/bin/python3.11").links("/usr/bin/python3", "python3.11");
        let tree = tree.links("/venv/bin/python", "/usr/bin/python3").links("/venv/old", "../opt/./gone");
        let tree = tree.links("/circle/a", "b").links("/circle/b", "a");
        let there = End::There("/usr/bin/python3.11".into(), Kind::File);
        assert_eq!(to(&tree, "/venv/bin/python", Need::Execute), there);
        assert_eq!(to(&tree, "/venv/../usr/bin/python3", Need::Execute), there);
        let tree = tree.dir("/run", 0o755, 0).links("/var/run", "/run");
        assert_eq!(to(&tree, "/var/run/x", Need::Nothing), End::Missing("/run/x".into()));
        let gone = End::Dangling { link: "/venv/old".into(), to: "/opt".into() };
        assert_eq!(to(&tree, "/venv/old", Need::Nothing), gone);
        assert_eq!(to(&tree, "/circle/a", Need::Nothing), End::Unsure);
    }

    #[test]
    fn what_a_mode_does_not_tell_is_left_open() {
        let tree = Few::new().dir("/home/ann", 0o700, 1001).file("/home/ann/x").acl("/home/ann");
        assert_eq!(to(&tree, "/home/ann/x", Need::Read), End::Unsure);
        let tree = Few::new().file("/home/ann/x").forbid("/home/ann");
        assert_eq!(to(&tree, "/home/ann/x", Need::Read), End::Unseen("/home/ann/x".into()));
        assert_eq!(to(&tree, "/nowhere/x", Need::Read), End::Missing("/nowhere".into()));
        assert_eq!(to(&Few::new().file("/srv/x"), "/srv/x/more", Need::Read), End::Unsure);
    }
}
