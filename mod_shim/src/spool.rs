//! Bytes on their way from somebody quick to somebody slow: in memory first, then in a file without a
//! name, up to a bound for each. First in, first out.

use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The most that is read back from the file at once.
const PART: usize = 64 << 10;

/// What a piece in memory costs beside its bytes.
const PIECE: u64 = size_of::<Piece>() as u64;

/// How much a spool takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// In memory.
    pub memory: u64,
    /// In the file; with 0 there is none.
    pub file: u64,
}

/// A spool.
#[derive(Debug, Default)]
pub struct Spool {
    limits: Limits,
    pieces: VecDeque<Piece>,
    /// Bytes in memory, with what their pieces cost.
    held: u64,
    file: Option<File>,
    /// How many pieces are in the file.
    stored: usize,
    /// Where the next bytes go in the file. It starts again from 0 when all of it has been read.
    end: u64,
}

#[derive(Debug)]
enum Piece {
    Held(Bytes),
    Stored { offset: u64, length: u64 },
}

impl Spool {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Is it full? Then whatever fills it should pause.
    pub fn is_full(&self) -> bool {
        let Limits { memory, file } = self.limits;
        self.held > memory || (self.held + PIECE >= memory && self.end >= file)
    }

    /// Takes bytes at the end, in any case: what the file can't have, memory does. Returns why the file
    /// could not, which is then given up.
    pub fn push(&mut self, bytes: Bytes) -> Option<io::Error> {
        let length = bytes.len() as u64;
        let for_file =
            self.held + PIECE + length > self.limits.memory && self.end + length <= self.limits.file;
        let failed = match for_file && length > 0 {
            true => match self.store(&bytes) {
                Ok(()) => return None,
                Err(error) => Some(error),
            },
            false => None,
        };
        if failed.is_some() {
            self.limits.file = 0;
        }
        if length > 0 {
            self.held += length + PIECE;
            self.pieces.push_back(Piece::Held(alone(bytes)));
        }
        failed
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(directory())?),
        };
        file.write_all_at(bytes, self.end)?;
        let (at, more) = (self.end, bytes.len() as u64);
        self.end += more;
        match self.pieces.back_mut() {
            Some(Piece::Stored { offset, length }) if *offset + *length == at => *length += more,
            _ => {
                self.pieces.push_back(Piece::Stored { offset: at, length: more });
                self.stored += 1;
            }
        }
        Ok(())
    }

    /// Takes up to `most` bytes from the front; none only if there are none.
    pub fn pop(&mut self, most: usize) -> io::Result<Bytes> {
        let bytes = match self.pieces.front_mut() {
            None => return Ok(Bytes::new()),
            Some(Piece::Held(bytes)) => {
                let part = bytes.split_to(most.min(bytes.len()));
                self.held -= part.len() as u64;
                part
            }
            Some(Piece::Stored { offset, length }) => {
                let part = (*length).min(most.min(PART) as u64);
                let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
                let mut bytes = BytesMut::zeroed(part as usize);
                file.read_exact_at(&mut bytes, *offset)?;
                (*offset, *length) = (*offset + part, *length - part);
                bytes.freeze()
            }
        };
        self.tidy()?;
        Ok(bytes)
    }

    /// The same into a buffer; returns how many bytes.
    pub fn pop_into(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.pop(buffer.len())?;
        let count = bytes.len();
        bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }

    /// Drops a piece that is used up, and what is in the file when all of it has been read.
    fn tidy(&mut self) -> io::Result<()> {
        let used_up = match self.pieces.front() {
            Some(Piece::Held(bytes)) => bytes.is_empty(),
            Some(Piece::Stored { length, .. }) => *length == 0,
            None => false,
        };
        if used_up {
            match self.pieces.pop_front() {
                Some(Piece::Held(_)) => self.held -= PIECE,
                _ => self.stored -= 1,
            }
        }
        if self.end > 0 && self.stored == 0 {
            self.end = 0;
            self.file.as_ref().map_or(Ok(()), |file| file.set_len(0))?;
        }
        Ok(())
    }
}

/// The bytes without whatever else shares their memory, which would be kept along with them.
pub fn alone(bytes: Bytes) -> Bytes {
    if bytes.is_unique() { bytes } else { Bytes::copy_from_slice(&bytes) }
}

/// Where the files are: on a disk rather than in memory, where /tmp is on many systems.
fn directory() -> &'static PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let named = std::env::var_os("TMPDIR").map(PathBuf::from);
        let places = named.into_iter().chain(["/var/tmp".into()]);
        places.into_iter().find(|place| place.is_dir()).unwrap_or_else(|| "/tmp".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(spool: &mut Spool) -> Vec<u8> {
        let mut out = Vec::new();
        while !spool.is_empty() {
            out.extend(spool.pop(7).unwrap());
        }
        out
    }

    #[test]
    fn memory_comes_first_and_then_the_file() {
        let mut spool = Spool::new(Limits { memory: 4 + PIECE, file: 6 });
        assert!(spool.push("abcd".into()).is_none() && spool.file.is_none() && !spool.is_full());
        assert!(spool.push("efg".into()).is_none() && spool.push("hij".into()).is_none());
        assert!(spool.file.is_some() && spool.is_full() && spool.pieces.len() == 2);
        assert_eq!(all(&mut spool), b"abcdefghij");
        assert!(!spool.is_full() && spool.file.as_ref().unwrap().metadata().unwrap().len() == 0);
    }

    #[test]
    fn a_file_that_is_full_on_disk_loses_nothing() {
        let mut spool = Spool::new(Limits { memory: PIECE, file: 100 });
        spool.file = Some(File::options().write(true).open("/dev/full").unwrap());
        assert!(spool.push("abc".into()).is_some() && spool.is_full());
        assert!(spool.push("def".into()).is_none());
        assert_eq!(all(&mut spool), b"abcdef");
    }

    proptest! {
        /// Whatever the bounds and the order of taking and giving, bytes come out as they went in.
        #[test]
        fn bytes_come_out_in_order(memory in 0_u64..300, file in 0_u64..40, steps in prop::collection::vec((0_usize..12, 0_usize..12), 0..60)) {
            let mut spool = Spool::new(Limits { memory, file });
            let (mut given, mut got) = (Vec::<u8>::new(), Vec::<u8>::new());
            for (push, pop) in steps {
                if !spool.is_full() {
                    let bytes: Vec<u8> = (0..push).map(|n| (given.len() + n) as u8).collect();
                    given.extend(&bytes);
                    prop_assert!(spool.push(bytes.into()).is_none());
                }
                if pop > 0 {
                    got.extend(spool.pop(pop).unwrap());
                }
            }
            got.extend(all(&mut spool));
            prop_assert_eq!(given, got);
        }
    }
}
