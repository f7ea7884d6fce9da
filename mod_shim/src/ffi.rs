//! The only file that C sees. Every function that C calls stands behind [`fence`]: a panic becomes a
//! line in the log and the function's failure value, and never unwinds into httpd.
#![allow(non_camel_case_types, non_upper_case_globals)]

use crate::control;
use crate::door::{BodyPart, ClientGone, Door, NotTaken};
use crate::draft::{Draft, Facts};
use crate::fault::Fault;
use crate::hook::{self, Decision, Question};
use crate::message::{self, Message};
use crate::runtime::Runtime;
use crate::serve::Ask;
use bytes::Bytes;
use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::Duration;
use wsgid_proto::bounds;
use wsgid_proto::expand;
use wsgid_proto::hook::{Ask as Asked, Hook};
use wsgid_proto::response::{CallSite, Level};
use wsgid_proto::scoreboard::{Scoreboard, ServerProcess, ServerThread};
use wsgid_proto::server::Server;

/// `c/shim.h`, as bindgen reads it.
#[allow(missing_docs, dead_code, clippy::all)]
mod c {
    include!(concat!(env!("OUT_DIR"), "/shim.rs"));
}

/// The module's one visible symbol; see `shim_exported` in `c/shim.h`. `c/module.c` fills in the record
/// while the module is loaded.
#[unsafe(no_mangle)]
pub static mut wsgi_module: c::shim_exported =
    c::shim_exported { record: [0; c::SHIM_RECORD_BYTES as usize / 8], functions: &raw const FUNCTIONS };

/// What C may call. bindgen's types make the compiler compare each function with the header.
static FUNCTIONS: c::shim_functions = c::shim_functions {
    draft_new: Some(draft_new),
    draft_free: Some(draft_free),
    draft_group: Some(draft_group),
    draft_bind: Some(draft_bind),
    draft_knows: Some(draft_knows),
    draft_preload: Some(draft_preload),
    draft_option: Some(draft_option),
    draft_section: Some(draft_section),
    draft_section_end: Some(draft_section_end),
    is_dynamic: Some(is_dynamic),
    configure: Some(configure),
    remind: Some(remind),
    runtime_free: Some(runtime_free),
    serve: Some(serve),
    decide: Some(decide),
    refuse: Some(refuse),
    leave: Some(leave),
};

/// Runs `body`; a panic in it is worth `failure`. The panic's own message has gone to stderr, which is
/// httpd's error log.
fn fence<T>(failure: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(failure)
}

/// # Safety
/// `data` is valid for `length` bytes as long as `'a`, or `length` is 0.
unsafe fn bytes<'a>(text: c::shim_text) -> &'a [u8] {
    if text.data.is_null() || text.length == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(text.data.cast(), text.length) }
}

/// # Safety
/// `pointer` is NULL or a string that ends in NUL and lives as long as `'a`.
unsafe fn string<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
}

/// # Safety
/// As [`string`].
unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    unsafe { string(pointer) }.map(|s| s.to_string_lossy().into_owned())
}

/// # Safety
/// `first` points to `count` pairs whose texts fulfil [`bytes`].
unsafe fn pairs<'a>(first: *const c::shim_pair, count: usize) -> Vec<(&'a [u8], &'a [u8])> {
    if first.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    let list = unsafe { std::slice::from_raw_parts(first, count) };
    // SAFETY: as above.
    list.iter().map(|pair| unsafe { (bytes(pair.name), bytes(pair.value)) }).collect()
}

/// # Safety
/// As [`pairs`], for texts.
unsafe fn texts<'a>(first: *const c::shim_text, count: usize) -> Vec<&'a [u8]> {
    if first.is_null() || count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    let list = unsafe { std::slice::from_raw_parts(first, count) };
    // SAFETY: as above.
    list.iter().map(|text| unsafe { bytes(*text) }).collect()
}

fn as_text(bytes: &[u8]) -> c::shim_text {
    c::shim_text { data: bytes.as_ptr().cast(), length: bytes.len() }
}

