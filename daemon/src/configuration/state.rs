//! The accepted configurations on disk, so that the daemon's own restart needs no httpd restart:
//! one file, a sequence of `Configure` frames, replaced as a whole or not at all.

use bytes::BytesMut;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wsgid_proto::control::Configure;
use wsgid_proto::{Message, bounds, frame};

const FILE: &str = "configurations";

/// Instances on one host beyond any use; what is more is no file of ours.
const INSTANCES: usize = 1000;

/// Why a file holds no configurations.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not frames.
    #[error("{0}")]
    Frame(#[from] frame::FrameError),
    /// Frames of another kind, or with values that are not allowed.
    #[error("{0}")]
    Message(#[from] wsgid_proto::DecodeError),
    /// It ends in the middle of a frame.
    #[error("it ends in the middle of a message")]
    Cut,
    /// Too large to be ours.
    #[error("it is larger than any configuration")]
    Oversize,
}

/// Reads what was last saved; nothing if nothing was.
pub fn load(directory: &Path) -> Result<Vec<Configure>, Unusable> {
    match File::open(directory.join(FILE)) {
        Ok(file) => read_all(file, INSTANCES),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Reads at most `most` configurations from a file that has nothing else.
pub fn read_all(file: File, most: usize) -> Result<Vec<Configure>, Unusable> {
    let bound = (bounds::CONFIGURE + frame::HEADER).saturating_mul(most) as u64;
    let mut content = Vec::new();
    file.take(bound.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > bound {
        return Err(Unusable::Oversize);
    }
    let mut rest = BytesMut::from(content.as_slice());
    let mut configurations = Vec::new();
    while !rest.is_empty() {
        let frame = frame::take(&mut rest)?.ok_or(Unusable::Cut)?;
        configurations.push(Configure::from_frame(frame)?);
    }
    if configurations.len() > most { Err(Unusable::Oversize) } else { Ok(configurations) }
}

/// Replaces what is saved. A crash at any point leaves the old file or the new one.
pub fn save<'a>(directory: &Path, configurations: impl Iterator<Item = &'a Configure>) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    for configure in configurations {
        file.write_all(&configure.frame())?;
    }
    file.as_file().sync_all()?;
    file.persist(directory.join(FILE)).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

/// Makes the state directory, for the daemon's eyes only.
pub fn prepare(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(instance: &str) -> Configure {
        Configure { instance: instance.into(), web_uid: 33, web_gid: 33, ..Default::default() }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path()).unwrap().is_empty());
        let all = [configure("a"), configure("b")];
        save(dir.path(), all.iter()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), all);
        save(dir.path(), all[1..].iter()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), all[1..]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn anything_else_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let whole = configure("a").frame();
        for content in [&whole[..whole.len() - 1], b"garbage", &[0xff; 5], &[&whole[..], b"x"].concat()] {
            fs::write(dir.path().join(FILE), content).unwrap();
            assert!(load(dir.path()).is_err(), "{content:?}");
        }
    }
}
