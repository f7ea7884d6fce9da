//! What a worker or a template begins with: the descriptors of the launch contract and the plan behind one of
//! them, or what a template is handed for the worker that it forks. Nothing here needs Python.

use crate::attach::Keepsakes;
use crate::sys;
use bytes::BytesMut;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use wsgid_proto::board::{Board, NotABoard};
use wsgid_proto::launch::{self, WorkerPlan};
use wsgid_proto::pulse::Pulse;
use wsgid_proto::{DecodeError, Message, bounds, frame};

/// What a process is to be.
pub(crate) enum Role {
    /// A worker.
    Worker(Outfit),
    /// A template.
    Template(TemplateOutfit),
}

/// What a worker begins with.
pub(crate) struct Outfit {
    /// What this worker is to be.
    pub(crate) plan: WorkerPlan,
    /// Where its claims are counted.
    pub(crate) board: Board<'static>,
    /// To the supervisor.
    pub(crate) control: UnixStream,
    /// Where the shims connect.
    pub(crate) listener: UnixListener,
    /// Where httpd's scoreboard is posted.
    pub(crate) scores: Option<File>,
    /// What the supervisor sees of this worker.
    pub(crate) pulse: Pulse<'static>,
    /// The files behind the board and the pulse, and the socket's name.
    pub(crate) keepsakes: Keepsakes,
}

/// What a template begins with.
pub(crate) struct TemplateOutfit {
    /// What its workers are to be, as far as they have that in common.
    pub(crate) plan: WorkerPlan,
    /// To the supervisor.
    pub(crate) control: UnixStream,
    /// For its workers.
    pub(crate) common: Common,
}

/// What all workers of a pool share.
pub(crate) struct Common {
    board: Board<'static>,
    board_file: OwnedFd,
    scores: Option<File>,
}

/// The launch contract was not kept; the worker cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misfit {
    /// A descriptor is missing or unusable.
    #[error("descriptor {0}, the {1}: {2}")]
    Descriptor(i32, &'static str, std::io::Error),
    /// The plan's file ends before its frame does, or goes on after it.
    #[error("the plan is not one whole frame")]
    Ragged,
    /// The plan's frame is none.
    #[error("the plan: {0}")]
    Frame(#[from] frame::FrameError),
    /// The plan does not decode.
    #[error("the plan: {0}")]
    Plan(#[from] DecodeError),
    /// The board is none, or has no such slot.
    #[error("the board: {0}")]
    Board(#[from] NotABoard),
}

/// What goes wrong with a descriptor.
fn unusable(number: i32, what: &'static str) -> impl Fn(std::io::Error) -> Misfit {
    move |error| Misfit::Descriptor(number, what, error)
}

/// Takes over what came across `exec`, but for the extension's file, which was closed when that was mapped.
pub(crate) fn take_over() -> Result<Role, Misfit> {
    let adopt = |number, what| sys::adopt(number).map_err(unusable(number, what));
    let plan = read_plan(adopt(launch::WORKER_PLAN_FD, "plan")?)?;
    let control = adopt(launch::CONTROL_FD, "control socket")?;
    let board_file = adopt(launch::BOARD_FD, "board")?;
    let board = sys::map_words(&board_file).map_err(unusable(launch::BOARD_FD, "board"))?;
    let scores = match plan.server_metrics {
        true => Some(adopt(launch::SCORES_FD, "scoreboard")?.into()),
        false => None,
    };
    let common = Common { board: Board::open(board)?, board_file, scores };
    if plan.template {
        return Ok(Role::Template(TemplateOutfit { plan, control: control.into(), common }));
    }
    let listener = adopt(launch::LISTEN_FD, "listening socket")?;
    let pulse = adopt(launch::PULSE_FD, "pulse")?;
    let name = adopt(launch::NAME_FD, "socket's name")?;
    Outfit::of(plan, control, listener, [pulse, name], common).map(Role::Worker)
}

impl Outfit {
    /// What came with the order to fork, and where the worker's output goes.
    pub(crate) fn handed(
        riders: [OwnedFd; launch::FORK_RIDERS],
        common: Common,
    ) -> Result<(Self, OwnedFd), Misfit> {
        let [plan, control, listener, pulse, name, output] = riders;
        Ok((Self::of(read_plan(plan)?, control, listener, [pulse, name], common)?, output))
    }

    fn of(
        plan: WorkerPlan,
        control: OwnedFd,
        listener: OwnedFd,
        [pulse_file, name]: [OwnedFd; 2],
        common: Common,
    ) -> Result<Self, Misfit> {
        let Common { board, board_file, scores } = common;
        if board.slot(plan.slot as usize).is_none() {
            return Err(NotABoard.into());
        }
        let pulse = sys::map_words(&pulse_file).map_err(unusable(launch::PULSE_FD, "pulse"))?;
        let keepsakes = Keepsakes { board: board_file, pulse: pulse_file, name };
        let (control, listener, pulse) = (control.into(), listener.into(), Pulse::over(pulse));
        Ok(Self { plan, board, control, listener, scores, pulse, keepsakes })
    }
}

fn read_plan(file: OwnedFd) -> Result<WorkerPlan, Misfit> {
    let mut bytes = Vec::new();
    let reading = File::from(file).take(bounds::PLAN as u64 + 64).read_to_end(&mut bytes);
    reading.map_err(unusable(launch::WORKER_PLAN_FD, "plan"))?;
    let mut input = BytesMut::from(&bytes[..]);
    let frame = frame::take(&mut input)?.ok_or(Misfit::Ragged)?;
    if !input.is_empty() {
        return Err(Misfit::Ragged);
    }
    Ok(WorkerPlan::from_frame(frame)?)
}
