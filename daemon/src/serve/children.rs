//! The two programs of a site: `wsgid run` and httpd, each in a process group of its own, so that
//! Ctrl-C reaches them through us and in order. Should we be killed, the kernel tells them.

use crate::sys::process;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Beyond what its own deadlines allow, a program that was told to end gets so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Output of a process that outlives its program is not waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program does not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It does not start.
    #[error("{program} can't be started: {error}")]
    Start { program: String, error: io::Error },
    /// It has ended, and nobody told it to.
    #[error("{program} has ended ({status}); what it said is above")]
    Ended { program: String, status: ExitStatus },
    /// The application does not import.
    #[error("{0} does not import; its traceback is above")]
    Import(String),
    /// It imports, and there is nothing to call.
    #[error("{} has no '{callable}': a WSGI script has to define it; another name can be had with module:callable", .script.display())]
    NoCallable { script: PathBuf, callable: &'static str },
    /// Its process does not come up.
    #[error("{application} does not start: {trouble}")]
    Worker { application: String, trouble: String },
    /// Nothing happens.
    #[error("{application} is not up after {seconds} seconds")]
    Late { application: String, seconds: u64 },
}

/// A running program. To be ended with [`Program::end`]; one that is dropped is killed.
#[derive(Debug)]
pub struct Program {
    name: String,
    pid: Option<Pid>,
    child: Child,
    relays: [JoinHandle<()>; 2],
}

impl Program {
    /// Starts it; what it prints is printed.
    pub fn start(program: &Path, arguments: &[&std::ffi::OsStr]) -> Result<Self, Trouble> {
        let name = program.display().to_string();
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        process::end_with_parent(&mut command);
        let mut command = Command::from(command);
        let spawned = command.kill_on_drop(true).spawn();
        let mut child = spawned.map_err(|error| Trouble::Start { program: name.clone(), error })?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let relays = [
            tokio::spawn(relay(child.stdout.take(), io::stdout())),
            tokio::spawn(relay(child.stderr.take(), io::stderr())),
        ];
        Ok(Self { name, pid, child, relays })
    }

    /// Its end, which is trouble unless we asked for it.
    pub async fn ended(&mut self) -> Trouble {
        match self.child.wait().await {
            Ok(status) => Trouble::Ended { program: self.name.clone(), status },
            Err(error) => Trouble::Start { program: self.name.clone(), error },
        }
    }

    /// Ends it: in peace if it can, and all that it has printed is printed when this returns.
    pub async fn end(mut self) {
        if let Some(pid) = self.pid {
            if self.child.id().is_some() {
                let _ = kill(pid, Signal::SIGTERM);
                let _ = timeout(PATIENCE, self.child.wait()).await;
            }
            // Whoever is left of its process group, be it the program itself or, where somebody
            // killed it, children that nobody looks after any more.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = self.child.wait().await;
        }
        for relay in &mut self.relays {
            let _ = timeout(LAST_WORDS, relay).await;
        }
    }
}

/// Copies lines, whole: two programs share the terminal.
async fn relay(from: Option<impl AsyncRead + Unpin>, mut to: impl Write) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(from.read_until(b'\n', &mut line).await, Ok(1..)) {
        let _ = to.write_all(&line).and_then(|()| to.flush()); // nobody may be looking
        line.clear();
    }
}
