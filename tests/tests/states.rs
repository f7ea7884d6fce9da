//! Each end of the protocol in turn is scripted, and killed or stopped in every state that it can be in, while the
//! other end and the daemon are real; or the daemon is, while it goes on. Whoever asks has an answer in time, a
//! response that is not whole is never made to look so, and everything is as before soon after.

use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use wsgid_tests::board::PoolBoard;
use wsgid_tests::family::Process;
use wsgid_tests::peer::{Errand, Home, HttpdChild, SCRIPTED};
use wsgid_tests::wait::until;
use wsgid_tests::{Connection, Mpm, Plan, Request, Stack};

/// Nobody waits for longer, whatever happens: all time-outs in a row, and a start of Python's.
const IN_TIME: Duration = Duration::from_secs(10);

/// What the real application answers.
const REAL: &str = "real\n";

/// Reads its body first. /big answers more than all buffers between it and its client hold, /hold when the file of
/// the query is there.
const APP: &str = r#"
import os, time

def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/big":
        return (bytes(65536) for _ in range(512))
    if environ["PATH_INFO"] == "/hold":
        while not os.path.exists(environ["QUERY_STRING"]):
            time.sleep(0.005)
    return [b"real\n"]
"#;

/// Of the group.
const THREADS: u32 = 2;

fn plan(options: &str) -> Plan {
    Stack::on(Mpm::Event)
        .config(&format!("WSGIDaemonProcess site processes=1 threads={THREADS} {options}"))
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", APP)
}

/// What a client has of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The answer of the worker that comes after.
    Next,
    /// The answer of the worker itself.
    Answer,
    /// That there is none, in so many words.
    Status(u16),
    /// A response that everybody sees is not whole.
    Cut,
}

impl Due {
    fn of(connection: &mut Connection) -> Self {
        match connection.reply() {
            Ok(reply) if reply.whole && reply.status == 200 && reply.text() == REAL => Due::Next,
            Ok(reply) if reply.whole && reply.status == 200 && reply.text() == SCRIPTED => Due::Answer,
            Ok(reply) if reply.whole => Due::Status(reply.status),
            _ => Due::Cut,
        }
    }
}

/// One request, whose answer has to be there in time.
#[track_caller]
fn due(stack: &Stack, body: usize) -> Due {
    let begun = Instant::now();
    let due = Due::of(&mut ask(stack, &Request::post("/", vec![b'x'; body])));
    assert!(begun.elapsed() < IN_TIME, "{due:?} after {:?}", begun.elapsed());
    due
}

fn ask(stack: &Stack, request: &Request) -> Connection {
    let mut connection = stack.connect();
    connection.send(request.bytes());
    connection
}

/// How a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// SIGKILL.
    Killed,
    /// SIGSTOP, which the daemon finds out.
    Stopped,
    /// SIGSTOP, which nobody looks out for: there are the client's own time-outs.
    Unnoticed,
}

impl Fate {
    fn signal(self) -> Signal {
        if self == Fate::Killed { Signal::SIGKILL } else { Signal::SIGSTOP }
    }

    /// Different ones, so that it is known which is the first to end.
    fn timeouts(self) -> &'static str {
        match self {
            Fate::Unnoticed => "startup-timeout=3 deadlock-timeout=0 socket-timeout=2",
            _ => "startup-timeout=3 deadlock-timeout=1 socket-timeout=8",
        }
    }
}

/// More of a body than goes along with a head.
const BODY: usize = 1 << 20;

/// The scripted worker, or template, meets its fate in that state, with a request of which this is due. Then there is
/// a real worker, and nothing is left of the scripted one.
fn worker(options: &str, state: &str, fate: Fate, wanted: Due) {
    let home = Home::of(env!("CARGO_BIN_EXE_peer"), state, Some(fate.signal()));
    let timeouts = fate.timeouts();
    let options = format!("python-home=@HOME@ {timeouts} graceful-timeout=1 shutdown-timeout=1 {options}");
    let stack = plan(&options).with("HOME", home.path()).run();
    let (seen, scripted) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| due(&stack, body_for(state)));
        if state.starts_with("retiring") {
            until("it is busy, or idle again", || asked.is_finished() || claimed(&stack) == 1);
            stack.wsgictl(&["reload", "site"]);
        }
        let scripted = home.until_met();
        (asked.join().unwrap(), scripted)
    });
    assert_eq!(seen, wanted, "{state} {fate:?}");
    if fate == Fate::Unnoticed {
        // As long as it stands there as ready, others would wait for it, too.
        Process::find(scripted).inspect(|process| process.signal(Signal::SIGKILL));
    }
    assert_eq!(due(&stack, BODY), Due::Next, "{state} {fate:?}");
    it_is_replaced(&stack, scripted);
}

