//! Configurations that an httpd parent left in `RUNTIME/pending` because no daemon was there. They
//! are read once, at the daemon's start, and win over what the daemon remembers.
//!
//! The directory belongs to root, but a file in it is believed only if nobody else can have written
//! it: a regular file, opened without following a link, owned by root or the daemon's own user, and
//! writable by nobody else.

use super::state::{self, Unusable};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use wsgid_proto::control::Configure;

/// Why a file is passed over.
#[derive(Debug, thiserror::Error)]
enum Doubtful {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    Irregular,
    #[error("it belongs to user {0}")]
    Foreign(u32),
    #[error("others may write to it")]
    Writable,
    #[error("{0}")]
    Content(#[from] Unusable),
    #[error("it holds no configuration")]
    Empty,
}

/// Takes every configuration out of the directory. What is not believed stays and is logged.
pub fn take(directory: &Path) -> Vec<Configure> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut taken = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        // A file still being written has another ending.
        if path.extension().is_none_or(|ending| ending != "configure") {
            continue;
        }
        match read(&path) {
            Ok(configure) => {
                taken.push(configure);
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!("the pending configuration {} can't be removed: {error}", path.display());
                }
            }
            Err(why) => tracing::warn!("the pending configuration {} is ignored: {why}", path.display()),
        }
    }
    taken
}

fn read(path: &Path) -> Result<Configure, Doubtful> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK; // a FIFO must not keep the daemon waiting
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    believe(&file, nix::unistd::geteuid().as_raw())?;
    state::read_all(file, 1)?.pop().ok_or(Doubtful::Empty)
}

fn believe(file: &File, own: u32) -> Result<(), Doubtful> {
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(Doubtful::Irregular);
    }
    if about.uid() != 0 && about.uid() != own {
        return Err(Doubtful::Foreign(about.uid()));
    }
    if about.mode() & 0o022 != 0 { Err(Doubtful::Writable) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use wsgid_proto::Message;

    #[test]
    fn only_what_nobody_else_can_have_written_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let frame = Configure { instance: "a".into(), ..Default::default() }.frame();
        for (name, mode) in [("good.configure", 0o600), ("open.configure", 0o666), ("draft.tmp7", 0o600)] {
            fs::write(at(name), &frame).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        }
        fs::write(at("garbage.configure"), "x").unwrap();
        fs::write(at("empty.configure"), "").unwrap();
        fs::write(at("two.configure"), [&frame[..], &frame[..]].concat()).unwrap();
        symlink(at("good.configure"), at("link.configure")).unwrap();
        nix::unistd::mkfifo(&at("fifo.configure"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        fs::create_dir(at("directory.configure")).unwrap();
        let taken = take(dir.path());
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].instance, "a");
        assert!(!at("good.configure").exists());
        assert!(at("open.configure").exists());
        assert!(take(Path::new("/nonexistent")).is_empty());
    }
}
