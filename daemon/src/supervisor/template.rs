//! A pool's template, seen from the supervisor: a process that has imported what the pool's workers run, and forks
//! each of them. A task waits on it as on a worker; who is to be forked before it is ready waits in line.
//!
//! It runs the application's code as the application's user, and so is believed no more than a worker is: which
//! process a worker is the kernel says, and how one ended is for the log alone. It has nothing to lose, and is
//! killed when its pool has no more use for it.

use super::launch::LaunchedTemplate;
use super::output::Lines;
use super::process::{Ends, OBITUARY, Obituaries, Process};
use crate::sockets::wire::{Conversation, WireError};
use crate::sys::process;
use bytes::Bytes;
use nix::sys::signal::Signal;
use nix::sys::socket::UnixCredentials;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use wsgid_proto::Message;
use wsgid_proto::frame::{Frame, Kind};
use wsgid_proto::launch::{Buried, FORK_RIDERS, Fork, Ready};

/// What a worker is handed, in the order of [`Fork`].
pub type Riders = [OwnedFd; FORK_RIDERS];

/// What a template may say.
const PERMITTED: &[Kind] = &[Kind::Ready, Kind::Buried];

/// It takes an order as soon as it has forked for the one before.
const PATIENCE: Duration = Duration::from_secs(10);

/// More ends than anybody still asks for.
const ENDS: usize = 64;

/// What there is in a template: with anything else it is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Workers of which roll it is for: each begins with what is on disk then.
    pub generation: u64,
    /// What it imports.
    pub scripts: Vec<Bytes>,
}

/// See the module. Dropping it ends the process.
#[derive(Debug)]
pub struct Template {
    pid: u32,
    process: AsyncFd<OwnedFd>,
    contents: Contents,
    orders: mpsc::UnboundedSender<Riders>,
    ends: Ends,
    /// Its import has failed: that is to be tried again.
    spent: Arc<AtomicBool>,
}

/// Whose child a worker will be.
#[derive(Debug)]
pub struct Parentage {
    template: u32,
    uid: u32,
    ends: Ends,
}

impl Parentage {
    /// Why there is no worker, if its template has ended.
    pub async fn excuse(mut self) -> String {
        let told = self.ends.wait_for(|ends| ends.template.is_some());
        let told = tokio::time::timeout(OBITUARY * 2, told).await;
        let how = told.ok().and_then(|told| told.ok()?.template.clone());
        how.map_or_else(
            || "was not forked by its template".into(),
            |how| format!("was not forked: its template {how}"),
        )
    }

    /// The process that has sent these credentials, if it is a child of the template's and of its user.
    pub fn acknowledge(self, sender: UnixCredentials) -> io::Result<Process> {
        let pid = u32::try_from(sender.pid()).map_err(|_| io::ErrorKind::InvalidData)?;
        if sender.uid() != self.uid {
            return Err(io::Error::other(format!("it is user {}", sender.uid())));
        }
        Process::forked(pid, self.template, self.ends)
    }
}

