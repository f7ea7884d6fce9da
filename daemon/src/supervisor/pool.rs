//! One pool at work: carries out what its [`Roster`] decides, on its board and with its workers.

mod adoption;
mod status;
mod templates;
mod watch;

use self::watch::Watch;
use super::board::PoolBoard;
use super::launch::{LaunchError, Launched, Premises};
use super::plan::Place;
use super::process::is_killed;
use super::roster::{Action, Roster, Stage, Stamps, Terms};
use super::scores::Scores;
use super::template::Template;
use super::vigil::Rules;
use super::worker::{self, Hand, Name, News, Order, Report};
use crate::configuration::Group;
use crate::sockets::records;
use crate::sys::process;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use wsgid_proto::board::{PoolState, SlotState};
use wsgid_proto::broker::Fate;
use wsgid_proto::launch::Reason;
use wsgid_proto::options::ProcessGroup;

/// Which pool: names are unique within an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolKey {
    /// The httpd.
    pub instance: String,
    /// Process group.
    pub process_group: String,
    /// Application group.
    pub application_group: String,
}

/// What pools need from outside.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Paths and the like, for launches.
    pub premises: Rc<Premises>,
    /// What httpd instances post.
    pub scores: Rc<Scores>,
    /// Where workers report.
    pub reports: mpsc::Sender<Report>,
}

/// A set of worker processes that serve one application group.
#[derive(Debug)]
pub struct Pool {
    /// Random and new for each pool.
    pub id: u64,
    /// Which pool.
    pub key: PoolKey,
    /// Known from the configuration, rather than opened by a request.
    pub preloaded: bool,
    group: Arc<Group>,
    scripts: Vec<Bytes>,
    waits_for: Vec<u64>,
    /// When its board was made in place of one that somebody had scribbled on, and for how long that is enough.
    mended: Option<(Instant, Duration)>,
    board: PoolBoard,
    roster: Roster,
    hands: HashMap<u32, Hand>,
    template: Option<Arc<Template>>,
    /// The traceback of the last import, if it failed.
    failure: String,
    fates: VecDeque<(u32, Fate)>,
    /// Why workers were told to end.
    reasons: HashMap<u32, Reason>,
    watch: Watch,
    surroundings: Surroundings,
}

/// How many ends of workers a pool remembers, for the requests that were in them.
const FATES: usize = 32;

/// Between two repairs of a pool's boards: at first, and after many.
const REPAIR_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_REPAIR_PAUSE: Duration = Duration::from_secs(600);

/// How a pool begins.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Which pool.
    pub key: PoolKey,
    /// Its group.
    pub group: Arc<Group>,
    /// What to import before a worker is ready, or to run where there are no request threads.
    pub scripts: Vec<Bytes>,
    /// Known from the configuration.
    pub preloaded: bool,
    /// Workers at first.
    pub wanted: u32,
}

impl Pool {
    /// A pool without workers; the first [`Pool::tick`] starts them.
    pub fn open(opening: Opening, surroundings: Surroundings) -> io::Result<Self> {
        let board = PoolBoard::create(opening.group.options.processes)?;
        Ok(Self::with(process::random()?, board, opening, surroundings))
    }

    fn with(id: u64, board: PoolBoard, opening: Opening, surroundings: Surroundings) -> Self {
        let Opening { key, group, scripts, preloaded, wanted } = opening;
        let options = &group.options;
        let terms = terms(options, surroundings.premises.watch);
        let watch = Watch::new(Rules::of(options));
        Self {
            id,
            key,
            preloaded,
            board,
            roster: Roster::new(terms, wanted),
            group,
            scripts,
            waits_for: Vec::new(),
            mended: None,
            watch,
            hands: HashMap::new(),
            template: None,
            failure: String::new(),
            fates: VecDeque::new(),
            reasons: HashMap::new(),
            surroundings,
        }
    }

    /// Its group.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The same group, looked up anew: workers that start from now on follow it.
    pub fn set_group(&mut self, group: Arc<Group>) {
        self.group = group;
    }

