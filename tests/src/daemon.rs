//! A running `wsgid run`, and what it says of its pools.

use crate::httpd::Identity;
use crate::place::Place;
use crate::stage::staged;
use crate::wait::{PATIENCE, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use wsgid_proto::control::{PoolStatus, Status, StatusQuery};
use wsgid_proto::frame::{self, Frame};
use wsgid_proto::{Message, frame::Kind};

/// The daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    control: PathBuf,
}

impl Daemon {
    /// Starts in the place's directories, as a service manager does, and waits until it says that it
    /// is ready. From then on its control socket has to answer.
    pub fn start(place: &Place, identity: Identity) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(place.path("logs/wsgid.log")).unwrap();
        let mut command = Command::new(staged("usr/sbin/wsgid"));
        command.arg("run").arg("--runtime-dir").arg(place.path("run"));
        command.arg("--state-dir").arg(place.path("state"));
        // As a service manager starts it, with more to read when a test fails.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8");
        command.arg("--log-level=debug").current_dir("/").envs(place.environment());
        let (notices, notify_socket) = notify_socket(place);
        command.env("NOTIFY_SOCKET", notify_socket);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        if let Some((user, group)) = identity {
            command.uid(user).gid(group);
        }
        let mut daemon = Self { child: command.spawn().unwrap(), control: place.path("run/control.sock") };
        eventually(PATIENCE, "wsgid starts", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("wsgid ended with {status}:\n{}", place.read("logs/wsgid.log"));
            }
            ready(&notices)
        });
        query(&daemon.control).unwrap();
        daemon
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What runs.
    #[track_caller]
    pub fn status(&self) -> Status {
        query(&self.control).unwrap()
    }

    /// The pools of a process group.
    #[track_caller]
    pub fn pools(&self, process_group: &str) -> Vec<PoolStatus> {
        self.status().pools.into_iter().filter(|pool| pool.process_group == process_group).collect()
    }

    /// Process ids of a group's ready workers, sorted.
    #[track_caller]
    pub fn ready_workers(&self, process_group: &str) -> Vec<u32> {
        let pools = self.pools(process_group);
        let workers = pools.iter().flat_map(|pool| &pool.workers);
        let mut pids: Vec<u32> = workers.filter(|w| w.state == "ready").map(|w| w.pid).collect();
        pids.sort();
        pids
    }

    /// A signal for it alone.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// SIGTERM; it has to end by itself, and well.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait("wsgid ends on SIGTERM");
        assert!(status.success(), "wsgid ended with {status}");
    }

    /// SIGUSR1: its workers stay.
    pub fn leave(mut self) {
        self.signal(Signal::SIGUSR1);
        let status = self.wait("wsgid ends on SIGUSR1");
        assert!(status.success(), "wsgid ended with {status}");
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.wait("wsgid ends on SIGKILL");
    }

    fn wait(&mut self, what: &str) -> std::process::ExitStatus {
        eventually(PATIENCE, what, || self.child.try_wait().unwrap().ok_or("it runs".into()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
        }
    }
}

/// A socket like the service manager's, for any user to write to.
fn notify_socket(place: &Place) -> (UnixDatagram, PathBuf) {
    let path = place.path("notify");
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    (socket, path)
}

/// Has `READY=1` come? See sd_notify(3).
fn ready(notices: &UnixDatagram) -> Result<(), String> {
    let mut buffer = [0; 4096];
    let length = notices.recv(&mut buffer).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    if text.lines().any(|line| line == "READY=1") { Ok(()) } else { Err(text) }
}

/// Asks a daemon what runs.
pub fn query(control: &Path) -> Result<Status, String> {
    let mut stream = UnixStream::connect(control).map_err(|e| format!("{}: {e}", control.display()))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&StatusQuery {}.frame()).map_err(|e| e.to_string())?;
    let (kind, payload) = read_frame(&mut stream)?;
    Status::from_frame(Frame { kind, payload: payload.into() }).map_err(|e| e.to_string())
}

/// Reads one frame.
pub fn read_frame(stream: &mut impl Read) -> Result<(Kind, Vec<u8>), String> {
    let mut header = [0; frame::HEADER];
    stream.read_exact(&mut header).map_err(|e| e.to_string())?;
    let (kind, length) = frame::parse_header(header).map_err(|e| e.to_string())?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).map_err(|e| e.to_string())?;
    Ok((kind, payload))
}
