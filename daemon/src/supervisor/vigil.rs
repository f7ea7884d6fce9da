//! The watch over one worker: what is too long about its requests, its silence or its memory. Pure: it is
//! told what there is and the time, and says what to do and when to look again.
//!
//! A request over `request-timeout` is first interrupted, where the group has an `interrupt-timeout`, and given
//! up when that has passed; without one it is given up at once. Giving up a request is giving up its worker, which
//! serves on until another is in its place; but not one that nobody would be served by: whose threads are all given up,
//! or which has shown no sign of life for half as long as a request may take, and as long where nothing is given up.

use std::collections::BTreeMap;
use std::time::Duration;
use wsgid_proto::options::ProcessGroup;
use wsgid_proto::pulse::Busy;

/// Memory has no clock of its own: so often is it looked at.
const MEMORY_LOOK: Duration = Duration::from_secs(2);

/// What the configuration says; `None` is no limit.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// For one request.
    pub request: Option<Duration>,
    /// Then for its unwinding.
    pub interrupt: Option<Duration>,
    /// For the interpreter's lock.
    pub deadlock: Option<Duration>,
    /// Bytes in memory above which a worker is replaced …
    pub memory_high: Option<u64>,
    /// … and above which it is not kept until somebody is in its place.
    pub memory_max: Option<u64>,
}

impl Rules {
    /// Those of a group.
    pub fn of(options: &ProcessGroup) -> Self {
        let seconds = |number: u32| (number > 0).then(|| Duration::from_secs(number.into()));
        let bytes = |number: u64| (number > 0).then_some(number);
        Self {
            request: options.request_limit(),
            interrupt: seconds(options.interrupt_timeout),
            deadlock: seconds(options.deadlock_timeout),
            memory_high: bytes(options.memory_high),
            memory_max: bytes(options.memory_max),
        }
    }

    /// Is memory to be looked at?
    pub fn weigh(&self) -> bool {
        self.memory_high.is_some() || self.memory_max.is_some()
    }
}

/// What there is to see of a worker. Times are microseconds of the monotonic clock.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    /// Its requests.
    pub busy: Vec<Busy>,
    /// Its threads.
    pub threads: u32,
    /// Requests that it has been sent and has not begun: a hint, from the board.
    pub unread: u32,
    /// When it had Python's lock last; 0 before the first time.
    pub last_beat: u64,
    /// Bytes in memory, if they were looked at.
    pub resident: Option<u64>,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Raise RequestTimeout in the request.
    Interrupt(Busy),
    /// The request will not end in time: its worker has to.
    GiveUp(Busy),
    /// Nobody gets Python's lock any more.
    Stuck,
    /// Nobody whom it is sent would be served.
    Lost,
    /// Over `memory-high`.
    High(u64),
    /// Over `memory-max`.
    Max(u64),
}

/// The watch.
#[derive(Debug, Default)]
pub struct Vigil {
    /// Requests that were too long, by thread: which, and when it was given up or is to be.
    late: BTreeMap<u32, (u64, Fate)>,
    stuck: bool,
    lost: bool,
    heavy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Interrupted(u64),
    GivenUp,
}

impl Vigil {
    /// Looks; what was found before is not found again. And how long nothing can happen that would be found.
    pub fn look(&mut self, rules: &Rules, signs: &Signs, now: u64) -> (Vec<Finding>, Option<Duration>) {
        let mut findings = Vec::new();
        let requests = self.look_at_requests(rules, signs, now, &mut findings);
        self.look_at_hope(rules, signs, now, &mut findings);
        let lock = self.look_at_lock(rules, signs, now, &mut findings);
        let memory = self.look_at_memory(rules, signs, &mut findings);
        (findings, [requests, lock, memory].into_iter().flatten().min())
    }

