//! Each end of the protocol in turn is scripted, and killed or stopped in every state that it can be in, while the
//! other end and the daemon are real: whoever asks has an answer in time, a response that is not whole is never made
//! to look so, and everything is as before soon after.

use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use wsgid_tests::board::PoolBoard;
use wsgid_tests::family::Process;
use wsgid_tests::peer::{Home, SCRIPTED};
use wsgid_tests::wait::until;
use wsgid_tests::{Connection, Mpm, Plan, Request, Stack};

/// Nobody waits for longer, whatever happens: all time-outs in a row, and a start of Python's.
const IN_TIME: Duration = Duration::from_secs(10);

/// What the real application answers.
const REAL: &str = "real\n";

const APP: &str = r#"
def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"real\n"]
"#;

fn plan(options: &str) -> Plan {
    Stack::on(Mpm::Event)
        .config(&format!("WSGIDaemonProcess site processes=1 {options}"))
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
    fn of(mut connection: Connection) -> Self {
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
    let mut connection = stack.connect();
    connection.send(Request::post("/", vec![b'x'; body]).bytes());
    let due = Due::of(connection);
    assert!(begun.elapsed() < IN_TIME, "{due:?} after {:?}", begun.elapsed());
    due
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
            Fate::Unnoticed => "startup-timeout=2 deadlock-timeout=0 socket-timeout=1",
            _ => "startup-timeout=2 deadlock-timeout=1 socket-timeout=8",
        }
    }
}

/// More of a body than goes along with a head.
const BODY: usize = 1 << 20;

/// The scripted worker meets its fate in that state, with a request of which this is due. Then there is a real
/// worker in its place, and nothing is left of it.
fn worker(state: &str, fate: Fate, wanted: Due) {
    let home = Home::of(env!("CARGO_BIN_EXE_peer"), state, fate.signal());
    let options = format!("python-home=@HOME@ {} graceful-timeout=1 shutdown-timeout=1", fate.timeouts());
    let stack = plan(&options).with("HOME", home.path()).run();
    let (seen, scripted) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| due(&stack, if state.starts_with("body") { BODY } else { 0 }));
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
    until("another worker is in its place, and it is gone", || {
        let ready = stack.daemon().ready_workers("site");
        ready.len() == 1 && ready[0] != scripted as u32 && Process::find(scripted).is_none()
    });
    let board = PoolBoard::of(&stack, "site");
    until("nothing is claimed", || (board.claimed(), board.waiting(), board.in_hand()) == (0, 0, 0));
    assert_eq!(due(&stack, BODY), Due::Next, "{state} {fate:?}");
}

fn claimed(stack: &Stack) -> u32 {
    stack.daemon().pools("site").iter().flat_map(|pool| &pool.workers).map(|worker| worker.claimed).sum()
}

/// Every fate in that state, side by side: each is mostly spent waiting for a time-out.
fn worker_in(state: &str, dues: [(Fate, Due); 3]) {
    std::thread::scope(|scope| {
        for (fate, due) in dues {
            scope.spawn(move || worker(state, fate, due));
        }
    });
}

/// `state: what is due when the worker is killed, when it is stopped, and when nobody notices that;`
macro_rules! workers {
    ($($(#[$doc:meta])* $state:ident: $killed:expr, $stopped:expr, $unnoticed:expr;)*) => {
        mod worker {
            use super::{Due::*, Fate::*, worker_in};
            $($(#[$doc])* #[test] fn $state() {
                worker_in(stringify!($state), [(Killed, $killed), (Stopped, $stopped), (Unnoticed, $unnoticed)]);
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