/// Copies a sentence to where C wants it, cut to the room and ended with NUL.
///
/// # Safety
/// `message` is valid for `room` bytes.
unsafe fn put_message(sentence: &str, message: *mut c_char, room: usize) {
    if room == 0 {
        return;
    }
    let length = sentence.len().min(room - 1);
    // SAFETY: length + 1 bytes fit into the room that the caller promises.
    unsafe {
        ptr::copy_nonoverlapping(sentence.as_ptr().cast(), message, length);
        *message.add(length) = 0;
    }
}

/// # Safety
/// `host` is the table of c/startup.c, which lives as long as the module.
unsafe fn report(host: *const c::shim_host, lines: control::Report) {
    for (level, line) in lines {
        // SAFETY: the caller's promise; the line lives through the call.
        if let Some(log) = unsafe { (*host).log } {
            // SAFETY: as above.
            unsafe { log(level as c_int, line.as_ptr().cast(), line.len()) };
        }
    }
}

extern "C" fn draft_new() -> *mut c::shim_draft {
    fence(ptr::null_mut(), || Box::into_raw(Box::<Draft>::default()).cast())
}

/// # Safety
/// `draft` is NULL or came from `draft_new` and is not used again.
unsafe extern "C" fn draft_free(draft: *mut c::shim_draft) {
    fence((), || {
        if !draft.is_null() {
            // SAFETY: it was a Box, and this is its last use.
            drop(unsafe { Box::from_raw(draft.cast::<Draft>()) });
        }
    });
}

/// # Safety
/// `draft` is live and unshared (httpd reads its configuration in one thread); the strings, the pairs,
/// `host` and `message` are as shim.h says.
unsafe extern "C" fn draft_group(
    draft: *mut c::shim_draft,
    name: *const c_char,
    options: *const c::shim_pair,
    count: usize,
    speak: c_int,
    host: *const c::shim_host,
    message: *mut c_char,
    room: usize,
) -> c_int {
    fence(0, || {
        // SAFETY: the promises above.
        let (draft, name, options) =
            unsafe { (&mut *draft.cast::<Draft>(), text(name).unwrap_or_default(), pairs(options, count)) };
        let options = options
            .into_iter()
            .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), Bytes::copy_from_slice(value)))
            .collect();
        match draft.group(&name, options) {
            Ok(warnings) => {
                if speak != 0 {
                    let lines = warnings.into_iter().map(|line| (Level::Warning, line)).collect();
                    // SAFETY: the promises above.
                    unsafe { report(host, lines) };
                }
                1
            }
            Err(sentence) => {
                // SAFETY: the promises above.
                unsafe { put_message(&sentence, message, room) };
                0
            }
        }
    })
}

/// # Safety
/// `draft` is live and unshared, the strings end in NUL.
unsafe extern "C" fn draft_bind(draft: *mut c::shim_draft, name: *const c_char, server: *const c_char) {
    fence((), || {
        // SAFETY: the promises above.
        let (draft, name, server) = unsafe { (&mut *draft.cast::<Draft>(), text(name), text(server)) };
        if let (Some(name), Some(server)) = (name, server) {
            draft.bind(&name, &server);
        }
    });
}

/// # Safety
/// `draft` is live, `name` ends in NUL.
unsafe extern "C" fn draft_knows(draft: *const c::shim_draft, name: *const c_char) -> c_int {
    // SAFETY: the promises above.
    fence(0, || unsafe { (*draft.cast::<Draft>()).knows(&text(name).unwrap_or_default()) }.into())
}

/// # Safety
/// `draft` is live and unshared, the strings end in NUL.
unsafe extern "C" fn draft_preload(
    draft: *mut c::shim_draft,
    process_group: *const c_char,
    application_group: *const c_char,
    script: *const c_char,
    first: c_int,
) {
    fence((), || {
        // SAFETY: the promises above.
        let (draft, process, application, script) = unsafe {
            (&mut *draft.cast::<Draft>(), text(process_group), text(application_group), string(script))
        };
        if let (Some(process), Some(application), Some(script)) = (process, application, script) {
            draft.preload(&process, &application, script.to_bytes(), first != 0);
        }
    });
}