    fn look_at_requests(
        &mut self,
        rules: &Rules,
        signs: &Signs,
        now: u64,
        findings: &mut Vec<Finding>,
    ) -> Option<Duration> {
        let limit = rules.request?;
        self.late.retain(|thread, (begun, _)| {
            signs.busy.iter().any(|busy| busy.thread == *thread && busy.begun == *begun)
        });
        // A request that begins right now is seen in time if the next look is half the limit away.
        let mut next = limit / 2;
        for &busy in &signs.busy {
            let fate = self.late.get(&busy.thread).map(|(_, fate)| *fate);
            let left = match (fate, rules.interrupt) {
                (Some(Fate::GivenUp), _) => continue,
                (None, _) => limit.checked_sub(busy.age(now)),
                (Some(Fate::Interrupted(at)), time) => {
                    time.unwrap_or_default().checked_sub(Duration::from_micros(now.saturating_sub(at)))
                }
            };
            if let Some(left) = left.filter(|left| !left.is_zero()) {
                next = next.min(left);
                continue;
            }
            let fate = match (fate, rules.interrupt) {
                (None, Some(time)) => {
                    findings.push(Finding::Interrupt(busy));
                    next = next.min(time);
                    Fate::Interrupted(now)
                }
                _ => {
                    findings.push(Finding::GiveUp(busy));
                    Fate::GivenUp
                }
            };
            self.late.insert(busy.thread, (busy.begun, fate));
        }
        Some(next)
    }

    /// The limit of a request goes for all of them together, too. [`super::plan`] has workers with one beat often enough.
    fn look_at_hope(&mut self, rules: &Rules, signs: &Signs, now: u64, findings: &mut Vec<Finding>) {
        let Some(limit) = rules.request.filter(|_| !self.lost) else { return };
        let given_up = self.late.values().filter(|(_, fate)| *fate == Fate::GivenUp).count();
        let silence = Duration::from_micros(now.saturating_sub(signs.last_beat));
        let is_silent_for = |time| signs.last_beat != 0 && silence >= time;
        let no_thread_left = given_up > 0 && given_up >= signs.threads as usize;
        // It beats four times in the limit, and may have begun with that just after a request.
        let hopeless = given_up > 0 && is_silent_for(limit / 2);
        if no_thread_left || hopeless || (signs.unread > 0 && is_silent_for(limit)) {
            self.lost = true;
            findings.push(Finding::Lost);
        }
    }

    fn look_at_lock(
        &mut self,
        rules: &Rules,
        signs: &Signs,
        now: u64,
        findings: &mut Vec<Finding>,
    ) -> Option<Duration> {
        let limit = rules.deadlock.filter(|_| !self.stuck)?;
        if signs.last_beat == 0 {
            return Some(limit);
        }
        let silence = Duration::from_micros(now.saturating_sub(signs.last_beat));
        let left = limit.checked_sub(silence).filter(|left| !left.is_zero());
        if left.is_none() {
            self.stuck = true;
            findings.push(Finding::Stuck);
        }
        left
    }

