//! The only unsafe code of the worker: descriptors that come across `exec` or ride on a message, shared memory, a
//! futex, the memory of the command line, reading into spare room, children, and what of Python's own functions
//! has no safe wrapper. Each function is a safe door to one call.

use bytes::{BufMut, BytesMut};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// The numbers of [`wsgid_proto::launch`], each of which can be taken over once.
static ADOPTED: [AtomicBool; 16] = [const { AtomicBool::new(false) }; 16];

/// Takes over a descriptor that came across `exec`, and keeps it from going any further.
pub(crate) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    let once = usize::try_from(number).ok().and_then(|n| ADOPTED.get(n));
    if once.is_none_or(|taken| taken.swap(true, Ordering::SeqCst)) {
        return Err(io::Error::other("not a descriptor that can be taken over, or taken over before"));
    }
    // SAFETY: only asks whether the number is open; EBADF is an answer.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: the number is open, and by the launch contract nobody else in this process has it;
    // `ADOPTED` sees to it that it is handed out once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Maps shared words, those of a board or a pulse, for as long as the process lives.
pub(crate) fn map_words(file: &OwnedFd) -> io::Result<&'static [AtomicU64]> {
    let bytes = usize::try_from(nix::sys::stat::fstat(file)?.st_size).unwrap_or(0);
    let words = bytes / size_of::<AtomicU64>();
    let length = NonZeroUsize::new(words * size_of::<AtomicU64>())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is empty"))?;
    // SAFETY: a fresh mapping that aliases nothing of ours; the supervisor seals the file's size.
    let start = unsafe {
        mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, file, 0)
    }?;
    // SAFETY: page-aligned, `words` words long, never unmapped, and only ever used atomically.
    Ok(unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<AtomicU64>(), words) })
}

/// Writes over the arguments that this process was started with, which is what ps(1) shows. As far as they
/// are long; Python has made copies of its own before any code of ours runs.
pub(crate) fn set_command_line(name: &str) -> io::Result<()> {
    // proc_pid_stat(5): fields 48 and 49, counted from the one behind the name, which may hold anything.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<usize> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|f| f.parse().ok())
        .collect();
    let field = |from_end: usize| fields.len().checked_sub(from_end).and_then(|at| fields.get(at)).copied();
    // Counted from the end, since the state is no number: arg_start, arg_end, env_start, env_end, exit_code.
    let (Some(start), Some(end)) = (field(5), field(4)) else {
        return Err(io::Error::other("the kernel does not say where they are"));
    };
    let room = end.checked_sub(start).filter(|&room| start != 0 && room > 1);
    let room = room.ok_or_else(|| io::Error::other("there are none"))?;
    let name = &name.as_bytes()[..name.len().min(room - 1)];
    // SAFETY: the kernel's own word for where the writable strings of exec are, which stay there for as long
    // as the process lives; nobody reads them concurrently but the kernel, for which any bytes will do.
    let arguments = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, room) };
    arguments.fill(0);
    arguments[..name.len()].copy_from_slice(name);
    Ok(())
}

/// Wakes up to `count` sleepers of a set on the lower half of a word that is shared between processes, and
/// says whether there was one.
pub(crate) fn futex_wake(word: &AtomicU64, set: u32, count: i32) -> bool {
    let low_half =
        std::ptr::from_ref(word).cast::<u32>().wrapping_add(usize::from(cfg!(target_endian = "big")));
    let (no_time, no_word) = (std::ptr::null::<libc::timespec>(), std::ptr::null::<u32>());
    // SAFETY: the address is valid and aligned for the call, which reads no memory of ours.
    let woken = unsafe {
        libc::syscall(libc::SYS_futex, low_half, libc::FUTEX_WAKE_BITSET, count, no_time, no_word, set)
    };
    woken > 0
}

