//! The roster's life, with no process, no board and no clock.

use super::*;

/// A roster and its time; actions come back as they were decided.
struct Case {
    roster: Roster,
    now: Instant,
}

impl Case {
    fn of(processes: u32, wanted: u32) -> Self {
        let shutdown = Duration::from_secs(5);
        let graceful = Duration::from_secs(15);
        let terms = Terms { processes, shutdown, graceful, eviction: graceful * 2, ..Default::default() };
        Self { roster: Roster::new(terms, wanted), now: Instant::now() }
    }

    fn watching(mut self) -> Self {
        self.roster.terms.watch = true;
        self
    }

    fn after(&mut self, seconds: u64) -> Vec<Action> {
        self.now += Duration::from_secs(seconds);
        self.roster.tick(self.now)
    }

    fn ready(&mut self, serial: u32) -> Vec<Action> {
        self.roster.ready(serial, true, false, self.now)
    }

    fn broken(&mut self, serial: u32) -> Vec<Action> {
        self.roster.ready(serial, false, false, self.now)
    }

    fn exits(&mut self, serial: u32) -> Vec<Action> {
        self.roster.exited(serial, "exited with status 1", false, self.now)
    }

    fn exits_over_a_request(&mut self, serial: u32) -> Vec<Action> {
        self.roster.exited(serial, "exited with status 1", true, self.now)
    }

    /// A roster whose first workers, 1 up to `count`, serve.
    fn serving(processes: u32, count: u32) -> Self {
        let mut case = Self::of(processes, count);
        case.after(0);
        (1..=count).for_each(|serial| drop(case.ready(serial)));
        case
    }
}

fn starts(actions: &[Action]) -> Vec<u32> {
    let serial = |action: &Action| match action {
        Action::Start { serial, .. } => Some(*serial),
        _ => None,
    };
    actions.iter().filter_map(serial).collect()
}

fn retires(actions: &[Action]) -> Vec<u32> {
    let serial = |action: &Action| match action {
        Action::Retire { serial, .. } => Some(*serial),
        _ => None,
    };
    actions.iter().filter_map(serial).collect()
}

#[test]
fn everyone_wanted_is_started_in_slots_of_their_own() {
    let mut case = Case::of(3, 3);
    let start = |serial, slot| Action::Start { serial, slot };
    assert_eq!(case.after(0), [start(1, 0), start(2, 1), start(3, 2)]);
    assert_eq!(case.after(0), []);
    assert_eq!(case.ready(2), [Action::Serve { serial: 2, slot: 1 }]);
}

#[test]
fn a_pool_grows_one_by_one_up_to_its_processes() {
    let mut case = Case::of(3, 1);
    case.after(0);
    assert_eq!(starts(&case.roster.grow(case.now)), [], "one is on its way");
    case.ready(1);
    assert_eq!(starts(&case.roster.grow(case.now)), [2]);
    assert_eq!(starts(&case.roster.grow(case.now)), []);
    case.ready(2);
    assert_eq!(starts(&case.roster.grow(case.now)), [3]);
    case.ready(3);
    assert_eq!(starts(&case.roster.grow(case.now)), []);
}

#[test]
fn a_crash_is_made_good_at_once_and_then_with_patience() {
    let mut case = Case::serving(1, 1);
    assert_eq!(starts(&case.exits(1)), [2]);
    let actions = case.exits(2);
    assert_eq!(starts(&actions), []);
    assert!(actions.contains(&Action::Say(PoolState::Failing)));
    assert!(case.roster.trouble().contains("status 1"));
    assert_eq!(case.roster.deadline(), Some(case.now + Duration::from_secs(1)));
    assert_eq!(starts(&case.after(1)), [3]);
    let actions = case.ready(3);
    assert!(actions.contains(&Action::Say(PoolState::Open)));
    assert_eq!(case.roster.trouble(), "");
}

#[test]
fn a_worker_that_served_long_is_no_failure_of_the_start() {
    let mut case = Case::serving(1, 1);
    assert_eq!(starts(&case.exits(1)), [2]);
    case.ready(2);
    case.after(STEADY.as_secs());
    assert_eq!(starts(&case.exits(2)), [3]);
}

