//! A conversation on `control.sock`: an Apache parent with its configuration, or `wsgictl`. Each
//! question is answered before the next is read; anything else ends the conversation, and only it.

use super::reception::{Caller, SILENCE, Visitor};
use super::wire::{Conversation, WireError};
use crate::supervisor::{Errand, Reply};
use tokio::sync::{mpsc, oneshot};
use wsgid_proto::Message;
use wsgid_proto::control::{Configure, Known, PostScores, ReloadGroup, StatusQuery};
use wsgid_proto::frame::{Frame, Kind};

/// The file's name in the runtime directory.
pub const SOCKET: &str = "control.sock";

/// Peers are checked by who they are; the mode merely keeps others from the door.
pub const MODE: u32 = 0o600;

const PERMITTED: &[Kind] =
    &[Kind::Configure, Kind::Known, Kind::PostScores, Kind::StatusQuery, Kind::ReloadGroup];

/// Talks until the peer leaves or errs.
pub async fn converse(visitor: Visitor, errands: mpsc::Sender<Errand>) {
    let uid = visitor.uid;
    if visitor.caller != Caller::Master {
        tracing::warn!(uid, "control.sock: refused, only root and the daemon's own user may configure it");
        return;
    }
    let mut conversation = Conversation::new(visitor.stream);
    if let Err(error) = answer_all(&mut conversation, &errands).await {
        tracing::warn!(uid, "control.sock: conversation ended: {error}");
    }
}

async fn answer_all(
    conversation: &mut Conversation,
    errands: &mpsc::Sender<Errand>,
) -> Result<(), WireError> {
    while let Some(frame) = conversation.next_within(SILENCE, PERMITTED).await? {
        answer(frame, conversation, errands).await?;
    }
    Ok(())
}

async fn answer(
    frame: Frame,
    conversation: &mut Conversation,
    errands: &mpsc::Sender<Errand>,
) -> Result<(), WireError> {
    match frame.kind {
        Kind::Configure => {
            let configure = Configure::from_frame(frame)?;
            let answer = ask(errands, |reply| Errand::Configure(configure, reply)).await?;
            conversation.send(SILENCE, &answer).await
        }
        Kind::Known => {
            let instance = Known::from_frame(frame)?.instance;
            let answer = ask(errands, |reply| Errand::Known(instance, reply)).await?;
            conversation.send(SILENCE, &answer).await
        }
        Kind::PostScores => {
            let posted = PostScores::from_frame(frame)?;
            let answer = ask(errands, |reply| Errand::Scores(posted, reply)).await?;
            conversation.send(SILENCE, &answer).await
        }
        Kind::StatusQuery => {
            StatusQuery::from_frame(frame)?;
            conversation.send(SILENCE, &ask(errands, Errand::Status).await?).await
        }
        Kind::ReloadGroup => {
            let reload = ReloadGroup::from_frame(frame)?;
            let group = (!reload.all).then_some(reload.process_group);
            let answer = ask(errands, |reply| Errand::Reload(group, reply)).await?;
            conversation.send(SILENCE, &answer).await
        }
        other => Err(WireError::NotHere(other)),
    }
}

/// Hands an errand to the supervisor and waits for its answer.
pub async fn ask<T>(
    errands: &mpsc::Sender<Errand>,
    errand: impl FnOnce(Reply<T>) -> Errand,
) -> Result<T, WireError> {
    let gone = || std::io::Error::other("the supervisor has ended");
    let (reply, answer) = oneshot::channel();
    errands.send(errand(reply)).await.map_err(|_| gone())?;
    Ok(answer.await.map_err(|_| gone())?)
}
