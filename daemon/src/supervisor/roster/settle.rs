//! How a roster comes to rest after any event: the replaced go, the missing come, the board learns
//! whether waiting makes sense. Also the ways in which one worker leaves.

use super::{Action, LAST_GRACE, Member, Repair, Roster, STARTUP, Stage};
use std::time::Instant;
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
        let mut old: Vec<(bool, u32)> = Vec::new();
        for (serial, member) in &self.members {
            match member.stage {
                Stage::Ready { loaded, .. } if !self.is_fresh(member) => old.push((loaded, *serial)),
                Stage::Starting { .. } if !self.is_fresh(member) => old.push((false, *serial)),
                _ => {}
            }
        }
        old.sort_unstable(); // those that serve nothing first, then the oldest
        let going = old.len().saturating_sub(keep);
        let reason = self.renewal;
        old.into_iter().take(going).for_each(|(_, serial)| self.retire(serial, reason, now, actions));
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
            self.members.insert(serial, Member { slot, generation: self.generation, stage });
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
        let most = if old > 0 && serving == 0 { 1 } else { self.wanted };
        most.saturating_sub(coming + serving)
    }

    pub(super) fn free_slot(&self) -> Option<u32> {
        let taken: Vec<u32> = self.members.values().map(|member| member.slot).collect();
        (0..Self::slots(self.terms.processes)).find(|slot| !taken.contains(slot))
    }

    /// Says on the board when it is no use to wait, and when it is again.
    fn judge(&mut self, actions: &mut Vec<Action>) {
        let failing = self.stuck && !self.serves();
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
        let deadline = now + self.terms.shutdown + LAST_GRACE;
        let Some(member) = self.members.get_mut(&serial) else { return };
        let starting = matches!(member.stage, Stage::Starting { .. });
        if matches!(member.stage, Stage::Draining { .. } | Stage::Doomed) {
            return;
        }
        member.stage = Stage::Draining { deadline };
        actions.push(Action::Retire { serial, slot: member.slot, starting, reason });
    }

    /// Deadlines that have passed.
    pub(super) fn enforce(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut late = false;
        for (&serial, member) in &mut self.members {
            let why = match member.stage {
                Stage::Starting { since } if since + STARTUP <= now => {
                    late = true;
                    format!("a worker was not ready after {} seconds and is killed", STARTUP.as_secs())
                }
                Stage::Draining { deadline } if deadline <= now => {
                    "a worker did not end within shutdown-timeout and is killed".into()
                }
                _ => continue,
            };
            member.stage = Stage::Doomed;
            actions.push(Action::Warn(why));
            actions.push(Action::Kill { serial });
        }
        if late {
            self.failed(format!("workers are not ready after {} seconds", STARTUP.as_secs()), now);
        }
    }

    fn is_fresh(&self, member: &Member) -> bool {
        member.generation == self.generation
    }

    fn is_fresh_ready(&self, member: &Member) -> bool {
        self.is_fresh(member) && matches!(member.stage, Stage::Ready { .. })
    }
}
