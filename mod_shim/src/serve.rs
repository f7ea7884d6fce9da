//! One request, from httpd's description of it to the last byte of the answer.

use crate::body::Body;
use crate::dispatch::{self, Delivered, Errand};
use crate::door::Door;
use crate::fault::Fault;
use crate::head::{self, Entry};
use crate::owner;
use crate::pool::Pool;
use crate::relay::{Outcome, Relay, Terms};
use crate::runtime::{DeclaredGroup, PoolName, Runtime};
use crate::source::Source;
use crate::spool::Limits;
use crate::suspects;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use wsgid_proto::board::Claim;
use wsgid_proto::options::ProcessGroup;
use wsgid_proto::request::Tries;
use wsgid_proto::response::{AbortCause, Level};
use wsgid_proto::{bounds, expand};

/// A request that workers keep dropping unread is given up after so many.
pub const DELIVERIES: usize = 8;

/// What a handler returns that has dealt with a request.
const OK: i32 = 0;

/// A request as httpd and the configuration describe it; all of it borrowed.
#[derive(Debug, Default)]
pub struct Ask<'a> {
    /// CGI variables and the subprocess environment; what comes later wins.
    pub variables: Vec<(&'a [u8], &'a [u8])>,
    /// The request's headers.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// The script's path.
    pub script: &'a [u8],
    /// As configured, `%{…}` and all.
    pub process_group: &'a [u8],
    /// As configured.
    pub application_group: &'a [u8],
    /// As configured.
    pub callable: &'a [u8],
    /// Does `%{ENV:…}` mean something in `callable`?
    pub expand_callable: bool,
    /// `r->handler`.
    pub handler: &'a [u8],
    /// `None`: unknown; 0: no body.
    pub content_length: Option<u64>,
    /// Microseconds since the epoch.
    pub request_time: u64,
    /// The script file's mtime in microseconds since the epoch; 0 if unknown.
    pub script_written: u64,
    /// `WSGIIgnoreActivity`.
    pub ignore_activity: bool,
    /// Apache's `Timeout`.
    pub timeout: Duration,
    /// `WSGIRestrictProcess`: no other process groups than these.
    pub allowed_groups: Option<Vec<&'a [u8]>>,
    /// `WSGITrustedProxyHeaders`.
    pub trusted_headers: Vec<&'a [u8]>,
    /// The peer is one of `WSGITrustedProxies`, or there are none.
    pub trusted_peer: bool,
    /// There are `WSGITrustedProxies`.
    pub knows_proxies: bool,
    /// `WSGIPassAuthorization`.
    pub pass_authorization: bool,
    /// `WSGIScriptReloading`.
    pub reloading: bool,
    /// `WSGIRestrictEmbedded`.
    pub restrict_embedded: bool,
}

/// Serves the request; returns what the handler returns. A fault comes back only while the response has
/// not been begun; later ones are logged, and the response is cut short.
pub fn serve<D: Door>(runtime: &Runtime, ask: &Ask<'_>, door: &mut D) -> Result<i32, Fault> {
    let name = pool_name(ask, door)?;
    let group = usable_group(runtime, &name, ask, door)?;
    if let Some(owner) = group.script_owner {
        owner::check(owner, Path::new(OsStr::from_bytes(ask.script)))?;
    }
    check_suspicion(runtime, ask, &name)?;
    let callable = match ask.expand_callable {
        true => expand::callable(ask.callable, door),
        false => ask.callable.to_vec(),
    };
    // An attribute of a module: what is not UTF-8 can't be one, and is looked for in vain.
    let callable = String::from_utf8_lossy(&callable);
    let mut body = Body::read_ahead(ask.content_length, &group.options, door)?;
    let (first, body_complete) = body.first()?;
    let entry = Entry {
        name: &name,
        callable: callable.as_bytes(),
        body: &first,
        body_complete,
        group: &group.options,
        hook: None,
    };
    let head = head::write(ask, &entry, door)?;
    let socket_timeout = socket_timeout(&group.options, ask);
    match (group.options.response_socket_timeout, group.options.socket_timeout) {
        (0, 0) => {}
        (0, seconds) | (seconds, _) => door.client_timeout(seconds),
    }
    let errand = Errand {
        name: &name,
        group: &group.options,
        script: ask.script,
        head: &head,
        tries: Tries::default(),
        socket_timeout,
        limit: None,
    };
    let terms = Terms {
        group: &name.process,
        silence: socket_timeout,
        patience: group.options.request_patience(),
        drain: (group.options.response_buffer_size > 0).then_some(&runtime.drain),
        buffers: &runtime.buffers,
        body_complete,
        server_metrics: group.options.server_metrics,
    };
    let outcome = converse(runtime, ask, &errand, &terms, &mut body, door);
    head::keep(head);
    outcome
}