#[test]
fn workers_that_came_up_are_waited_for_however_often_they_die() {
    let mut case = Case::serving(1, 1);
    for serial in 1..6 {
        case.after(STEADY.as_secs());
        let actions = case.exits(serial);
        assert_eq!(starts(&actions), [serial + 1]);
        assert!(!actions.contains(&Action::Say(PoolState::Failing)));
        case.ready(serial + 1);
    }
    // One that dies as soon as it is up is started with patience, and requests go on waiting.
    let actions = [case.exits(6), case.after(0)].concat();
    case.ready(7);
    let again = case.exits(7);
    assert!(![actions, again].concat().contains(&Action::Say(PoolState::Failing)));
}

#[test]
fn where_none_stays_up_nobody_is_waited_for_until_one_has() {
    let mut case = Case::serving(1, 1);
    for serial in 1..9 {
        let actions = [case.exits_over_a_request(serial), case.after(30)].concat();
        assert!(!actions.contains(&Action::Say(PoolState::Failing)), "those may have been killed");
        case.ready(serial + 1);
    }
    let mut case = Case::serving(1, 1);
    let mut said = Vec::new();
    for serial in 1..=SHORT_LIVED {
        said.extend(case.exits(serial));
        said.extend(case.after(8));
        case.ready(serial + 1);
    }
    assert_eq!(said.iter().filter(|action| **action == Action::Say(PoolState::Failing)).count(), 1);
    assert!(case.exits(SHORT_LIVED + 1).contains(&Action::Say(PoolState::Failing)));
    case.after(30);
    case.ready(SHORT_LIVED + 2);
    case.after(STEADY.as_secs());
    assert!(!case.exits(SHORT_LIVED + 2).contains(&Action::Say(PoolState::Failing)));
}

#[test]
fn a_pool_beside_another_tries_one_and_is_complete_with_all() {
    let mut case = Case::of(3, 3);
    case.roster.terms.parallel = 1;
    case.roster.begin_beside();
    assert_eq!(starts(&case.after(0)), [1]);
    for serial in 1..3 {
        assert_eq!(starts(&case.ready(serial)), [serial + 1]);
        assert!(!case.roster.is_complete());
    }
    case.ready(3);
    assert!(case.roster.is_complete());
}

#[test]
fn the_time_of_a_worker_goes_on_under_the_next_daemon() {
    let mut case = Case::of(1, 1);
    case.roster.terms.lifetime = Some(Duration::from_secs(100));
    case.roster.hold();
    case.after(1000);
    case.roster.adopt(1, 0, true, case.now - Duration::from_secs(90));
    case.roster.release(case.now);
    assert_eq!(case.after(9), []);
    assert!(case.after(2).contains(&Action::Replace { serial: 1, reason: Reason::RestartInterval }));
}

/// Its first would wear out before its last is there, again and again.
#[test]
fn nobody_wears_out_beside_another_pool() {
    let mut case = Case::of(2, 2);
    case.roster.terms.parallel = 1;
    case.roster.terms.lifetime = Some(Duration::from_secs(10));
    case.roster.begin_beside();
    case.after(0);
    case.ready(1);
    assert!(case.roster.worn(1, Reason::Inactivity, case.now).is_empty());
    assert_eq!(case.after(20), []);
    case.ready(2);
    assert!(case.roster.is_complete());
    assert_eq!(starts(&case.roster.take_over(case.now)), [3], "its time has come since");
}

#[test]
fn a_pool_beside_another_that_loses_some_is_as_complete_as_may_be() {
    let mut case = Case::of(3, 3);
    case.roster.begin_beside();
    case.after(0);
    case.ready(1);
    case.ready(2);
    assert!(!case.roster.is_complete());
    case.exits(3);
    assert!(case.roster.is_complete());
}

#[test]
fn what_can_not_be_launched_fails_the_pool_at_once_and_is_tried_again() {
    let mut case = Case::of(2, 2);
    case.after(0);
    let first = case.roster.not_launched(1, "no interpreter".into(), case.now);
    assert!(first.contains(&Action::Say(PoolState::Failing)));
    assert_eq!(case.roster.trouble(), "no interpreter");
    case.roster.not_launched(2, "no interpreter".into(), case.now);
    case.roster.not_launched(3, "no interpreter".into(), case.now);
    assert_eq!(starts(&case.after(1)), [4, 5]);
}

