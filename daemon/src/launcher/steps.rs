//! The steps, in the order in which they have to happen: limits and priority while they may still be
//! raised, groups before the user that may set them is left, the directory as the user whose it is.

use crate::sys::{descriptors, process};
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, chroot, execve, setgroups, setresgid, setresuid, setsid};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wsgid_proto::launch::{LAST_FD, LaunchPlan};

/// The first exit status; the step's number is added.
const EXIT_BASE: u8 = 70;

/// A step that failed. The process has done nothing else and ends.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StepError {
    #[error("step 1, a session of its own: {0}")]
    Session(Errno),
    #[error("step 2, {limit}={value}: {errno}")]
    Limit { limit: &'static str, value: u64, errno: Errno },
    #[error("step 3, cpu-priority={nice}: {error}")]
    Nice { nice: i32, error: io::Error },
    #[error("step 4, umask={0:o} is no file mode mask")]
    Umask(u32),
    #[error("step 5, chroot={root}: {reason}")]
    Root { root: String, reason: String },
    #[error("step 6, supplementary groups {groups:?}: {errno}")]
    Groups { groups: Vec<u32>, errno: Errno },
    #[error("step 7, becoming group {gid}: {errno}")]
    Gid { gid: u32, errno: Errno },
    #[error("step 8, becoming user {uid}: {errno}")]
    Uid { uid: u32, errno: Errno },
    #[error("step 9, giving up capabilities: {0}")]
    Capabilities(String),
    #[error(
        "step 10, user {uid} can't go to the working directory {directory}: {errno}; check its permissions or set home="
    )]
    Directory { uid: u32, directory: String, errno: Errno },
    #[error("step 11, user {uid} can't execute the interpreter {program}: {reason}")]
    Exec { uid: u32, program: String, reason: String },
}

impl StepError {
    fn step(&self) -> u8 {
        match self {
            Self::Session(_) => 1,
            Self::Limit { .. } => 2,
            Self::Nice { .. } => 3,
            Self::Umask(_) => 4,
            Self::Root { .. } => 5,
            Self::Groups { .. } => 6,
            Self::Gid { .. } => 7,
            Self::Uid { .. } => 8,
            Self::Capabilities(_) => 9,
            Self::Directory { .. } => 10,
            Self::Exec { .. } => 11,
        }
    }

    /// What the daemon sees.
    pub fn exit_status(&self) -> u8 {
        EXIT_BASE + self.step()
    }
}

/// Does everything; returns only the step that failed.
pub fn carry_out(plan: &LaunchPlan) -> StepError {
    scheduling(plan);
    let prepared = session()
        .and_then(|()| limits(plan))
        .and_then(|()| nice(plan))
        .and_then(|()| mask(plan))
        .and_then(|()| root(plan))
        .and_then(|()| become_user(plan))
        .and_then(|()| no_privileges(plan))
        .and_then(|()| directory(plan));
    match prepared {
        Ok(()) => exec(plan),
        Err(failed) => failed,
    }
}

fn session() -> Result<(), StepError> {
    setsid().map(drop).map_err(StepError::Session)
}

fn limits(plan: &LaunchPlan) -> Result<(), StepError> {
    for (limit, resource, soft, hard) in [
        ("cpu-time-limit", Resource::RLIMIT_CPU, plan.cpu_seconds, plan.cpu_seconds_hard),
        ("memory-limit", Resource::RLIMIT_DATA, plan.data_bytes, plan.data_bytes),
        ("virtual-memory-limit", Resource::RLIMIT_AS, plan.address_bytes, plan.address_bytes),
    ] {
        if soft > 0 {
            setrlimit(resource, soft, hard).map_err(|errno| StepError::Limit {
                limit,
                value: soft,
                errno,
            })?;
        }
    }
    Ok(())
}

fn nice(plan: &LaunchPlan) -> Result<(), StepError> {
    if plan.nice == 0 {
        return Ok(());
    }
    process::set_niceness(plan.nice).map_err(|error| StepError::Nice { nice: plan.nice, error })
}

/// A policy that somebody has chosen for the daemon stays. Where the system allows no change (by a filter of
/// system calls) the worker starts all the same, and is a little slower.
fn scheduling(plan: &LaunchPlan) {
    if !plan.batch || !process::has_usual_scheduling() {
        return;
    }
    if let Err(error) = process::become_batch() {
        eprintln!(
            "wsgid-launch: process group '{}': cpu-scheduling=batch is not to be had: {error}",
            plan.group
        );
    }
}

