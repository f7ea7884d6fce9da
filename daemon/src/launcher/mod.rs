//! `wsgid-launch`: what stands between the daemon and a worker's Python.
//!
//! It reads a complete, checked plan from an inherited descriptor and carries it out in numbered
//! steps; it looks nothing up and runs nothing of the application's. Each step has its own error,
//! and the exit status names it: 70 plus the step's number.
//!
//! | step | what |
//! |------|------|
//! | 1 | a session of its own |
//! | 2 | resource limits |
//! | 3 | priority |
//! | 4 | file mode mask |
//! | 5 | root directory |
//! | 6 | supplementary groups |
//! | 7 | group |
//! | 8 | user |
//! | 9 | no capabilities, no new privileges |
//! | 10 | working directory |
//! | 11 | the interpreter, with the plan's environment and no signal blocked or ignored |
//!
//! Before them it chooses the scheduling policy, which may fail without harm.

mod steps;

use crate::sys::descriptors;
use bytes::BytesMut;
use std::io::Read;
use std::process::ExitCode;
use wsgid_proto::launch::{LaunchPlan, PLAN_FD};
use wsgid_proto::{Message, bounds, frame};

/// Without a plan there is no step to name; see `EX_USAGE` of sysexits.h.
const NO_PLAN: u8 = 64;

#[derive(Debug, thiserror::Error)]
enum NoPlan {
    #[error("descriptor {PLAN_FD} is not open; wsgid-launch is started by wsgid, not by hand")]
    Closed,
    #[error("it can't be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Frame(#[from] frame::FrameError),
    #[error("{0}")]
    Message(#[from] wsgid_proto::DecodeError),
    #[error("it ends too early or too late")]
    Length,
}

/// Carries the plan out. Returns only if that fails.
pub fn main() -> ExitCode {
    let plan = match read_plan() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("wsgid-launch: there is no plan: {error}");
            return NO_PLAN.into();
        }
    };
    let failed = steps::carry_out(&plan);
    eprintln!("wsgid-launch: process group '{}': {failed}", plan.group);
    failed.exit_status().into()
}

fn read_plan() -> Result<LaunchPlan, NoPlan> {
    let file = descriptors::inherited(PLAN_FD).ok_or(NoPlan::Closed)?;
    let mut content = Vec::new();
    let bound = (bounds::PLAN + frame::HEADER) as u64;
    file.take(bound + 1).read_to_end(&mut content)?;
    let mut content = BytesMut::from(content.as_slice());
    let frame = frame::take(&mut content)?.ok_or(NoPlan::Length)?;
    if content.is_empty() { Ok(LaunchPlan::from_frame(frame)?) } else { Err(NoPlan::Length) }
}
