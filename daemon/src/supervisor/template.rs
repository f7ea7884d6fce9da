//! A pool's template, seen from the supervisor: a process that has imported what the pool's workers run, and forks
//! each of them. A task waits on it as on a worker; who is to be forked before it is ready waits in line.
//!
//! It runs the application's code as the application's user, and so is believed no more than a worker is: which
//! process a worker is the kernel says, and how one ended is for the log alone. It has nothing to lose, and is
//! killed when neither its pool nor a worker that it is still to fork has any use for it.

use super::launch::LaunchedTemplate;
use super::output::Lines;
use super::process::{Ends, OBITUARY, Obituaries, Process};
use crate::configuration::Identity;
use crate::sockets::wire::{self, Conversation, WireError};
use crate::sys::process;
use bytes::Bytes;
use nix::sys::signal::Signal;
use nix::sys::socket::UnixCredentials;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use wsgid_proto::Message;
use wsgid_proto::frame::{Frame, Kind};
use wsgid_proto::launch::{Buried, FORK_RIDERS, Fork, Ready};
use wsgid_proto::server::Server;

/// What a worker is handed, in the order of [`Fork`].
pub type Riders = [OwnedFd; FORK_RIDERS];

/// What a template may say.
const PERMITTED: &[Kind] = &[Kind::Ready, Kind::Buried];

/// It takes an order as soon as it has forked for the one before.
const PATIENCE: Duration = Duration::from_secs(10);

/// More ends than anybody still asks for.
const ENDS: usize = 64;

/// What there is in a template: with anything else it is another.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// Workers of which roll it is for: each begins with what is on disk then.
    pub generation: u64,
    /// What it imports.
    pub scripts: Vec<Bytes>,
    /// As whom it runs.
    pub identity: Identity,
    /// What its application is told about the web server.
    pub server: Arc<Server>,
}

/// See the module. Whoever is still to be forked off it has a share in it; the process ends with the last.
#[derive(Debug)]
pub struct Template {
    pid: u32,
    /// For the moment in which the daemon becomes another program: then nobody is there to wait.
    process: OwnedFd,
    contents: Contents,
    orders: mpsc::UnboundedSender<Order>,
    ends: Ends,
    /// Nobody is to be forked off it any more.
    spent: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Order {
    Fork(Riders),
    GiveUp,
}

/// Whose child a worker will be.
#[derive(Debug)]
pub struct Parentage {
    template: Arc<Template>,
    uid: u32,
}

impl Parentage {
    /// Its template's process.
    pub fn pid(&self) -> u32 {
        self.template.pid
    }

    /// The worker has not come in time: there is something wrong with its template, or with copies of it.
    pub fn give_up(&self) {
        self.template.give_up();
    }

    /// Why there is no worker, if its template knows.
    pub async fn excuse(self) -> String {
        let mut ends = self.template.ends.clone();
        let told = ends.wait_for(|ends| ends.template.is_some());
        let told = tokio::time::timeout(OBITUARY * 2, told).await;
        let how = told.ok().and_then(|told| told.ok()?.template.clone());
        how.map_or_else(
            || "was not forked by its template".into(),
            |how| format!("was not forked: its template {how}"),
        )
    }