#[test]
fn a_first_import_that_fails_serves_all_the_same() {
    let mut case = Case::of(2, 2);
    case.after(0);
    assert_eq!(case.broken(1), [Action::Serve { serial: 1, slot: 0 }]);
    assert_eq!(case.broken(2), [Action::Serve { serial: 2, slot: 1 }]);
    assert!(case.roster.trouble().contains("did not import"));
}

#[test]
fn a_roll_tries_one_then_replaces_all() {
    let mut case = Case::serving(3, 3);
    assert_eq!(starts(&case.roster.roll(case.now)), [4]);
    let actions = case.ready(4);
    assert_eq!(retires(&actions), [1]);
    assert_eq!(starts(&actions), [5, 6]);
    assert_eq!(retires(&case.ready(5)), [2]);
    assert_eq!(retires(&case.ready(6)), [3]);
    assert_eq!(case.exits(1), [Action::Clear { slot: 0 }]);
    assert_eq!(case.roster.wanted(), 3);
}

#[test]
fn many_wishes_for_a_reload_are_one_roll() {
    let mut case = Case::serving(2, 2);
    assert_eq!(starts(&case.roster.reload_wanted(1, case.now)), [3]);
    assert_eq!(case.roster.reload_wanted(2, case.now), []);
    case.ready(3);
    assert_eq!(case.roster.reload_wanted(1, case.now), [], "it is retired already");
}

#[test]
fn code_that_does_not_import_replaces_nothing() {
    let mut case = Case::serving(2, 2);
    let stamp = |seconds| vec![None, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))];
    case.roster.reload_wanted(1, case.now);
    case.roster.starts_with(stamp(10));
    let actions = case.broken(3);
    assert_eq!(retires(&actions), [3]);
    assert!(matches!(&actions[0], Action::Warn(text) if text.contains("does not import")));
    assert!(case.roster.serves_loaded());
    assert_eq!(case.after(0), []);
    assert!(case.roster.awaits_scripts());
    assert_eq!(case.roster.scripts_are(&stamp(10), case.now), []);
    assert_eq!(case.roster.scripts_are(&vec![None, None], case.now), [], "vanished for a moment");
    assert_eq!(starts(&case.roster.scripts_are(&stamp(11), case.now)), [4]);
    assert_eq!(retires(&case.ready(4)), [1]);
    assert_eq!(case.roster.trouble(), "");
    assert!(!case.roster.awaits_scripts());
}

#[test]
fn a_worker_that_keeps_asking_is_heard_with_patience() {
    let mut case = Case::serving(1, 1);
    case.roster.reload_wanted(1, case.now);
    case.broken(2);
    case.roster.reload_wanted(1, case.now);
    assert_eq!(starts(&case.after(0)), [3], "the first time at once");
    case.broken(3);
    case.roster.reload_wanted(1, case.now);
    assert_eq!(starts(&case.after(0)), []);
    assert_eq!(starts(&case.after(1)), [4]);
}

#[test]
fn in_development_code_that_does_not_import_is_served_with_its_traceback() {
    let mut case = Case::serving(1, 1).watching();
    case.roster.reload_wanted(1, case.now);
    assert_eq!(retires(&case.broken(2)), [1]);
    assert!(case.roster.awaits_scripts());
    assert_eq!(starts(&case.roster.reload_wanted(2, case.now)), [3]);
    assert_eq!(retires(&case.ready(3)), [2]);
    assert!(!case.roster.awaits_scripts());
}

#[test]
fn behind_a_rival_only_code_that_imports_serves() {
    let mut case = Case::of(1, 1);
    case.after(0);
    let actions = case.roster.ready(1, false, true, case.now);
    assert_eq!(retires(&actions), [1]);
    assert!(!case.roster.serves());
    assert!(case.roster.awaits_scripts());
}

#[test]
fn a_worker_that_never_gets_ready_is_killed_and_replaced() {
    let mut case = Case::of(1, 1);
    case.after(0);
    assert_eq!(case.roster.deadline(), Some(case.now + STARTUP));
    let actions = case.after(STARTUP.as_secs());
    assert!(actions.contains(&Action::Kill { serial: 1 }));
    assert_eq!(starts(&actions), [2]);
    assert_eq!(case.exits(1), [Action::Clear { slot: 0 }]);
}

