//! What holds in a roster whatever happens, and in whichever order: no more than may be, nobody sent away whose place
//! is not taken, no order twice.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Something that happens; numbers choose among the members who are there.
#[derive(Debug, Clone)]
enum Event {
    Time(u64),
    Ready(usize, bool),
    Exit(usize),
    NotLaunched(usize),
    ReloadWanted(usize),
    Worn(usize, Reason),
    Dismiss(usize),
    Spare(usize),
    Roll,
    Grow,
    Want(u32),
    Leave(bool),
}

fn event() -> impl Strategy<Value = Event> {
    use Event::*;
    prop_oneof![
        3 => (0..130_u64).prop_map(Time),
        9 => (0..9_usize, prop::bool::weighted(0.8)).prop_map(|(n, loaded)| Ready(n, loaded)),
        3 => (0..9_usize).prop_map(Exit),
        1 => (0..9_usize).prop_map(NotLaunched),
        2 => (0..9_usize).prop_map(ReloadWanted),
        3 => (0..9_usize, prop::sample::select(vec![Reason::MaximumRequests, Reason::Memory]))
            .prop_map(|(n, reason)| Worn(n, reason)),
        1 => (0..9_usize).prop_map(Dismiss),
        1 => (0..9_usize).prop_map(Spare),
        2 => Just(Roll),
        1 => Just(Grow),
        1 => (1..5_u32).prop_map(Want),
        1 => prop::bool::weighted(0.5).prop_map(Leave),
    ]
}

/// What has been ordered so far, and what a pool would look like that obeyed.
#[derive(Debug, Default)]
struct Pool {
    started: BTreeSet<u32>,
    told_to_end: BTreeSet<u32>,
    slots: BTreeSet<u32>,
}

struct Law {
    roster: Roster,
    pool: Pool,
    now: Instant,
}

impl Law {
    fn serving(&self) -> usize {
        self.roster.members().filter(|(.., stage)| matches!(stage, Stage::Ready { .. })).count()
    }

    fn nth(&self, n: usize) -> Option<u32> {
        let all: Vec<u32> = self.roster.members().map(|(serial, ..)| serial).collect();
        (!all.is_empty()).then(|| all[n % all.len()])
    }

    fn happen(&mut self, event: &Event) -> Vec<Action> {
        let (roster, now) = (&mut self.roster, self.now);
        let of = |n: &usize, roster: &Roster| {
            let all: Vec<u32> = roster.members().map(|(serial, ..)| serial).collect();
            (!all.is_empty()).then(|| all[n % all.len()])
        };
        match event {
            Event::Time(seconds) => {
                self.now += Duration::from_secs(*seconds);
                self.roster.tick(self.now)
            }
            Event::Ready(n, loaded) => {
                of(n, roster).map_or(vec![], |serial| roster.ready(serial, *loaded, false, now))
            }
            Event::Exit(n) => {
                of(n, roster).map_or(vec![], |serial| roster.exited(serial, "ended", n % 2 == 0, now))
            }
            Event::NotLaunched(n) => {
                let starting = roster
                    .members()
                    .filter(|(.., stage)| matches!(stage, Stage::Starting { .. }))
                    .map(|(serial, ..)| serial)
                    .collect::<Vec<_>>();
                match starting.get(n % starting.len().max(1)) {
                    Some(&serial) => roster.not_launched(serial, "no".into(), now),
                    None => vec![],
                }
            }
            Event::ReloadWanted(n) => {
                of(n, roster).map_or(vec![], |serial| roster.reload_wanted(serial, now))
            }
            Event::Worn(n, reason) => {
                of(n, roster).map_or(vec![], |serial| roster.worn(serial, *reason, now))
            }
            Event::Dismiss(n) => {
                of(n, roster).map_or(vec![], |serial| roster.dismiss(serial, Reason::Memory, now))
            }
            Event::Spare(n) => {
                of(n, roster).and_then(|serial| roster.spare(serial, 1, now)).unwrap_or_default()
            }
            Event::Roll => roster.roll(now),
            Event::Grow => roster.grow(now),
            Event::Want(wanted) => roster.want(*wanted, now),
            Event::Leave(hurry) => roster.leave(*hurry, now),
        }
    }

    /// Obeys, and says which law an action breaks.
    fn obey(&mut self, actions: &[Action]) -> Result<(), String> {
        for action in actions {
            match action {
                Action::Start { serial, slot } => {
                    if !self.pool.started.insert(*serial) {
                        return Err(format!("worker {serial} is started twice"));
                    }
                    if !self.pool.slots.insert(*slot) {
                        return Err(format!("slot {slot} is given away twice"));
                    }
                }
                Action::Clear { slot } if !self.pool.slots.remove(slot) => {
                    return Err(format!("slot {slot} is cleared, and was nobody's"));
                }
                Action::Retire { serial, .. } if !self.pool.told_to_end.insert(*serial) => {
                    return Err(format!("worker {serial} is told to end twice"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Those that may cost a worker that serves: all others only make room for it.
fn may_cost(event: &Event, before: &Law) -> bool {
    match event {
        Event::Exit(_) | Event::Dismiss(_) | Event::Spare(_) | Event::Want(_) | Event::Leave(_) => true,
        // Told a second time, far beyond its number of requests.
        Event::Worn(n, Reason::MaximumRequests) => before
            .nth(*n)
            .and_then(|serial| before.roster.members.get(&serial))
            .is_some_and(|m| m.worn.is_some()),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..Default::default() })]

    #[test]
    fn whatever_happens(
        processes in 1..5_u32,
        parallel in 0..3_u32,
        lifetime in prop::option::of(1..200_u64),
        events in prop::collection::vec(event(), 1..60),
    ) {
        let terms = Terms {
            processes,
            parallel,
            lifetime: lifetime.map(Duration::from_secs),
            shutdown: Duration::from_secs(5),
            graceful: Duration::from_secs(15),
            ..Default::default()
        };
        let roster = Roster::new(terms, processes);
        let mut law = Law { roster, pool: Pool::default(), now: Instant::now() };
        let first = law.roster.tick(law.now);
        prop_assert_eq!(law.obey(&first), Ok(()));
        let mut gone = false;
        for event in &events {
            let (serving, cost) = (law.serving(), may_cost(event, &law));
            let actions = law.happen(event);
            prop_assert_eq!(law.obey(&actions), Ok(()), "{:?} -> {:?}", event, actions);
            gone |= matches!(event, Event::Leave(_));
            let starts = actions.iter().filter(|action| matches!(action, Action::Start { .. })).count();
            prop_assert!(!gone || starts == 0, "somebody comes to a pool that is left");
            prop_assert!(law.roster.members().count() as u32 <= Roster::slots(processes));
            let fresh = law.roster.members.values().filter(|member| {
                member.worn.is_none()
                    && member.generation == law.roster.generation
                    && matches!(member.stage, Stage::Ready { .. })
            });
            prop_assert!(gone || fresh.count() as u32 <= law.roster.wanted(), "more than there may be");
            prop_assert!(law.roster.wanted() <= processes);
            let enough = law.roster.wanted() as usize;
            prop_assert!(
                cost || law.serving() >= serving.min(enough),
                "{:?} leaves {} of {} who served", event, law.serving(), serving
            );
        }
        // Nothing waits for ever: as long as somebody is wanted there is somebody, or a time to try again.
        if !gone {
            let anybody = law.roster.members().count() > 0 || law.roster.deadline().is_some();
            prop_assert!(anybody || law.roster.missing() == 0);
        }
    }
}