    /// What new workers import.
    pub fn scripts(&self) -> &[Bytes] {
        &self.scripts
    }

    /// Has somebody scribbled on its board? Not looked for so soon after that: whoever does it again and again is
    /// not to keep the daemon busy.
    pub fn is_damaged(&self, now: Instant) -> bool {
        let quiet = self.mended.is_none_or(|(then, pause)| now.saturating_duration_since(then) >= pause);
        let roster = &self.roster;
        quiet && self.board.is_damaged(roster.members(), roster.is_failing(), self.group.options.threads)
    }

    /// Its board takes the place of one of that other pool's that was damaged: the next time is looked for later.
    pub fn mends(&mut self, other: Option<Duration>, now: Instant) {
        let pause = other.map_or(REPAIR_PAUSE, |pause| (pause * 2).min(LONGEST_REPAIR_PAUSE));
        self.mended = Some((now, pause));
    }

    /// How long that is waited for here.
    pub fn repair_pause(&self) -> Option<Duration> {
        self.mended.map(|(_, pause)| pause)
    }

    /// What it takes to open it once more, for this group.
    pub fn reopening(&self, group: Arc<Group>) -> Opening {
        Opening {
            key: self.key.clone(),
            group,
            scripts: self.scripts.clone(),
            preloaded: self.preloaded,
            wanted: self.roster.wanted(),
        }
    }

    /// Learns from a request what to import, unless it knows already.
    pub fn learn_script(&mut self, script: &Bytes) {
        if self.scripts.is_empty() && !script.is_empty() {
            self.scripts.push(script.clone());
        }
    }

    /// A configuration knows better than a request. Where it names other scripts than before, workers that
    /// have imported, or run, those give way.
    pub fn preload(&mut self, scripts: Vec<Bytes>, now: Instant) {
        self.preloaded = true;
        let others = self.scripts != scripts && !self.scripts.is_empty();
        self.scripts = scripts;
        if others {
            self.roll(now);
        }
        // What load has asked for stays.
        if self.group.options.processes_min.is_none_or(|least| self.roster.wanted() < least) {
            self.want(self.group.options.processes_at_first(), now);
        }
    }

    /// Would [`Pool::preload`] change nothing?
    pub fn preloads(&self, scripts: &[Bytes]) -> bool {
        let (options, wanted) = (&self.group.options, self.roster.wanted());
        let enough = options.processes_min.is_some_and(|least| wanted >= least);
        self.preloaded && self.scripts == scripts && (enough || wanted == options.processes_at_first().max(1))
    }

    /// The configuration names no scripts for it any more. Workers that have imported some give way; what
    /// requests have taught it stays.
    pub fn unload(&mut self, now: Instant) {
        if std::mem::take(&mut self.preloaded) && !self.scripts.is_empty() {
            self.scripts.clear();
            self.roll(now);
        }
    }

    /// Nobody is started before these pools have gone.
    pub fn wait_for(&mut self, pools: Vec<u64>) {
        if !pools.is_empty() {
            self.roster.hold();
            self.waits_for = pools;
        }
    }

    /// A pool has gone.
    pub fn is_gone(&mut self, pool: u64, now: Instant) {
        let waited = !self.waits_for.is_empty();
        self.waits_for.retain(|&other| other != pool);
        if waited && self.waits_for.is_empty() {
            let actions = self.roster.release(now);
            self.perform(actions, now);
        }
    }

    /// How a worker ended, if it did lately.
    pub fn fate(&self, serial: u32) -> Option<Fate> {
        self.fates.iter().find(|(other, _)| *other == serial).map(|(_, fate)| fate.clone())
    }

    /// How many requests its present workers have begun, unless one is under way. From the board: a
    /// hint, and used as one.
    pub fn requests_if_idle(&self) -> Option<u64> {
        self.board.requests_if_idle()
    }