/// A real worker is in the place of the scripted one, of which nothing is left.
#[track_caller]
fn it_is_replaced(stack: &Stack, scripted: i32) {
    until("another worker is in its place, and it is gone", || {
        let ready = stack.daemon().ready_workers("site");
        ready.len() == 1 && ready[0] != scripted as u32 && Process::find(scripted).is_none()
    });
    let board = PoolBoard::of(stack, "site");
    until("nothing is claimed", || (board.claimed(), board.waiting(), board.in_hand()) == (0, 0, 0));
    assert_eq!(due(stack, BODY), Due::Next);
}

/// The body of the request that leads a worker to that state.
fn body_for(state: &str) -> usize {
    if state.starts_with("body") { BODY } else { 0 }
}

/// What is the matter with a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absence {
    /// SIGKILL; later there is another.
    Killed,
    /// SIGSTOP, and SIGCONT later.
    Stopped,
}

impl Absence {
    fn begin(self, stack: &mut Stack) {
        match self {
            Absence::Killed => stack.kill_daemon(),
            Absence::Stopped => stack.daemon().signal(Signal::SIGSTOP),
        }
    }

    fn end(self, stack: &mut Stack) {
        match self {
            Absence::Killed => stack.start_daemon(),
            Absence::Stopped => stack.daemon().signal(Signal::SIGCONT),
        }
    }
}

/// From that state on the scripted worker, or template, has no daemon. Its request is due all the same, and before
/// there is one again if it `needs_none`.
fn without_daemon(options: &str, state: &str, absence: Absence, needs_none: bool, wanted: Due) {
    let home = Home::of(env!("CARGO_BIN_EXE_peer"), state, None);
    let timeouts = Fate::Unnoticed.timeouts();
    let options = format!("python-home=@HOME@ {timeouts} graceful-timeout=1 shutdown-timeout=1 {options}");
    let mut stack = plan(&options).with("HOME", home.path()).run();
    let (mut connection, body) = (stack.connect(), body_for(state));
    let asked = std::thread::spawn(move || {
        connection.send(Request::post("/", vec![b'x'; body]).bytes());
        Due::of(&mut connection)
    });
    let has_it = || asked.is_finished() || claimed(&stack) == 1;
    if state.starts_with("retiring") {
        until("it is busy, or idle again", has_it);
        stack.wsgictl(&["reload", "site"]);
    }
    let scripted = home.until_there();
    until("it has its request", || !needs_none || has_it());
    let begun = Instant::now();
    absence.begin(&mut stack);
    home.go_on();
    until("its request is done", || !needs_none || asked.is_finished());
    absence.end(&mut stack);
    assert_eq!(asked.join().unwrap(), wanted, "{state} {absence:?}");
    assert_eq!(due(&stack, BODY), Due::Next, "{state} {absence:?}");
    assert!(begun.elapsed() < IN_TIME, "{state} {absence:?} {:?}", begun.elapsed());
    it_is_replaced(&stack, scripted);
}

/// Both absences, side by side, with what is due in each.
fn each_absence(options: &str, state: &str, needs_none: bool, dues: [(Absence, Due); 2]) {
    std::thread::scope(|scope| {
        for (absence, due) in dues {
            scope.spawn(move || without_daemon(options, state, absence, needs_none, due));
        }
    });
}

fn claimed(stack: &Stack) -> u32 {
    stack.daemon().pools("site").iter().flat_map(|pool| &pool.workers).map(|worker| worker.claimed).sum()
}

/// Every fate in that state, side by side: each is mostly spent waiting for a time-out.
fn each_fate<const N: usize>(options: &str, state: &str, dues: [(Fate, Due); N]) {
    std::thread::scope(|scope| {
        for (fate, due) in dues {
            scope.spawn(move || worker(options, state, fate, due));
        }
    });
}