fn mask(plan: &LaunchPlan) -> Result<(), StepError> {
    if let Some(bits) = plan.umask {
        umask(Mode::from_bits(bits).ok_or(StepError::Umask(bits))?);
    }
    Ok(())
}

/// Python finds the worker's extension by the number of its descriptor, which takes a /proc.
fn root(plan: &LaunchPlan) -> Result<(), StepError> {
    if plan.root.is_empty() {
        return Ok(());
    }
    let path = Path::new(OsStr::from_bytes(&plan.root));
    let fault = |reason: &str| StepError::Root { root: path.display().to_string(), reason: reason.into() };
    chroot(path).and_then(|()| chdir("/")).map_err(|errno| fault(errno.desc()))?;
    if Path::new("/proc/self/fd").is_dir() {
        Ok(())
    } else {
        Err(fault("there is no /proc in it, which Python needs; mount one there (mount -t proc)"))
    }
}

fn become_user(plan: &LaunchPlan) -> Result<(), StepError> {
    if !plan.switch_user {
        return Ok(());
    }
    empty_bounding_set()?;
    let groups: Vec<Gid> = plan.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).map_err(|errno| StepError::Groups { groups: plan.groups.clone(), errno })?;
    let gid = Gid::from_raw(plan.gid);
    setresgid(gid, gid, gid).map_err(|errno| StepError::Gid { gid: plan.gid, errno })?;
    let uid = Uid::from_raw(plan.uid);
    setresuid(uid, uid, uid).map_err(|errno| StepError::Uid { uid: plan.uid, errno })
}

/// This part of step 9 needs a privilege that step 8 gives away. Where the daemon itself lacks it (a
/// container with few capabilities) no-new-privileges closes the same door.
fn empty_bounding_set() -> Result<(), StepError> {
    let fault = |error: caps::errors::CapsError| StepError::Capabilities(error.to_string());
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(fault)? {
        return Ok(());
    }
    caps::clear(None, CapSet::Bounding).map_err(fault)
}

fn no_privileges(plan: &LaunchPlan) -> Result<(), StepError> {
    let fault = |error: caps::errors::CapsError| StepError::Capabilities(error.to_string());
    if plan.switch_user {
        for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
            caps::set(None, set, &CapsHashSet::new()).map_err(fault)?;
        }
    }
    nix::sys::prctl::set_no_new_privs().map_err(|errno| StepError::Capabilities(errno.to_string()))
}

fn directory(plan: &LaunchPlan) -> Result<(), StepError> {
    if plan.directory.is_empty() {
        return Ok(());
    }
    let path = Path::new(OsStr::from_bytes(&plan.directory));
    let directory = || path.display().to_string();
    chdir(path).map_err(|errno| StepError::Directory { uid: plan.uid, directory: directory(), errno })
}

fn exec(plan: &LaunchPlan) -> StepError {
    let failed = |reason: String| StepError::Exec {
        uid: plan.uid,
        program: String::from_utf8_lossy(&plan.program).into_owned(),
        reason,
    };
    let strings = |list: &[bytes::Bytes]| -> Result<Vec<CString>, _> {
        list.iter().map(|string| CString::new(string.to_vec())).collect()
    };
    let (Ok(program), Ok(arguments), Ok(environment)) =
        (CString::new(plan.program.to_vec()), strings(&plan.arguments), strings(&plan.environment))
    else {
        return failed("its command line or environment holds a NUL".into());
    };
    if let Err(error) = descriptors::close_at_exec_from(LAST_FD + 1) {
        return failed(format!("descriptors can't be closed: {error}"));
    }
    process::default_signals();
    if let Err(errno) = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None) {
        return failed(format!("signals can't be unblocked: {errno}"));
    }
    match execve(&program, &arguments, &environment) {
        Ok(never) => match never {},
        Err(errno) => failed(errno.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_names_the_step() {
        let errno = Errno::EPERM;
        let directory = StepError::Directory { uid: 1, directory: "/x".into(), errno };
        assert_eq!(StepError::Session(errno).exit_status(), 71);
        assert_eq!(directory.exit_status(), 80);
        assert!(directory.to_string().contains("step 10") && directory.to_string().contains("/x"));
        let exec = StepError::Exec { uid: 1, program: "/p".into(), reason: "gone".into() };
        assert_eq!(exec.exit_status(), 81);
    }
}
