//! One request, from httpd's description of it to the last byte of the answer.

use crate::dispatch::{self, Delivered, Errand};
use crate::door::{BodyPart, Door};
use crate::fault::Fault;
use crate::pool::Pool;
use crate::relay::{Outcome, Relay};
use crate::runtime::{DeclaredGroup, PoolName, Runtime};
use crate::{environ, fault};
use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wsgid_proto::board::Claim;
use wsgid_proto::request::{HeadFields, HeadWriter};
use wsgid_proto::{bounds, expand};

thread_local! {
    /// The room of this thread's last head, for the next one.
    static HEAD_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A head that came out larger leaves no buffer behind.
const KEPT_HEAD: usize = 64 << 10;

/// A request that workers keep dropping unread is given up after so many.
const DELIVERIES: usize = 8;

/// A request as httpd and the configuration describe it; all of it borrowed.
#[derive(Debug)]
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
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
    /// Microseconds since the epoch.
    pub request_time: u64,
    /// The script file's mtime in microseconds since the epoch; 0 if unknown.
    pub script_written: u64,
    /// Apache's `Timeout`.
    pub timeout: Duration,
    /// `WSGIPassAuthorization`.
    pub pass_authorization: bool,
    /// `WSGIScriptReloading`.
    pub reloading: bool,
    /// `WSGIRestrictEmbedded`.
    pub restrict_embedded: bool,
}

/// Serves the request. A fault comes back only while the response has not been begun; later ones are
/// logged, and the response is cut short.
pub fn serve<D: Door>(runtime: &Runtime, ask: &Ask<'_>, door: &mut D) -> Result<(), Fault> {
    let name = pool_name(ask, door)?;
    let group = usable_group(runtime, &name, ask, door)?;
    let callable = match ask.expand_callable {
        true => expand::callable(ask.callable, door),
        false => ask.callable.to_vec(),
    };
    // An attribute of a module: what is not UTF-8 can't be one, and is looked for in vain.
    let callable = String::from_utf8_lossy(&callable);
    let (first, body_complete) = first_body(ask, door)?;
    let head = write_head(ask, &name, callable.as_bytes(), &first, body_complete)?;
    let socket_timeout = match group.options.socket_timeout {
        0 => ask.timeout,
        seconds => Duration::from_secs(seconds.into()),
    };
    let errand =
        Errand { name: &name, group: &group.options, script: ask.script, head: &head, socket_timeout };
    let outcome = converse(runtime, &errand, body_complete, door);
    if head.capacity() <= KEPT_HEAD {
        HEAD_BUFFER.set(head);
    }
    outcome
}

/// Delivers the head and relays the answer, with another worker where one dropped the head unread.
fn converse<D: Door>(
    runtime: &Runtime,
    errand: &Errand<'_>,
    body_complete: bool,
    door: &mut D,
) -> Result<(), Fault> {
    for _ in 0..DELIVERIES {
        let delivered = dispatch::deliver(runtime, errand)?;
        if answer(runtime, delivered, errand, body_complete, door)? {
            return Ok(());
        }
    }
    let fate = "none of several workers read the request".into();
    Err(Fault::WorkerDied { group: errand.name.process.clone(), fate })
}

/// Relays the answer; false when the worker had not read the head.
fn answer<D: Door>(
    runtime: &Runtime,
    delivered: Delivered,
    errand: &Errand<'_>,
    body_complete: bool,
    door: &mut D,
) -> Result<bool, Fault> {
    let Delivered { mut channel, claim, pool } = delivered;
    let mut relay =
        Relay::new(&mut channel, door, &errand.name.process, errand.socket_timeout, body_complete);
    let outcome = relay.run().map_err(|fault| with_fate(fault, runtime, &pool, claim));
    let begun = relay.begun();
    match outcome {
        Ok(Outcome::Whole) => {
            // Back before the client is served: a slow client need not keep a worker's connection.
            pool.keep(claim, channel);
            let _ = door.finish();
            Ok(true)
        }
        Ok(Outcome::ClientGone) => Ok(true),
        Ok(Outcome::Undelivered) => {
            pool.release(claim);
            Ok(false)
        }
        Err(fault) if begun => {
            log(door, &fault);
            door.truncate();
            Ok(true)
        }
        Err(fault) => Err(fault),
    }
}

/// The supervisor knows how a worker ended; the log of the virtual host is where that is looked for.
fn with_fate(fault: Fault, runtime: &Runtime, pool: &Pool, claim: Claim) -> Fault {
    match fault {
        Fault::WorkerDied { group, .. } => {
            Fault::WorkerDied { group, fate: runtime.fate(pool.id, claim.serial) }
        }
        other => other,
    }
}

/// Writes a fault to the request's error log.
pub fn log<D: Door + ?Sized>(door: &mut D, fault: &fault::Fault) {
    let text = fault.to_string();
    if !text.is_empty() {
        door.log(fault.level(), text.as_bytes());
    }
}

fn pool_name<D: Door>(ask: &Ask<'_>, door: &D) -> Result<PoolName, Fault> {
    let name = |what, bytes: Vec<u8>| {
        if bytes.len() > bounds::GROUP_NAME {
            return Err(Fault::NameTooLong(what));
        }
        // A name that is not UTF-8 can only come from a request; its odd bytes become one mark.
        String::from_utf8(bytes).or_else(|e| Ok(String::from_utf8_lossy(e.as_bytes()).into_owned()))
    };
    Ok(PoolName {
        process: name("process group", expand::process_group(ask.process_group, door))?,
        application: name("application group", expand::application_group(ask.application_group, door))?,
    })
}

fn usable_group<'r, D: Door>(
    runtime: &'r Runtime,
    name: &PoolName,
    ask: &Ask<'_>,
    door: &D,
) -> Result<&'r DeclaredGroup, Fault> {
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
    Ok(group)
}

/// A small body is read before a worker is claimed, and travels with the head. Not where the client
/// waits to be asked for it: the application may not want it at all.
fn first_body<D: Door>(ask: &Ask<'_>, door: &mut D) -> Result<(Vec<u8>, bool), Fault> {
    let length = match ask.content_length {
        Some(0) => return Ok((Vec::new(), true)),
        Some(length) if length <= bounds::FIRST_BODY as u64 && !ask.expects_continue => length as usize,
        _ => return Ok((Vec::new(), false)),
    };
    // An input filter may make more of it than the client announced: then the rest is pulled.
    let mut body = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match door.read_body(&mut body[filled..]) {
            BodyPart::More(more) => filled += more,
            BodyPart::Last(more) => {
                body.truncate(filled + more);
                return Ok((body, true));
            }
            BodyPart::Failed(answer) => return Err(Fault::BodyFailed(answer)),
        }
    }
    Ok((body, false))
}

fn write_head(
    ask: &Ask<'_>,
    name: &PoolName,
    callable: &[u8],
    body: &[u8],
    body_complete: bool,
) -> Result<Vec<u8>, Fault> {
    let mut writer = HeadWriter::new(HEAD_BUFFER.take());
    let https = environ::write_variables(&mut writer, ask.variables.iter().copied());
    environ::write_headers(&mut writer, ask.headers.iter().copied(), ask.pass_authorization);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(writer.finish(&HeadFields {
        script: ask.script,
        callable,
        process_group: name.process.as_bytes(),
        application_group: name.application.as_bytes(),
        request_start: ask.request_time,
        queue_start: now.as_micros() as u64,
        body,
        body_complete,
        reloading: ask.reloading,
        https,
        handler: ask.handler,
        script_written: ask.script_written,
    })?)
}