/// How long a worker of this group may be silent.
pub fn socket_timeout(group: &ProcessGroup, ask: &Ask<'_>) -> Duration {
    match group.socket_timeout {
        0 => ask.timeout,
        seconds => Duration::from_secs(seconds.into()),
    }
}

impl Ask<'_> {
    fn variable(&self, wanted: &[u8]) -> &[u8] {
        self.variables.iter().rev().find(|(name, _)| *name == wanted).map_or(b"", |(_, value)| value)
    }

    /// Does it ask for nothing but an answer (RFC 9110, 9.2.1), and bring nothing along?
    fn may_be_repeated(&self) -> bool {
        let method = self.variable(b"REQUEST_METHOD");
        self.content_length == Some(0) && (method == b"GET" || method == b"HEAD")
    }

    /// What it asks for, for a log.
    fn request_line(&self) -> String {
        let [method, target] = [&b"REQUEST_METHOD"[..], b"REQUEST_URI"].map(|name| self.variable(name));
        format!("{} {}", String::from_utf8_lossy(method), String::from_utf8_lossy(target))
    }

    /// Its name, where workers die over it.
    fn suspect(&self, pool: &PoolName) -> suspects::Name {
        let [server, method, target] =
            [&b"SERVER_NAME"[..], b"REQUEST_METHOD", b"REQUEST_URI"].map(|name| self.variable(name));
        suspects::Name::of(pool, server, method, target)
    }
}

/// Is it not one over which workers have died before?
fn check_suspicion(runtime: &Runtime, ask: &Ask<'_>, pool: &PoolName) -> Result<(), Fault> {
    if runtime.suspects.is_empty() {
        return Ok(());
    }
    match runtime.suspects.refused(ask.suspect(pool), Instant::now()) {
        Some(left) => Err(Fault::Suspect {
            group: pool.process.clone(),
            request: ask.request_line(),
            seconds: left.as_secs() + 1,
        }),
        None => Ok(()),
    }
}

