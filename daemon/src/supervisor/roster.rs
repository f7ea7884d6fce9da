//! The roster: who works in one pool, who is to come and who has to go. It decides and does nothing;
//! [`super::pool`] carries its [`Action`]s out and reports what became of them.
//!
//! ```text
//!             ready                  retire                exit
//! Starting ─────────► Ready ─────────────────► Draining ─────────► (gone)
//!     │ ready, import failed, better ones serve    ▲  │ deadline     ▲
//!     ├────────────────────────────────────────────┘  ▼              │
//!     └─────────────────────────────────────────► Doomed (killed) ───┘
//! ```
//!
//! **A roll** raises the generation. Workers of an older one go on serving while one newcomer tries
//! whether the new code imports; then the others follow, and with each that is ready an old one
//! retires. If the newcomer's import fails, it goes instead, the old ones are taken into the new
//! generation, and the pool is under *repair* until its script changes or somebody asks again.
//!
//! **A worn worker** has served `maximum-requests`, is as old as `restart-interval`, or the like. It is
//! replaced as in a roll, alone: it serves until whoever takes over from it is ready.

#[cfg(test)]
mod laws;
mod settle;
#[cfg(test)]
mod tests;
mod view;

use super::backoff::{Backoff, STEADY};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};
use wsgid_proto::board::PoolState;
use wsgid_proto::launch::Reason;

/// A worker that is not ready after so long never will be.
pub const STARTUP: Duration = Duration::from_secs(120);

/// So many workers in a row that end as soon as they are ready mean that the next one will, too.
const SHORT_LIVED: u32 = 4;

/// Beyond `shutdown-timeout`, what a worker gets to end by itself.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// What the configuration says about a pool's workers.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The most that serve at the same time.
    pub processes: u32,
    /// How long a retired worker's requests may take.
    pub shutdown: Duration,
    /// The same in addition where the worker only makes room for another.
    pub graceful: Duration,
    /// The same where a signal asked for that.
    pub eviction: Duration,
    /// A worker that is not ready after so long, or whose application is not imported, is replaced.
    pub startup: Option<Duration>,
    /// A worker is worn after this time.
    pub lifetime: Option<Duration>,
    /// Up to so much longer, each worker another time.
    pub lifetime_jitter: Duration,
    /// Newcomers that are on their way at the same time while older workers serve; 0 is any number.
    pub parallel: u32,
    /// Workers with the code from before do not serve any more once they have seen that it is: a newcomer serves
    /// whatever becomes of its import.
    pub at_once: bool,
    /// For development: a newcomer whose import fails serves all the same. The developer wants to see
    /// its traceback, and it alone knows what to watch.
    pub watch: bool,
    /// A service script: none is started beside one that has not ended yet.
    pub alone: bool,
}

/// When each of a pool's scripts was written, as far as it is there.
pub type Stamps = Vec<Option<SystemTime>>;

/// What the pool has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Launch a worker; answered by [`Roster::not_launched`] if that fails at once.
    Start { serial: u32, slot: u32 },
    /// It takes requests from now on.
    Serve { serial: u32, slot: u32 },
    /// It takes no more, finishes and ends. One that is still `starting` has nothing to finish.
    Retire { serial: u32, slot: u32, starting: bool, reason: Reason, grace: Duration },
    /// It is worn: another is about to be started in its place.
    Replace { serial: u32, reason: Reason },
    /// End it at once.
    Kill { serial: u32 },
    /// Whoever comes next is forked off another template, if off any.
    DropTemplate,
    /// Its slot is free.
    Clear { slot: u32 },
    /// The board says how the pool is.
    Say(PoolState),
    /// Something the administrator should read.
    Warn(String),
}

/// Where a worker is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Launched, not ready.
    Starting { since: Instant },
    /// Serves; `loaded` unless the import of its application failed.
    Ready { since: Instant, loaded: bool },
    /// Told to end.
    Draining { deadline: Instant },
    /// Killed, not yet gone.
    Doomed,
}

#[derive(Debug)]
struct Member {
    slot: u32,
    generation: u64,
    stage: Stage,
    /// It goes as soon as somebody serves in its place.
    worn: Option<Reason>,
}

/// A roll that failed, or an import that did while others serve.
#[derive(Debug, Default)]
struct Repair {
    /// Try again then, because a worker asked.
    retry: Option<Instant>,
}

/// The workers of one pool.
#[derive(Debug)]
pub struct Roster {
    terms: Terms,
    wanted: u32,
    generation: u64,
    /// Why there is this generation.
    renewal: Reason,
    last_serial: u32,
    members: BTreeMap<u32, Member>,
    backoff: Backoff,
    repair: Option<Repair>,
    /// The scripts' time stamps when a worker was last started.
    tried: Stamps,
    trouble: String,
    stuck: bool,
    /// So many in a row have come up and ended at once, and by themselves.
    short_lived: u32,
    failing: bool,
    leaving: bool,
    /// Another pool serves as long as this one has not all its workers.
    beside: bool,
    /// Nobody is started as long as another pool's workers have not gone.
    held: bool,
}