#[test]
fn whoever_retires_learns_why() {
    let why = |actions: Vec<Action>| {
        actions.iter().find_map(|action| match action {
            Action::Retire { reason, .. } => Some(*reason),
            _ => None,
        })
    };
    let mut case = Case::serving(1, 1);
    case.roster.reload_wanted(1, case.now);
    assert_eq!(why(case.ready(2)), Some(Reason::ScriptReload));
    case.roster.roll(case.now);
    assert_eq!(why(case.ready(3)), Some(Reason::Graceful));
    assert_eq!(why(case.roster.leave(true, case.now)), Some(Reason::Shutdown));
}

#[test]
fn whoever_does_not_end_is_killed() {
    let mut case = Case::serving(1, 1);
    let grace = Duration::from_secs(5);
    let retire = Action::Retire { serial: 1, slot: 0, starting: false, reason: Reason::Shutdown, grace };
    assert_eq!(case.roster.leave(true, case.now), [retire]);
    assert_eq!(case.after(6), []);
    assert!(case.after(1).contains(&Action::Kill { serial: 1 }));
    assert!(!case.roster.is_deserted());
    assert_eq!(case.exits(1), [Action::Clear { slot: 0 }]);
    assert!(case.roster.is_deserted());
    assert_eq!(case.roster.deadline(), None);
}

#[test]
fn a_service_is_never_beside_another() {
    let mut case = Case::of(1, 1);
    case.roster.terms.alone = true;
    case.roster.hold();
    assert_eq!(case.after(0), [], "another pool's is still there");
    assert_eq!(starts(&case.roster.release(case.now)), [1]);
    case.ready(1);
    let actions = case.roster.roll(case.now);
    assert_eq!((retires(&actions), starts(&actions)), (vec![1], vec![]));
    assert_eq!(starts(&case.after(1)), [], "it ends in its own time");
    assert_eq!(starts(&case.exits(1)), [2]);
    assert_eq!(case.roster.deadline(), Some(case.now + STARTUP));
}

#[test]
fn a_service_that_ends_by_itself_is_started_again() {
    let mut case = Case::serving(1, 1);
    case.roster.terms.alone = true;
    for serial in 1..4 {
        case.after(STEADY.as_secs());
        assert_eq!(starts(&case.exits(serial)), [serial + 1]);
        case.ready(serial + 1);
    }
    assert_eq!(starts(&case.exits(4)), [], "at once, this time");
    assert_eq!(starts(&case.after(1)), [5]);
}

#[test]
fn no_slot_no_start_until_one_is_free() {
    let mut case = Case::serving(1, 1); // four slots
    for serial in 2..=4 {
        case.roster.roll(case.now);
        case.ready(serial);
    }
    assert_eq!(case.roster.members().count(), 4);
    assert_eq!(starts(&case.roster.roll(case.now)), []);
    assert_eq!(starts(&case.exits(1)), [5]);
}

fn replaced(actions: &[Action]) -> Vec<(u32, Reason)> {
    let each = |action: &Action| match action {
        Action::Replace { serial, reason } => Some((*serial, *reason)),
        _ => None,
    };
    actions.iter().filter_map(each).collect()
}

#[test]
fn a_worn_worker_serves_until_another_is_in_its_place() {
    let mut case = Case::serving(2, 2);
    let actions = case.roster.worn(1, Reason::MaximumRequests, case.now);
    assert_eq!(replaced(&actions), [(1, Reason::MaximumRequests)]);
    assert_eq!((starts(&actions), retires(&actions)), (vec![3], vec![]));
    let actions = case.ready(3);
    assert!(matches!(
        actions[..],
        [Action::Serve { serial: 3, .. }, Action::Retire { serial: 1, reason: Reason::MaximumRequests, .. },]
    ));
    assert_eq!(case.exits(1), [Action::Clear { slot: 0 }]);
}