/// Receives what is there, at most `room` bytes, to the end of `into`; 0 is the end of the stream.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    into: &mut BytesMut,
    room: usize,
    wait: bool,
) -> io::Result<usize> {
    into.reserve(room);
    let spare = into.spare_capacity_mut();
    let flags = if wait { 0 } else { libc::MSG_DONTWAIT };
    // SAFETY: the kernel writes at most `spare.len()` bytes into memory that is ours.
    let got = unsafe { libc::recv(socket.as_raw_fd(), spare.as_mut_ptr().cast(), spare.len(), flags) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has just filled `got` bytes of the spare room.
    unsafe { into.advance_mut(got) };
    Ok(got)
}

/// One receive as above, waited for, with the descriptors that may ride on it.
pub(crate) fn receive_with(
    socket: BorrowedFd<'_>,
    into: &mut BytesMut,
    room: usize,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut buffer = vec![0; room];
    let mut parts = [io::IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!([RawFd; 253]); // SCM_MAX_FD: none is left over
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut riders = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just made them for this process, and nobody else knows them.
            riders.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    let got = message.bytes;
    into.extend_from_slice(&buffer[..got]);
    Ok((got, riders))
}

/// Makes a number stand for another open file than before, at no time for none.
pub(crate) fn take_place(file: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    let flags = if number <= libc::STDERR_FILENO { 0 } else { libc::O_CLOEXEC };
    // SAFETY: three integers; whoever owns the number owns what it stands for from now on.
    let done = unsafe { libc::dup3(file.as_raw_fd(), number, flags) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Every byte as the character of the same number: how PEP 3333 has bytes in native strings.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = bytes.len() as pyo3::ffi::Py_ssize_t; // a slice is never longer than isize::MAX
    // SAFETY: pointer and length are of one live slice; no name for the error handler means strict.
    let text = unsafe {
        let text = pyo3::ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null());
        Bound::from_owned_ptr_or_err(py, text)
    }?;
    Ok(text.cast_into::<PyString>()?)
}

/// The bytes of a native string; a character beyond latin-1 raises `UnicodeEncodeError`.
pub(crate) fn latin1_bytes<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: a live string object.
    let bytes = unsafe {
        let bytes = pyo3::ffi::PyUnicode_AsLatin1String(text.as_ptr());
        Bound::from_owned_ptr_or_err(text.py(), bytes)
    }?;
    Ok(bytes.cast_into::<PyBytes>()?)
}

/// UTF-8 that is always possible: lone surrogates, as in file names that are none, become escapes.
pub(crate) fn readable_bytes<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: a live string object, and two C strings.
    let bytes = unsafe {
        let (encoding, errors) = (c"utf-8".as_ptr(), c"backslashreplace".as_ptr());
        let bytes = pyo3::ffi::PyUnicode_AsEncodedString(text.as_ptr(), encoding, errors);
        Bound::from_owned_ptr_or_err(text.py(), bytes)
    }?;
    Ok(bytes.cast_into::<PyBytes>()?)
}

/// Raises an exception of this class in a thread of Python's, the next time that it runs Python code.
pub(crate) fn raise_in_thread(ident: u64, class: &Bound<'_, PyAny>) {
    // SAFETY: this thread is attached to Python, since there is a bound object; the call takes a reference of its
    // own, and looks for the thread by its number, which need not be there any more.
    unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(ident as std::os::raw::c_ulong as _, class.as_ptr()) };
}

/// Takes such an exception back, if it has not been raised yet.
pub(crate) fn take_back_exception(_py: Python<'_>, ident: u64) {
    // SAFETY: as above; no class means none.
    unsafe {
        pyo3::ffi::PyThreadState_SetAsyncExc(ident as std::os::raw::c_ulong as _, std::ptr::null_mut())
    };
}

/// How many references there are to an object. What others have done to it before they let go of theirs is
/// seen after this.
pub(crate) fn references(object: &Bound<'_, PyAny>) -> isize {
    // SAFETY: a live object, of which only the counter is read.
    let references = unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) };
    fence(Ordering::Acquire); // no GIL may have been handed on
    references
}

/// Has a thread of Python's write its own stack, where Python has a handler for that: see `signals.py`.
/// To be called only while the thread is there.
pub(crate) fn ask_for_stack(ident: u64) {
    // SAFETY: Python's number of a thread is pthread's, and by this function's contract it has not ended.
    unsafe { libc::pthread_kill(ident as libc::pthread_t, libc::SIGRTMAX()) };
}

/// A descriptor for a child that has not been waited for; readable once it has ended.
pub(crate) fn pidfd(child: i32) -> io::Result<OwnedFd> {
    // SAFETY: two integers; the answer is a new descriptor, or an error.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) };
    match RawFd::try_from(number) {
        // SAFETY: the kernel has just made it for us alone.
        Ok(number @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What has become of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    Lives,
    /// As wait(2) has it.
    Ended(i32),
    /// Somebody else has taken note of its end.
    Gone,
}

/// Takes note of the end of a child.
pub(crate) fn wait_for(child: i32) -> Child {
    let mut status = 0;
    // SAFETY: the kernel writes one integer, which is ours.
    match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
        0 => Child::Lives,
        pid if pid == child => Child::Ended(status),
        _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => Child::Lives,
        _ => Child::Gone,
    }
}

/// Closes a descriptor by number in a forked child, whose owner there must never use it again.
pub(crate) fn close_in_child(number: RawFd) {
    // SAFETY: a child has its own table; all that owns the number is fenced off by `forked()`.
    unsafe { libc::close(number) };
}

/// Ends the process, at once and without any cleaning up.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: never returns and touches nothing.
    unsafe { libc::_exit(code) }
}
