//! Who is let in at a socket: the kernel says who calls, and each kind of caller has a bound on how
//! many may be inside at once. Whoever is over it is hung up on, and nobody else notices.

use super::directory::Listening;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};

/// A peer that says nothing, or takes nothing, for so long is hung up on.
pub const SILENCE: Duration = Duration::from_secs(10);

/// Callers of one kind that may be inside at once.
const INSIDE: usize = 1024;
/// Of strangers, so many, all together: anyone on the host may call the broker.
const STRANGERS: usize = 16;
/// Pause after a failed accept, which means that descriptors are short.
const BREATHER: Duration = Duration::from_millis(100);

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Root, or the daemon's own user.
    Master,
    /// The web server of some instance.
    WebUser,
    /// Anyone else.
    Stranger,
}

/// Knows callers by their user id.
#[derive(Debug, Clone)]
pub struct Doorkeeper {
    own_uid: u32,
    web_users: watch::Receiver<HashSet<u32>>,
}

impl Doorkeeper {
    /// For a daemon that runs as `own_uid`.
    pub fn new(own_uid: u32, web_users: watch::Receiver<HashSet<u32>>) -> Self {
        Self { own_uid, web_users }
    }

    /// Who that is.
    pub fn caller(&self, uid: u32) -> Caller {
        match uid {
            0 => Caller::Master,
            uid if uid == self.own_uid => Caller::Master,
            uid if self.web_users.borrow().contains(&uid) => Caller::WebUser,
            _ => Caller::Stranger,
        }
    }
}

/// Somebody at the door, let in.
#[derive(Debug)]
pub struct Visitor {
    /// Their connection.
    pub stream: UnixStream,
    /// Their user id.
    pub uid: u32,
    /// Their process, if the kernel knows one.
    pub pid: Option<u32>,
    /// Who that is.
    pub caller: Caller,
}

/// Receives callers for as long as it is not dropped; each conversation is a task of its own.
pub async fn receive<F>(listening: Listening, keeper: Doorkeeper, converse: impl Fn(Visitor) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = |places| Arc::new(Semaphore::new(places));
    let (masters, web_users, strangers) = (room(INSIDE), room(INSIDE), room(STRANGERS));
    loop {
        let stream = match listening.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::error!("no connection can be accepted: {error}");
                tokio::time::sleep(BREATHER).await;
                continue;
            }
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        let (uid, pid) = (peer.uid(), peer.pid().and_then(|pid| u32::try_from(pid).ok()));
        let caller = keeper.caller(uid);
        let room = match caller {
            Caller::Master => &masters,
            Caller::WebUser => &web_users,
            Caller::Stranger => &strangers,
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            if caller != Caller::Stranger {
                tracing::warn!(uid, "too many connections at once, this one is hung up on");
            }
            continue;
        };
        let conversation = converse(Visitor { stream, uid, pid, caller });
        tokio::spawn(async move {
            conversation.await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_known_by_their_user() {
        let (sender, receiver) = watch::channel(HashSet::new());
        let keeper = Doorkeeper::new(1000, receiver);
        assert_eq!(keeper.caller(33), Caller::Stranger);
        sender.send_replace(HashSet::from([33]));
        let callers = [0, 1000, 33, 34].map(|uid| keeper.caller(uid));
        assert_eq!(callers, [Caller::Master, Caller::Master, Caller::WebUser, Caller::Stranger]);
    }
}
