//! `broker.sock`: an Apache child asks for a pool and gets its board. Anyone may connect; the daemon
//! answers only the web user of the instance that is named, and root.

use crate::message::{message, plain_message};
use crate::{control::name_fits, wire};
use bytes::Bytes;

plain_message! {
    /// Open this pool.
    OpenPool {
        /// As in [`crate::control::Configure::instance`].
        instance: String,
        /// A group of that instance.
        process_group: String,
        /// Already expanded.
        application_group: String,
        /// The script of the request at hand: its import is worth beginning with. A hint from an
        /// unprivileged peer, handed to the worker unopened.
        script: Bytes,
        /// Every thread of the pool is taken: start one more worker if there is room.
        crowded: bool,
    } checked by askable
}

fn askable(ask: &OpenPool) -> Result<(), String> {
    name_fits("instance", &ask.instance)?;
    name_fits("process group", &ask.process_group)?;
    name_fits("application group", &ask.application_group)?;
    if !ask.script.is_empty() && (ask.script[0] != b'/' || ask.script.contains(&0)) {
        return Err("names a script that is not an absolute path".into());
    }
    Ok(())
}

plain_message! {
    /// The pool; its board's descriptor rides on the frame.
    PoolOpened {
        /// Random, new for each pool and each start of the daemon: with it in the name, a socket
        /// path never means another worker than the board meant.
        pool: u64,
        /// Directory of the workers' sockets; see [`worker_socket`].
        socket_dir: String,
        /// Why it is not as it should be; empty if it is.
        trouble: String,
    }
}

/// The name of a worker's socket in [`PoolOpened::socket_dir`].
pub fn worker_socket(pool: u64, serial: u32) -> String {
    format!("{pool:016x}.{serial}")
}

/// The pool can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRefused {
    /// Whether asking again helps.
    pub cause: RefusalCause,
    /// A sentence for the error log.
    pub reason: String,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCause {
    /// The instance has not been configured (yet): the daemon is new. Worth asking again.
    UnknownInstance = 1,
    /// The configuration has no such group. A 500.
    UnknownGroup = 2,
    /// The peer is not this instance's web user. A 500.
    NotAllowed = 3,
    /// [`crate::bounds::OPENED_POOLS`] are open. A 503.
    TooMany = 4,
    /// The daemon is on its way down. A 503.
    Stopping = 5,
}

impl From<&PoolRefused> for wire::PoolRefused {
    fn from(from: &PoolRefused) -> Self {
        Self { cause: from.cause as u32, reason: from.reason.clone() }
    }
}

impl TryFrom<wire::PoolRefused> for PoolRefused {
    type Error = String;

    fn try_from(from: wire::PoolRefused) -> Result<Self, String> {
        let cause = match from.cause {
            1 => RefusalCause::UnknownInstance,
            2 => RefusalCause::UnknownGroup,
            3 => RefusalCause::NotAllowed,
            4 => RefusalCause::TooMany,
            5 => RefusalCause::Stopping,
            other => return Err(format!("has the unknown cause {other}")),
        };
        Ok(Self { cause, reason: from.reason })
    }
}

message!(PoolRefused, PoolRefused, wire::PoolRefused);

plain_message! {
    /// What became of a worker that went away while it had a request? Asked for the error log of that
    /// request's virtual host; the daemon answers as soon as it knows, or after a moment without.
    AskFate {
        /// As in [`PoolOpened::pool`].
        pool: u64,
        /// As on the board.
        serial: u32,
    }
}

plain_message! {
    /// The answer to [`AskFate`].
    Fate {
        /// Continues "the worker …"; empty when the daemon does not know.
        words: String,
        /// No request that was in it is to blame.
        from_outside: bool,
    }
}