impl Roster {
    /// An empty roster that wants so many workers; the first [`Roster::tick`] starts them.
    pub fn new(terms: Terms, wanted: u32) -> Self {
        let wanted = wanted.clamp(1, terms.processes.max(1));
        Self {
            terms,
            wanted,
            generation: 1,
            renewal: Reason::Shutdown,
            last_serial: 0,
            members: BTreeMap::new(),
            backoff: Backoff::default(),
            repair: None,
            tried: Stamps::new(),
            trouble: String::new(),
            stuck: false,
            short_lived: 0,
            beside: false,
            failing: false,
            leaving: false,
            held: false,
        }
    }

    /// Slots that the board of such a pool needs: every worker twice while it rolls, and two for
    /// those that are slow to end.
    pub fn slots(processes: u32) -> u32 {
        processes * 2 + 2
    }

    /// Time has passed: does what is due.
    pub fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.enforce(now, &mut actions);
        if self.repair.as_ref().and_then(|repair| repair.retry).is_some_and(|at| at <= now) {
            self.begin_roll(Reason::ScriptReload);
        }
        self.settle(now, &mut actions);
        actions
    }

    /// A worker says that it is ready. `rival`: an older pool serves in this one's place as long as
    /// nothing here imports.
    pub fn ready(&mut self, serial: u32, loaded: bool, rival: bool, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let better = !self.terms.watch && !self.terms.at_once && (rival || self.has_loaded_besides(serial));
        let Some(member) = self.members.get_mut(&serial) else { return actions };
        match member.stage {
            Stage::Starting { .. } if !loaded && better => self.reject(serial, now, &mut actions),
            Stage::Starting { .. } => {
                member.stage = Stage::Ready { since: now, loaded };
                actions.push(Action::Serve { serial, slot: member.slot });
                self.took_up(loaded);
            }
            Stage::Ready { since, .. } => {
                member.stage = Stage::Ready { since, loaded };
                self.took_up(loaded);
            }
            Stage::Draining { .. } | Stage::Doomed => {}
        }
        self.settle(now, &mut actions);
        actions
    }

    /// A worker's process has ended, `how` in words; `busy` with a request, which may be what has ended it.
    pub fn exited(&mut self, serial: u32, how: &str, busy: bool, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(member) = self.members.remove(&serial) else { return actions };
        actions.push(Action::Clear { slot: member.slot });
        match member.stage {
            Stage::Starting { .. } => {
                self.failed(format!("a worker {how} before it was ready"), now);
            }
            // It came up: whatever ended it, the next one may as well, and requests wait for it; but not where none
            // stays.
            Stage::Ready { since, .. } => {
                let steady = now.duration_since(since) >= STEADY;
                if steady {
                    self.backoff.reset();
                }
                let by_itself = !steady && !busy && !self.terms.alone;
                self.short_lived = if by_itself { self.short_lived.saturating_add(1) } else { 0 };
                self.backoff.failed(now);
                self.trouble = format!("a worker {how}");
            }
            Stage::Draining { .. } | Stage::Doomed => {}
        }
        self.settle(now, &mut actions);
        actions
    }

    /// A worker could not even be launched: its process never was.
    pub fn not_launched(&mut self, serial: u32, why: String, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(member) = self.members.remove(&serial) {
            actions.push(Action::Clear { slot: member.slot });
            self.failed(why, now);
            self.stuck = true;
        }
        self.settle(now, &mut actions);
        actions
    }

    /// A worker has seen that the code on disk is not what it runs.
    pub fn reload_wanted(&mut self, serial: u32, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(member) = self.members.get(&serial) else { return actions };
        let being_replaced = member.generation != self.generation;
        match (&mut self.repair, member.stage) {
            (_, Stage::Draining { .. } | Stage::Doomed) => {}
            _ if being_replaced => {}
            (Some(repair), _) => {
                let at = self.backoff.until().map_or(now, |until| until.max(now));
                repair.retry = Some(repair.retry.map_or(at, |set| set.min(at)));
            }
            (None, _) => self.begin_roll(Reason::ScriptReload),
        }
        self.settle(now, &mut actions);
        actions
    }

    /// A worker is to be replaced, for whatever reason of its own. One that is far beyond its number of
    /// requests says so again, and does not wait for somebody in its place.
    pub fn worn(&mut self, serial: u32, reason: Reason, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.beside && reason == Reason::Inactivity {
            return actions; // nobody asks it for anything yet
        }
        let again = self.members.get(&serial).is_some_and(|member| member.worn == Some(reason));
        if again && reason == Reason::MaximumRequests {
            self.retire(serial, reason, now, &mut actions);
        }
        self.wear(serial, reason, &mut actions);
        self.settle(now, &mut actions);
        actions
    }

    /// A worker is not kept until somebody is in its place; it finishes what it has.
    pub fn dismiss(&mut self, serial: u32, reason: Reason, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.retire(serial, reason, now, &mut actions);
        self.settle(now, &mut actions);
        actions
    }

    /// A worker that was told to finish and end can't.
    pub fn end(&mut self, serial: u32) -> Vec<Action> {
        let leaving = |member: &&mut Member| matches!(member.stage, Stage::Draining { .. });
        let Some(member) = self.members.get_mut(&serial).filter(leaving) else { return Vec::new() };
        member.stage = Stage::Doomed;
        vec![Action::Kill { serial }]
    }

    /// A worker has nothing to do: it goes, and nobody comes. `None` if the others would be too few.
    pub fn spare(&mut self, serial: u32, fewest: u32, now: Instant) -> Option<Vec<Action>> {
        let ready = self.members.get(&serial).is_some_and(|m| matches!(m.stage, Stage::Ready { .. }));
        if !ready || self.wanted <= fewest.max(1) || self.missing() > 0 {
            return None;
        }
        let mut actions = Vec::new();
        self.wanted -= 1;
        self.retire(serial, Reason::Inactivity, now, &mut actions);
        self.settle(now, &mut actions);
        Some(actions)
    }

    /// A worker of an earlier daemon serves here, `since` when it was started. Nobody is started as long as more may
    /// come; see [`Roster::hold`].
    pub fn adopt(&mut self, serial: u32, slot: u32, loaded: bool, since: Instant) -> Vec<Action> {
        let taken = self.members.values().any(|member| member.slot == slot);
        if taken || self.members.contains_key(&serial) || slot >= Self::slots(self.terms.processes) {
            return Vec::new();
        }
        let stage = Stage::Ready { since, loaded };
        self.members.insert(serial, Member { slot, generation: self.generation, stage, worn: None });
        self.last_serial = self.last_serial.max(serial);
        let members = self.members.len() as u32;
        self.wanted = self.wanted.max(members).min(self.terms.processes.max(1));
        vec![Action::Serve { serial, slot }]
    }

    /// Somebody with the right to do so asks for new workers: nothing keeps them waiting.
    pub fn roll(&mut self, now: Instant) -> Vec<Action> {
        self.renew(Reason::Graceful, now)
    }

    /// Every thread is taken: one more worker, if there is room and none is on its way already.
    pub fn grow(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let coming = self.count(|member| matches!(member.stage, Stage::Starting { .. })) > 0;
        if !coming && self.wanted < self.terms.processes {
            self.wanted += 1;
            self.settle(now, &mut actions);
        }
        actions
    }

    /// So many workers from now on.
    pub fn want(&mut self, wanted: u32, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.wanted = wanted.clamp(1, self.terms.processes.max(1));
        self.settle(now, &mut actions);
        actions
    }

    /// The pool closes: everyone goes, nobody comes. In a `hurry` they have `shutdown-timeout` alone.
    pub fn leave(&mut self, hurry: bool, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.leaving = true;
        self.repair = None;
        if hurry {
            self.terms.graceful = Duration::ZERO;
            self.hasten(now);
        }
        let all: Vec<u32> = self.members.keys().copied().collect();
        all.into_iter().for_each(|serial| self.retire(serial, Reason::Shutdown, now, &mut actions));
        actions
    }

    /// Another pool serves until this one [`Roster::is_complete`]; until then this one's workers come as in a roll.
    pub fn begin_beside(&mut self) {
        self.beside = true;
    }

    /// It serves alone from now on.
    pub fn take_over(&mut self, now: Instant) -> Vec<Action> {
        self.beside = false;
        self.tick(now)
    }

    /// Nobody comes until [`Roster::release`].
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Serials up to this one are somebody's already.
    pub fn pass_over(&mut self, serial: u32) {
        self.last_serial = self.last_serial.max(serial);
    }

    /// Whoever has to come may.
    pub fn release(&mut self, now: Instant) -> Vec<Action> {
        self.held = false;
        self.tick(now)
    }

    /// The scripts' time stamps at the start of a worker.
    pub fn starts_with(&mut self, stamps: Stamps) {
        self.tried = stamps;
    }

    /// Are the pool's scripts worth a look every second? They are while an import has failed, here or on
    /// the way here.
    pub fn awaits_scripts(&self) -> bool {
        let unloaded = self.serves() && !self.serves_loaded();
        !self.leaving && (self.repair.is_some() || unloaded)
    }

    /// The scripts' time stamps, as they are now. One that has vanished may be about to be replaced.
    pub fn scripts_are(&mut self, stamps: &Stamps, now: Instant) -> Vec<Action> {
        let tried = |number: usize| self.tried.get(number).copied().flatten();
        let new = stamps.iter().enumerate().any(|(number, stamp)| stamp.is_some() && *stamp != tried(number));
        if self.awaits_scripts() && new { self.renew(Reason::ScriptReload, now) } else { Vec::new() }
    }

    fn renew(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.backoff.reset();
        self.short_lived = 0;
        self.begin_roll(reason);
        self.settle(now, &mut actions);
        actions
    }

    fn took_up(&mut self, loaded: bool) {
        self.stuck = false;
        if loaded {
            self.repair = None;
            self.trouble.clear();
        } else {
            self.trouble =
                "the application did not import when its worker began; the traceback is in the log".into();
        }
    }

    fn failed(&mut self, why: String, now: Instant) {
        self.backoff.failed(now);
        self.trouble = why;
        self.stuck |= self.backoff.failures() >= 2;
    }
}
