//! Descriptors at the numbers that [`wsgid_proto::launch`] promises.
//!
//! A child gets its descriptors by `dup2` between fork and exec. That is only sound while nothing
//! else of this process lives at the promised numbers: the standard library keeps a pipe of its own
//! open across that gap, to report a failed exec. So the daemon occupies the numbers once, at its
//! start, and never lets them go.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use wsgid_proto::launch::LAST_FD;

/// The highest of the promised numbers.
const LAST: RawFd = LAST_FD;

/// Occupies the numbers up to the last promised one, for as long as the process lives.
pub fn reserve() -> io::Result<()> {
    loop {
        let null = File::open("/dev/null")?;
        if null.as_raw_fd() > LAST {
            return Ok(());
        }
        let _ = null.into_raw_fd(); // kept open on purpose
    }
}

/// How many descriptors a process may have: soft and hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    soft: u64,
    hard: u64,
}

/// Allows this process as many descriptors as it may ask for, since each worker costs it a few.
/// Returns what was allowed before: workers get that, as programs that use select(2) need.
pub fn raise_limit() -> io::Result<Limit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(Limit { soft, hard })
}

/// Sets another limit, such as that of before, for a program that is to find what this one has found. Returns the
/// one that held until then.
pub fn exchange_limit(limit: Limit) -> io::Result<Limit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, limit.soft, limit.hard)?;
    Ok(Limit { soft, hard })
}

/// Makes `command`'s child have these descriptors at these numbers, open across its exec, and this
/// limit.
pub fn place(command: &mut Command, placed: Vec<(OwnedFd, RawFd)>, limit: Limit) -> io::Result<()> {
    if placed.iter().any(|(fd, _)| fd.as_raw_fd() <= LAST) {
        return Err(io::Error::other("a descriptor to pass on lies at a reserved number"));
    }
    let place_all = move || {
        for (fd, number) in &placed {
            // SAFETY: dup2 takes two numbers and is async-signal-safe; `fd` is open, and `number` is
            // one of the reserved ones, so nothing that is still needed is closed by it.
            if unsafe { libc::dup2(fd.as_raw_fd(), *number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(setrlimit(Resource::RLIMIT_NOFILE, limit.soft, limit.hard)?)
    };
    // SAFETY: between fork and exec the closure makes system calls and reads errno: no allocation, no
    // lock.
    unsafe { command.pre_exec(place_all) };
    Ok(())
}

/// Takes over an inherited descriptor, or `None` if the number is not open. To be called once for
/// each number, before anything else opens files.
pub fn inherited(number: RawFd) -> Option<File> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the number is open, and by this function's contract nobody else has taken it over.
    Some(unsafe { File::from_raw_fd(number) })
}

/// The most that Linux lets ride on one message (SCM_MAX_FD): with less room, some would be open here for ever, out
/// of reach.
const RIDERS: usize = 253;

/// One receive, without waiting: how many bytes, and the descriptors that rode on them.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut parts = [io::IoSliceMut::new(buffer)];
    let mut room = nix::cmsg_space!([RawFd; RIDERS]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just made them for this process, and nobody else knows them.
            descriptors.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    Ok((message.bytes, descriptors))
}

/// One receive, without waiting, from a socket with SO_PASSCRED: how many bytes, and who has sent them.
pub fn receive_from(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<UnixCredentials>)> {
    let mut parts = [io::IoSliceMut::new(buffer)];
    // Room for nothing else: descriptors of a stranger are closed by the kernel.
    let mut room = nix::cmsg_space!(UnixCredentials);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    let sender = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmCredentials(sender) => Some(sender),
        _ => None,
    });
    Ok((message.bytes, sender))
}

/// Lets every descriptor from `first` on go away at the next exec, whoever left it open.
pub fn close_at_exec_from(first: RawFd) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: three integers; the call marks descriptors and closes none.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, flags) };
    if done == 0 { Ok(()) } else { mark_each_from(first) }
}

/// For kernels before 5.11.
fn mark_each_from(first: RawFd) -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        if let Some(number) = number.filter(|number| *number >= first) {
            // SAFETY: F_SETFD marks a descriptor and closes none; one that is gone gives an error.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    #[test]
    fn old_kernels_mark_descriptors_one_by_one() {
        let file = File::open("/dev/null").unwrap();
        fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        mark_each_from(file.as_raw_fd()).unwrap();
        assert_eq!(fcntl(&file, FcntlArg::F_GETFD).unwrap(), libc::FD_CLOEXEC);
    }
}
