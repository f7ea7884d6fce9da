//! A worker's process: one that this daemon has started; one that a template has forked; or one that an earlier
//! daemon has left, which is no child of ours unless this is the same process with a new program.

use crate::sys::process;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;
use tokio::sync::watch;

/// See the module.
#[derive(Debug)]
pub enum Process {
    /// Ours.
    Child(Child),
    /// Of an earlier daemon, or forked by a template; the descriptor is readable once it has ended.
    Adopted {
        /// Its number.
        pid: u32,
        /// What can't become another process.
        descriptor: AsyncFd<OwnedFd>,
        /// What its template says about its end.
        ends: Option<Ends>,
    },
}

/// What a template, or whoever waits for it, knows of ends.
#[derive(Debug, Default)]
pub struct Obituaries {
    /// How its workers have ended, by their numbers: the last few, the latest first.
    pub workers: VecDeque<(u32, i32)>,
    /// How it has ended itself.
    pub template: Option<String>,
}

impl Obituaries {
    fn status_of(&self, pid: u32) -> Option<ExitStatus> {
        let of_it = self.workers.iter().find(|(other, _)| *other == pid);
        of_it.map(|(_, status)| ExitStatus::from_raw(*status))
    }
}

/// Where those are read.
pub type Ends = watch::Receiver<Obituaries>;

/// A template that lives says at once how its worker has ended, and its own end is noticed at once.
pub const OBITUARY: Duration = Duration::from_millis(200);

impl Process {
    /// The process of that number, which started then.
    pub fn adopt(pid: u32, start: u64) -> io::Result<Self> {
        let adopted = Self::Adopted { pid, descriptor: process::pidfd(pid)?, ends: None };
        // After the descriptor is there: the number can't have become another process's since.
        match process::start_time(pid)? == start {
            true => Ok(adopted),
            false => Err(io::Error::other("it is another process by now")),
        }
    }

    /// The process of that number, which this template has forked.
    pub fn forked(pid: u32, template: u32, ends: Ends) -> io::Result<Self> {
        let forked = Self::Adopted { pid, descriptor: process::pidfd(pid)?, ends: Some(ends) };
        // As above. A template that has ended has no children.
        match process::parent(pid)? == template {
            true => Ok(forked),
            false => Err(io::Error::other("it is not the template's child")),
        }
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
            Self::Adopted { pid, descriptor, ends } => {
                if let Err(error) = descriptor.readable().await {
                    return format!("can't be waited for: {error}");
                }
                let told = match ends {
                    Some(ends) => told(ends, *pid).await,
                    None => None,
                };
                told.map_or_else(|| end_of(descriptor.get_ref()), in_words)
            }
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

    /// Ends it the hard way, and the process group that it leads; of one that is no child, where the kernel can.
    pub fn kill_group(&mut self) {
        match self {
            Self::Child(child) => {
                // Its number is nobody else's until it has been waited for.
                let pid = child.id().and_then(|id| i32::try_from(id).ok());
                let _ = pid.map(|pid| killpg(Pid::from_raw(pid), Signal::SIGKILL)); // none before the launcher's first step
            }
            Self::Adopted { descriptor, .. } => {
                let _ = process::signal_group(descriptor.get_ref().as_fd(), Signal::SIGKILL as i32);
            }
        }
        self.signal(Signal::SIGKILL);
    }
}

async fn told(ends: &mut Ends, pid: u32) -> Option<ExitStatus> {
    let told = ends.wait_for(|ends| ends.status_of(pid).is_some());
    let ends = tokio::time::timeout(OBITUARY, told).await.ok()?.ok()?;
    ends.status_of(pid)
}

/// Only a parent is told how a process ended.
fn end_of(descriptor: &OwnedFd) -> String {
    match waitid(Id::PIDFd(descriptor.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Exited(_, code)) => in_words(ExitStatus::from_raw(code << 8)),
        Ok(WaitStatus::Signaled(_, signal, core)) => {
            in_words(ExitStatus::from_raw(signal as i32 | if core { 0x80 } else { 0 }))
        }
        _ => "has ended; how, only the process that started it would know".into(),
    }
}

/// Do the words for an end say SIGKILL, which processes do not send themselves?
pub fn is_killed(how: &str) -> bool {
    how == in_words(ExitStatus::from_raw(Signal::SIGKILL as i32))
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
        assert!(is_killed("was ended by SIGKILL") && !is_killed("was ended by SIGTERM"));
        assert_eq!(in_words(ExitStatus::from_raw(11 | 128)), "was ended by SIGSEGV, leaving a core dump");
    }
}
