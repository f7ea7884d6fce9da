//! The accepted configurations on disk, so that the daemon's own restart needs no httpd restart: one file, a
//! line with a checksum and then a sequence of `Configure` frames, replaced as a whole or not at all. The one
//! before is kept beside it, for a disk that did not keep its word.

use bytes::BytesMut;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wsgid_proto::control::Configure;
use wsgid_proto::{Message, bounds, frame};

const FILE: &str = "configurations";
const PREVIOUS: &str = "configurations.previous";

/// The first line, without the sum and the line's end.
const TITLE: &str = "wsgid configurations, crc32 ";

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
    /// It does not begin with its sum, or has another.
    #[error("its checksum is wrong or missing")]
    Checksum,
    /// Too large to be ours.
    #[error("it is larger than any configuration")]
    Oversize,
}

/// What there is on disk.
#[derive(Debug)]
pub struct Saved {
    /// What was saved last, or where that is of no use, before.
    pub configurations: Vec<Configure>,
    /// Why the last is of no use.
    pub damage: Option<Unusable>,
}

/// Reads what was last saved; nothing if nothing was.
pub fn load(directory: &Path) -> Result<Saved, Unusable> {
    match load_file(&directory.join(FILE)) {
        Ok(configurations) => Ok(Saved { configurations, damage: None }),
        Err(damage) => {
            let configurations = load_file(&directory.join(PREVIOUS))?;
            Ok(Saved { configurations, damage: Some(damage) })
        }
    }
}

fn load_file(path: &Path) -> Result<Vec<Configure>, Unusable> {
    let content = match File::open(path) {
        Ok(file) => read_bounded(file, INSTANCES)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let end = content.iter().position(|&b| b == b'\n').ok_or(Unusable::Checksum)?;
    let (line, rest) = (&content[..end], &content[end + 1..]);
    if line != first_line(rest).as_bytes() {
        return Err(Unusable::Checksum);
    }
    parse(rest, INSTANCES)
}

fn first_line(rest: &[u8]) -> String {
    format!("{TITLE}{:08x}", crc32fast::hash(rest))
}

/// Reads at most `most` configurations from a file that has nothing else.
pub fn read_all(file: File, most: usize) -> Result<Vec<Configure>, Unusable> {
    parse(&read_bounded(file, most)?, most)
}

fn read_bounded(file: File, most: usize) -> Result<Vec<u8>, Unusable> {
    let bound = (bounds::CONFIGURE + frame::HEADER).saturating_mul(most) as u64;
    let mut content = Vec::new();
    file.take(bound.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > bound { Err(Unusable::Oversize) } else { Ok(content) }
}

fn parse(content: &[u8], most: usize) -> Result<Vec<Configure>, Unusable> {
    let mut rest = BytesMut::from(content);
    let mut configurations = Vec::new();
    while !rest.is_empty() {
        let frame = frame::take(&mut rest)?.ok_or(Unusable::Cut)?;
        configurations.push(Configure::from_frame(frame)?);
    }
    if configurations.len() > most { Err(Unusable::Oversize) } else { Ok(configurations) }
}

/// Replaces what is saved. A crash at any point leaves the old file or the new one.
pub fn save<'a>(directory: &Path, configurations: impl Iterator<Item = &'a Configure>) -> io::Result<()> {
    let content: Vec<u8> = configurations.flat_map(Message::frame).collect();
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{}", first_line(&content))?;
    file.write_all(&content)?;
    file.as_file().sync_all()?;
    keep_previous(directory)?;
    file.persist(directory.join(FILE)).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

/// The present file gets its second name first: at no time is there neither.
fn keep_previous(directory: &Path) -> io::Result<()> {
    let (present, previous) = (directory.join(FILE), directory.join(PREVIOUS));
    if load_file(&present).is_err() {
        return Ok(()); // it would take the place of a good one
    }
    let second = directory.join(".previous");
    let _ = fs::remove_file(&second);
    match fs::hard_link(&present, &second) {
        Ok(()) => fs::rename(second, previous),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
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
        let loaded = || {
            let saved = load(dir.path()).unwrap();
            assert!(saved.damage.is_none(), "{saved:?}");
            saved.configurations
        };
        assert!(loaded().is_empty());
        let all = [configure("a"), configure("b")];
        save(dir.path(), all.iter()).unwrap();
        assert_eq!(loaded(), all);
        save(dir.path(), all[1..].iter()).unwrap();
        assert_eq!(loaded(), all[1..]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn where_the_last_is_damaged_the_one_before_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        save(dir.path(), [configure("a")].iter()).unwrap();
        save(dir.path(), [configure("b")].iter()).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut torn = whole.clone();
            torn[at] ^= 0x20;
            for content in [&torn[..], &whole[..at]] {
                fs::write(&path, content).unwrap();
                let saved = load(dir.path()).unwrap();
                assert_eq!(saved.configurations, [configure("a")], "{at}");
                assert!(saved.damage.is_some(), "{at}");
            }
        }
        // And a damaged file is not kept in the place of a good one.
        save(dir.path(), [configure("c")].iter()).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(load(dir.path()).unwrap().configurations, [configure("a")]);
    }

    #[test]
    fn anything_else_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let whole = configure("a").frame();
        for content in [&whole[..whole.len() - 1], b"garbage", &[0xff; 5], &[&whole[..], b"x"].concat()] {
            fs::write(dir.path().join(FILE), content).unwrap();
            assert!(load(dir.path()).unwrap().damage.is_some(), "{content:?}");
            fs::write(dir.path().join(PREVIOUS), content).unwrap();
            assert!(load(dir.path()).is_err(), "{content:?}");
            fs::remove_file(dir.path().join(PREVIOUS)).unwrap();
        }
    }
}
