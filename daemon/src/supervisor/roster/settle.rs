//! How a roster comes to rest after any event: the replaced go, the missing come, the board learns
//! whether waiting makes sense. Also the ways in which one worker leaves.

use super::{Action, LAST_GRACE, Member, Repair, Roster, SHORT_LIVED, STARTUP, Stage, Terms};
use std::time::{Duration, Instant};
use wsgid_proto::board::PoolState;
use wsgid_proto::launch::Reason;

impl Roster {
    pub(super) fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.leaving {
            return;
        }
        self.retire_replaced(now, actions);
        self.retire_surplus(now, actions);
        self.fill(now, actions);
        self.judge(actions);
    }

    /// Older generations keep as many workers as the present one still lacks, or none who would have to
    /// bear company.
    fn retire_replaced(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let fresh = self.count(|m| self.is_fresh(m) && matches!(m.stage, Stage::Ready { .. }));
        let keep = if self.terms.alone { 0 } else { self.wanted.saturating_sub(fresh) as usize };
        let mut old = Vec::new();
        for (&serial, member) in self.members.iter().filter(|(_, member)| !self.is_fresh(member)) {
            let serves = match member.stage {
                Stage::Ready { loaded, .. } => Some(loaded),
                Stage::Starting { .. } => None,
                Stage::Draining { .. } | Stage::Doomed => continue,
            };
            old.push((serves, serial, member.worn.unwrap_or(self.renewal)));
        }
        // Those that do not serve yet first, then those without their application, then the oldest.
        old.sort_unstable_by_key(|&(serves, serial, _)| (serves, serial));
        let going = old.len().saturating_sub(keep);
        old.into_iter().take(going).for_each(|(_, serial, reason)| self.retire(serial, reason, now, actions));
    }

    /// After a failed roll, or when fewer are wanted, there may be more than enough.
    fn retire_surplus(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let ready: Vec<u32> =
            self.members.iter().filter(|(_, m)| self.is_fresh_ready(m)).map(|(s, _)| *s).collect();
        let surplus = ready.len().saturating_sub(self.wanted as usize);
        let going = ready.into_iter().take(surplus);
        going.for_each(|serial| self.retire(serial, Reason::Shutdown, now, actions));
    }

    fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let permitted = !self.held && self.backoff.permits(now);
        let mut missing = if permitted { self.missing() } else { 0 };
        while let (1.., Some(slot)) = (missing, self.free_slot()) {
            missing -= 1;
            self.last_serial = self.last_serial.wrapping_add(1).max(1);
            let serial = self.last_serial;
            let stage = Stage::Starting { since: now };
            self.members.insert(serial, Member { slot, generation: self.generation, stage, worn: None });
            actions.push(Action::Start { serial, slot });
        }
    }

    /// How many workers to start. While older ones serve and no newcomer does, one at a time has to
    /// show that the new code imports.
    pub(super) fn missing(&self) -> u32 {
        if self.terms.alone {
            return self.wanted.saturating_sub(self.members.len() as u32);
        }
        let coming = self.count(|m| self.is_fresh(m) && matches!(m.stage, Stage::Starting { .. }));
        let serving = self.count(|m| self.is_fresh_ready(m));
        let old = self.count(|m| !self.is_fresh(m) && matches!(m.stage, Stage::Ready { .. }));
        let others_serve = old > 0 || self.beside;
        let most = if others_serve && serving == 0 && !self.terms.at_once { 1 } else { self.wanted };
        let missing = most.saturating_sub(coming + serving);
        match self.terms.parallel {
            0 => missing,
            _ if !others_serve => missing,
            parallel => missing.min(parallel.saturating_sub(coming)),
        }
    }

    pub(super) fn free_slot(&self) -> Option<u32> {
        let taken: Vec<u32> = self.members.values().map(|member| member.slot).collect();
        (0..Self::slots(self.terms.processes)).find(|slot| !taken.contains(slot))
    }

    /// Says on the board when it is no use to wait, and when it is again.
    fn judge(&mut self, actions: &mut Vec<Action>) {
        let failing = (self.stuck || self.short_lived >= SHORT_LIVED) && !self.serves();
        if failing != self.failing {
            self.failing = failing;
            actions.push(Action::Say(if failing { PoolState::Failing } else { PoolState::Open }));
        }
    }

    pub(super) fn begin_roll(&mut self, reason: Reason) {
        self.generation += 1;
        self.renewal = reason;
        self.repair = None;
    }

    /// A newcomer whose import failed, while others serve: it goes and they stay.
    pub(super) fn reject(&mut self, serial: u32, now: Instant, actions: &mut Vec<Action>) {
        self.backoff.failed(now);
        self.trouble =
            "the code on disk does not import; workers with the code from before go on serving".into();
        actions.push(Action::Warn(self.trouble.clone()));
        self.retire(serial, Reason::Shutdown, now, actions);
        for member in self.members.values_mut() {
            if matches!(member.stage, Stage::Starting { .. } | Stage::Ready { .. }) {
                member.generation = self.generation;
            }
        }
        self.repair = Some(Repair::default());
    }

    pub(super) fn retire(&mut self, serial: u32, reason: Reason, now: Instant, actions: &mut Vec<Action>) {
        let grace = self.grace(reason);
        let deadline = now + grace + LAST_GRACE;
        let Some(member) = self.members.get_mut(&serial) else { return };
        let starting = matches!(member.stage, Stage::Starting { .. });
        if matches!(member.stage, Stage::Draining { .. } | Stage::Doomed) {
            return;
        }
        member.stage = Stage::Draining { deadline };
        actions.push(Action::Retire { serial, slot: member.slot, starting, reason, grace });
    }

    /// How long a worker that goes for this reason may take to finish what it has.
    fn grace(&self, reason: Reason) -> Duration {
        let Terms { shutdown, graceful, eviction, alone, .. } = self.terms;
        match reason {
            _ if alone => shutdown,             // a service has no requests to finish
            Reason::Deadlock => Duration::ZERO, // nothing there can be finished
            Reason::Eviction => shutdown + eviction,
            _ => shutdown + graceful,
        }
    }

    /// Those that are on their way out already get no more time than those that are told now.
    pub(super) fn hasten(&mut self, now: Instant) {
        let latest = now + self.terms.shutdown + LAST_GRACE;
        for member in self.members.values_mut() {
            if let Stage::Draining { deadline } = &mut member.stage {
                *deadline = latest.min(*deadline);
            }
        }
    }

    /// A worker that serves is worn from now on, unless it is on its way out for another reason.
    pub(super) fn wear(&mut self, serial: u32, reason: Reason, actions: &mut Vec<Action>) {
        let generation = self.generation;
        let Some(member) = self.members.get_mut(&serial) else { return };
        let serves = matches!(member.stage, Stage::Ready { .. });
        if serves && member.worn.is_none() && member.generation == generation {
            member.worn = Some(reason);
            actions.push(Action::Replace { serial, reason });
        }
    }

    /// Those whose time has come.
    fn wear_out(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let due: Vec<_> = self
            .members
            .iter()
            .filter_map(|(&serial, member)| Some((serial, self.wears(serial, member)?)))
            .filter(|(_, (at, _))| *at <= now)
            .collect();
        due.into_iter().for_each(|(serial, (_, reason))| self.wear(serial, reason, actions));
    }

    /// When a worker will have served long enough, and why.
    pub(super) fn wears(&self, serial: u32, member: &Member) -> Option<(Instant, Reason)> {
        let Stage::Ready { since, loaded } = member.stage else { return None };
        if member.worn.is_some() || !self.is_current(member) || self.beside {
            return None;
        }
        let startup = self.terms.startup.filter(|_| !loaded).map(|time| (since + time, Reason::Startup));
        let life = self.terms.lifetime.map(|time| {
            let more = self.terms.lifetime_jitter.mul_f64(jitter(serial));
            (since + time + more, Reason::RestartInterval)
        });
        startup.into_iter().chain(life).min_by_key(|(at, _)| *at)
    }

    pub(super) fn startup(&self) -> Duration {
        self.terms.startup.unwrap_or(STARTUP)
    }

    /// Deadlines that have passed.
    pub(super) fn enforce(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.wear_out(now, actions);
        let startup = self.startup();
        let mut late = false;
        for (&serial, member) in &mut self.members {
            let why = match member.stage {
                Stage::Starting { since } if since + startup <= now => {
                    late = true;
                    format!("a worker was not ready after {} seconds and is killed", startup.as_secs())
                }
                Stage::Draining { deadline } if deadline <= now => {
                    "a worker did not end in the time it had and is killed".into()
                }
                _ => continue,
            };
            member.stage = Stage::Doomed;
            actions.push(Action::Warn(why));
            actions.push(Action::Kill { serial });
        }
        if late {
            // Known to the task that has it a moment later, in which the next is ordered.
            actions.push(Action::DropTemplate);
            self.failed(format!("workers are not ready after {} seconds", startup.as_secs()), now);
        }
    }

    fn is_current(&self, member: &Member) -> bool {
        member.generation == self.generation
    }

    fn is_fresh(&self, member: &Member) -> bool {
        self.is_current(member) && member.worn.is_none()
    }

    fn is_fresh_ready(&self, member: &Member) -> bool {
        self.is_fresh(member) && matches!(member.stage, Stage::Ready { .. })
    }
}

/// A number from 0 to 1 for each worker, so that those that start together do not go together. The low bits
/// of serials times the golden ratio lie as far apart as may be.
fn jitter(serial: u32) -> f64 {
    f64::from(serial.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX)
}
