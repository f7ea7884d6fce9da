//! Single system calls without a safe wrapper elsewhere.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Wakes whoever sleeps on the lower half of a shared word.
pub fn wake_all(word: &AtomicU64) {
    let halves = std::ptr::from_ref(word).cast::<u32>();
    let lower = if cfg!(target_endian = "little") { halves } else { halves.wrapping_add(1) };
    // SAFETY: `lower` points into a live, aligned word; FUTEX_WAKE only uses the address as a key.
    unsafe { libc::syscall(libc::SYS_futex, lower, libc::FUTEX_WAKE, i32::MAX) };
}

/// A random number of the kernel's.
pub fn random() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is as long as is said, and the kernel writes no more than that.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if filled != bytes.len() as isize {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from_ne_bytes(bytes))
}

/// Microseconds of the monotonic clock, which is the same in all processes.
pub fn monotonic_micros() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(Duration::ZERO, Duration::from).as_micros() as u64
}

/// Takes note of children that have ended, for a program that has not started any.
pub fn bury_children() {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    while matches!(
        waitpid(None, Some(WaitPidFlag::WNOHANG)),
        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
    ) {}
}

/// Does this child live? If not, its end is noted. No child of ours does not.
pub fn is_child_alive(pid: u32) -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let Ok(pid @ 1..) = i32::try_from(pid) else { return false };
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    matches!(waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), flags), Ok(WaitStatus::StillAlive))
}

/// When a process started, in clock ticks since the system did. An error if it has ended.
pub fn start_time(pid: u32) -> io::Result<u64> {
    stat(pid, 22)
}

/// Has the kernel ended a process for want of memory since this was last asked? Counted from the first time on, in
/// proc_vmstat(5).
pub fn has_run_out_of_memory() -> bool {
    static KNOWN: AtomicU64 = AtomicU64::new(u64::MAX);
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
    let count = count.unwrap_or_default();
    let before = KNOWN.swap(count, Ordering::Relaxed);
    before != u64::MAX && before != count
}

/// How long ago that [`start_time`] was.
pub fn age(start_time: u64) -> io::Result<Duration> {
    let now = Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)?);
    let ticks =
        nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.filter(|ticks| *ticks > 0).unwrap_or(100);
    Ok(now.saturating_sub(Duration::from_secs_f64(start_time as f64 / ticks as f64)))
}

/// The parent of a process. An error if it has ended.
pub fn parent(pid: u32) -> io::Result<u32> {
    let parent = stat(pid, 4)?;
    u32::try_from(parent).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// A field of proc_pid_stat(5), counted as there, of a process that lives.
fn stat(pid: u32, field: usize) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the third field stands behind the last of them.
    let mut fields = text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    if matches!(fields.next(), Some("Z" | "X") | None) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let found = fields.nth(field.saturating_sub(4)).and_then(|field| field.parse().ok());
    found.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The children of this thread: of the whole process where it has no other.
pub fn children() -> Vec<u32> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A descriptor for a process that need not be a child of ours; readable once it has ended.
pub fn pidfd(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: two integers; the answer is a new descriptor, or an error.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us alone.
    let owned = unsafe { OwnedFd::from_raw_fd(number as RawFd) };
    // SAFETY: the descriptor is owned, and so open for as long as it is registered.
    Ok(unsafe { AsyncFd::register_with_interest(owned, Interest::READABLE) }?)
}

/// Sends a signal to the very process behind a descriptor.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send_signal(pidfd, signal, 0)
}

/// Sends one to the process group that it leads, if the kernel is new enough (6.9) to be asked so.
pub fn signal_group(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
    send_signal(pidfd, signal, PIDFD_SIGNAL_PROCESS_GROUP)
}

fn send_signal(pidfd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: integers, and no pointer to anything.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, flags) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Bytes that a process has in memory: the second field of proc_pid_statm(5).
pub fn resident(pid: u32) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text.split_ascii_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096) as u64;
    pages.map(|pages| pages.saturating_mul(page)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// setpriority(2) for this process.
pub fn set_niceness(nice: i32) -> io::Result<()> {
    // SAFETY: three integers.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Is the scheduling policy of this process the usual one, SCHED_OTHER?
pub fn has_usual_scheduling() -> bool {
    // SAFETY: an integer.
    unsafe { libc::sched_getscheduler(0) == libc::SCHED_OTHER }
}

/// SCHED_BATCH for this process.
pub fn become_batch() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter lives through the call, which only reads it.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const priority) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Every signal back to its default: an exec keeps the ignored ones ignored.
pub fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL runs no code of ours; signals that can't be changed answer with an error.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// What a signal did before it was ignored.
#[derive(Debug)]
pub struct Handler {
    signal: Signal,
    action: SigAction,
}

/// Ignores a signal, in the next program of this process, too.
pub fn ignore(signal: Signal) -> io::Result<Handler> {
    let nothing = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: SIG_IGN runs no code.
    let action = unsafe { sigaction(signal, &nothing) }?;
    Ok(Handler { signal, action })
}

impl Handler {
    /// As before.
    pub fn restore(&self) -> io::Result<()> {
        // SAFETY: the handler that was there all the time before, and that nothing has been taken from.
        unsafe { sigaction(self.signal, &self.action) }.map(drop).map_err(io::Error::from)
    }
}

/// Makes `command`'s child get SIGTERM when this thread ends, however it does.
pub fn end_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: prctl with two integers is async-signal-safe.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call: no allocation, no lock.
    unsafe { command.pre_exec(ask) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_is_its_parents_child() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(super::parent(child.id()).unwrap(), std::process::id());
        assert!(super::children().contains(&child.id()));
        let (own, childs) =
            (super::start_time(std::process::id()).unwrap(), super::start_time(child.id()).unwrap());
        assert!(childs >= own && super::age(childs).unwrap() <= super::age(own).unwrap());
        assert!(super::age(childs).unwrap().as_secs() < 60);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(super::parent(child.id()).is_err());
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(super::random().unwrap(), super::random().unwrap());
    }
}
