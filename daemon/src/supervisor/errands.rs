//! What conversations on the sockets ask of the supervisor. Each errand has a place for its answer;
//! a conversation that has ended meanwhile simply does not hear it.

use crate::sockets::attach::Newcomer;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::oneshot;
use wsgid_proto::broker::{AskFate, Fate, OpenPool, PoolOpened, PoolRefused};
use wsgid_proto::control::{Configure, Configured, Done, KnownReply, PostScores, Status};

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<T>;

/// A pool that an Apache child may use.
#[derive(Debug)]
pub struct OpenedPool {
    /// The answer.
    pub message: PoolOpened,
    /// The descriptor that rides on it.
    pub board: Arc<OwnedFd>,
}

/// One thing to do.
#[derive(Debug)]
pub enum Errand {
    /// Run this from now on.
    Configure(Configure, Reply<Configured>),
    /// Is there a configuration of this instance?
    Known(String, Reply<KnownReply>),
    /// The scoreboard of this instance.
    Scores(PostScores, Reply<Done>),
    /// What runs?
    Status(Reply<Status>),
    /// New workers for this process group of every instance, or for all of them.
    Reload(Option<String>, Reply<Done>),
    /// A pool, for a peer with this uid.
    Open(OpenPool, u32, Reply<Result<OpenedPool, PoolRefused>>),
    /// A worker that an earlier daemon has left wants to be taken over.
    Attach(Box<Newcomer>),
    /// How a worker ended, for a peer with this uid; nothing while that is not known.
    Fate(AskFate, u32, Reply<Option<Fate>>),
}