    /// Its decisions and their state.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The board, for an Apache child.
    pub fn board_file(&self) -> Arc<OwnedFd> {
        self.board.shared_file()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        let actions = self.roster.tick(now);
        self.perform(actions, now);
        self.look_after_workers(now);
    }

    /// When to call [`Pool::tick`] at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.roster.deadline().into_iter().chain(self.watch.next()).min()
    }

    /// A worker has reported. `rival`: see [`Roster::ready`].
    pub fn hear(&mut self, serial: u32, news: News, rival: bool, now: Instant) {
        let actions = match news {
            News::Born { pid, start, template } => {
                self.introduce(serial, pid, Some(template), Some(start));
                self.order(serial, Order::Welcome);
                Vec::new()
            }
            News::Ready { loaded, failure } => {
                self.failure = if loaded { String::new() } else { failure };
                tracing::info!(group = %self.group.title(), pid = self.pid(serial), loaded, "worker is ready");
                self.roster.ready(serial, loaded, rival, now)
            }
            News::ReloadWanted { reason } => {
                tracing::info!(group = %self.group.title(), pid = self.pid(serial), "reload wanted: {reason}");
                self.roster.reload_wanted(serial, now)
            }
            News::Worn { reason } => {
                let evicts = reason == Reason::Graceful && self.group.options.eviction_timeout > 0;
                self.roster.worn(serial, if evicts { Reason::Eviction } else { reason }, now)
            }
            News::Exited { how, last_line } => self.bury(serial, &how, &last_line, now),
        };
        self.perform(actions, now);
    }

    /// New workers beside the old ones.
    pub fn roll(&mut self, now: Instant) {
        let actions = self.roster.roll(now);
        self.perform(actions, now);
    }

    /// See [`Roster::begin_beside`].
    pub fn begin_beside(&mut self) {
        self.roster.begin_beside();
    }

    /// It serves in the place of another from now on.
    pub fn take_over(&mut self, now: Instant) {
        let actions = self.roster.take_over(now);
        self.perform(actions, now);
    }

    /// One more worker, if there is room.
    pub fn grow(&mut self, now: Instant) {
        let actions = self.roster.grow(now);
        self.perform(actions, now);
    }

    /// So many workers from now on.
    pub fn want(&mut self, wanted: u32, now: Instant) {
        let actions = self.roster.want(wanted, now);
        self.perform(actions, now);
    }

    /// A worker that has nothing to do goes, and nobody comes for it. False if the others would be too few.
    pub fn spare(&mut self, serial: u32, now: Instant) -> bool {
        let fewest = self.group.options.processes_min.unwrap_or(0);
        let Some(actions) = self.roster.spare(serial, fewest, now) else { return false };
        self.perform(actions, now);
        true
    }

    /// Every worker finishes what it has. The board stays open, so that nobody asks for another
    /// pool of this daemon meanwhile; see [`Pool::close`]. `hurry`: see [`Roster::leave`].
    pub fn leave(&mut self, hurry: bool, now: Instant) {
        let actions = self.roster.leave(hurry, now);
        self.perform(actions, now);
    }

    /// Whoever holds the board is to ask the broker again.
    pub fn close(&self) {
        self.board.say(PoolState::Closed);
    }

    /// No more waiting for those who finish.
    pub fn kill_all(&self) {
        self.hands.values().for_each(|hand| hand.order(Order::Kill));
    }

    /// Looks whether a script has changed, if that would help.
    pub fn look_at_scripts(&mut self, now: Instant) {
        if self.roster.awaits_scripts() {
            let actions = self.roster.scripts_are(&self.stamps(), now);
            self.perform(actions, now);
        }
    }

    /// Carries actions out, and those that follow from them.
    fn perform(&mut self, actions: Vec<Action>, now: Instant) {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Start { serial, slot } => queue.extend(self.start(serial, slot, now)),
                Action::Serve { serial, slot } => {
                    self.board.mark(slot, serial, SlotState::Ready);
                    self.watch.begin(now);
                }
                Action::Retire { serial, slot, starting, reason, grace } => {
                    self.board.mark(slot, serial, SlotState::Draining);
                    self.reasons.insert(serial, reason);
                    self.order(serial, Order::Retire(reason, grace));
                    if starting {
                        self.order(serial, Order::Terminate);
                    }
                }
                Action::Replace { serial, reason } => {
                    let (group, pid) = (self.group.title(), self.pid(serial));
                    tracing::info!(%group, pid, "worker is replaced: it {}", reason.words());
                }
                Action::Kill { serial } => self.order(serial, Order::Kill),
                Action::DropTemplate => self.drop_template(),
                Action::Clear { slot } => self.board.clear(slot),
                Action::Say(state) => self.say(state),
                Action::Warn(text) => tracing::warn!(group = %self.group.title(), "{text}"),
            }
        }
    }

    /// httpd's scoreboard, where the group may see it.
    fn scores(&self) -> Option<OwnedFd> {
        if !self.group.options.server_metrics {
            return None;
        }
        let file = self.surroundings.scores.file_of(&self.key.instance);
        file.inspect_err(|error| tracing::warn!(group = self.group.title(), "no server metrics: {error}"))
            .ok()
    }

    fn start(&mut self, serial: u32, slot: u32, now: Instant) -> Vec<Action> {
        self.board.place(slot, serial, self.group.options.threads, 0); // before the worker can look
        match self.launch(serial, slot) {
            Ok(launched) => {
                let name = Name { pool: self.id, serial, group: self.group.title().into() };
                let hand = worker::attend(name, launched, self.surroundings.reports.clone());
                let pid = hand.pid;
                self.hands.insert(serial, hand);
                if pid != 0 {
                    self.introduce(serial, pid, None, process::start_time(pid).ok());
                }
                Vec::new()
            }
            Err(error) => {
                tracing::error!(group = %self.group.title(), "no worker can be started: {error}");
                self.roster.not_launched(serial, error.to_string(), now)
            }
        }
    }

    fn launch(&mut self, serial: u32, slot: u32) -> Result<Launched, LaunchError> {
        // New code is looked for since its import, which a copy does not have of its own.
        if !self.has_template() || self.renew_template()? {
            self.roster.starts_with(self.stamps());
        }
        let (premises, place) = (&self.surroundings.premises, self.place(serial, slot));
        match &self.template {
            Some(template) => premises.fork(&self.group, place, template),
            None => premises.launch(&self.group, place, self.board.file(), self.scores()),
        }
    }

    fn place(&self, serial: u32, slot: u32) -> Place<'_> {
        let (application_group, scripts) = (self.key.application_group.as_str(), &self.scripts[..]);
        Place { pool: self.id, application_group, scripts, slot, serial }
    }

    /// A worker's process is known, and when it started, if it lives.
    fn introduce(&mut self, serial: u32, pid: u32, template: Option<u32>, start: Option<u64>) {
        let member = self.roster.members().find(|(other, ..)| *other == serial);
        let (Some((_, slot, stage)), Some(hand)) = (member, self.hands.get_mut(&serial)) else { return };
        hand.pid = pid;
        let threads = self.group.options.threads;
        let (uid, gid) = (self.group.identity.uid, self.group.identity.gid);
        let application = &self.key.application_group;
        tracing::info!(group = %self.group.title(), pid, application, uid, gid, threads, template, "starting worker");
        if matches!(stage, Stage::Starting { .. }) {
            self.board.place(slot, serial, threads, pid);
        }
        if let Some(start) = start {
            self.write_down(serial, slot, pid, start);
        }
    }

    fn bury(&mut self, serial: u32, how: &str, last_line: &str, now: Instant) -> Vec<Action> {
        let member = self.roster.members().find(|(other, ..)| *other == serial);
        let stage = member.map(|(.., stage)| stage);
        let busy = member.is_some_and(|(_, slot, _)| self.board.is_busy(slot));
        self.watch.forget(serial);
        let reason = self.reasons.remove(&serial);
        let from_outside = is_from_outside(reason, how);
        let how = &in_view_of(reason, how);
        let expected = matches!(stage, None | Some(Stage::Draining { .. } | Stage::Doomed));
        let (group, pid) = (self.group.title(), self.pid(serial));
        if !expected {
            self.failure.clear(); // that is not the trouble any more
        }
        if expected {
            tracing::info!(%group, pid, "worker {how}");
        } else if self.group.options.is_service() {
            tracing::warn!(%group, pid, "service script {how}, and is started again");
        } else if last_line.is_empty() {
            tracing::error!(%group, pid, "worker {how}");
        } else {
            tracing::error!(%group, pid, "worker {how}; its last line was: {last_line:?}");
        }
        self.fates.truncate(FATES - 1);
        self.fates.push_front((serial, Fate { words: format!("(pid {pid}) {how}"), from_outside }));
        self.hands.remove(&serial);
        let _ = std::fs::remove_file(self.surroundings.premises.socket_of(self.id, serial));
        records::remove(&self.surroundings.premises.sockets, self.id, serial);
        let words = if last_line.is_empty() { how.into() } else { format!("{how} ({last_line})") };
        self.roster.exited(serial, &words, busy || from_outside, now)
    }

    fn say(&self, state: PoolState) {
        self.board.say(state);
        if state == PoolState::Failing {
            tracing::error!(group = %self.group.title(), "no worker stays up, requests get 503: {}", self.roster.trouble());
        }
    }

    fn order(&self, serial: u32, order: Order) {
        if let Some(hand) = self.hands.get(&serial) {
            hand.order(order);
        }
    }

    fn pid(&self, serial: u32) -> u32 {
        self.hands.get(&serial).map_or(0, |hand| hand.pid)
    }

    /// A plain stat: the privileged process opens nothing below a user's directory.
    fn stamps(&self) -> Stamps {
        let stamp = |script: &Bytes| -> Option<SystemTime> {
            std::fs::metadata(Path::new(OsStr::from_bytes(script))).ok()?.modified().ok()
        };
        self.scripts.iter().map(stamp).collect()
    }
}

