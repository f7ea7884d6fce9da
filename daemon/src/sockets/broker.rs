//! A conversation on `broker.sock`: an Apache child asks for a pool and gets its board. Anyone may
//! call; whose pools they may have is decided for each question by the user the kernel names.

use super::control::ask;
use super::reception::{Caller, SILENCE, Visitor};
use super::wire::{Conversation, WireError};
use crate::supervisor::Errand;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::sync::mpsc;
use wsgid_proto::Message;
use wsgid_proto::broker::{AskFate, Fate, OpenPool};
use wsgid_proto::frame::{Frame, Kind};

/// The file's name in the runtime directory.
pub const SOCKET: &str = "broker.sock";

/// Any Apache child may knock, whatever its user.
pub const MODE: u32 = 0o666;

/// Talks until the peer leaves or errs.
pub async fn converse(visitor: Visitor, errands: mpsc::Sender<Errand>) {
    let uid = visitor.uid;
    let mut conversation = Conversation::new(visitor.stream);
    match answer_all(&mut conversation, uid, &errands).await {
        // A child that keeps its connection open between two questions is within its rights.
        Ok(()) | Err(WireError::Silent) => {}
        // Any stranger could fill the log.
        Err(error) if visitor.caller == Caller::Stranger => tracing::debug!(uid, "broker.sock: {error}"),
        Err(error) => tracing::warn!(uid, "broker.sock: conversation ended: {error}"),
    }
}

async fn answer_all(
    conversation: &mut Conversation,
    uid: u32,
    errands: &mpsc::Sender<Errand>,
) -> Result<(), WireError> {
    while let Some(frame) = conversation.next_within(SILENCE, &[Kind::OpenPool, Kind::AskFate]).await? {
        if frame.kind == Kind::AskFate {
            let fate = fate(frame, uid, errands).await?;
            conversation.send(SILENCE, &fate).await?;
            continue;
        }
        let question = OpenPool::from_frame(frame)?;
        match ask(errands, |reply| Errand::Open(question, uid, reply)).await? {
            Ok(opened) => conversation.send_with(SILENCE, &opened.message, &[opened.board.as_fd()]).await?,
            Err(refused) => conversation.send(SILENCE, &refused).await?,
        }
    }
    Ok(())
}

/// An Apache child sees its connection break before the supervisor has seen the process end: the
/// question is asked again for a moment.
async fn fate(frame: Frame, uid: u32, errands: &mpsc::Sender<Errand>) -> Result<Fate, WireError> {
    const TRIES: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(25);
    let question = AskFate::from_frame(frame)?;
    for _ in 0..TRIES {
        if let Some(fate) = ask(errands, |reply| Errand::Fate(question.clone(), uid, reply)).await? {
            return Ok(fate);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Fate::default())
}
