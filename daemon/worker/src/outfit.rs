//! What the worker is born with: the descriptors of the launch contract and the plan behind one of
//! them. Nothing here needs Python.

use crate::attach::Keepsakes;
use crate::sys;
use bytes::BytesMut;
use std::fs::File;
use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use wsgid_proto::board::{Board, NotABoard};
use wsgid_proto::launch::{self, WorkerPlan};
use wsgid_proto::pulse::Pulse;
use wsgid_proto::{DecodeError, Message, bounds, frame};

/// Everything that came across `exec`.
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
    /// The files behind the board and the pulse.
    pub(crate) keepsakes: Keepsakes,
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

/// Takes everything over. The extension is mapped by now, so its file is closed.
pub(crate) fn take_over() -> Result<Outfit, Misfit> {
    let fault = |number, what| move |e| Misfit::Descriptor(number, what, e);
    drop(sys::adopt(launch::EXTENSION_FD));
    let control = sys::adopt(launch::CONTROL_FD).map_err(fault(launch::CONTROL_FD, "control socket"))?;
    let listener = sys::adopt(launch::LISTEN_FD).map_err(fault(launch::LISTEN_FD, "listening socket"))?;
    let mapped = |number| {
        let file = sys::adopt(number)?;
        Ok((sys::map_words(&file)?, file))
    };
    let (pulse, pulse_file) = mapped(launch::PULSE_FD).map_err(fault(launch::PULSE_FD, "pulse"))?;
    let (board, board_file) = mapped(launch::BOARD_FD).map_err(fault(launch::BOARD_FD, "board"))?;
    let keepsakes = Keepsakes { board: board_file, pulse: pulse_file };
    let mut bytes = Vec::new();
    sys::adopt(launch::WORKER_PLAN_FD)
        .and_then(|file| File::from(file).take(bounds::PLAN as u64 + 64).read_to_end(&mut bytes))
        .map_err(fault(launch::WORKER_PLAN_FD, "plan"))?;
    let plan = read_plan(&bytes)?;
    let board = Board::open(board)?;
    let scores = match plan.server_metrics {
        true => Some(sys::adopt(launch::SCORES_FD).map_err(fault(launch::SCORES_FD, "scoreboard"))?.into()),
        false => None,
    };
    if board.slot(plan.slot as usize).is_none() {
        return Err(NotABoard.into());
    }
    let (control, listener, pulse) = (control.into(), listener.into(), Pulse::over(pulse));
    Ok(Outfit { plan, board, control, listener, scores, pulse, keepsakes })
}

fn read_plan(bytes: &[u8]) -> Result<WorkerPlan, Misfit> {
    let mut input = BytesMut::from(bytes);
    let frame = frame::take(&mut input)?.ok_or(Misfit::Ragged)?;
    if !input.is_empty() {
        return Err(Misfit::Ragged);
    }
    Ok(WorkerPlan::from_frame(frame)?)
}
