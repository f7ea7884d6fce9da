//! Frames, heads and messages, written by the code that writes them in service.

use crate::Named;
use bytes::Bytes;
use wsgid_fuzz::input::Seed;
use wsgid_proto::Message;
use wsgid_proto::broker::{AskFate, Fate, OpenPool, PoolOpened, PoolRefused, RefusalCause};
use wsgid_proto::control::{
    Configure, Configured, Done, GroupDefinition, Known, KnownReply, Overlay, PoolStatus, PostScores,
    Preload, ReloadGroup, Status, WorkerStatus,
};
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::hook::{Answer, Ask, Hook, Route, Verdict};
use wsgid_proto::launch::{
    Attach, Buried, Interrupt, LaunchPlan, Note, Ready, ReloadWanted, Retire, WorkerPlan, Worn,
};
use wsgid_proto::request::{BodyError, BodyWanted, HeadFields, HeadWriter};
use wsgid_proto::response::{Abort, AbortCause, File, Level, Log, ResponseWriter};
use wsgid_proto::server::Server;

/// A request's head as a whole frame.
pub fn request_head(body: &[u8], body_complete: bool) -> Vec<u8> {
    let mut writer = HeadWriter::new(Vec::new());
    writer.variable(b"REQUEST_METHOD", b"POST");
    writer.variable(b"EMPTY", b"");
    writer.header(b"Host", b"example.org");
    let fields = HeadFields {
        script: b"/srv/app.wsgi",
        callable: b"application",
        process_group: b"site",
        application_group: b"www",
        request_start: 1_700_000_000_000_000,
        queue_start: 1_700_000_000_000_001,
        body,
        body_complete,
        reloading: true,
        https: true,
        handler: b"wsgi-script",
        script_written: 1_600_000_000_000_000,
        ignore_activity: false,
        processor: 2,
        hook: None,
    };
    writer.finish(&fields).expect("a small head")
}

/// The head of a question to a script.
pub fn hook_head() -> Vec<u8> {
    let mut writer = HeadWriter::new(Vec::new());
    writer.variable(b"REQUEST_METHOD", b"GET");
    let hook: (Hook, &[&[u8]]) = (Hook::Password, &[b"ann", b"secret"]);
    let fields = HeadFields { script: b"/srv/auth.py", hook: Some(hook), ..HeadFields::default() };
    writer.finish(&fields).expect("a small head")
}

/// The payload of a response's head.
pub fn response_head(status: u16, reason: &[u8]) -> Vec<u8> {
    let mut writer = ResponseWriter::new(Vec::new(), status, reason);
    writer.header(b"Content-Type", b"text/plain");
    writer.header(b"X-Empty", b"");
    writer.into_buffer()
}

/// A frame of raw bytes.
pub fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame::put(&mut frame, kind, payload);
    frame
}

/// The header of a frame that is so much over its bound, in the smallest pieces.
fn header(kind: Kind, over: usize) -> Vec<u8> {
    let length = (kind.bound() + over) as u32;
    Seed::default().number(0).rest(length.to_le_bytes()).number(kind as u8).finish()
}

pub fn seeds() -> Vec<Named> {
    let (head, answer) = (request_head(b"a=1", true), response_head(200, b"OK"));
    let stream =
        [head.clone(), framed(Kind::Chunk, b"hello"), framed(Kind::End, b""), b"\0\0".to_vec()].concat();
    let oversize = [&framed(Kind::Log, b"first")[..], b"\xff\xff\xff\xff", &[Kind::Chunk as u8]].concat();
    let payload = head[frame::HEADER..].to_vec();
    let twice = [&payload[..], b"\x1a\x01b"].concat();
    let unknown = [&payload[..], b"\xf1\x0112345678\xfa\x01\x02hi"].concat();
    let spaced = [&answer[..], b"\x1a\x03a b\x1a\x01c"].concat();
    let odd = [&answer[..], b"\x1a\x03odd"].concat();
    let mut all = vec![
        ("frame", "whole-exchange", Seed::default().number(0xff).rest(&stream).finish()),
        ("frame", "byte-by-byte", Seed::default().number(0).rest(&stream).finish()),
        ("frame", "oversize", Seed::default().number(3).rest(&oversize).finish()),
        ("frame", "at-its-bound", header(Kind::End, 0)),
        ("frame", "one-over-its-bound", header(Kind::End, 1)),
        ("frame", "not-frames", Seed::default().number(5).rest("GET / HTTP/1.1\r\n").finish()),
        ("request_head", "whole", payload),
        ("request_head", "callable-twice", twice),
        ("request_head", "hook", hook_head()[frame::HEADER..].to_vec()),
        ("request_head", "unknown-fields", unknown),
        ("response_head", "whole", answer),
        ("response_head", "no-reason", response_head(404, b"")),
        ("response_head", "space-in-a-name", spaced),
        ("response_head", "name-without-value", odd),
        ("response_head", "status-out-of-range", response_head(1000, b"Far")),
    ];
    let named = [exchange(), control(), broker(), launch()].concat();
    all.extend(named.into_iter().map(|(name, bytes)| ("message", name, bytes)));
    all
}

