//! The head of a request, or of a question to a hook, written from httpd's own strings into one buffer.

use crate::door::Door;
use crate::environ;
use crate::fault::Fault;
use crate::runtime::PoolName;
use crate::serve::Ask;
use crate::trusted::{Trust, Verdict};
use nix::sched::sched_getcpu;
use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};
use wsgid_proto::hook::Hook;
use wsgid_proto::options::ProcessGroup;
use wsgid_proto::request::{HeadFields, HeadWriter};

thread_local! {
    /// The room of this thread's last head, for the next one.
    static HEAD_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A head that came out larger leaves no buffer behind.
const KEPT_HEAD: usize = 64 << 10;

/// What has been found out about a request since httpd described it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Where it goes.
    pub name: &'a PoolName,
    /// What is called there.
    pub callable: &'a [u8],
    /// The first bytes of its body.
    pub body: &'a [u8],
    /// There are no more.
    pub body_complete: bool,
    /// The options of the group that serves it.
    pub group: &'a ProcessGroup,
    /// A function to ask instead, and its arguments.
    pub hook: Option<(Hook, &'a [&'a [u8]])>,
}

/// Writes the whole frame.
pub fn write<D: Door>(ask: &Ask<'_>, entry: &Entry<'_>, door: &D) -> Result<Vec<u8>, Fault> {
    let verdict = verdict(ask, door);
    let mut writer = HeadWriter::new(HEAD_BUFFER.take());
    let variables = ask.variables.iter().map(|&(name, value)| match name {
        b"SCRIPT_FILENAME" | b"DOCUMENT_ROOT" => (name, entry.group.path_inside(value)),
        _ => (name, value),
    });
    let mut https = environ::write_variables(&mut writer, variables);
    environ::write_headers(
        &mut writer,
        ask.headers.iter().copied(),
        ask.pass_authorization,
        verdict.as_ref(),
    );
    if let Some(verdict) = &verdict {
        environ::write_verdict(&mut writer, verdict, &door.script_name());
        https = verdict.https.unwrap_or(https);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(writer.finish(&HeadFields {
        script: entry.group.path_inside(ask.script),
        callable: entry.callable,
        process_group: entry.name.process.as_bytes(),
        application_group: entry.name.application.as_bytes(),
        request_start: ask.request_time,
        queue_start: now.as_micros() as u64,
        body: entry.body,
        body_complete: entry.body_complete,
        reloading: ask.reloading,
        https,
        handler: ask.handler,
        script_written: ask.script_written,
        ignore_activity: ask.ignore_activity,
        processor: processor(),
        hook: entry.hook,
    })?)
}

/// The one on which this thread runs, counted from 1; 0 if the kernel does not say.
fn processor() -> u32 {
    sched_getcpu().ok().and_then(|number| u32::try_from(number).ok()?.checked_add(1)).unwrap_or(0)
}

/// Keeps the room of a head that has been sent.
pub fn keep(head: Vec<u8>) {
    if head.capacity() <= KEPT_HEAD {
        HEAD_BUFFER.set(head);
    }
}

/// What trusted proxies say of the request, where any are.
fn verdict<D: Door>(ask: &Ask<'_>, door: &D) -> Option<Verdict> {
    let judge = |address: &[u8]| door.trusts(address);
    let trust = Trust {
        headers: &ask.trusted_headers,
        peer: ask.trusted_peer,
        judge: ask.knows_proxies.then_some(&judge),
    };
    (!ask.trusted_headers.is_empty()).then(|| Verdict::of(&trust, &ask.headers))
}
