//! A worker's process: one that this daemon has started, or one that an earlier daemon has left, which is no child
//! of ours unless this is the same process with a new program.

use crate::sys::process;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

/// See the module.
#[derive(Debug)]
pub enum Process {
    /// Ours.
    Child(Child),
    /// Of an earlier daemon; the descriptor is readable once it has ended.
    Adopted {
        /// Its number.
        pid: u32,
        /// What can't become another process.
        descriptor: AsyncFd<OwnedFd>,
    },
}

impl Process {
    /// The process of that number, which lives.
    pub fn adopt(pid: u32) -> io::Result<Self> {
        let descriptor = process::pidfd(pid)?;
        Ok(Self::Adopted { pid, descriptor })
    }

    /// Its number; 0 once a child has been waited for.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Child(child) => child.id().unwrap_or_default(),
            Self::Adopted { pid, .. } => *pid,
        }
    }

    /// Waits for its end, and says how that was. May be dropped and called again.
    pub async fn wait(&mut self) -> String {
        match self {
            Self::Child(child) => match child.wait().await {
                Ok(status) => in_words(status),
                Err(error) => format!("can't be waited for: {error}"),
            },
            Self::Adopted { descriptor, .. } => match descriptor.readable().await {
                Ok(_) => end_of(descriptor.get_ref()),
                Err(error) => format!("can't be waited for: {error}"),
            },
        }
    }

    /// Sends a signal, if it has not ended.
    pub fn signal(&self, signal: Signal) {
        match self {
            Self::Child(child) => {
                // None once it has been waited for: then there is nobody to signal.
                let pid = child.id().and_then(|id| i32::try_from(id).ok());
                let _ = pid.map(|pid| nix::sys::signal::kill(Pid::from_raw(pid), signal));
            }
            Self::Adopted { descriptor, .. } => {
                let _ = process::signal(descriptor.get_ref().as_fd(), signal as i32);
            }
        }
    }

    /// Ends it the hard way, and where it is a child, the process group that it leads.
    pub fn kill_group(&mut self) {
        // Only of a child, whose number is nobody else's until it has been waited for.
        if let (Self::Child(child), Ok(pid @ 1..)) = (&*self, i32::try_from(self.pid())) {
            if child.id().is_some() {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL); // none before the launcher's first step
            }
        }
        self.signal(Signal::SIGKILL);
    }
}

/// Only a parent is told how a process ended.
fn end_of(descriptor: &OwnedFd) -> String {
    match waitid(Id::PIDFd(descriptor.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Exited(_, code)) => in_words(ExitStatus::from_raw(code << 8)),
        Ok(WaitStatus::Signaled(_, signal, core)) => {
            in_words(ExitStatus::from_raw(signal as i32 | if core { 0x80 } else { 0 }))
        }
        _ => "has ended; how, only the daemon that started it would know".into(),
    }
}

fn in_words(status: ExitStatus) -> String {
    let Some(number) = status.signal() else {
        return format!("exited with status {}", status.code().unwrap_or_default());
    };
    let name =
        Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    let core = if status.core_dumped() { ", leaving a core dump" } else { "" };
    format!("was ended by {name}{core}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_words() {
        assert_eq!(in_words(ExitStatus::from_raw(3 << 8)), "exited with status 3");
        assert_eq!(in_words(ExitStatus::from_raw(9)), "was ended by SIGKILL");
        assert_eq!(in_words(ExitStatus::from_raw(11 | 128)), "was ended by SIGSEGV, leaving a core dump");
    }
}