#[test]
fn a_worn_worker_stays_as_long_as_the_code_does_not_import() {
    let mut case = Case::serving(1, 1);
    case.roster.worn(1, Reason::RestartInterval, case.now);
    let actions = case.broken(2);
    assert_eq!((retires(&actions), starts(&actions)), (vec![2], vec![3]), "tried again at once");
    let actions = case.broken(3);
    assert_eq!((retires(&actions), starts(&actions)), (vec![3], vec![]));
    assert_eq!(starts(&case.after(1)), [4], "and then with patience");
    assert_eq!(retires(&case.ready(4)), [1]);
}

#[test]
fn whoever_is_far_beyond_its_requests_does_not_wait() {
    let mut case = Case::serving(1, 1);
    case.roster.worn(1, Reason::MaximumRequests, case.now);
    assert_eq!(retires(&case.roster.worn(1, Reason::MaximumRequests, case.now)), [1]);
    let mut case = Case::serving(1, 1);
    case.roster.worn(1, Reason::Graceful, case.now);
    assert_eq!(retires(&case.roster.worn(1, Reason::Graceful, case.now)), []);
}

#[test]
fn requests_have_the_longer_time_where_somebody_takes_over() {
    let grace = |actions: Vec<Action>| {
        actions.into_iter().find_map(|action| match action {
            Action::Retire { grace, .. } => Some(grace.as_secs()),
            _ => None,
        })
    };
    let mut case = Case::serving(1, 1);
    case.roster.worn(1, Reason::Graceful, case.now);
    assert_eq!(grace(case.ready(2)), Some(20));
    case.roster.worn(2, Reason::Eviction, case.now);
    assert_eq!(grace(case.ready(3)), Some(35));
    assert_eq!(grace(case.roster.leave(false, case.now)), Some(20));
    case.roster.leave(true, case.now);
    let killed = case.after(7).iter().filter(|action| matches!(action, Action::Kill { .. })).count();
    assert_eq!(killed, 3, "nobody has longer than the shutdown");
}

#[test]
fn workers_are_replaced_after_their_interval_each_in_its_time() {
    let mut case = Case::of(2, 2);
    case.roster.terms.lifetime = Some(Duration::from_secs(60));
    case.roster.terms.lifetime_jitter = Duration::from_secs(30);
    case.after(0);
    case.ready(1);
    case.ready(2);
    let first = case.roster.deadline().unwrap();
    assert!(first >= case.now + Duration::from_secs(60) && first <= case.now + Duration::from_secs(90));
    case.now = first;
    let actions = case.roster.tick(first);
    assert_eq!(replaced(&actions).len(), 1, "{actions:?}");
    assert_eq!(starts(&actions), [3]);
}

#[test]
fn a_worker_without_its_application_is_replaced_after_startup_timeout() {
    let mut case = Case::of(1, 1);
    case.roster.terms.startup = Some(Duration::from_secs(4));
    case.after(0);
    assert_eq!(case.roster.deadline(), Some(case.now + Duration::from_secs(4)));
    case.broken(1);
    assert_eq!(replaced(&case.after(3)), []);
    let actions = case.after(1);
    assert_eq!((replaced(&actions), starts(&actions)), (vec![(1, Reason::Startup)], vec![2]));
    assert_eq!(retires(&case.broken(2)), [1], "the newer of two that do not import");
    case.ready(2);
    assert_eq!(case.roster.deadline(), Some(case.now + Duration::from_secs(22)), "of whoever is leaving");
}

#[test]
fn a_worker_that_is_not_needed_goes_and_nobody_comes() {
    let mut case = Case::serving(2, 2);
    assert_eq!(retires(&case.roster.spare(2, 1, case.now).unwrap()), [2]);
    assert!(case.roster.spare(1, 1, case.now).is_none());
    assert_eq!(starts(&case.exits(2)), []);
    assert_eq!(starts(&case.roster.grow(case.now)), [3]);
}

#[test]
fn so_many_start_at_a_time() {
    let mut case = Case::serving(4, 4);
    case.roster.terms.parallel = 2;
    assert_eq!(starts(&case.roster.roll(case.now)), [5], "the one that tries");
    assert_eq!(starts(&case.ready(5)), [6, 7]);
    assert_eq!(starts(&case.ready(6)), [8]);
    assert_eq!(starts(&case.ready(7)), []);
    case.ready(8);
    assert_eq!(case.roster.members().filter(|(.., stage)| matches!(stage, Stage::Ready { .. })).count(), 4);
}