    /// The process that has sent these credentials, if it is a child of the template's and of its user.
    pub fn acknowledge(&self, sender: UnixCredentials) -> io::Result<Process> {
        let pid = u32::try_from(sender.pid()).map_err(|_| io::ErrorKind::InvalidData)?;
        if sender.uid() != self.uid {
            return Err(io::Error::other(format!("it is user {}", sender.uid())));
        }
        Process::forked(pid, self.template.pid, self.template.ends.clone())
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
        let descriptor = process::pidfd(pid)?.into_inner();
        let (orders, inbox) = mpsc::unbounded_channel();
        let (obituaries, ends) = watch::channel(Obituaries::default());
        let spent = Arc::new(AtomicBool::new(false));
        let task = Task {
            title: title.into(),
            pid,
            output: Lines::new(output, title.into(), pid),
            control: Some(control),
            waiting: Some(Vec::new()),
            spent: spent.clone(),
            verdict: None,
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
        let _ = self.orders.send(Order::Fork(riders));
    }

    /// Who a worker that it forks for a group of this user will be.
    pub fn parentage(self: &Arc<Self>, uid: u32) -> Parentage {
        Parentage { template: self.clone(), uid }
    }

    fn give_up(&self) {
        self.spent.store(true, Ordering::Release);
        let _ = self.orders.send(Order::GiveUp);
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _ = process::signal(self.process.as_fd(), Signal::SIGKILL as i32);
    }
}

struct Task {
    title: String,
    pid: u32,
    process: Process,
    control: Option<Conversation>,
    output: Lines,
    /// Who waits for the import to end; `None` after that.
    waiting: Option<Vec<Riders>>,
    obituaries: watch::Sender<Obituaries>,
    spent: Arc<AtomicBool>,
    /// Why it was killed.
    verdict: Option<String>,
}

impl Task {
    async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Order>, patience: Duration) {
        let mut late = std::pin::pin!(tokio::time::sleep(patience));
        let mut wanted = true;
        let how = loop {
            tokio::select! {
                how = self.process.wait() => break how,
                order = orders.recv(), if wanted => {
                    wanted = order.is_some();
                    self.obey(order, patience).await;
                }
                said = wire::next_said(&mut self.control, PERMITTED) => self.hear(said).await,
                () = self.output.log_next() => {}
                () = &mut late, if self.waiting.is_some() => self.kill(not_in_time(patience)),
            }
        };
        orders.close();
        let _ = tokio::time::timeout(OBITUARY, self.hear_out()).await;
        let last_line = self.output.last();
        let (group, pid) = (&self.title, self.pid);
        match &self.verdict {
            _ if !wanted => tracing::debug!(%group, pid, "template {how}"),
            Some(verdict) => tracing::debug!(%group, pid, "template {how}: it {verdict}"),
            None => tracing::error!(%group, pid, "template {how}; its last line was: {last_line:?}"),
        }
        let end = match (self.verdict, last_line.is_empty()) {
            (Some(verdict), _) => verdict,
            (None, true) => how,
            (None, false) => format!("{how} ({last_line})"),
        };
        self.obituaries.send_modify(|ends| ends.template = Some(end));
    }

    async fn hear_out(&mut self) {
        while self.output.is_open() {
            self.output.log_next().await;
        }
    }

    /// With the process group that it leads: copies that never got so far as to be workers are in that, too.
    fn kill(&mut self, verdict: String) {
        self.spent.store(true, Ordering::Release);
        if self.verdict.is_none() {
            tracing::error!(group = %self.title, pid = self.pid, "template is killed: it {verdict}");
            self.verdict = Some(verdict);
        }
        self.waiting = None;
        self.control = None;
        self.process.kill_group();
    }

    /// Without an order nobody has a share in it any more.
    async fn obey(&mut self, order: Option<Order>, patience: Duration) {
        match order {
            None => self.process.kill_group(),
            Some(Order::GiveUp) if self.waiting.is_some() => self.kill(not_in_time(patience)),
            Some(Order::GiveUp) => self.kill("forks no worker that is ready in time".into()),
            Some(Order::Fork(riders)) => match &mut self.waiting {
                Some(waiting) => waiting.push(riders),
                None => self.pass_on(riders).await,
            },
        }
    }

    async fn pass_on(&mut self, riders: Riders) {
        let Some(control) = &mut self.control else { return };
        let riders = riders.each_ref().map(AsFd::as_fd);
        if let Err(error) = control.send_with(PATIENCE, &Fork {}, &riders).await {
            self.kill(format!("takes no orders: {error}"));
        }
    }

    async fn hear(&mut self, said: Result<Option<Frame>, WireError>) {
        match said.and_then(|frame| frame.map(understand).transpose()) {
            Ok(Some(Said::Ready(ready))) => {
                let loaded = ready.loaded;
                tracing::info!(group = %self.title, pid = self.pid, loaded, "template is ready");
                // An import that has failed is tried again.
                self.spent.fetch_or(!loaded, Ordering::AcqRel);
                for riders in self.waiting.take().unwrap_or_default() {
                    self.pass_on(riders).await;
                }
            }
            Ok(Some(Said::Buried(buried))) => self.obituaries.send_modify(|ends| {
                ends.workers.truncate(ENDS - 1);
                ends.workers.push_front((buried.pid, buried.status));
            }),
            // It is ending; or it only hung up, and is of no use.
            Ok(None) => {
                self.spent.store(true, Ordering::Release);
                self.control = None;
                self.process.kill_group();
            }
            Err(error) => self.kill(format!("talks nonsense on its control socket: {error}")),
        }
    }
}

fn not_in_time(patience: Duration) -> String {
    format!("has not imported in {} seconds", patience.as_secs())
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
