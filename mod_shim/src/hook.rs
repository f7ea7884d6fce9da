//! A question to a script of access control or dispatch: over to a worker of the implicit group, and what
//! came of it to httpd.
//!
//! Whatever goes wrong closes: nobody is let in, and no request goes anywhere, on the word of a script that
//! could not be asked. No verdict is kept: httpd asks once more where it wants to know once more.

use crate::channel::{Channel, ReceiveError};
use crate::dispatch::{self, Delivered, Errand, Limit};
use crate::door::Door;
use crate::fault::Fault;
use crate::head::{self, Entry};
use crate::message::{self, Message as Line};
use crate::runtime::{PoolName, Runtime};
use crate::serve::{self, Ask, tell};
use crate::{relay, serve::DELIVERIES};
use std::time::Duration;
use wsgid_proto::exchange::Exchange;
use wsgid_proto::frame::{Frame, Kind};
use wsgid_proto::hook::{self, Answer, Hook, Route, Verdict};
use wsgid_proto::options::ProcessGroup;
use wsgid_proto::request::Tries;
use wsgid_proto::response::{Abort, Log};
use wsgid_proto::{Message, expand};

/// The most that a verdict may take, with the wait for a worker: a client is waiting, and a thread of httpd's.
/// Apache's `Timeout` may say less.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What httpd wants to know.
#[derive(Debug)]
pub struct Question<'a> {
    /// The request, with the script and the application group of the hook.
    pub ask: Ask<'a>,
    /// Which function.
    pub hook: Hook,
    /// What the function is given beside the environ.
    pub arguments: Vec<&'a [u8]>,
    /// What the request is for, for the log.
    pub target: &'a [u8],
    /// Groups, of which the user has to be in one.
    pub wanted: Vec<&'a [u8]>,
    /// Somebody else may still let the client in: a refusal is nothing for the log.
    pub quiet: bool,
}

/// What httpd is to make of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let in. A text is the user's new name, or what Digest compares with.
    Granted(Option<bytes::Bytes>),
    /// Kept out.
    Denied,
    /// Somebody else decides.
    Undecided,
    /// The request goes there.
    Route(Route),
    /// There is no verdict, and the log says why.
    Fault,
}

/// Asks the script and decides. Everything that is for the log is there when this returns.
pub fn decide<D: Door>(runtime: &Runtime, question: &Question<'_>, door: &mut D) -> Decision {
    match (question.hook, ask(runtime, question, door)) {
        (Hook::Access, Err(fault)) => {
            tell(door, &fault);
            if !question.quiet {
                log(door, message::ACCESS_DENIED, &access_denied(question));
            }
            Decision::Denied
        }
        (_, Err(fault)) => {
            tell(door, &fault);
            Decision::Fault
        }
        (Hook::Access, Ok(Verdict::Denied)) if !question.quiet => {
            tell(door, &Fault::Precondition(message::ACCESS_DENIED, access_denied(question)));
            Decision::Denied
        }
        (_, Ok(Verdict::Granted)) => Decision::Granted(None),
        (_, Ok(Verdict::Denied)) => Decision::Denied,
        (_, Ok(Verdict::Undecided)) => Decision::Undecided,
        (_, Ok(Verdict::User(text) | Verdict::Hash(text))) => Decision::Granted(Some(text)),
        (_, Ok(Verdict::Groups(groups))) => of_groups(question, &groups, door),
        (_, Ok(Verdict::Route(route))) => Decision::Route(route),
    }
}

/// A refusal is no failure of the request's: another `Require` may let the user in. So it leaves no note.
fn of_groups<D: Door>(question: &Question<'_>, groups: &[bytes::Bytes], door: &mut D) -> Decision {
    if question.wanted.iter().any(|wanted| groups.iter().any(|group| group == wanted)) {
        return Decision::Granted(None);
    }
    let (line, why) = match groups.is_empty() {
        true => (message::NO_GROUPS, "is not a member of any groups"),
        false => (message::OTHER_GROUPS, "is not a member of designated groups"),
    };
    let user = question.arguments.first().map_or("".into(), |user| String::from_utf8_lossy(user));
    let target = String::from_utf8_lossy(question.target);
    log(door, line, &format!("Authorization of user '{user}' to access '{target}' failed. User {why}."));
    Decision::Denied
}

fn access_denied(question: &Question<'_>) -> String {
    format!("Client denied by server configuration: '{}'.", String::from_utf8_lossy(question.target))
}

fn log<D: Door>(door: &mut D, line: &Line, words: &str) {
    door.log(line.level, format!("{line}: {words}").as_bytes(), None);
}

fn ask<D: Door>(runtime: &Runtime, question: &Question<'_>, door: &mut D) -> Result<Verdict, Fault> {
    if question.ask.script.is_empty() {
        return Err(no_script(question.hook));
    }
    converse(runtime, question, door).map_err(|cause| Fault::Hook {
        hook: question.hook,
        script: String::from_utf8_lossy(question.ask.script).into_owned(),
        cause: Box::new(cause),
    })
}

