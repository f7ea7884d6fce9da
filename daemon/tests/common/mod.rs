//! A real `wsgid run` in a directory of its own, and what one says to it. Its workers are a stand-in
//! (`worker.py`) that a group gets as its interpreter by `python-home=`.
#![allow(dead_code)] // each test program uses its part

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::Pid;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wsgid_proto::broker::{OpenPool, PoolOpened, PoolRefused};
use wsgid_proto::control::*;
use wsgid_proto::frame::{self, Frame, Kind};
use wsgid_proto::{Message, board::Board};

/// Far beyond what anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
pub fn eventually<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = is_so() {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The web user of these tests.
pub fn web_uid() -> u32 {
    if is_root() { 33 } else { nix::unistd::geteuid().as_raw() }
}

/// A directory tree with everything a daemon needs.
pub struct Tree {
    dir: TempDir,
}

impl Tree {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = Self { dir };
        for (name, mode) in [("", 0o755), ("lib", 0o755), ("venv/bin", 0o755), ("facts", 0o777)] {
            fs::create_dir_all(tree.path(name)).unwrap();
            fs::set_permissions(tree.path(name), Permissions::from_mode(mode)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_wsgid-launch"), tree.path("lib/wsgid-launch")).unwrap();
        File::create(tree.path("lib/_wsgid.abi3.so")).unwrap();
        let python = tree.path("venv/bin/python");
        fs::write(&python, include_str!("worker.py")).unwrap();
        fs::set_permissions(&python, Permissions::from_mode(0o755)).unwrap();
        tree
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A script that makes the stand-in behave as `what` says.
    pub fn script(&self, name: &str, what: &str) -> PathBuf {
        let path = self.path(name);
        // Renamed into place: nobody reads half of it, and its time stamp is always a new one.
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, what).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    /// A process group with the stand-in as its Python.
    pub fn group(&self, name: &str, options: &[(&str, &str)]) -> GroupDefinition {
        let home = self.path("venv").display().to_string();
        let python = [("python-home", home.as_str())];
        let options = options
            .iter()
            .chain(&python)
            .map(|(key, value)| ((*key).to_string(), bytes::Bytes::copy_from_slice(value.as_bytes())));
        GroupDefinition { name: name.into(), options: options.collect(), ..Default::default() }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsgid"));
        command
            .args(["run", "--log-level", "debug"])
            .arg("--runtime-dir")
            .arg(self.path("run"))
            .arg("--state-dir")
            .arg(self.path("state"))
            .env("WSGID_LIBDIR", self.path("lib"))
            .env("TEST_FACTS", self.path("facts"))
            .env("LISTEN_FDS", "1")
            .stderr(Stdio::piped());
        command
    }
}

/// A configuration with these groups and preloads `(group, script)`.
pub fn configuration(groups: Vec<GroupDefinition>, preloads: &[(&str, &Path)]) -> Configure {
    let preload = |(group, script): &(&str, &Path)| Preload {
        process_group: (*group).into(),
        application_group: String::new(),
        script: script.display().to_string().into(),
    };
    Configure {
        instance: "/run/test.pid".into(),
        web_uid: web_uid(),
        web_gid: web_uid(),
        groups,
        preloads: preloads.iter().map(preload).collect(),
        ..Default::default()
    }
}

/// The question of an Apache child.
pub fn question(group: &str, application_group: &str) -> OpenPool {
    OpenPool {
        instance: "/run/test.pid".into(),
        process_group: group.into(),
        application_group: application_group.into(),
        ..Default::default()
    }
}

/// A running daemon.
pub struct Daemon {
    pub tree: Tree,
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    pub fn start() -> Self {
        Self::in_tree(Tree::new())
    }

    pub fn in_tree(tree: Tree) -> Self {
        let mut process = tree.command().spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(process.stderr.take().unwrap());
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                eprintln!("{line}");
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let daemon = Self { tree, process, log };
        daemon.logged("is ready");
        daemon
    }

    /// Waits for a text in the log.
    pub fn logged(&self, text: &str) {
        eventually(&format!("'{text}' in the log"), || self.log.lock().unwrap().contains(text).then_some(()));
    }

    pub fn connect(&self, socket: &str) -> UnixStream {
        let stream = UnixStream::connect(self.tree.path("run").join(socket)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn ask<A: Message>(&self, question: &impl Message) -> A {
        let mut stream = self.connect("control.sock");
        stream.write_all(&question.frame()).unwrap();
        A::from_frame(read_frame(&mut stream)).unwrap()
    }

    /// Configures, and expects no refusal.
    pub fn configure(&self, configure: &Configure) -> Configured {
        let configured: Configured = self.ask(configure);
        assert_eq!(configured.refusal, "");
        configured
    }

    pub fn status(&self) -> Vec<PoolStatus> {
        self.ask::<Status>(&StatusQuery {}).pools
    }

    /// Process ids of a group's workers in this state.
    pub fn workers(&self, group: &str, state: &str) -> Vec<u32> {
        let pools = self.status().into_iter().filter(|pool| pool.process_group == group);
        let workers = pools.flat_map(|pool| pool.workers).filter(|worker| worker.state == state);
        workers.map(|worker| worker.pid).collect()
    }

    /// Waits until a group has so many ready workers, and no others.
    pub fn settled(&self, group: &str, count: usize) -> Vec<u32> {
        eventually(&format!("{count} workers of {group}"), || {
            let all: Vec<_> = self
                .status()
                .into_iter()
                .filter(|pool| pool.process_group == group)
                .flat_map(|p| p.workers)
                .collect();
            let ready = all.iter().filter(|worker| worker.state == "ready").count();
            (ready == count && all.len() == count).then(|| all.iter().map(|worker| worker.pid).collect())
        })
    }

    /// Waits until the group is in trouble for this.
    pub fn in_trouble(&self, group: &str, why: &str) {
        eventually(&format!("trouble of {group}: {why}"), || self.trouble(group).contains(why).then_some(()));
    }

    /// Waits until it is in none.
    pub fn out_of_trouble(&self, group: &str) {
        eventually(&format!("no trouble of {group}"), || self.trouble(group).is_empty().then_some(()));
    }

    fn trouble(&self, group: &str) -> String {
        let pools = self.status().into_iter().filter(|pool| pool.process_group == group);
        pools.map(|pool| pool.trouble).collect()
    }

    pub fn open(&self, question: &OpenPool) -> Result<(PoolOpened, OpenedBoard), PoolRefused> {
        let mut stream = self.connect("broker.sock");
        stream.write_all(&question.frame()).unwrap();
        let mut first = [0; 1];
        let mut parts = [IoSliceMut::new(&mut first)];
        let mut space = nix::cmsg_space!([i32; 2]);
        let received =
            recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
        let fd = received.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        let board = fd.map(|fd| {
            let board = File::options().read(true).write(true).open(format!("/proc/self/fd/{fd}")).unwrap();
            nix::unistd::close(fd).unwrap();
            OpenedBoard(board)
        });
        let frame = read_frame(&mut first.chain(&mut stream));
        match frame.kind {
            Kind::PoolRefused => Err(PoolRefused::from_frame(frame).unwrap()),
            _ => Ok((PoolOpened::from_frame(frame).unwrap(), board.unwrap())),
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        eventually("the daemon's end", || self.process.try_wait().unwrap())
    }

    /// Ends it in good order and gives its tree back.
    pub fn stop(mut self) -> Tree {
        self.signal(Signal::SIGTERM);
        assert!(self.wait().success());
        std::mem::replace(&mut self.tree, Tree { dir: tempfile::tempdir().unwrap() })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal(Signal::SIGTERM);
            self.signal(Signal::SIGTERM);
            let _ = self.process.wait();
        }
    }
}

/// A board as an Apache child sees it.
pub struct OpenedBoard(File);

impl OpenedBoard {
    pub fn look<T>(&self, look: impl FnOnce(Board<'_>) -> T) -> T {
        let mut bytes = vec![0; self.0.metadata().unwrap().len() as usize];
        self.0.read_exact_at(&mut bytes, 0).unwrap();
        let word = |bytes: &[u8]| AtomicU64::new(u64::from_ne_bytes(bytes.try_into().unwrap()));
        let words: Vec<AtomicU64> = bytes.chunks_exact(8).map(word).collect();
        look(Board::open(&words).unwrap())
    }
}

pub fn read_frame(stream: &mut impl Read) -> Frame {
    let mut header = [0; frame::HEADER];
    stream.read_exact(&mut header).unwrap();
    let (kind, length) = frame::parse_header(header).unwrap();
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    Frame { kind, payload: payload.into() }
}

pub fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits until processes are gone.
pub fn gone(pids: &[u32]) {
    eventually("the end of processes", || (!pids.iter().any(|pid| is_alive(*pid))).then_some(()));
}