/// `state: what is due when the worker is killed, when it is stopped, and when nobody notices that;`
macro_rules! workers {
    ($($(#[$doc:meta])* $state:ident: $killed:expr, $stopped:expr, $unnoticed:expr;)*) => {
        mod worker {
            use super::{Due::*, Fate::*, each_fate};
            $($(#[$doc])* #[test] fn $state() {
                each_fate("", stringify!($state), [(Killed, $killed), (Stopped, $stopped), (Unnoticed, $unnoticed)]);
            })*
        }

        /// It serves without, as soon as the daemon has heard that it is ready.
        mod worker_without_daemon {
            use super::{Absence::*, Due::*, each_absence};
            $(#[test] fn $state() {
                let state = stringify!($state);
                let is_known = state != "started";
                let killed = if is_known { Answer } else { Next };
                each_absence("", state, is_known, [(Killed, killed), (Stopped, Answer)]);
            })*
        }
    };
}

workers! {
    /// It is a process, and has said nothing: `startup-timeout` notices in any case.
    started: Next, Next, Next;
    /// `Ready` said, nobody accepted: a head that nobody read is the next worker's.
    ready: Next, Next, Status(504);
    /// A head lies there unread.
    accepted: Next, Next, Status(504);
    /// Nobody but the application knows what it has done by now.
    head_read: Status(502), Status(502), Status(504);
    /// The same, while it is being retired.
    retiring_busy: Status(502), Status(502), Status(504);
    /// It has asked for a part of the body, which is more than fits into a socket.
    body_wanted: Status(502), Status(502), Status(504);
    /// It has a part of the body.
    body_received: Status(502), Status(502), Status(504);
    half_a_head_sent: Status(502), Status(502), Status(504);
    /// httpd has the head, and from now on all that it can do is to cut the response short.
    head_sent: Cut, Cut, Cut;
    half_a_chunk_sent: Cut, Cut, Cut;
    chunk_sent: Cut, Cut, Cut;
    half_an_end_sent: Cut, Cut, Cut;
    /// The response is whole; that the thread is free again has not been said.
    end_sent: Answer, Answer, Answer;
    idle: Answer, Answer, Answer;
    /// Asked to end, and does not.
    retiring: Answer, Answer, Answer;
}

/// No state of a template's is anything to a request but that it waits for the next. A copy is killed only where its
/// template does not fork for somebody else, which the scripted one can't.
macro_rules! templates {
    ($($(#[$doc:meta])* $state:ident: $($fate:ident)+;)*) => {
        mod template {
            use super::{Due::Next, Fate::*, each_fate};
            $($(#[$doc])* #[test] fn $state() {
                each_fate("preload=on", stringify!($state), [$(($fate, Next)),+]);
            })*
        }

        /// It ends with its daemon.
        mod template_without_daemon {
            use super::{Absence::*, Due::Next, each_absence};
            $(#[test] fn $state() {
                each_absence("preload=on", stringify!($state), false, [(Killed, Next), (Stopped, Next)]);
            })*
        }
    };
}

templates! {
    importing: Killed Stopped;
    imported: Killed Stopped;
    /// It has what it needs for a copy, and there is none.
    ordered: Killed Stopped;
    /// The copy has told which process it is.
    born: Stopped;
    /// The copy is taken for a worker, and has not said `Ready`.
    welcomed: Stopped;
}

/// Requests that the application holds, one on each thread.
struct Held {
    connections: Vec<Connection>,
}

impl Held {
    /// With none of them answered yet, and not necessarily begun.
    fn of_every_thread(stack: &Stack) -> Self {
        let go = stack.place.path("go");
        let _ = std::fs::remove_file(&go);
        let request = Request::get(&format!("/hold?{}", go.display()));
        Self { connections: (0..THREADS).map(|_| ask(stack, &request)).collect() }
    }

    /// All of them are answered.
    #[track_caller]
    fn finish(self, stack: &Stack) {
        stack.place.write("go", "");
        assert!(self.connections.into_iter().all(|mut held| Due::of(&mut held) == Due::Next));
    }
}

/// As many requests as there are threads run side by side, and one more waits, which is who puts in order what the
/// dead child has left. Then nothing is left of anybody.
#[track_caller]
fn every_thread_serves(stack: &Stack, board: &PoolBoard, dead: u32) {
    let begun = Instant::now();
    let held = Held::of_every_thread(stack);
    until("all threads are busy", || board.active() == THREADS);
    let mut one_more = ask(stack, &Request::get("/"));
    let counts = || (board.has_row_of(dead), board.claimed(), board.waiting(), board.in_hand());
    until("that one alone waits", || counts() == (false, THREADS, 1, 0));
    held.finish(stack);
    assert_eq!(Due::of(&mut one_more), Due::Next);
    until("nothing is claimed", || counts() == (false, 0, 0, 0));
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
}

/// What a scripted child of httpd's is to do.
fn errand(stack: &Stack, state: &str) -> Errand {
    Errand {
        state: state.into(),
        mark: stack.place.path("mark"),
        broker: stack.place.path("run/broker.sock"),
        instance: stack.daemon().pools("site")[0].instance.clone(),
        process_group: "site".into(),
        script: stack.place.path("code/app.wsgi"),
    }
}

/// With its one worker ready.
fn ready(options: &str) -> (Stack, PoolBoard) {
    let stack = plan(options).run();
    until("the worker is ready", || stack.daemon().ready_workers("site").len() == 1);
    let board = PoolBoard::of(&stack, "site");
    (stack, board)
}

fn start(errand: &Errand) -> HttpdChild {
    HttpdChild::start(env!("CARGO_BIN_EXE_peer"), errand)
}

/// What happens while a child of httpd's stands in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    ChildKilled,
    /// And killed in the end.
    ChildStopped,
    /// And the next takes the worker over; the child is killed in the end.
    DaemonKilled,
    /// And continued in the end, with the child killed before.
    DaemonStopped,
}

/// A scripted child of httpd's stands in that state while it or the daemon has its fate. A real one has its requests
/// served meanwhile, by a worker that is none the worse for it.
#[track_caller]
fn child(state: &str) {
    let (mut stack, board) = ready("socket-timeout=5");
    let (workers, errand) = (stack.daemon().ready_workers("site"), errand(&stack, state));
    for meanwhile in
        [Meanwhile::ChildKilled, Meanwhile::ChildStopped, Meanwhile::DaemonKilled, Meanwhile::DaemonStopped]
    {
        // To a child that knows the way: others would have to ask the daemon.
        let mut kept = ask(&stack, &Request::get("/"));
        assert_eq!(Due::of(&mut kept), Due::Next);
        let held = (state == "queued").then(|| Held::of_every_thread(&stack));
        until("its threads are busy", || held.is_none() || board.active() == THREADS);
        let peer = start(&errand);
        assert!(board.has_row_of(peer.pid()), "{state}");
        let (dead, mut peer) = (peer.pid(), Some(peer));
        match meanwhile {
            Meanwhile::ChildKilled => drop(peer.take()),
            Meanwhile::ChildStopped => peer.iter().for_each(HttpdChild::stop),
            Meanwhile::DaemonKilled => {
                stack.kill_daemon();
                stack.start_daemon();
                until("the worker is taken over", || stack.daemon().ready_workers("site") == workers);
            }
            Meanwhile::DaemonStopped => stack.daemon().signal(Signal::SIGSTOP),
        }
        // Where it was the first in the queue, it is woken in vain.
        kept.send(Request::get("/").bytes());
        let waiting = if meanwhile == Meanwhile::ChildKilled { 1 } else { 2 };
        until("that waits, too", || held.is_none() || board.waiting() == waiting);
        held.into_iter().for_each(|held| held.finish(&stack));
        assert_eq!(Due::of(&mut kept), Due::Next, "{state} {meanwhile:?}");
        kept.send(Request::post("/", vec![b'x'; BODY]).bytes());
        assert_eq!(Due::of(&mut kept), Due::Next, "{state} {meanwhile:?}");
        drop(peer);
        stack.daemon().signal(Signal::SIGCONT); // which is nothing to one that runs
        every_thread_serves(&stack, &board, dead);
    }
    assert_eq!(stack.daemon().ready_workers("site"), workers, "{state}");
}

macro_rules! children {
    ($($(#[$doc:meta])* $state:ident;)*) => {
        mod child {
            $($(#[$doc])* #[test] fn $state() {
                super::child(stringify!($state));
            })*
        }
    };
}

children! {
    /// It has the board, and has signed its ledger.
    opened;
    /// Every thread is busy.
    queued;
    claimed;
    connected;
    half_a_head_sent;
    /// The worker may have begun, while the ledger still says that the claim is the child's.
    head_sent_and_in_hand;
    head_sent;
    body_wanted;
    half_a_chunk_sent;
    half_the_body_sent;
    most_of_the_body_sent;
    /// The application answers, and nobody reads that.
    body_sent;
    head_received;
    half_the_response_received;
    /// The connection is kept for another request.
    end_received;
}

/// One for each thread, stopped in that state.
fn stopped_on_every_thread(stack: &Stack, state: &str) -> Vec<HttpdChild> {
    let errand = errand(stack, state);
    let peers: Vec<HttpdChild> = (0..THREADS).map(|_| start(&errand)).collect();
    peers.iter().for_each(HttpdChild::stop);
    peers
}

/// What they have claimed is theirs as long as they live: others are told so in time, and served as soon as they are
/// gone.
#[test]
fn stopped_children_with_every_thread_claimed() {
    for state in ["claimed", "half_a_head_sent"] {
        let (stack, board) = ready("queue-timeout=1");
        let peers = stopped_on_every_thread(&stack, state);
        assert_eq!(due(&stack, BODY), Due::Status(504), "{state}");
        let dead = peers[0].pid();
        drop(peers);
        every_thread_serves(&stack, &board, dead);
    }
}

/// Their requests have what requests may have, and others wait for no longer.
#[test]
fn stopped_children_with_every_thread_at_work() {
    let (stack, _) = ready("request-timeout=1 graceful-timeout=1 shutdown-timeout=1");
    for state in ["body_wanted", "body_sent"] {
        let peers = stopped_on_every_thread(&stack, state);
        assert_eq!(due(&stack, BODY), Due::Next, "{state}");
        drop(peers);
    }
}