/// # Safety
/// `draft` is live and unshared, the strings end in NUL, `message` is valid for `room` bytes.
unsafe extern "C" fn draft_option(
    draft: *mut c::shim_draft,
    option: *const c_char,
    value: *const c_char,
    implicit_only: c_int,
    message: *mut c_char,
    room: usize,
) -> c_int {
    fence(0, || {
        // SAFETY: the promises above.
        let (draft, option, value) =
            unsafe { (&mut *draft.cast::<Draft>(), text(option).unwrap_or_default(), string(value)) };
        let value = value.map_or(&b""[..], CStr::to_bytes);
        match draft.option(&option, value, implicit_only != 0) {
            Ok(()) => 1,
            Err(sentence) => {
                // SAFETY: the promises above.
                unsafe { put_message(&sentence, message, room) };
                0
            }
        }
    })
}

/// # Safety
/// `draft` is live and unshared, the strings are NULL or end in NUL.
unsafe extern "C" fn draft_section(
    draft: *mut c::shim_draft,
    process_group: *const c_char,
    application_group: *const c_char,
) {
    // SAFETY: the promises above.
    fence((), || unsafe {
        (*draft.cast::<Draft>()).begin_section(text(process_group), text(application_group));
    });
}

/// # Safety
/// `draft` is live and unshared.
unsafe extern "C" fn draft_section_end(draft: *mut c::shim_draft) {
    // SAFETY: the promise above.
    fence((), || unsafe { (*draft.cast::<Draft>()).end_section() });
}

/// # Safety
/// `value` ends in NUL.
unsafe extern "C" fn is_dynamic(value: *const c_char) -> c_int {
    // SAFETY: the promise above.
    fence(1, || unsafe { string(value) }.is_some_and(|value| expand::is_dynamic(value.to_bytes())).into())
}

/// # Safety
/// `draft` is live; `facts`, its strings and `host` are as shim.h says.
unsafe extern "C" fn configure(
    draft: *const c::shim_draft,
    facts: *const c::shim_facts,
    host: *const c::shim_host,
) -> *mut c::shim_runtime {
    fence(ptr::null_mut(), || {
        // SAFETY: the promises above.
        let (draft, known, control) =
            unsafe { (&*draft.cast::<Draft>(), &*facts, string((*facts).control_socket)) };
        let Some(control) = control else { return ptr::null_mut() };
        // SAFETY: the promises above.
        let facts = unsafe {
            Facts {
                instance: text(known.instance).unwrap_or_default(),
                web_uid: known.web_uid,
                web_gid: known.web_gid,
                threaded: known.threaded != 0,
                server: Server {
                    version: known.version.to_vec(),
                    description: text(known.description).unwrap_or_default(),
                    mpm: text(known.mpm).unwrap_or_default(),
                    built: text(known.built).unwrap_or_default(),
                    processes: known.processes,
                    threads: known.threads,
                },
            }
        };
        let (configuration, groups) = draft.finish(&facts);
        let control = OsStr::from_bytes(control.to_bytes()).into();
        let runtime = Runtime::new(control, configuration, groups, facts.threaded);
        let mut lines: control::Report =
            draft.warnings().into_iter().map(|line| (Level::Warning, line)).collect();
        lines.extend(control::configure(&runtime));
        // SAFETY: the promises above.
        unsafe { report(host, lines) };
        Box::into_raw(Box::new(runtime)).cast()
    })
}

