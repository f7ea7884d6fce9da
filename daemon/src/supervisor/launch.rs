//! From a plan to a running process: the worker's socket, the descriptors it is handed, and the spawn of
//! `wsgid-launch`, or the order to a template to fork. Every step has its own error, so that one line in the log
//! names it.

use super::interpreter::{self, NoInterpreter};
use super::plan::{self, Place};
use super::process::Process;
use super::template::{Parentage, Template};
use crate::configuration::Group;
use crate::installation::{Installation, Missing};
use crate::sockets::wire::Conversation;
use crate::sys::descriptors::{self, Limit};
use crate::sys::memory::{self, SharedWords};
use bytes::Bytes;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket, socketpair,
};
use nix::unistd::{Gid, Uid, chown, pipe2};
use std::ffi::{CStr, OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::net::{UnixStream, unix::pipe};
use wsgid_proto::launch::{
    BOARD_FD, CONTROL_FD, Extension, LISTEN_FD, NAME_FD, PLAN_FD, PULSE_FD, SCORES_FD, WORKER_PLAN_FD,
    WorkerPlan, bootstrap,
};
use wsgid_proto::pulse::Pulse;
use wsgid_proto::{Message, broker};

/// Why no process came to be.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The group has no Python.
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    /// The installation is not whole.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The extension is there and can't be opened.
    #[error("the Python extension {} can't be opened: {error}", .path.display())]
    Extension { path: PathBuf, error: io::Error },
    /// The worker's socket.
    #[error("the socket {} can't be made: {error}", .path.display())]
    Socket { path: PathBuf, error: io::Error },
    /// Pipes, memory files: the system is out of something.
    #[error("the descriptors for a worker can't be made: {0}")]
    Descriptors(#[from] io::Error),
    /// An environment of megabytes.
    #[error("the plan for a worker is too large: its environment has to shrink")]
    PlanSize,
    /// The launcher did not start.
    #[error("{} can't be started: {error}", .path.display())]
    Spawn { path: PathBuf, error: io::Error },
}

impl From<nix::Error> for LaunchError {
    fn from(errno: nix::Error) -> Self {
        Self::Descriptors(errno.into())
    }
}

/// What all launches have in common.
#[derive(Debug)]
pub struct Premises {
    /// Where the parts lie.
    pub installation: Installation,
    /// Directory of the workers' sockets.
    pub sockets: PathBuf,
    /// Where workers find the next daemon.
    pub attach: PathBuf,
    /// The daemon's own environment.
    pub environment: Vec<(OsString, OsString)>,
    /// May sockets be given to other users?
    pub root: bool,
    /// Workers watch every file they import.
    pub watch: bool,
    /// How many descriptors a worker may have.
    pub descriptors: Limit,
}

/// Where a worker's process comes from.
#[derive(Debug)]
pub enum Source {
    /// It is there: first the launcher, then Python; or an earlier daemon's.
    Running(Process),
    /// A template has been asked for it, and it will say which process it is.
    Template(Parentage),
}

/// A process that is on its way to being a worker.
#[derive(Debug)]
pub struct Launched {
    /// The process.
    pub source: Source,
    /// The daemon's end of the control socket.
    pub control: Conversation,
    /// What it prints.
    pub output: pipe::Receiver,
    /// What it shows of itself: a [`wsgid_proto::pulse::Pulse`].
    pub pulse: SharedWords,
}

/// A process that is on its way to being a template.
#[derive(Debug)]
pub struct LaunchedTemplate {
    /// The process.
    pub process: tokio::process::Child,
    /// The daemon's end of the control socket.
    pub control: Conversation,
    /// What it prints.
    pub output: pipe::Receiver,
}

/// What a worker has for itself alone: both ends of everything.
struct Equipment {
    plan: OwnedFd,
    control: OwnedFd,
    listener: OwnedFd,
    pulse: OwnedFd,
    name: OwnedFd,
    output: OwnedFd,
    ours: (Conversation, pipe::Receiver, SharedWords),
}

impl Equipment {
    fn launched(ours: (Conversation, pipe::Receiver, SharedWords), source: Source) -> Launched {
        let (control, output, pulse) = ours;
        Launched { source, control, output, pulse }
    }
}

impl Premises {
    /// The path of a worker's socket.
    pub fn socket_of(&self, pool: u64, serial: u32) -> PathBuf {
        self.sockets.join(broker::worker_socket(pool, serial))
    }

    /// Starts a worker.
    pub fn launch(
        &self,
        group: &Group,
        place: Place<'_>,
        board: BorrowedFd<'_>,
        scores: Option<OwnedFd>,
    ) -> Result<Launched, LaunchError> {
        let plan = self.worker_plan(group, place, scores.is_some());
        let Equipment { plan, control, listener, pulse, name, output, ours } =
            self.equip(group, place, &plan)?;
        let own = [
            (plan, WORKER_PLAN_FD),
            (control, CONTROL_FD),
            (listener, LISTEN_FD),
            (pulse, PULSE_FD),
            (name, NAME_FD),
        ];
        let spawned = self.spawn(group, own.into(), board, scores, output);
        if spawned.is_err() {
            let _ = fs::remove_file(self.socket_of(place.pool, place.serial));
        }
        Ok(Equipment::launched(ours, Source::Running(Process::Child(spawned?))))
    }

    /// Starts a template for workers of this place, whichever slot they will have.
    pub fn launch_template(
        &self,
        group: &Group,
        place: Place<'_>,
        board: BorrowedFd<'_>,
        scores: Option<OwnedFd>,
    ) -> Result<LaunchedTemplate, LaunchError> {
        let plan = WorkerPlan { template: true, ..self.worker_plan(group, place, scores.is_some()) };
        let plan = plan_file(c"wsgid-worker-plan", &plan)?;
        let (control, theirs) = control_pair()?;
        let (output, write_end) = output_pipe()?;
        let own = vec![(plan, WORKER_PLAN_FD), (theirs, CONTROL_FD)];
        let process = self.spawn(group, own, board, scores, write_end)?;
        Ok(LaunchedTemplate { process, control, output })
    }

    /// Has a template fork a worker.
    pub fn fork(
        &self,
        group: &Group,
        place: Place<'_>,
        template: &Arc<Template>,
    ) -> Result<Launched, LaunchError> {
        let plan = self.worker_plan(group, place, group.options.server_metrics);
        let Equipment { plan, control, listener, pulse, name, output, ours } =
            self.equip(group, place, &plan)?;
        if let Err(error) = ours.0.ask_for_credentials() {
            let _ = fs::remove_file(self.socket_of(place.pool, place.serial));
            return Err(error.into());
        }
        template.fork([plan, control, listener, pulse, name, output]);
        Ok(Equipment::launched(ours, Source::Template(template.parentage(group.identity.uid))))
    }

    fn worker_plan(&self, group: &Group, place: Place<'_>, server_metrics: bool) -> WorkerPlan {
        WorkerPlan {
            server_metrics,
            attach: self.attach_for(group),
            ..plan::worker_plan(group, place, self.watch)
        }
    }

    /// Below another root directory no path leads to the socket, and its abstract name does.
    fn attach_for(&self, group: &Group) -> Bytes {
        let path = self.attach.as_os_str().as_bytes();
        match &group.options.chroot {
            _ if self.watch => Bytes::new(),
            None => Bytes::copy_from_slice(path),
            Some(_) => [b"\0", path].concat().into(),
        }
    }

    fn equip(&self, group: &Group, place: Place<'_>, plan: &WorkerPlan) -> Result<Equipment, LaunchError> {
        let plan = plan_file(c"wsgid-worker-plan", plan)?;
        let (conversation, control) = control_pair()?;
        let (lines, output) = output_pipe()?;
        let words = SharedWords::create(c"wsgid-pulse", Pulse::size(group.options.threads))?;
        let pulse = words.file().try_clone_to_owned()?;
        // Last: a file that stays where something fails after it.
        let path = self.socket_of(place.pool, place.serial);
        let bound = self.listen(group, &path);
        let (listener, name) = bound.map_err(|error| LaunchError::Socket { path, error })?;
        Ok(Equipment { plan, control, listener, pulse, name, output, ours: (conversation, lines, words) })
    }

    /// Starts the launcher, which becomes the group's Python.
    fn spawn(
        &self,
        group: &Group,
        mut placed: Vec<(OwnedFd, i32)>,
        board: BorrowedFd<'_>,
        scores: Option<OwnedFd>,
        output: OwnedFd,
    ) -> Result<tokio::process::Child, LaunchError> {
        // A relative one begins where the daemon stands, as in mod_wsgi.
        let home =
            group.options.python_home.as_ref().map(|home| Path::new("/").join(OsStr::from_bytes(home)));
        let search_path = self.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path);
        let python = interpreter::find(home.as_deref(), search_path.map(OsString::as_os_str), |path| {
            executable(group, path)
        })?;
        let launcher = self.installation.launcher()?;
        let environment = plan::environment(self.environment.iter().cloned(), group);
        let (handed, files) = self.extensions()?;
        let bootstrap = bootstrap(&handed, group.options.free_threading);
        let plan = plan::launch_plan(group, &python, bootstrap, environment);
        placed.push((plan_file(c"wsgid-launch-plan", &plan)?, PLAN_FD));
        placed.extend(files.into_iter().zip(handed.iter().map(|extension| extension.descriptor)));
        placed.push((board.try_clone_to_owned()?, BOARD_FD));
        placed.extend(scores.map(|scores| (scores, SCORES_FD)));
        let mut command = Command::new(&launcher);
        command.env_clear().stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        descriptors::place(&mut command, placed, self.descriptors)?;
        let spawned = tokio::process::Command::from(command).spawn();
        spawned.map_err(|error| LaunchError::Spawn { path: launcher, error })
    }

    fn extensions(&self) -> Result<(Vec<Extension>, Vec<OwnedFd>), LaunchError> {
        let open = |(extension, path): (Extension, PathBuf)| match File::open(&path) {
            Ok(file) => Ok((extension, OwnedFd::from(file))),
            Err(error) => Err(LaunchError::Extension { path, error }),
        };
        self.installation.extensions()?.into_iter().map(open).collect()
    }

    /// Only the web user (and root) may connect, and only while the worker listens. With the socket comes the file
    /// that is its name.
    fn listen(&self, group: &Group, path: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
        let backlog = i32::try_from(group.options.listen_backlog).unwrap_or(i32::MAX);
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let _ = fs::remove_file(path); // of an earlier daemon; this one's names are new
        bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        if self.root {
            chown(path, Some(Uid::from_raw(group.web_uid)), Some(Gid::from_raw(group.web_gid)))?;
        }
        listen(&listener, Backlog::new(backlog)?)?;
        let name = File::options().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)?;
        Ok((listener, name.into()))
    }
}

