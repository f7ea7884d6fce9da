//! Telling the daemon the configuration, from the Apache parent. A daemon that is not there is no
//! reason not to start: the configuration is left for it in its runtime directory, where that can be
//! written, and offered again by the parent's maintenance.

use crate::channel::Channel;
use crate::runtime::Runtime;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use wsgid_proto::control::{Configured, Known, KnownReply};
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

/// Asks whether the daemon still knows, and tells it if not. Silent when it is not there: that has
/// been said once.
pub fn remind(runtime: &Runtime) -> Report {
    let ask = Known { instance: runtime.configuration.instance.clone() };
    match converse::<KnownReply>(&runtime.control, &ask.frame(), SHORT_PATIENCE) {
        Ok(KnownReply { known: false }) => match send_configuration(runtime, SHORT_PATIENCE) {
            Ok(answer) => verdict(runtime, answer),
            Err(_) => Report::new(),
        },
        _ => Report::new(),
    }
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
    runtime.met_daemon();
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
    let directory = runtime.control.with_file_name("pending");
    match fs::DirBuilder::new().mode(0o755).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let target = pending_file(&directory, &runtime.configuration.instance);
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

/// One file for each instance, whatever characters its name has.
fn pending_file(directory: &Path, instance: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    instance.hash(&mut hasher);
    directory.join(format!("{:016x}.configure", hasher.finish()))
}