    fn look_at_memory(
        &mut self,
        rules: &Rules,
        signs: &Signs,
        findings: &mut Vec<Finding>,
    ) -> Option<Duration> {
        let resident = signs.resident.unwrap_or_default();
        let over = |limit: Option<u64>| limit.is_some_and(|limit| resident > limit);
        if over(rules.memory_max) {
            findings.push(Finding::Max(resident));
            self.heavy = true;
        } else if over(rules.memory_high) && !self.heavy {
            findings.push(Finding::High(resident));
            self.heavy = true;
        }
        rules.weigh().then_some(MEMORY_LOOK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn seconds(number: u64) -> Option<Duration> {
        Some(Duration::from_secs(number))
    }

    fn signs(begun: &[u64]) -> Signs {
        let busy = (1..).zip(begun).map(|(thread, &begun)| Busy { thread, begun, ident: 0 }).collect();
        Signs { busy, threads: 9, ..Default::default() }
    }

    #[test]
    fn a_request_is_given_up_once_at_its_limit() {
        let rules = Rules { request: seconds(10), ..Default::default() };
        let mut vigil = Vigil::default();
        assert_eq!(vigil.look(&rules, &signs(&[]), SECOND), (vec![], seconds(5)));
        assert_eq!(vigil.look(&rules, &signs(&[SECOND]), 7 * SECOND), (vec![], seconds(4)));
        let late = signs(&[SECOND, 9 * SECOND]);
        let (findings, next) = vigil.look(&rules, &late, 11 * SECOND);
        assert_eq!((findings, next), (vec![Finding::GiveUp(late.busy[0])], seconds(5)));
        assert_eq!(vigil.look(&rules, &late, 12 * SECOND), (vec![], seconds(5)));
        // The thread's next request is another one.
        let next = signs(&[12 * SECOND, 21 * SECOND]);
        assert_eq!(vigil.look(&rules, &next, 22 * SECOND).0, [Finding::GiveUp(next.busy[0])]);
    }

    #[test]
    fn a_request_is_interrupted_before_it_is_given_up() {
        let rules = Rules { request: seconds(10), interrupt: seconds(3), ..Default::default() };
        let mut vigil = Vigil::default();
        let late = signs(&[SECOND]);
        assert_eq!(
            vigil.look(&rules, &late, 11 * SECOND),
            (vec![Finding::Interrupt(late.busy[0])], seconds(3))
        );
        assert_eq!(vigil.look(&rules, &late, 12 * SECOND), (vec![], seconds(2)));
        assert_eq!(vigil.look(&rules, &late, 14 * SECOND).0, [Finding::GiveUp(late.busy[0])]);
        // One that unwinds is forgotten.
        let mut vigil = Vigil::default();
        vigil.look(&rules, &late, 11 * SECOND);
        assert_eq!(vigil.look(&rules, &signs(&[]), 15 * SECOND), (vec![], seconds(5)));
    }

    #[test]
    fn a_worker_whose_threads_are_all_given_up_is_lost() {
        let rules = Rules { request: seconds(10), ..Default::default() };
        let of_two = |begun: &[u64]| Signs { threads: 2, ..signs(begun) };
        let mut vigil = Vigil::default();
        let one = of_two(&[SECOND, 5 * SECOND]);
        assert_eq!(vigil.look(&rules, &one, 11 * SECOND).0, [Finding::GiveUp(one.busy[0])]);
        assert_eq!(vigil.look(&rules, &one, 15 * SECOND).0, [Finding::GiveUp(one.busy[1]), Finding::Lost]);
        assert_eq!(vigil.look(&rules, &one, 16 * SECOND).0, []);
    }

    #[test]
    fn a_silent_worker_is_lost_once_somebody_has_waited_for_it_in_vain() {
        let rules = Rules { request: seconds(10), ..Default::default() };
        let silent = |last_beat, unread, begun: &[u64]| Signs { last_beat, unread, ..signs(begun) };
        let look = |signs: &Signs| Vigil::default().look(&rules, signs, 21 * SECOND).0;
        assert_eq!(look(&silent(SECOND, 0, &[])), [], "nobody waits");
        assert_eq!(look(&silent(12 * SECOND, 1, &[])), [], "it has been alive since");
        assert_eq!(look(&silent(0, 1, &[])), [], "it does not beat");
        assert_eq!(look(&silent(11 * SECOND, 1, &[])), [Finding::Lost]);
        let late = silent(11 * SECOND, 0, &[SECOND]);
        assert_eq!(look(&late), [Finding::GiveUp(late.busy[0]), Finding::Lost]);
    }

    #[test]
    fn silence_is_told_once_and_only_after_a_first_word() {
        let rules = Rules { deadlock: seconds(10), ..Default::default() };
        let mut vigil = Vigil::default();
        let beat = |last_beat| Signs { last_beat, ..Default::default() };
        assert_eq!(vigil.look(&rules, &beat(0), 99 * SECOND), (vec![], seconds(10)));
        assert_eq!(vigil.look(&rules, &beat(SECOND), 4 * SECOND), (vec![], seconds(7)));
        assert_eq!(vigil.look(&rules, &beat(SECOND), 11 * SECOND).0, [Finding::Stuck]);
        assert_eq!(vigil.look(&rules, &beat(SECOND), 12 * SECOND), (vec![], None));
    }

    #[test]
    fn memory_has_two_marks() {
        let rules = Rules { memory_high: Some(10), memory_max: Some(20), ..Default::default() };
        let mut vigil = Vigil::default();
        let of = |resident| Signs { resident: Some(resident), ..Default::default() };
        assert_eq!(vigil.look(&rules, &of(10), 0), (vec![], Some(MEMORY_LOOK)));
        assert_eq!(vigil.look(&rules, &of(11), 0).0, [Finding::High(11)]);
        assert_eq!(vigil.look(&rules, &of(12), 0).0, []);
        assert_eq!(vigil.look(&rules, &of(21), 0).0, [Finding::Max(21)]);
        assert_eq!(vigil.look(&Rules::default(), &of(u64::MAX), 0), (vec![], None));
    }
}
