//! The file system, as far as a check looks at it: attributes, links, and the first bytes of a file that
//! must be a plain one. Nothing is executed, and no link is followed that was not read before.

use crate::sys::acl;
use nix::fcntl::OFlag;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A plain file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a socket and the like.
    Other,
}

/// Attributes of one name, of a link its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Where a check looks; a trait, so that tests need no files.
pub trait Probe {
    /// lstat(2).
    fn look(&self, path: &Path) -> io::Result<Seen>;
    /// readlink(2).
    fn link(&self, path: &Path) -> io::Result<PathBuf>;
    /// Do permissions beyond the mode apply?
    fn has_acl(&self, path: &Path) -> bool;
    /// The beginning of a plain file that is no link.
    fn beginning(&self, path: &Path) -> io::Result<String>;
    /// Does somebody listen on a socket?
    fn listens(&self, path: &Path) -> io::Result<()>;
}

/// What stands in a `pyvenv.cfg` is far shorter.
const BEGINNING: u64 = 4096;

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Probe for Machine {
    fn look(&self, path: &Path) -> io::Result<Seen> {
        let about = fs::symlink_metadata(path)?;
        let kind = match about.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_file() => Kind::File,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        Ok(Seen { kind, mode: about.mode() & 0o7777, uid: about.uid(), gid: about.gid() })
    }

    fn link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn has_acl(&self, path: &Path) -> bool {
        acl::is_present(path)
    }

    fn beginning(&self, path: &Path) -> io::Result<String> {
        let careful = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(careful.bits()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        file.take(BEGINNING).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn listens(&self, path: &Path) -> io::Result<()> {
        UnixStream::connect(path).map(drop)
    }
}

/// A file system of a few names, for tests. Directories above a name are there with mode 0755 of root's.
#[cfg(test)]
pub mod fixture {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// See above.
    #[derive(Debug, Default)]
    pub struct Few {
        names: BTreeMap<PathBuf, Seen>,
        links: BTreeMap<PathBuf, PathBuf>,
        texts: BTreeMap<PathBuf, String>,
        acls: BTreeSet<PathBuf>,
        forbidden: BTreeSet<PathBuf>,
        daemon: bool,
    }

    impl Few {
        pub fn new() -> Self {
            Self { daemon: true, ..Self::default() }.name("/", Kind::Directory, 0o755, 0)
        }

        pub fn without_daemon(self) -> Self {
            Self { daemon: false, ..self }
        }

        fn name(mut self, path: &str, kind: Kind, mode: u32, owner: u32) -> Self {
            for above in Path::new(path).ancestors().skip(1) {
                let open = Seen { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0 };
                self.names.entry(above.into()).or_insert(open);
            }
            self.names.insert(path.into(), Seen { kind, mode, uid: owner, gid: owner });
            self
        }

        pub fn file(self, path: &str) -> Self {
            self.file_of(path, 0o644, 0)
        }

        pub fn file_of(self, path: &str, mode: u32, owner: u32) -> Self {
            self.name(path, Kind::File, mode, owner)
        }

        pub fn program(self, path: &str) -> Self {
            self.file_of(path, 0o755, 0)
        }

        pub fn dir(self, path: &str, mode: u32, owner: u32) -> Self {
            self.name(path, Kind::Directory, mode, owner)
        }

        pub fn links(mut self, path: &str, to: &str) -> Self {
            self.links.insert(path.into(), to.into());
            self.name(path, Kind::Link, 0o777, 0)
        }

        pub fn text(mut self, path: &str, text: &str) -> Self {
            self.texts.insert(path.into(), text.into());
            self.file(path)
        }

        pub fn acl(mut self, path: &str) -> Self {
            self.acls.insert(path.into());
            self
        }

        /// Those who check may not look below.
        pub fn forbid(mut self, path: &str) -> Self {
            self.forbidden.insert(path.into());
            self
        }
    }

    impl Probe for Few {
        fn look(&self, path: &Path) -> io::Result<Seen> {
            if path.ancestors().skip(1).any(|above| self.forbidden.contains(above)) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.names.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
        }

        fn link(&self, path: &Path) -> io::Result<PathBuf> {
            self.links.get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
        }

        fn has_acl(&self, path: &Path) -> bool {
            self.acls.contains(path)
        }

        fn beginning(&self, path: &Path) -> io::Result<String> {
            self.texts.get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
        }

        fn listens(&self, _: &Path) -> io::Result<()> {
            if self.daemon { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
        }
    }
}