/// `AuthBasicProvider wsgi` and its like without a script to ask.
fn no_script(hook: Hook) -> Fault {
    let (line, directive) = match hook {
        Hook::Password => (message::NO_PASSWORD_SCRIPT, "WSGIAuthUserScript"),
        Hook::RealmHash => (message::NO_HASH_SCRIPT, "WSGIAuthUserScript"),
        Hook::Groups => (message::NO_GROUP_SCRIPT, "WSGIAuthGroupScript"),
        Hook::Access | Hook::Dispatch => (message::unasked(hook), "a directive"),
    };
    Fault::Precondition(line, format!("There is no script to ask: {directive} names none here"))
}

fn converse<D: Door>(runtime: &Runtime, question: &Question<'_>, door: &mut D) -> Result<Verdict, Fault> {
    let ask = &question.ask;
    let application =
        serve::group_name("application group", expand::hook_group(ask.application_group, door))?;
    let name = PoolName { process: String::new(), application };
    let group = &runtime.group("").ok_or_else(|| Fault::UnknownGroup(String::new()))?.options;
    let entry = Entry {
        name: &name,
        callable: b"",
        group,
        body: b"",
        body_complete: true,
        hook: Some((question.hook, &question.arguments)),
    };
    let head = head::write(ask, &entry, door)?;
    let limit = Limit::of(if ask.timeout.is_zero() { LIMIT } else { ask.timeout.min(LIMIT) });
    let errand = Errand {
        tries: Tries::default(),
        name: &name,
        group,
        // Not what workers are to import before they take over from others: that is the application's.
        script: b"",
        head: &head,
        // No single wait is longer than all of them may be.
        socket_timeout: limit.shorter(serve::socket_timeout(group, ask)),
        limit: Some(limit),
    };
    let verdict = deliver_and_hear(runtime, &errand, limit, question.hook, door);
    head::keep(head);
    verdict
}

/// As a request: with another worker where one dropped the head unread.
fn deliver_and_hear<D: Door>(
    runtime: &Runtime,
    errand: &Errand<'_>,
    limit: Limit,
    hook: Hook,
    door: &mut D,
) -> Result<Verdict, Fault> {
    for _ in 0..DELIVERIES {
        let Delivered { mut channel, claim, pool, .. } = dispatch::deliver(runtime, errand)?;
        let mut hearing = Hearing { channel: &mut channel, group: errand.group, limit, hook, door };
        match hearing.run() {
            Ok(Some(verdict)) => {
                runtime.keep(&pool, claim, channel);
                return Ok(verdict);
            }
            Ok(None) => pool.release(claim),
            Err(fault) => return Err(serve::with_fate(fault, runtime, &pool, claim)),
        }
    }
    Err(Fault::NotDelivered(errand.name.process.clone()))
}

/// What a worker says between the head and its verdict.
#[derive(Debug)]
pub struct Hearing<'a, D: Door> {
    /// Where it says it.
    pub channel: &'a mut Channel,
    /// Its process group.
    pub group: &'a ProcessGroup,
    /// When it has to be through.
    pub limit: Limit,
    /// What it was asked.
    pub hook: Hook,
    /// Who answers what it asks.
    pub door: &'a mut D,
}

impl<D: Door> Hearing<'_, D> {
    /// The verdict; `None` when the worker closed without having read the head.
    pub fn run(&mut self) -> Result<Option<Verdict>, Fault> {
        let mut exchange = Exchange::default();
        exchange.hook().map_err(protocol)?;
        let mut spoken = false;
        loop {
            let frame = match self.channel.receive_by(self.limit.end) {
                Ok(frame) => frame,
                Err(ReceiveError::Reset) if !spoken => return Ok(None),
                Err(ReceiveError::Silent) => return Err(self.limit.fault()),
                Err(error) => return Err(Fault::of_channel(error, &self.group.name, LIMIT)),
            };
            spoken = true;
            exchange.step(frame.kind).map_err(protocol)?;
            if frame.kind == Kind::Ask {
                exchange.step(Kind::Answer).map_err(protocol)?;
            }
            if let Some(verdict) = self.hear(frame)? {
                return Ok(Some(verdict));
            }
        }
    }

    fn hear(&mut self, frame: Frame) -> Result<Option<Verdict>, Fault> {
        match frame.kind {
            Kind::Log => relay::log(self.door, &Log::from_frame(frame).map_err(protocol)?),
            Kind::Ask => self.answer(&hook::Ask::from_frame(frame).map_err(protocol)?)?,
            Kind::Verdict => {
                let verdict = Verdict::from_frame(frame).map_err(protocol)?;
                let fits = verdict.answers(self.hook);
                return if fits { Ok(Some(verdict)) } else { Err(protocol("a verdict for another hook")) };
            }
            // Abort; the exchange lets nothing else come here.
            _ => return Err(Fault::of_abort(Abort::from_frame(frame).map_err(protocol)?)),
        }
        Ok(None)
    }

    fn answer(&mut self, ask: &hook::Ask) -> Result<(), Fault> {
        let allowed = self.group.server_metrics || *ask != hook::Ask::ServerMetrics;
        let value = if allowed { self.door.answer(ask) } else { None };
        let sent = self.channel.send(&Answer { value }.frame());
        sent.map_err(|error| Fault::of_channel(error, &self.group.name, LIMIT))
    }
}

fn protocol(what: impl std::fmt::Display) -> Fault {
    Fault::protocol("", what)
}

#[cfg(test)]
mod tests;
