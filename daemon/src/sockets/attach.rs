//! `attach.sock`: a worker whose daemon has been killed, or has made room for a newer one, finds its next one here.
//! Who it is the kernel says, by the number of its process; all else the daemon before has written down.

use super::reception::Visitor;
use super::wire::Conversation;
use crate::supervisor::Errand;
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use wsgid_proto::launch::Attach;

/// The file's name in the runtime directory.
pub const SOCKET: &str = "attach.sock";

/// Workers have all kinds of users.
pub const MODE: u32 = 0o666;

/// A worker at the door.
#[derive(Debug)]
pub struct Newcomer {
    /// Who it says it is.
    pub attach: Attach,
    /// Which process it is.
    pub pid: u32,
    /// What it calls its board.
    pub board: OwnedFd,
    /// What it calls its pulse.
    pub pulse: OwnedFd,
    /// Its control socket from now on, if it is taken over.
    pub conversation: Conversation,
}

/// An expected worker sends its one message at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hears who it is, and leaves the rest to the supervisor. Whoever is not among the `expected` processes is hung up
/// on before a byte, or a descriptor, is taken from it.
pub async fn converse(
    visitor: Visitor,
    errands: mpsc::Sender<Errand>,
    expected: watch::Receiver<HashSet<u32>>,
) {
    let (uid, Some(pid)) = (visitor.uid, visitor.pid) else { return };
    if !expected.borrow().contains(&pid) {
        return tracing::debug!(uid, pid, "attach.sock: this process is not expected");
    }
    let mut conversation = Conversation::new(visitor.stream);
    let (attach, riders) = match conversation.first_with::<Attach>(PATIENCE).await {
        Ok(first) => first,
        // Any stranger could fill the log.
        Err(error) => return tracing::debug!(uid, pid, "attach.sock: {error}"),
    };
    let Ok([board, pulse]) = <[OwnedFd; 2]>::try_from(riders) else {
        return tracing::debug!(uid, pid, "attach.sock: a worker came without its board and pulse");
    };
    let newcomer = Newcomer { attach, pid, board, pulse, conversation };
    let _ = errands.send(Errand::Attach(Box::new(newcomer))).await; // fails only at the daemon's end
}
