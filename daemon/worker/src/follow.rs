//! A request thread that takes turns with a thread of httpd's follows it to its processor.
//!
//! Where requests come one at a time, the two hand each to and fro, and never run at the same time. The kernel wakes
//! a thread on the processor on which it ran last, if that idles: two that began on two processors stay there, and
//! every hand-over wakes a processor that sleeps. Under a hypervisor that may take longer than a small request. So
//! when many have come that way, each soon after the one before, the thread moves once it has answered: until the
//! next request the processor that it left sleeps so deeply that the kernel sends neither of them there again.
//!
//! To move is not to be bound: at once the thread may run everywhere again. One that has been bound by somebody
//! stays where it is, be it to all processors but one.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::sync::OnceLock;

/// So many requests in a row are a reason to move. With more than a few clients there is never such a row.
const ROW: u32 = 16;
/// A request that begins so many microseconds after the one before it is not in the same row.
const SOON: u64 = 2_000;

/// What a request thread knows of those with whom it takes turns.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    follows: bool,
    /// Where the last of them ran, counted from 1; 0 if unknown.
    processor: u32,
    /// When its request came: microseconds since the epoch.
    at: u64,
    /// How many were in a row with the one before them.
    row: u32,
}

impl Follower {
    /// One that does, or does not.
    pub(crate) fn new(follows: bool) -> Self {
        Self { follows, ..Self::default() }
    }

    /// A request has come at this time (microseconds since the epoch), from that processor (counted from 1; 0 if
    /// unknown); `alone` says whether there is no other in the pool.
    pub(crate) fn begin(&mut self, processor: u32, now: u64, alone: impl FnOnce() -> bool) {
        if self.follows {
            let soon = now.saturating_sub(self.at) < SOON;
            self.row = if soon && alone() { self.row.saturating_add(1) } else { 0 };
            (self.processor, self.at) = (processor, now);
        }
    }

    /// The request has been answered; `quiet` says whether there is no other in the pool.
    pub(crate) fn answered(&mut self, quiet: impl FnOnce() -> bool) {
        if self.row < ROW {
            return;
        }
        let goal = sched_getcpu().ok().and_then(|own| self.goal(own)).filter(|_| quiet());
        // Where it may not, or can't, it is not asked again with each request.
        if goal.is_some_and(|goal| is_bound() || move_to(goal).is_err()) {
            self.row = 0;
        }
    }

    /// Where a thread that runs on this processor had better run.
    fn goal(&self, own: usize) -> Option<usize> {
        let goal = usize::try_from(self.processor).ok()?.checked_sub(1)?;
        (self.row >= ROW && goal != own).then_some(goal)
    }
}

/// For the kernel: the thread that asks.
const THIS: Pid = Pid::from_raw(0);

/// May this thread not run on all of the machine's processors?
fn is_bound() -> bool {
    let allowed = |set: CpuSet| (0..CpuSet::count()).filter(|&number| set.is_set(number) == Ok(true)).count();
    sched_getaffinity(THIS).map_or(true, |set| allowed(set) < processors())
}

/// Has this thread, which is not bound, run on that processor, and from then on everywhere.
fn move_to(processor: usize) -> nix::Result<()> {
    let (mut there, mut everywhere) = (CpuSet::new(), CpuSet::new());
    there.set(processor)?;
    // Not those of now: the kernel would hold the thread to them when the machine gets more processors.
    (0..CpuSet::count()).try_for_each(|number| everywhere.set(number))?;
    sched_setaffinity(THIS, &there)?;
    sched_setaffinity(THIS, &everywhere)
}

/// How many the machine has; more than a thread can have if that is not known.
fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
        count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has had so many requests from the second processor, a millisecond apart.
    fn follower(requests: u64) -> Follower {
        let mut follower = Follower::new(true);
        (1..=requests).for_each(|request| follower.begin(2, request * 1_000, || true));
        follower
    }

    #[test]
    fn a_row_of_lonely_requests_leads_to_their_processor() {
        assert_eq!(follower(u64::from(ROW)).goal(0), Some(1));
        assert_eq!(follower(u64::from(ROW)).goal(1), None);
        assert_eq!(follower(u64::from(ROW) - 1).goal(0), None);
    }

    #[test]
    fn company_a_pause_and_an_unknown_processor_lead_nowhere() {
        let now = u64::from(ROW + 1) * 1_000;
        let mut in_company = follower(u64::from(ROW));
        in_company.begin(2, now, || false);
        assert_eq!(in_company.goal(0), None);
        let mut after_a_pause = follower(u64::from(ROW));
        after_a_pause.begin(2, now + SOON, || true);
        assert_eq!(after_a_pause.goal(0), None);
        let mut somewhere = follower(u64::from(ROW));
        somewhere.begin(0, now, || true);
        assert_eq!(somewhere.goal(0), None);
        let mut told_not_to = Follower::new(false);
        (1..=now).step_by(1_000).for_each(|now| told_not_to.begin(2, now, || true));
        assert_eq!(told_not_to.goal(0), None);
    }

    /// What this thread may run on.
    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(THIS).unwrap();
        (0..CpuSet::count()).filter(|&number| set.is_set(number).unwrap()).collect()
    }

    /// Has requests of each of these processors in turn.
    fn follow(processors: &[usize]) {
        for &processor in processors {
            let mut follower = follower(u64::from(ROW));
            follower.processor = processor as u32 + 1;
            follower.answered(|| true);
        }
    }

    #[test]
    fn a_thread_that_moves_is_not_bound_and_one_that_is_bound_does_not_move() {
        let before = allowed();
        follow(&before);
        assert_eq!(allowed(), before);
        let mut one = CpuSet::new();
        one.set(before[0]).unwrap();
        sched_setaffinity(THIS, &one).unwrap();
        follow(&before);
        assert_eq!(allowed(), [before[0]]);
    }
}