type Payload = (&'static str, Vec<u8>);

fn seed<M: Message>(name: &'static str, message: &M) -> Payload {
    (name, Seed::default().number(M::KIND as u8).rest(message.encode()).finish())
}

fn exchange() -> Vec<Payload> {
    vec![
        seed("body-wanted", &BodyWanted { max: 4096 }),
        seed("body-error", &BodyError { reason: "the client has gone".into() }),
        seed("log", &Log { level: Level::Warning, text: "careful".into(), site: None }),
        seed("file", &File { offset: 10, length: 1 << 40 }),
        seed("abort", &Abort { cause: AbortCause::Application, detail: "it raised".into() }),
        seed("ask", &Ask::SslVariable("SSL_CLIENT_S_DN".into())),
        seed("answer", &Answer { value: Some("CN=ann".into()) }),
        seed("verdict-granted", &Verdict::Granted),
        seed("verdict-user", &Verdict::User("ann".into())),
        seed("verdict-groups", &Verdict::Groups(vec!["staff".into(), "admin".into()])),
        seed("verdict-route", &Verdict::Route(Route { callable: Some("app".into()), ..Route::default() })),
    ]
}

fn server() -> Server {
    Server {
        version: vec![2, 4, 62],
        description: "Apache/2.4.62 (Debian)".into(),
        mpm: "event".into(),
        built: "2025-01-01T00:00:00".into(),
        processes: 16,
        threads: 25,
    }
}

fn control() -> Vec<Payload> {
    let group = |name: &str| GroupDefinition {
        name: name.into(),
        options: vec![("threads".into(), "5".into()), ("user".into(), "www".into())],
        overlays: vec![Overlay {
            application_group: Some("www".into()),
            options: vec![("restrict-stdin".into(), "On".into())],
        }],
    };
    let preload = Preload {
        process_group: "site".into(),
        application_group: String::new(),
        script: "/srv/app.wsgi".into(),
    };
    let configure = Configure {
        instance: "/run/apache2.pid".into(),
        web_uid: 33,
        web_gid: 33,
        groups: vec![group(""), group("site")],
        preloads: vec![preload],
        server: server(),
    };
    let twice = Configure { groups: vec![group("site"), group("site")], ..configure.clone() };
    let worker =
        WorkerStatus { pid: 42, slot: 1, serial: 3, state: "ready".into(), claimed: 2, requests: 1_000 };
    let pool = PoolStatus {
        instance: "/run/apache2.pid".into(),
        process_group: "site".into(),
        application_group: "www".into(),
        workers: vec![worker],
        trouble: "no worker starts".into(),
    };
    vec![
        seed("configure", &configure),
        seed("configure-group-twice", &twice),
        seed("configured", &Configured { warnings: vec!["a group".into()], refusal: "no".into() }),
        seed("known", &Known { instance: "/run/apache2.pid".into() }),
        seed("known-reply", &KnownReply { known: true }),
        seed("post-scores", &PostScores { instance: "/run/apache2.pid".into(), board: "board".into() }),
        seed("status", &Status { pools: vec![pool], uptime_seconds: 86_400 }),
        seed("reload-group", &ReloadGroup { process_group: "site".into(), all: false }),
        seed("done", &Done { affected: 2, refusal: String::new() }),
    ]
}

fn broker() -> Vec<Payload> {
    let open = OpenPool {
        instance: "/run/apache2.pid".into(),
        process_group: "site".into(),
        application_group: "www".into(),
        script: "/srv/app.wsgi".into(),
        crowded: true,
    };
    vec![
        seed("open-pool", &open),
        seed(
            "pool-opened",
            &PoolOpened {
                pool: u64::MAX,
                socket_dir: "/run/wsgid/w".into(),
                trouble: "a worker ended".into(),
            },
        ),
        seed("pool-refused", &PoolRefused { cause: RefusalCause::TooMany, reason: "256 are open".into() }),
        seed("ask-fate", &AskFate { pool: 1, serial: 2 }),
        seed("fate", &Fate { words: "was killed by signal 9".into(), from_outside: true }),
    ]
}

fn launch() -> Vec<Payload> {
    let plan = LaunchPlan {
        group: "site".into(),
        uid: 1000,
        gid: 1000,
        groups: vec![4, 5],
        switch_user: true,
        umask: Some(0o22),
        nice: -5,
        batch: true,
        cpu_seconds: 1,
        cpu_seconds_hard: 22,
        root: Bytes::new(),
        data_bytes: 2,
        address_bytes: 3,
        directory: "/srv".into(),
        environment: vec!["LANG=C".into()],
        program: "/usr/bin/python3".into(),
        arguments: vec!["python3".into(), "-c".into()],
    };
    let worker = WorkerPlan {
        pool: 1,
        slot: 2,
        serial: 3,
        threads: 15,
        switch_interval: 0.005,
        process_group: "site".into(),
        multiprocess: true,
        python_path: vec!["/srv/lib".into()],
        home: "/srv".into(),
        preload: vec!["/srv/app.wsgi".into()],
        web_uid: 33,
        watch: true,
        processes: 2,
        restrict_signal: true,
        destroy_interpreter: true,
        server_metrics: true,
        server: server(),
        ..WorkerPlan::default()
    };
    vec![
        seed("launch-plan", &plan),
        seed("worker-plan", &worker),
        seed("ready", &Ready { loaded: false, failure: "SyntaxError: x".into() }),
        seed("reload-wanted", &ReloadWanted { reason: "app.py has changed".into() }),
        seed("note", &Note { level: 4, text: "slow".into() }),
        seed("retire", &Retire { reason: "script_reload".into(), seconds: 20 }),
        seed("interrupt", &Interrupt { thread: 1, begun: 2, abandon: false }),
        seed("attach", &Attach { pool: 1, serial: 2, loaded: true }),
        seed("buried", &Buried { pid: 4, status: 9 }),
        seed("worn", &Worn { reason: "maximum_requests".into() }),
    ]
}
