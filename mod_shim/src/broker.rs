//! Asking the daemon for a pool.

use crate::channel::{Channel, ReceiveError};
use crate::fault::Fault;
use crate::sys::Mapping;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use wsgid_proto::broker::{AskFate, Fate, OpenPool, PoolOpened, PoolRefused, RefusalCause};
use wsgid_proto::frame::Kind;
use wsgid_proto::{Message, board::Board};

/// The daemon answers at once or not at all: it never waits for a worker here.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the daemon gave: the pool's number, where its sockets are, and its board.
#[derive(Debug)]
pub struct Opened {
    /// See [`PoolOpened`].
    pub pool: PoolOpened,
    /// A board, checked.
    pub mapping: Mapping,
}

/// Asks once.
pub fn open(broker: &Path, ask: &OpenPool) -> Result<Opened, Fault> {
    let absent = |error| Fault::DaemonAbsent { path: broker.display().to_string(), error };
    let mut channel = Channel::connect(broker, PATIENCE).map_err(absent)?;
    let frame = channel.send(&ask.frame()).and_then(|()| channel.receive()).map_err(|error| match error {
        ReceiveError::Closed | ReceiveError::Reset => absent(std::io::ErrorKind::ConnectionReset.into()),
        ReceiveError::Io(error) => absent(error),
        other => Fault::BadBroker(other.to_string()),
    })?;
    let bad = |what: &dyn std::fmt::Display| Fault::BadBroker(what.to_string());
    if frame.kind == Kind::PoolRefused {
        return Err(refused(PoolRefused::from_frame(frame).map_err(|e| bad(&e))?));
    }
    let pool = PoolOpened::from_frame(frame).map_err(|e| bad(&e))?;
    let board = channel.take_descriptor().ok_or_else(|| bad(&"it came without a board"))?;
    let mapping = Mapping::of(board.as_fd()).map_err(|e| bad(&e))?;
    Board::open(mapping.words()).map_err(|e| bad(&e))?;
    Ok(Opened { pool, mapping })
}

/// What became of a worker; without words if nobody can tell.
pub fn fate(broker: &Path, pool: u64, serial: u32) -> Fate {
    let ask = AskFate { pool, serial };
    let answer = || {
        let mut channel = Channel::connect(broker, PATIENCE).ok()?;
        channel.send(&ask.frame()).ok()?;
        Fate::from_frame(channel.receive().ok()?).ok()
    };
    answer().unwrap_or_default()
}

fn refused(refusal: PoolRefused) -> Fault {
    match refusal.cause {
        RefusalCause::UnknownInstance => Fault::NotConfigured(refusal.reason),
        RefusalCause::UnknownGroup | RefusalCause::NotAllowed => Fault::Refused(refusal.reason),
        RefusalCause::TooMany | RefusalCause::Stopping => Fault::Overloaded(refusal.reason),
    }
}
