//! `wsgictl`: what runs, and new workers for a group; a thin client of `control.sock`. And what is wrong with a
//! configuration, which needs no daemon: see [`check`](crate::check).

use crate::check;
use crate::cli::RUNTIME_DIRECTORY;
use crate::sockets::control::SOCKET;
use bytes::BytesMut;
use clap::{Parser, Subcommand};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use wsgid_proto::control::{Done, PoolStatus, ReloadGroup, Status, StatusQuery};
use wsgid_proto::{Message, frame};

/// The daemon answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows what wsgid runs, replaces workers, and checks configurations.
#[derive(Debug, Parser)]
#[command(name = "wsgictl", version)]
struct Cli {
    /// The daemon's runtime directory.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIRECTORY, global = true)]
    runtime_dir: PathBuf,
    /// The daemon's control socket, if it is not control.sock in the runtime directory.
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every pool and its workers.
    Status,
    /// Starts new workers for a process group; the old ones finish what they have.
    Reload {
        /// Name of the process group; "" is the implicit one.
        #[arg(required_unless_present = "all")]
        group: Option<String>,
        /// Every process group.
        #[arg(long, conflicts_with = "group")]
        all: bool,
    },
    /// Reads Apache's configuration and says what will go wrong, and how to mend it.
    Check(check::Arguments),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("wsgid can't be reached at {}: {error}", .socket.display())]
    Unreachable { socket: PathBuf, error: io::Error },
    #[error("wsgid hung up; only root and its own user may ask")]
    HungUp,
    #[error("the conversation with wsgid failed: {0}")]
    Io(#[from] io::Error),
    #[error("wsgid's answer makes no sense: {0}")]
    Frame(#[from] frame::FrameError),
    #[error("wsgid's answer makes no sense: {0}")]
    Message(#[from] wsgid_proto::DecodeError),
    #[error("{0}")]
    Refused(String),
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let named = cli.socket.is_some() || cli.runtime_dir != Path::new(RUNTIME_DIRECTORY);
    let socket = cli.socket.unwrap_or_else(|| cli.runtime_dir.join(SOCKET));
    let text = match cli.command {
        Command::Status => ask(&socket, &StatusQuery {}).map(|status| table(&status)),
        Command::Reload { group, .. } => reload(&socket, group),
        Command::Check(arguments) => return check::main(&arguments, named),
    };
    match text {
        Ok(text) => {
            let _ = io::stdout().write_all(text.as_bytes()); // a closed pipe is the reader's choice
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("wsgictl: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One process group, or all.
fn reload(socket: &Path, group: Option<String>) -> Result<String, NoAnswer> {
    let of = group.as_ref().map_or("every process group".into(), |name| format!("process group '{name}'"));
    let all = group.is_none();
    let done: Done = ask(socket, &ReloadGroup { process_group: group.unwrap_or_default(), all })?;
    if !done.refusal.is_empty() {
        return Err(NoAnswer::Refused(done.refusal));
    }
    Ok(format!("new workers are on their way for {} of {of}\n", counted(done.affected, "pool")))
}

fn ask<A: Message>(socket: &Path, question: &impl Message) -> Result<A, NoAnswer> {
    let unreachable = |error| NoAnswer::Unreachable { socket: socket.into(), error };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&question.frame()).map_err(|_| NoAnswer::HungUp)?;
    let mut input = BytesMut::new();
    let mut block = [0; 4096];
    loop {
        if let Some(frame) = frame::take(&mut input)? {
            return Ok(A::from_frame(frame)?);
        }
        match stream.read(&mut block) {
            Ok(0) => return Err(NoAnswer::HungUp),
            Ok(read) => input.extend_from_slice(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(NoAnswer::HungUp),
            Err(error) => return Err(error.into()),
        }
    }
}

fn counted(number: u32, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The status for people: a line for each pool, one for each of its workers.
fn table(status: &Status) -> String {
    let pools = counted(status.pools.len() as u32, "pool");
    let mut text = format!("wsgid has been up for {}, {pools}\n", duration(status.uptime_seconds));
    for pool in &status.pools {
        let _ = writeln!(text, "\n{}", heading(pool));
        if !pool.trouble.is_empty() {
            let _ = writeln!(text, "  trouble: {}", pool.trouble.replace('\n', "\n    "));
        }
        if !pool.workers.is_empty() {
            let _ = writeln!(text, "  {:>8}  {:<18}{:>5}{:>12}", "PID", "STATE", "BUSY", "REQUESTS");
        }
        for worker in &pool.workers {
            let (pid, state) = (worker.pid, &worker.state);
            let _ = writeln!(text, "  {pid:>8}  {state:<18}{:>5}{:>12}", worker.claimed, worker.requests);
        }
    }
    text
}

fn heading(pool: &PoolStatus) -> String {
    let group = if pool.process_group.is_empty() { "(implicit)" } else { &pool.process_group };
    let application = if pool.application_group.is_empty() { "%{GLOBAL}" } else { &pool.application_group };
    format!("{group}  application group {application}  of {}", pool.instance)
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsgid_proto::control::WorkerStatus;

    #[test]
    fn the_table_says_who_works_where_and_what_is_wrong() {
        let worker =
            WorkerStatus { pid: 42, state: "ready".into(), claimed: 3, requests: 99, ..Default::default() };
        let pool = PoolStatus {
            instance: "/run/httpd.pid".into(),
            process_group: "site".into(),
            workers: vec![worker],
            trouble: "it rains".into(),
            ..Default::default()
        };
        let text = table(&Status { pools: vec![pool], uptime_seconds: 3_700 });
        for part in
            ["1 h 1 min, 1 pool\n", "site  application group %{GLOBAL}", "trouble: it rains", "42", "99"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
