//! From the start of the two programs to their end. What is waited for at each step: the daemon's
//! socket, the application's import, httpd's port; then Ctrl-C, or a program's unexpected end.

use super::Refusal;
use super::account::Accountable;
use super::children::{Program, Trouble};
use super::site::Site;
use crate::sockets::control::SOCKET;
use crate::sockets::wire::Conversation;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};
use wsgid_proto::Message;
use wsgid_proto::control::{PoolStatus, Status, StatusQuery};
use wsgid_proto::frame::Kind;

/// What goes wrong, and what the application prints.
const LOG_LEVEL: &str = "warn,worker=info";

/// How often the programs are asked how far they are.
const ASK: Duration = Duration::from_millis(30);

/// The programs have so long to come up; the application's import has longer, in the daemon's care.
const STARTUP: Duration = Duration::from_secs(30);
const IMPORT: Duration = Duration::from_secs(150);

/// How far the application is.
enum Stand {
    Coming,
    Up,
    /// It serves its traceback.
    Unloaded,
    /// No worker stays up, and why.
    Failing(String),
}

/// Runs the site until somebody ends it.
pub async fn serve(site: &Site) -> Result<(), Refusal> {
    let mut end = Endings::new().map_err(Refusal::io("signals can't be watched"))?;
    let mut daemon = start_daemon(site)?;
    let begun = tokio::select! {
        begun = daemon_answers(site) => begun.map_err(Refusal::from),
        trouble = daemon.ended() => Err(trouble.into()),
        () = end.told() => Ok(false),
    };
    let result = match begun {
        Ok(true) => with_httpd(site, &mut daemon, &mut end).await,
        other => other.map(|_| ()),
    };
    daemon.end().await;
    result
}

async fn with_httpd(site: &Site, daemon: &mut Program, end: &mut Endings) -> Result<(), Refusal> {
    let conf = site.conf();
    let mut httpd = Program::start(
        &site.httpd.program,
        &[OsStr::new("-DFOREGROUND"), OsStr::new("-f"), conf.as_os_str()],
    )?;
    let result = tokio::select! {
        up = comes_up(site) => up.map(|()| true),
        trouble = daemon.ended() => Err(trouble),
        trouble = httpd.ended() => Err(trouble),
        () = end.told() => Ok(false),
    };
    let result = match result {
        Ok(true) => tokio::select! {
            trouble = daemon.ended() => Err(trouble),
            trouble = httpd.ended() => Err(trouble),
            () = end.told() => Ok(()),
        },
        other => other.map(|_| ()),
    };
    httpd.end().await;
    Ok(result?)
}

fn start_daemon(site: &Site) -> Result<Program, Refusal> {
    let mut arguments: Vec<OsString> =
        ["run", "--no-log-times", "--log-level", LOG_LEVEL, "--runtime-dir"].map(OsString::from).into();
    arguments.extend([site.runtime_directory().into(), "--state-dir".into(), site.state_directory().into()]);
    if site.reload {
        arguments.push("--watch".into());
    }
    if matches!(site.accountable, Accountable::AsRoot { .. }) {
        arguments.push("--as-self".into());
    }
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    Ok(Program::start(site.installation.program(), &arguments)?)
}

async fn daemon_answers(site: &Site) -> Result<bool, Trouble> {
    let begin = Instant::now();
    while status(site).await.is_none() {
        in_time(site, begin, STARTUP)?;
        sleep(ASK).await;
    }
    Ok(true)
}

/// Waits for the application and the port, and says so.
async fn comes_up(site: &Site) -> Result<(), Trouble> {
    let begin = Instant::now();
    loop {
        let pool = status(site).await.and_then(|status| status.pools.into_iter().next());
        match pool.map_or(Stand::Coming, |pool| stand(&pool)) {
            Stand::Up => match site.lacks() {
                None => break,
                Some((script, callable)) => {
                    return Err(Trouble::NoCallable { script: script.into(), callable });
                }
            },
            Stand::Unloaded if site.reload => {
                eprintln!("wsgid serve: {} does not import; it is tried again when it changes", site.name);
                break;
            }
            Stand::Unloaded => return Err(Trouble::Import(site.name.clone())),
            Stand::Failing(trouble) => {
                return Err(Trouble::Worker { application: site.name.clone(), trouble });
            }
            Stand::Coming => {}
        }
        in_time(site, begin, IMPORT)?;
        sleep(ASK).await;
    }
    while TcpStream::connect((site.port.address, site.port.number)).await.is_err() {
        in_time(site, begin, IMPORT)?;
        sleep(ASK).await;
    }
    let mut out = io::stdout();
    if let Some(usual) = site.port.instead_of {
        let _ = writeln!(out, "Port {usual} is in use, so this is {}.", site.port.number);
    }
    let _ = writeln!(out, "Serving {} at {} (Ctrl-C ends)", site.name, site.port.url());
    let _ = out.flush();
    Ok(())
}

fn stand(pool: &PoolStatus) -> Stand {
    let ready = pool.workers.iter().any(|worker| worker.state == "ready");
    match (ready, pool.trouble.is_empty()) {
        (true, true) => Stand::Up,
        (true, false) => Stand::Unloaded,
        (false, true) => Stand::Coming,
        (false, false) => Stand::Failing(pool.trouble.clone()),
    }
}

fn in_time(site: &Site, begin: Instant, limit: Duration) -> Result<(), Trouble> {
    if begin.elapsed() < limit {
        return Ok(());
    }
    Err(Trouble::Late { application: site.name.clone(), seconds: limit.as_secs() })
}

/// What the daemon says, if it says anything.
async fn status(site: &Site) -> Option<Status> {
    let stream = UnixStream::connect(site.runtime_directory().join(SOCKET)).await.ok()?;
    let mut conversation = Conversation::new(stream);
    conversation.send(STARTUP, &StatusQuery {}).await.ok()?;
    let frame = conversation.next_within(STARTUP, &[Kind::Status]).await.ok()??;
    Status::from_frame(frame).ok()
}

/// The ways in which somebody ends us.
struct Endings {
    signals: [Signal; 3],
}

impl Endings {
    fn new() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hang_up] = kinds.map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hang_up?] })
    }

    async fn told(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
