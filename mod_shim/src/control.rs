//! Telling the daemon the configuration, from the Apache parent. A daemon that is not there is no
//! reason not to start: the configuration is left for it in its runtime directory, where that can be
//! written, and offered again by the parent's maintenance.

use crate::channel::Channel;
use crate::runtime::Runtime;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use wsgid_proto::control::{Configured, Done, Known, KnownReply, PostScores};
use wsgid_proto::response::Level;
use wsgid_proto::{Message, frame::Frame};

/// The daemon writes its state to disk before it answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// The parent's maintenance may not be held up.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// Lines for the main error log.
pub type Report = Vec<(Level, String)>;

/// Tells the daemon, at the start and at each restart of httpd.
pub fn configure(runtime: &Runtime) -> Report {
    match send_configuration(runtime, PATIENCE) {
        Ok(answer) => verdict(runtime, answer),
        Err(error) => absent(runtime, &error),
    }
}

/// Tells a daemon that has not heard of this configuration yet, or has lost it. Silent when there is
/// none, and when it refuses again: both have been said once.
pub fn remind(runtime: &Runtime) -> Report {
    let ask = Known { instance: runtime.configuration.instance.clone() };
    let first = !runtime.is_answered();
    let known = !first
        && !matches!(
            converse(&runtime.control, &ask.frame(), SHORT_PATIENCE),
            Ok(KnownReply { known: false })
        );
    if known {
        return Report::new();
    }
    match send_configuration(runtime, SHORT_PATIENCE) {
        Ok(answer) if first || answer.refusal.is_empty() => verdict(runtime, answer),
        _ => Report::new(),
    }
}

/// Posts httpd's scoreboard where workers of groups that may see it can look it up: the parent sees all of it
/// at any time, workers have httpd's attention only while they serve a request. Nobody waits for it, and the
/// next comes in ten seconds.
pub fn post_scores(runtime: &Runtime, board: Vec<u8>) {
    let post = PostScores { instance: runtime.configuration.instance.clone(), board: board.into() };
    let _ = converse::<Done>(&runtime.control, &post.frame(), SHORT_PATIENCE);
}

fn send_configuration(runtime: &Runtime, patience: Duration) -> io::Result<Configured> {
    converse(&runtime.control, &runtime.configuration.frame(), patience)
}

fn converse<A: Message>(path: &Path, frame: &[u8], patience: Duration) -> io::Result<A> {
    let mut channel = Channel::connect(path, patience)?;
    channel.send(frame).map_err(io::Error::other)?;
    let answer: Frame = channel.receive().map_err(io::Error::other)?;
    A::from_frame(answer).map_err(io::Error::other)
}

fn verdict(runtime: &Runtime, answer: Configured) -> Report {
    runtime.set_answered();
    // What was left for an absent daemon is out of date now.
    let _ = fs::remove_file(pending_file(runtime));
    let mut report: Report = answer.warnings.into_iter().map(|text| (Level::Warning, text)).collect();
    if !answer.refusal.is_empty() {
        report.push((Level::Critical, format!("wsgid refuses the configuration: {}", answer.refusal)));
    }
    report
}

fn absent(runtime: &Runtime, error: &io::Error) -> Report {
    let mut report = vec![(
        Level::Warning,
        format!(
            "wsgid can't be reached at {}: {error}. Requests for WSGI applications are answered 503 until \
             it runs",
            runtime.control.display()
        ),
    )];
    if let Err(error) = leave_for_daemon(runtime) {
        report.push((
            Level::Info,
            format!("The configuration could not be left for wsgid to find ({error}); it is offered again every few seconds"),
        ));
    }
    report
}

/// Writes the configuration where the daemon looks when it starts. The whole file appears at once.
fn leave_for_daemon(runtime: &Runtime) -> io::Result<()> {
    let directory = pending_directory(runtime);
    match fs::DirBuilder::new().mode(0o755).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let target = pending_file(runtime);
    let draft = target.with_extension(format!("tmp{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&draft)?;
    let written = file.write_all(&runtime.configuration.frame()).and_then(|()| fs::rename(&draft, &target));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn pending_directory(runtime: &Runtime) -> PathBuf {
    runtime.control.with_file_name("pending")
}

/// One file for each instance, whatever characters its name has: the name is the FNV-1a hash of it, the
/// same in every build of this module.
fn pending_file(runtime: &Runtime) -> PathBuf {
    let hash = runtime.configuration.instance.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    pending_directory(runtime).join(format!("{hash:016x}.configure"))
}