/// Delivers the head and relays the answer, with another worker where one dropped the head unread; where the
/// group has it so, once also where one died over it.
fn converse<D: Door>(
    runtime: &Runtime,
    ask: &Ask<'_>,
    errand: &Errand<'_>,
    terms: &Terms<'_>,
    body: &mut Body,
    door: &mut D,
) -> Result<i32, Fault> {
    let mut replays = errand.group.replay && ask.may_be_repeated();
    let mut errand = *errand;
    // Each worker with code from before may have to be asked once.
    for _ in 0..DELIVERIES.max(errand.group.processes as usize * 2 + 1) {
        let delivered = dispatch::deliver(runtime, &errand)?;
        errand.tries = Tries { all: delivered.tries.all + 1, ..delivered.tries };
        let worker = (delivered.pool.id, delivered.claim.serial);
        let accuse = |fault: &Fault| {
            if matches!(fault, Fault::WorkerDied { .. }) && !fault.is_from_outside() {
                runtime.suspects.accuse(ask.suspect(errand.name), worker, Instant::now());
            }
        };
        match answer(runtime, delivered, &errand, terms, body, door, &mut replays) {
            Ok(Answered::Whole(status)) => {
                if !runtime.suspects.is_empty() {
                    runtime.suspects.clear(ask.suspect(errand.name));
                }
                return Ok(status);
            }
            Ok(Answered::InPart(fault)) => {
                fault.iter().for_each(accuse);
                return Ok(OK);
            }
            Ok(Answered::Unread) => {}
            Err(Fault::Aborted(AbortCause::Stale, _)) => errand.tries.restarts += 1,
            Err(fault @ Fault::WorkerDied { .. }) => {
                accuse(&fault);
                if !std::mem::take(&mut replays) {
                    return Err(fault);
                }
                let message = fault.message();
                door.log(Level::Warning, format!("{message}: {fault}; another has it now").as_bytes(), None);
            }
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::NotDelivered(errand.name.process.clone()))
}

/// What became of a request that a worker was sent.
enum Answered {
    /// It has been answered, or has httpd answer; what the handler returns.
    Whole(i32),
    /// The answer has been cut short: by this, which is logged, or because the client has gone.
    InPart(Option<Fault>),
    /// The worker had not read the head.
    Unread,
}

/// Relays the answer. Where httpd knows of a response's head by then, be it that of one that goes nowhere, the request
/// can't be repeated.
fn answer<D: Door>(
    runtime: &Runtime,
    delivered: Delivered,
    errand: &Errand<'_>,
    terms: &Terms<'_>,
    body: &mut Body,
    door: &mut D,
    repeatable: &mut bool,
) -> Result<Answered, Fault> {
    let Delivered { channel, claim, pool, .. } = delivered;
    let limits = Limits { memory: errand.group.response_buffer_size, file: errand.group.response_spool_size };
    let source = Arc::new(Mutex::new(Source::new(channel, limits)));
    let mut relay = Relay::new(&source, body, door, *terms);
    let outcome = relay.run().map_err(|fault| with_fate(fault, runtime, &pool, claim));
    let begun = relay.begun();
    *repeatable &= !relay.has_head();
    // Back before the client is served: a slow client need not keep a buffer or a worker's connection.
    drop(relay);
    let give_back = || {
        let channel = source.lock().unwrap_or_else(PoisonError::into_inner).into_channel();
        channel.into_iter().for_each(|channel| runtime.keep(&pool, claim, channel));
    };
    match outcome {
        Ok(Outcome::Whole) => {
            give_back();
            let _ = door.finish();
            Ok(Answered::Whole(OK))
        }
        Ok(Outcome::Diverted) => {
            give_back();
            Ok(Answered::Whole(door.divert()))
        }
        Ok(Outcome::ClientGone) => Ok(Answered::InPart(None)),
        Ok(Outcome::Undelivered) => {
            pool.release(claim);
            Ok(Answered::Unread)
        }
        Err(fault) if begun => {
            tell(door, &fault);
            door.truncate();
            Ok(Answered::InPart(Some(fault)))
        }
        Err(fault) => Err(fault),
    }
}

/// The supervisor knows how a worker ended; the log of the virtual host is where that is looked for.
pub fn with_fate(fault: Fault, runtime: &Runtime, pool: &Pool, claim: Claim) -> Fault {
    match fault {
        Fault::WorkerDied { group, .. } => {
            Fault::WorkerDied { group, fate: runtime.fate(pool.id, claim.serial) }
        }
        other => other,
    }
}

/// Writes a fault to the request's error log, and its number where `LogFormat` and `ErrorDocument` find it.
pub fn tell<D: Door + ?Sized>(door: &mut D, fault: &Fault) {
    let message = fault.message();
    door.note(&message.to_string());
    door.log(message.level, format!("{message}: {fault}").as_bytes(), None);
}

fn pool_name<D: Door>(ask: &Ask<'_>, door: &D) -> Result<PoolName, Fault> {
    Ok(PoolName {
        process: group_name("process group", expand::process_group(ask.process_group, door))?,
        application: group_name("application group", expand::application_group(ask.application_group, door))?,
    })
}

/// The expanded name of a process or application group, as `what` says.
pub fn group_name(what: &'static str, bytes: Vec<u8>) -> Result<String, Fault> {
    if bytes.len() > bounds::GROUP_NAME {
        return Err(Fault::NameTooLong(what));
    }
    // A name that is not UTF-8 can only come from a request; its odd bytes become one mark.
    String::from_utf8(bytes).or_else(|e| Ok(String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

fn usable_group<'r, D: Door>(
    runtime: &'r Runtime,
    name: &PoolName,
    ask: &Ask<'_>,
    door: &D,
) -> Result<&'r DeclaredGroup, Fault> {
    if ask.allowed_groups.as_ref().is_some_and(|allowed| !allowed.contains(&name.process.as_bytes())) {
        return Err(Fault::GroupNotAllowed(name.process.clone()));
    }
    if name.process.is_empty() && ask.restrict_embedded {
        return Err(Fault::Restricted);
    }
    let group = runtime.group(&name.process).ok_or_else(|| Fault::UnknownGroup(name.process.clone()))?;
    if let Some(owner) = &group.server {
        let server = String::from_utf8_lossy(&door.server_name()).into_owned();
        if !owner.eq_ignore_ascii_case(&server) {
            return Err(Fault::ForeignGroup { group: name.process.clone(), owner: owner.clone(), server });
        }
    }
    if group.options.is_service() {
        return Err(Fault::ServiceGroup(name.process.clone()));
    }
    Ok(group)
}