/// # Safety
/// `runtime` came from `configure` and is live; `host` is as shim.h says.
unsafe extern "C" fn remind(runtime: *const c::shim_runtime, host: *const c::shim_host) {
    fence((), || {
        // SAFETY: the promises above.
        let (runtime, scores) = unsafe { (&*runtime.cast::<Runtime>(), (*host).scores.as_ref()) };
        // SAFETY: the promises above.
        unsafe { report(host, control::remind(runtime)) };
        if runtime.shows_scores() {
            let board = scores.and_then(|scores| Scores(scores).board()?.encode());
            board.into_iter().for_each(|board| control::post_scores(runtime, board));
        }
    });
}

/// # Safety
/// `runtime` is NULL or came from `configure` and is not used again.
unsafe extern "C" fn runtime_free(runtime: *mut c::shim_runtime) {
    fence((), || {
        if !runtime.is_null() {
            // SAFETY: it was a Box, and this is its last use.
            drop(unsafe { Box::from_raw(runtime.cast::<Runtime>()) });
        }
    });
}

/// # Safety
/// `runtime` is live; `ask` and all it points to are as shim.h says and live through the call.
unsafe extern "C" fn serve(runtime: *const c::shim_runtime, ask: *const c::shim_ask) -> c_int {
    const INTERNAL_SERVER_ERROR: c_int = 500;
    fence(INTERNAL_SERVER_ERROR, || {
        // SAFETY: the promises above.
        let (runtime, raw) = unsafe { (&*runtime.cast::<Runtime>(), &*ask) };
        // SAFETY: the promises above.
        let (mut door, ask) = unsafe { (HttpdDoor::new(raw), ask_of(raw)) };
        crate::serve::serve(runtime, &ask, &mut door).unwrap_or_else(|fault| door.refuse(&fault))
    })
}

/// # Safety
/// `runtime` is live; `question` and all it points to are as shim.h says and live through the call.
unsafe extern "C" fn decide(
    runtime: *const c::shim_runtime,
    question: *const c::shim_question,
) -> c::shim_decision::Type {
    fence(c::shim_decision::SHIM_FAULT, || {
        // SAFETY: the promises above.
        let (runtime, raw) = unsafe { (&*runtime.cast::<Runtime>(), &*question) };
        let Some(hook) = hook_of(raw.hook) else { return c::shim_decision::SHIM_FAULT };
        // SAFETY: the promises above.
        let (mut door, question) = unsafe {
            let door = HttpdDoor::new(&*raw.ask);
            let question = Question {
                ask: ask_of(&*raw.ask),
                hook,
                arguments: texts(raw.arguments, raw.argument_count),
                target: bytes(raw.target),
                wanted: texts(raw.wanted, raw.wanted_count),
                quiet: raw.quiet != 0,
            };
            (door, question)
        };
        match hook::decide(runtime, &question, &mut door) {
            Decision::Granted(text) => {
                give(raw, 0, text.as_ref());
                c::shim_decision::SHIM_GRANTED
            }
            Decision::Route(route) => {
                give(raw, 0, route.process_group.as_ref());
                give(raw, 1, route.application_group.as_ref());
                give(raw, 2, route.callable.as_ref());
                c::shim_decision::SHIM_GRANTED
            }
            Decision::Denied => c::shim_decision::SHIM_DENIED,
            Decision::Undecided => c::shim_decision::SHIM_UNDECIDED,
            Decision::Fault => c::shim_decision::SHIM_FAULT,
        }
    })
}

fn hook_of(number: c::shim_hook::Type) -> Option<Hook> {
    Some(match number {
        c::shim_hook::SHIM_ACCESS => Hook::Access,
        c::shim_hook::SHIM_PASSWORD => Hook::Password,
        c::shim_hook::SHIM_REALM_HASH => Hook::RealmHash,
        c::shim_hook::SHIM_GROUPS => Hook::Groups,
        c::shim_hook::SHIM_DISPATCH => Hook::Dispatch,
        _ => return None,
    })
}

/// Hands a text over, if there is one.
fn give(question: &c::shim_question, place: u32, text: Option<&Bytes>) {
    if let (Some(take), Some(text)) = (question.take, text) {
        // SAFETY: `into` is the caller's, for this very function; the text lives through the call.
        unsafe { take(question.into, place, as_text(text)) };
    }
}

