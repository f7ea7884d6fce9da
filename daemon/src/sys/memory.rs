//! Memory files: shared words for a pool's board, sealed bytes for plans.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// 64-bit words that other processes map too. Their number is fixed by seals, so that no holder of
/// the descriptor can pull the memory away from under the others.
#[derive(Debug)]
pub struct SharedWords {
    file: OwnedFd,
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the words are atomics, the mapping belongs to this value alone, and it lives until the drop.
unsafe impl Send for SharedWords {}
// SAFETY: as above; a shared reference gives access to nothing but atomics.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Zeroed words, `bytes` of them in all.
    pub fn create(name: &CStr, bytes: usize) -> io::Result<Self> {
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let file = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        nix::unistd::ftruncate(&file, bytes as i64)?;
        let fixed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(fixed))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, of a file with just this length.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Self { file, start: start.cast(), count: bytes / size_of::<AtomicU64>() })
    }

    /// Words that somebody else hands over, who has them from an earlier daemon: exactly so many bytes, in a
    /// memory file whose size can't change any more.
    pub fn adopt(file: OwnedFd, bytes: usize) -> io::Result<Self> {
        let unfit = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(|_| unfit("it is no memory file"))?;
        if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW) {
            return Err(unfit("its size is not fixed"));
        }
        if nix::sys::stat::fstat(&file)?.st_size != bytes as i64 {
            return Err(unfit("it has another size"));
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, of a file with just this length, which
        // the seals keep.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Self { file, start: start.cast(), count: bytes / size_of::<AtomicU64>() })
    }

    /// Is this the same memory?
    pub fn is(&self, other: BorrowedFd<'_>) -> bool {
        let place = |file: BorrowedFd<'_>| nix::sys::stat::fstat(file).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((place(self.file.as_fd()), place(other)), (Ok(one), Ok(two)) if one == two)
    }

    /// The words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, `count` words long, mapped until the drop; the seals keep the file
        // from shrinking, and any content is a valid AtomicU64.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }

    /// The memory file, to hand on.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the very mapping that `create` made; no slice of it outlives `self`.
        let _ = unsafe { munmap(self.start.cast(), self.count * size_of::<AtomicU64>()) };
    }
}

/// An empty memory file.
pub fn file(name: &CStr) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?))
}

/// Another descriptor of a memory file, through which nobody can write.
pub fn reader(file: &File) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.into())
}

/// A memory file that holds `content`, cannot be changed any more and is read from its beginning.
pub fn sealed_file(name: &CStr, content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.write_all(content)?;
    file.rewind()?;
    let all =
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(all))?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn words_are_shared_and_their_number_is_fixed() {
        let words = SharedWords::create(c"test", 4096).unwrap();
        assert_eq!(words.words().len(), 512);
        words.words()[511].store(7, Relaxed);
        let copy = File::from(words.file().try_clone_to_owned().unwrap());
        assert!(copy.set_len(0).is_err(), "shrunk");
        assert!(copy.set_len(1 << 20).is_err(), "grown");
    }

    #[test]
    fn a_sealed_file_is_read_from_its_start_and_not_written() {
        let mut file = File::from(sealed_file(c"test", b"plan").unwrap());
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "plan");
        assert!(file.write(b"x").is_err());
    }
}
