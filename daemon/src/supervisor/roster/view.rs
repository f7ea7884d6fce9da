//! What can be seen of a roster from outside, without changing it.

use super::{Member, Roster, Stage};
use std::time::Instant;

impl Roster {
    /// The number of the roll that newcomers belong to.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When to call [`Roster::tick`] at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let stages = self.members.iter().filter_map(|(&serial, member)| match member.stage {
            Stage::Starting { since } => Some(since + self.startup()),
            Stage::Draining { deadline } => Some(deadline),
            Stage::Ready { .. } => self.wears(serial, member).map(|(at, _)| at),
            Stage::Doomed => None,
        });
        let retry = self.repair.as_ref().and_then(|repair| repair.retry);
        let restart = (!self.leaving && !self.held && self.missing() > 0 && self.free_slot().is_some())
            .then(|| self.backoff.until())
            .flatten();
        stages.chain(retry).chain(restart).min()
    }

    /// Has everyone gone, for good?
    pub fn is_deserted(&self) -> bool {
        self.leaving && self.members.is_empty()
    }

    /// Does anyone serve, whether or not the application imported?
    pub fn serves(&self) -> bool {
        self.count(|member| matches!(member.stage, Stage::Ready { .. })) > 0
    }

    /// Does anyone serve whose application imported?
    pub fn serves_loaded(&self) -> bool {
        self.has_loaded_besides(0)
    }

    /// Has it all the workers that it is to have, or as many as come up?
    pub fn is_complete(&self) -> bool {
        let coming = self.starting() > 0 || self.missing() > 0;
        self.serves() && (!coming || self.backoff.failures() > 0)
    }

    /// How many are on their way.
    pub fn starting(&self) -> u32 {
        self.count(|member| matches!(member.stage, Stage::Starting { .. }))
    }

    /// How many workers the pool is meant to have.
    pub fn wanted(&self) -> u32 {
        self.wanted
    }

    /// Has the board been told that it is no use to wait?
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// Why the pool is not as it should be; empty if it is.
    pub fn trouble(&self) -> &str {
        &self.trouble
    }

    /// Everyone: serial, slot and stage.
    pub fn members(&self) -> impl Iterator<Item = (u32, u32, Stage)> + '_ {
        self.members.iter().map(|(serial, member)| (*serial, member.slot, member.stage))
    }

    pub(super) fn count(&self, is: impl Fn(&Member) -> bool) -> u32 {
        self.members.values().filter(|member| is(member)).count() as u32
    }

    pub(super) fn has_loaded_besides(&self, serial: u32) -> bool {
        let loaded = |stage| matches!(stage, Stage::Ready { loaded: true, .. });
        self.members.iter().any(|(other, member)| *other != serial && loaded(member.stage))
    }
}