/// # Safety
/// `r`, `door` and `words` are as shim.h says and live through the call.
unsafe extern "C" fn refuse(
    r: *mut std::ffi::c_void,
    door: *const c::shim_door,
    why: c::shim_refusal::Type,
    words: *const c_char,
) -> c_int {
    const INTERNAL_SERVER_ERROR: c_int = 500;
    fence(INTERNAL_SERVER_ERROR, || {
        // SAFETY: the promises above.
        let (mut door, words) = unsafe { (HttpdDoor { r, door: &*door, held: Vec::new() }, text(words)) };
        door.refuse(&Fault::Precondition(message_of(why), words.unwrap_or_default()))
    })
}

fn message_of(why: c::shim_refusal::Type) -> &'static Message {
    match why {
        c::shim_refusal::SHIM_EXEC_CGI_OFF => message::EXEC_CGI_OFF,
        c::shim_refusal::SHIM_NO_SCRIPT => message::NO_SCRIPT,
        c::shim_refusal::SHIM_DIRECTORY => message::DIRECTORY,
        c::shim_refusal::SHIM_PATH_INFO => message::PATH_INFO,
        c::shim_refusal::SHIM_TRANSFER_CODING => message::TRANSFER_CODING,
        c::shim_refusal::SHIM_CHUNKED => message::CHUNKED,
        c::shim_refusal::SHIM_CONTENT_LENGTH => message::CONTENT_LENGTH,
        c::shim_refusal::SHIM_BODY_TOO_LARGE => message::BODY_TOO_LARGE,
        c::shim_refusal::SHIM_NO_CONFIGURATION => message::NO_CONFIGURATION,
        _ => message::INTERNAL,
    }
}

/// # Safety
/// `runtime` is NULL or live.
unsafe extern "C" fn leave(runtime: *const c::shim_runtime) {
    fence((), || {
        if !runtime.is_null() {
            // SAFETY: the promise above.
            unsafe { &*runtime.cast::<Runtime>() }.drain.leave();
        }
    });
}

/// # Safety
/// `raw` and all it points to are as shim.h says and live as long as `'a`.
unsafe fn ask_of<'a>(raw: &c::shim_ask) -> Ask<'a> {
    // SAFETY: the caller's promise.
    unsafe {
        Ask {
            variables: pairs(raw.variables, raw.variable_count),
            headers: pairs(raw.headers, raw.header_count),
            script: bytes(raw.script),
            process_group: bytes(raw.process_group),
            application_group: bytes(raw.application_group),
            callable: bytes(raw.callable),
            expand_callable: raw.expand_callable != 0,
            handler: bytes(raw.handler),
            content_length: raw.content_length.try_into().ok(),
            request_time: raw.request_time.try_into().unwrap_or(0),
            script_written: raw.script_written.try_into().unwrap_or(0),
            ignore_activity: raw.ignore_activity != 0,
            timeout: Duration::from_secs(raw.timeout.into()),
            allowed_groups: (raw.restricts_groups != 0)
                .then(|| texts(raw.allowed_groups, raw.allowed_group_count)),
            trusted_headers: texts(raw.trusted_headers, raw.trusted_header_count),
            trusted_peer: raw.trusted_peer != 0,
            knows_proxies: raw.knows_proxies != 0,
            pass_authorization: raw.pass_authorization != 0,
            reloading: raw.reloading != 0,
            restrict_embedded: raw.restrict_embedded != 0,
        }
    }
}

/// The door of a request in httpd. What is appended stays here until it has been passed on, since C
/// does not copy it.
struct HttpdDoor<'a> {
    r: *mut std::ffi::c_void,
    door: &'a c::shim_door,
    held: Vec<Bytes>,
}