/// How a worker ended, for whoever lost a request to that. Where it had to end, why says more than how: and it is
/// the same to the client whether it was killed or managed to go at the last moment.
fn in_view_of(reason: Option<Reason>, how: &str) -> String {
    match reason {
        None | Some(Reason::Shutdown) => how.into(),
        Some(reason @ (Reason::Deadlock | Reason::RequestTimeout)) => format!("{} and {how}", reason.words()),
        Some(reason) if how.starts_with("was ended") => format!("{} and {how}", reason.words()),
        Some(_) => how.into(),
    }
}

/// Is that the end of a worker of which no request in it may be the cause? Somebody kills processes, or it was to end for
/// a reason that is not to be found in a request.
fn is_from_outside(reason: Option<Reason>, how: &str) -> bool {
    match reason {
        // By the system, where memory is short, which a request may have used up.
        None => is_killed(how) && !process::has_run_out_of_memory(),
        Some(Reason::Deadlock | Reason::RequestTimeout | Reason::Memory) => false,
        Some(_) => is_killed(how) || how.starts_with("exited"),
    }
}

/// What a group's options mean for a roster.
fn terms(options: &ProcessGroup, watch: bool) -> Terms {
    let seconds = |number: u32| Duration::from_secs(number.into());
    let some = |number: u32| (number > 0).then(|| seconds(number));
    Terms {
        processes: options.processes,
        shutdown: seconds(options.shutdown_timeout),
        graceful: seconds(options.graceful_timeout),
        eviction: some(options.eviction_timeout).unwrap_or(seconds(options.graceful_timeout)),
        startup: some(options.startup_timeout),
        lifetime: some(options.restart_interval),
        lifetime_jitter: seconds(options.restart_interval_jitter),
        parallel: options.reload_parallel,
        at_once: options.reload_at_once,
        watch,
        alone: options.is_service(),
    }
}

/// Whoever still holds the board of a pool that is gone must not wait on it.
impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}