/// Below another root directory a symbolic link leads elsewhere than from here: there it is enough that there is
/// something, and the exec will tell.
fn executable(group: &Group, path: &Path) -> bool {
    match &group.options.chroot {
        None => interpreter::is_executable(path),
        Some(root) => {
            let below = path.strip_prefix("/").unwrap_or(path);
            fs::symlink_metadata(Path::new(OsStr::from_bytes(root)).join(below)).is_ok()
        }
    }
}

fn plan_file<M: Message>(name: &CStr, plan: &M) -> Result<OwnedFd, LaunchError> {
    let payload = plan.encode();
    if payload.len() > M::KIND.bound() {
        return Err(LaunchError::PlanSize);
    }
    Ok(memory::sealed_file(name, &plan.frame())?)
}

/// A control socket: our end, and the worker's.
fn control_pair() -> Result<(Conversation, OwnedFd), LaunchError> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    let stream = std::os::unix::net::UnixStream::from(ours);
    stream.set_nonblocking(true)?;
    Ok((Conversation::new(UnixStream::from_std(stream)?), theirs))
}

/// A pipe for what a worker prints: our end, and its.
pub fn output_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (read_end, write_end) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok((output_end(read_end)?, write_end))
}

fn output_end(end: OwnedFd) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(end)
}