impl Template {
    /// From a process that has just been started, for a group of this `title`; it has so long to import.
    pub fn attend(
        launched: LaunchedTemplate,
        contents: Contents,
        title: &str,
        patience: Duration,
    ) -> io::Result<Self> {
        let LaunchedTemplate { process: child, control, output } = launched;
        let process = Process::Child(child);
        let pid = process.pid();
        let descriptor = process::pidfd(pid)?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let (obituaries, ends) = watch::channel(Obituaries::default());
        let spent = Arc::new(AtomicBool::new(false));
        let task = Task {
            title: title.into(),
            output: Lines::new(output, title.into(), pid),
            control: Some(control),
            waiting: Some(Vec::new()),
            spent: spent.clone(),
            process,
            obituaries,
        };
        tokio::spawn(task.live(inbox, patience));
        Ok(Self { pid, process: descriptor, contents, orders, ends, spent })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Is it one with these contents, of which more workers may be forked?
    pub fn has(&self, contents: &Contents) -> bool {
        self.contents == *contents && !self.spent.load(Ordering::Acquire) && !self.orders.is_closed()
    }

    /// Orders a worker. If it is not to be had, its control socket closes.
    pub fn fork(&self, riders: Riders) {
        let _ = self.orders.send(riders);
    }

    /// Who a worker that it forks for a group of this user will be.
    pub fn parentage(&self, uid: u32) -> Parentage {
        Parentage { template: self.pid, uid, ends: self.ends.clone() }
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _ = process::signal(self.process.get_ref().as_fd(), Signal::SIGKILL as i32);
    }
}

struct Task {
    title: String,
    process: Process,
    control: Option<Conversation>,
    output: Lines,
    /// Who waits for the import to end; `None` after that.
    waiting: Option<Vec<Riders>>,
    obituaries: watch::Sender<Obituaries>,
    spent: Arc<AtomicBool>,
}

impl Task {
    async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Riders>, patience: Duration) {
        let pid = self.process.pid();
        let mut late = std::pin::pin!(tokio::time::sleep(patience));
        let how = loop {
            tokio::select! {
                how = self.process.wait() => break how,
                Some(riders) = orders.recv() => self.order(riders).await,
                said = next_said(&mut self.control) => self.hear(said, pid).await,
                () = self.output.log_next() => {}
                () = &mut late, if self.waiting.is_some() => {
                    tracing::error!(group = %self.title, pid, "template is killed: it has not imported in {} seconds", patience.as_secs());
                    self.waiting = None;
                    self.process.kill_group();
                }
            }
        };
        let _ = tokio::time::timeout(OBITUARY, self.hear_out()).await;
        let last_line = self.output.last();
        // Killed by its pool: that is how it ends.
        if orders.is_closed() {
            tracing::debug!(group = %self.title, pid, "template {how}");
        } else {
            tracing::error!(group = %self.title, pid, "template {how}; its last line was: {last_line:?}");
        }
        let end = if last_line.is_empty() { how } else { format!("{how} ({last_line})") };
        self.obituaries.send_modify(|ends| ends.template = Some(end));
    }

    async fn hear_out(&mut self) {
        while self.output.is_open() {
            self.output.log_next().await;
        }
    }

    async fn order(&mut self, riders: Riders) {
        match &mut self.waiting {
            Some(waiting) => waiting.push(riders),
            None => self.pass_on(riders).await,
        }
    }

    async fn pass_on(&mut self, riders: Riders) {
        let Some(control) = &mut self.control else { return };
        let riders = riders.each_ref().map(AsFd::as_fd);
        if let Err(error) = control.send_with(PATIENCE, &Fork {}, &riders).await {
            tracing::error!(group = %self.title, "template is killed: it takes no orders: {error}");
            self.process.kill_group();
        }
    }

    async fn hear(&mut self, said: Result<Option<Frame>, WireError>, pid: u32) {
        match said.and_then(|frame| frame.map(understand).transpose()) {
            Ok(Some(Said::Ready(ready))) => {
                let loaded = ready.loaded;
                tracing::info!(group = %self.title, pid, loaded, "template is ready");
                self.spent.store(!loaded, Ordering::Release);
                for riders in self.waiting.take().unwrap_or_default() {
                    self.pass_on(riders).await;
                }
            }
            Ok(Some(Said::Buried(buried))) => self.obituaries.send_modify(|ends| {
                ends.workers.truncate(ENDS - 1);
                ends.workers.push_front((buried.pid, buried.status));
            }),
            Ok(None) => self.control = None, // the end of the process tells the rest
            Err(error) => {
                tracing::error!(group = %self.title, pid, "template is killed: on its control socket, {error}");
                self.control = None;
                self.process.kill_group();
            }
        }
    }
}

enum Said {
    Ready(Ready),
    Buried(Buried),
}

fn understand(frame: Frame) -> Result<Said, WireError> {
    match frame.kind {
        Kind::Ready => Ok(Said::Ready(Ready::from_frame(frame)?)),
        Kind::Buried => Ok(Said::Buried(Buried::from_frame(frame)?)),
        other => Err(WireError::NotHere(other)),
    }
}

async fn next_said(control: &mut Option<Conversation>) -> Result<Option<Frame>, WireError> {
    match control {
        Some(conversation) => conversation.next(PERMITTED).await,
        None => std::future::pending().await,
    }
}