/// Calls a function of the door with its request; C fills in every one of them.
macro_rules! call {
    ($self:ident . $name:ident ( $($argument:expr),* ) else $absent:expr) => {
        match $self.door.$name {
            // SAFETY: the request lives through serve, and so does the door; arguments point to
            // memory that lives through the call, or, for append, until the next pass (see `held`).
            Some(function) => unsafe { function($self.r, $($argument),*) },
            None => $absent,
        }
    };
}

impl<'a> HttpdDoor<'a> {
    /// # Safety
    /// `raw.door` and `raw.r` are as shim.h says and live as long as `'a`.
    unsafe fn new(raw: &'a c::shim_ask) -> Self {
        // SAFETY: the caller's promise.
        Self { r: raw.r, door: unsafe { &*raw.door }, held: Vec::new() }
    }

    /// Tells of a fault, and returns what the handler returns.
    fn refuse(&mut self, fault: &Fault) -> c_int {
        crate::serve::tell(self, fault);
        if let Some(seconds) = fault.message().retry_after {
            call!(self.retry_after(seconds) else ());
        }
        fault.answer()
    }

    fn client(&mut self, reached: c_int) -> Result<(), ClientGone> {
        self.held.clear();
        if reached != 0 { Ok(()) } else { Err(ClientGone) }
    }

    fn copied(text: c::shim_text) -> Vec<u8> {
        // SAFETY: the door's texts live as long as the request, and are copied at once.
        unsafe { bytes(text) }.to_vec()
    }
}

/// httpd's scoreboard, by C's functions, all of which C fills in.
struct Scores<'a>(&'a c::shim_scores);

impl Scores<'_> {
    fn board(&self) -> Option<Scoreboard> {
        // SAFETY: takes nothing, and answers with values.
        let board = unsafe { self.0.board?() };
        let slots = u64::from(board.server_limit) * u64::from(board.thread_limit);
        (board.known != 0 && slots <= bounds::SCORES).then(|| Scoreboard {
            server_limit: board.server_limit,
            thread_limit: board.thread_limit,
            generation: board.generation,
            restart_time: board.restart_time,
            current_time: board.current_time,
            processes: (0..board.server_limit).map_while(|n| self.process(n, board.thread_limit)).collect(),
        })
    }

    fn process(&self, number: u32, threads: u32) -> Option<ServerProcess> {
        // SAFETY: takes a number, which C checks, and answers with values.
        let process = unsafe { self.0.process?(number) };
        (process.known != 0).then(|| ServerProcess {
            number,
            pid: process.pid,
            generation: process.generation,
            quiescing: process.quiescing != 0,
            threads: (0..threads).map_while(|n| self.thread(number, n)).collect(),
        })
    }

    fn thread(&self, process: u32, number: u32) -> Option<ServerThread> {
        // SAFETY: as above.
        let thread = unsafe { self.0.thread?(process, number) };
        (thread.known != 0).then(|| ServerThread {
            number: thread.number,
            generation: thread.generation,
            status: thread.status,
            access_count: thread.access_count,
            bytes_served: thread.bytes_served,
            start_time: thread.start_time,
            stop_time: thread.stop_time,
            last_used: thread.last_used,
            client: score_text(&thread.client),
            request: score_text(&thread.request),
            vhost: score_text(&thread.vhost),
        })
    }
}

/// Up to its NUL.
fn score_text(text: &[c_char]) -> Bytes {
    text.iter().take_while(|&&letter| letter != 0).map(|&letter| letter as u8).collect()
}

impl expand::Request for HttpdDoor<'_> {
    fn server_name(&self) -> Vec<u8> {
        Self::copied(call!(self.server_name() else as_text(b"")))
    }

    fn port(&self) -> u16 {
        call!(self.port() else 0)
    }

    fn host(&self) -> Vec<u8> {
        Self::copied(call!(self.host() else as_text(b"")))
    }

    fn script_name(&self) -> Vec<u8> {
        Self::copied(call!(self.script_name() else as_text(b"")))
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        let name = CString::new(name).ok()?;
        let found = call!(self.variable(name.as_ptr()) else as_text(b""));
        (!found.data.is_null()).then(|| Self::copied(found))
    }
}

