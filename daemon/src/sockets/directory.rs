//! The runtime directory: the daemon's sockets, the workers' sockets, pending configurations, and the
//! lock that makes it the only daemon there.

use super::{attach, records};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{self, SocketAddr};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;
use wsgid_proto::broker;
use wsgid_proto::launch::WorkerRecord;

/// Bytes in a Unix socket's path, its final NUL included; see unix(7).
const SOCKET_PATH: usize = 108;

/// Why there is no runtime directory to work in.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The system's bound, met before anybody trips over it.
    #[error("the runtime directory {} has too long a name: its sockets' paths would be over {} bytes", .0.display(), SOCKET_PATH - 1)]
    TooLong(PathBuf),
    /// One of its parts.
    #[error("{} can't be made: {error}", .path.display())]
    Make { path: PathBuf, error: io::Error },
    /// Somebody else could put sockets of their own there.
    #[error("the runtime directory {} belongs to user {owner}, not to root or to the daemon's user", .path.display())]
    Foreign { path: PathBuf, owner: u32 },
    /// The lock is taken.
    #[error("another wsgid{holder} already runs in {}", .path.display())]
    Taken { path: PathBuf, holder: String },
}

/// A runtime directory that is ours as long as this value lives.
#[derive(Debug)]
pub struct RuntimeDirectory {
    path: PathBuf,
    survivors: Vec<WorkerRecord>,
    _lock: Flock<File>,
}

impl RuntimeDirectory {
    /// Makes the directory, takes the lock, and clears away what an earlier daemon left.
    pub fn take(path: &Path) -> Result<Self, Unusable> {
        let longest = path.join("w").join(broker::worker_socket(u64::MAX, u32::MAX));
        if longest.as_os_str().as_bytes().len() >= SOCKET_PATH {
            return Err(Unusable::TooLong(path.into()));
        }
        if !path.is_dir() {
            make(path, 0o755)?; // one that is there already keeps the mode that somebody gave it
        }
        let owner = fs::metadata(path).map_err(|error| Unusable::Make { path: path.into(), error })?.uid();
        if owner != 0 && owner != geteuid().as_raw() {
            return Err(Unusable::Foreign { path: path.into(), owner });
        }
        let mut directory = Self { path: path.into(), survivors: Vec::new(), _lock: lock(path)? };
        make(&directory.workers(), 0o711)?;
        make(&directory.pending(), 0o755)?;
        directory.survivors = records::survivors(&directory.workers());
        Ok(directory)
    }

    /// The workers that an earlier daemon has left, and that live.
    pub fn take_survivors(&mut self) -> Vec<WorkerRecord> {
        std::mem::take(&mut self.survivors)
    }

    /// Where workers find the next daemon.
    pub fn attach(&self) -> PathBuf {
        self.path.join(attach::SOCKET)
    }

    /// Where workers listen.
    pub fn workers(&self) -> PathBuf {
        self.path.join("w")
    }

    /// Where an httpd leaves a configuration if no daemon is there.
    pub fn pending(&self) -> PathBuf {
        self.path.join("pending")
    }

    /// Listens also for those that have another root directory, where no path leads to a socket: at an abstract name
    /// that says the same. For as long as this process lives nobody else has it, be that another daemon's.
    pub fn listen_beyond_roots(&self, name: &str) -> io::Result<Listening> {
        let path = self.path.join(name);
        let address = SocketAddr::from_abstract_name(path.as_os_str().as_bytes())?;
        let listener = net::UnixListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        Ok(Listening { listener: UnixListener::from_std(listener)?, path: None })
    }

    /// Listens on a socket of this name with this mode, in the place of any old one.
    pub fn listen(&self, name: &str, mode: u32) -> Result<Listening, Unusable> {
        let path = self.path.join(name);
        let _ = fs::remove_file(&path); // of a daemon that is gone: the lock says so
        let bound = UnixListener::bind(&path).and_then(|listener| {
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => Ok(Listening { listener, path: Some(path) }),
            Err(error) => Err(Unusable::Make { path, error }),
        }
    }
}

/// A listening socket, whose path goes away with it if it has one.
#[derive(Debug)]
pub struct Listening {
    /// It.
    pub listener: UnixListener,
    path: Option<PathBuf>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.path.iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

fn make(path: &Path, mode: u32) -> Result<(), Unusable> {
    let made = fs::create_dir_all(path).and_then(|()| match fs::symlink_metadata(path)?.is_dir() {
        true => fs::set_permissions(path, Permissions::from_mode(mode)),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    made.map_err(|error| Unusable::Make { path: path.into(), error })
}

fn lock(directory: &Path) -> Result<Flock<File>, Unusable> {
    let path = directory.join("wsgid.lock");
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path);
    let file = open.map_err(|error| Unusable::Make { path: path.clone(), error })?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // The process id is for people; the lock alone decides.
            let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
            Ok(lock)
        }
        Err((mut file, _)) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let holder =
                pid.trim().parse::<u32>().map_or_else(|_| String::new(), |pid| format!(" (process {pid})"));
            Err(Unusable::Taken { path: directory.into(), holder })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_daemons_do_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let first = RuntimeDirectory::take(&path).unwrap();
        let refused = RuntimeDirectory::take(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("another wsgid (process {})", std::process::id())), "{refused}");
        fs::write(first.workers().join("stale"), "").unwrap();
        drop(first);
        let second = RuntimeDirectory::take(&path).unwrap();
        assert_eq!(fs::read_dir(second.workers()).unwrap().count(), 0);
        assert_eq!(fs::metadata(second.workers()).unwrap().permissions().mode() & 0o777, 0o711);
    }

    #[test]
    fn a_name_too_long_for_sockets_is_refused_with_a_reason() {
        let long = Path::new("/tmp").join("x".repeat(90));
        assert!(RuntimeDirectory::take(&long).unwrap_err().to_string().contains("too long"));
        assert!(!long.exists());
    }
}
