//! The system calls that need `unsafe`: shared memory, the futex, receiving into spare room.

use bytes::{BufMut, BytesMut};
use nix::errno::Errno;
use nix::sys::socket::MsgFlags;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Shared memory seen as words. Unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: *mut libc::c_void,
    bytes: usize,
}

// SAFETY: the memory is only ever touched through atomics, which any thread may use.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a whole memory file, read and write.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        let bytes = nix::sys::stat::fstat(file)?.st_size as usize;
        if bytes == 0 || bytes > isize::MAX as usize {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start, bytes })
    }

    /// The memory as words; a rest of less than a word is left out.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, lives as long as self, holds at least so many words, and
        // the file behind it is sealed against shrinking. Other processes change it atomically only;
        // if they do otherwise an atomic load still yields some value of an u64.
        unsafe { std::slice::from_raw_parts(self.start.cast::<AtomicU64>(), self.bytes / size_of::<u64>()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and bytes are those of mmap, and no reference outlives self.
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}

/// How a sleep at a futex ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// Somebody woke us.
    Woken,
    /// The time was over.
    Over,
    /// There was none, since the word has changed, or a signal ended it.
    None,
}

/// Sleeps among those of `set` until someone wakes us or the time is over; not at all if `word`'s lower
/// half is no longer `seen`.
pub fn futex_wait(word: &AtomicU64, seen: u32, set: u32, at_most: Duration) -> Sleep {
    // With a set the kernel takes a moment of the monotonic clock.
    let now =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    let until = now + at_most;
    let timeout =
        libc::timespec { tv_sec: until.as_secs() as libc::time_t, tv_nsec: until.subsec_nanos().into() };
    // SAFETY: the address is that of a live, aligned word (its lower half on little-endian machines),
    // and the timeout lives through the call. The futex is shared: no PRIVATE flag.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            lower_half(word),
            libc::FUTEX_WAIT_BITSET,
            seen,
            &raw const timeout,
            std::ptr::null::<u32>(),
            set,
        )
    };
    match result {
        0 => Sleep::Woken,
        _ if Errno::last() == Errno::ETIMEDOUT => Sleep::Over,
        _ => Sleep::None,
    }
}

/// Wakes one sleeper of a set, if there is one.
pub fn futex_wake(word: &AtomicU64, set: u32) -> bool {
    let (no_time, no_word) = (std::ptr::null::<libc::timespec>(), std::ptr::null::<u32>());
    // SAFETY: as in futex_wait.
    let woken = unsafe {
        libc::syscall(libc::SYS_futex, lower_half(word), libc::FUTEX_WAKE_BITSET, 1, no_time, no_word, set)
    };
    woken > 0
}

fn lower_half(word: &AtomicU64) -> *mut u32 {
    let half = word.as_ptr().cast::<u32>();
    if cfg!(target_endian = "big") { half.wrapping_add(1) } else { half }
}

/// Takes over a descriptor that C or the kernel gave to us alone.
pub fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: callers pass a descriptor that was just received and that nobody else closes.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// The most that Linux lets ride on one message (SCM_MAX_FD): with less room, the rest would stay open
/// here for ever, out of reach.
const MOST_DESCRIPTORS: usize = 253;

/// Room for the descriptors of one message.
// SAFETY: plain arithmetic on a number.
const CONTROL_ROOM: usize =
    unsafe { libc::CMSG_SPACE((MOST_DESCRIPTORS * size_of::<RawFd>()) as u32) } as usize;

/// Aligned as the kernel's headers within it must be; the kernel writes what is read of it.
#[repr(align(8))]
struct Control(MaybeUninit<[u8; CONTROL_ROOM]>);

/// Receives into the spare room of `buffer`, which must have some. Descriptors that ride along are
/// close-on-exec; only the last one of a message is kept, since no frame carries two.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut BytesMut,
    flags: MsgFlags,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let spare = buffer.spare_capacity_mut();
    let mut part = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len() };
    let mut control = Control(MaybeUninit::uninit());
    // SAFETY: all zeros is an empty message header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_ROOM as _;
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points to the spare room and to `control`, both of which live through the call
    // and have the sizes it says.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags.bits()) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    let descriptor = if message.msg_controllen == 0 { None } else { last_descriptor(&message) };
    // SAFETY: the kernel wrote `count` bytes at the start of the spare room.
    unsafe { buffer.advance_mut(count) };
    Ok((count, descriptor))
}

/// Takes over every descriptor of a message that the kernel has just filled in, and keeps the last.
fn last_descriptor(message: &libc::msghdr) -> Option<OwnedFd> {
    let mut last = None;
    // SAFETY: the kernel filled in the control messages; the macros stay within msg_controllen.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so a whole header, as are its contents up to cmsg_len.
        let (rights, data, bytes) = unsafe {
            let rights = (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            (rights, data, ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize))
        };
        for at in 0..if rights { bytes / size_of::<RawFd>() } else { 0 } {
            // SAFETY: within the control message, which need not be aligned for integers.
            last = Some(own(unsafe { data.add(at).read_unaligned() }));
        }
        // SAFETY: as for the first.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    last
}