impl HttpdDoor<'_> {
    fn body(&mut self, wait: i32, buffer: &mut [u8]) -> BodyPart {
        let (mut length, mut status) = (0, 400);
        let (start, room) = (buffer.as_mut_ptr().cast(), buffer.len());
        let result = call!(self.read_body(wait, start, room, &raw mut length, &raw mut status)
            else c::shim_body::SHIM_BODY_FAILED);
        match result {
            c::shim_body::SHIM_BODY_MORE => BodyPart::More(length),
            c::shim_body::SHIM_BODY_LAST => BodyPart::Last(length),
            c::shim_body::SHIM_BODY_TORN => BodyPart::Torn(status),
            _ => BodyPart::Failed(status),
        }
    }
}

impl Door for HttpdDoor<'_> {
    fn trusts(&self, address: &[u8]) -> Option<bool> {
        let address = CString::new(address).ok()?;
        match call!(self.trusts(address.as_ptr()) else -1) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> BodyPart {
        self.body(1, buffer)
    }

    fn body_at_hand(&mut self, buffer: &mut [u8]) -> BodyPart {
        self.body(0, buffer)
    }

    fn set_status(&mut self, status: u16, reason: &[u8]) {
        call!(self.set_status(status.into(), as_text(reason)) else ());
    }

    fn client_timeout(&mut self, seconds: u32) {
        call!(self.client_timeout(seconds) else ());
    }

    fn add_header(&mut self, name: &[u8], value: &[u8]) {
        call!(self.add_header(as_text(name), as_text(value)) else ());
    }

    fn diverts(&mut self) -> bool {
        call!(self.diverts() else 0) != 0
    }

    fn divert(&mut self) -> i32 {
        call!(self.divert() else 500)
    }

    fn append(&mut self, bytes: Bytes) {
        call!(self.append(bytes.as_ptr().cast(), bytes.len()) else ());
        self.held.push(bytes);
    }

    fn append_file(&mut self, file: OwnedFd, offset: u64, length: u64) -> Result<(), NotTaken> {
        let taken = call!(self.append_file(file.into_raw_fd(), offset, length) else 0);
        if taken != 0 { Ok(()) } else { Err(NotTaken) }
    }

    fn pass(&mut self) -> Result<(), ClientGone> {
        let reached = call!(self.pass() else 0);
        self.client(reached)
    }

    fn finish(&mut self) -> Result<(), ClientGone> {
        let reached = call!(self.finish() else 0);
        self.client(reached)
    }

    fn truncate(&mut self) {
        call!(self.truncate() else ());
        self.held.clear();
    }

    fn answer(&mut self, ask: &Asked) -> Option<Bytes> {
        match ask {
            Asked::IsHttps => (call!(self.is_https() else 0) != 0).then(Bytes::new),
            Asked::SslVariable(name) => {
                let name = CString::new(&name[..]).ok()?;
                let found = call!(self.ssl_variable(name.as_ptr()) else as_text(b""));
                (!found.data.is_null()).then(|| Self::copied(found).into())
            }
            Asked::ServerMetrics => {
                // SAFETY: NULL, or C's own table, which lives as long as the module.
                let scores = unsafe { self.door.scores.as_ref() }?;
                Scores(scores).board()?.encode().map(Bytes::from)
            }
        }
    }

    fn note(&mut self, number: &str) {
        call!(self.note(as_text(number.as_bytes())) else ());
    }

    fn log(&mut self, level: Level, text: &[u8], site: Option<&CallSite>) {
        // A call site has no control character, so none is lost here.
        let file = site.and_then(|site| CString::new(site.file()).ok());
        let name = file.as_ref().map_or(ptr::null(), |file| file.as_ptr());
        let line = site.map_or(0, CallSite::line);
        call!(self.log(level as c_int, text.as_ptr().cast(), text.len(), name, line) else ());
    }
}
