//! The board against a plain model: any order of what children, workers and healers do, with deaths in
//! every gap of it.

use super::*;
use proptest::prelude::*;
use std::sync::atomic::Ordering::SeqCst;

const SLOTS: usize = 3;
const CHILDREN: usize = 4;
/// Fewer than a child may need, so that some go without.
const ROWS: usize = 3;

/// What may happen next. Numbers choose among what there is, whatever that is.
#[derive(Debug, Clone)]
enum Event {
    Place {
        slot: usize,
        capacity: u32,
    },
    Drain {
        slot: usize,
    },
    Spawn {
        child: usize,
    },
    Claim {
        child: usize,
        standing: Standing,
    },
    /// Dies with its intent written down, and nothing claimed.
    DieOverIntent {
        child: usize,
    },
    Send {
        which: usize,
    },
    /// Dies with the head sent, and its claim still written down.
    DieOverSending {
        which: usize,
    },
    GiveBack {
        which: usize,
    },
    Begin {
        which: usize,
    },
    Finish {
        which: usize,
    },
    Enqueue {
        child: usize,
    },
    Hunger {
        which: usize,
    },
    Leave {
        which: usize,
    },
    Die {
        child: usize,
    },
    Heal,
}

fn event() -> impl Strategy<Value = Event> {
    use Event::*;
    let (slot, child, which) = (0..SLOTS, 0..CHILDREN, 0..100_usize);
    prop_oneof![
        2 => (slot.clone(), 1..4_u32).prop_map(|(slot, capacity)| Place { slot, capacity }),
        1 => slot.prop_map(|slot| Drain { slot }),
        4 => child.clone().prop_map(|child| Spawn { child }),
        12 => (child.clone(), standing()).prop_map(|(child, standing)| Claim { child, standing }),
        1 => child.clone().prop_map(|child| DieOverIntent { child }),
        8 => which.clone().prop_map(|which| Send { which }),
        1 => which.clone().prop_map(|which| DieOverSending { which }),
        2 => which.clone().prop_map(|which| GiveBack { which }),
        8 => which.clone().prop_map(|which| Begin { which }),
        6 => which.clone().prop_map(|which| Finish { which }),
        3 => child.clone().prop_map(|child| Enqueue { child }),
        2 => which.clone().prop_map(|which| Hunger { which }),
        2 => which.prop_map(|which| Leave { which }),
        2 => child.prop_map(|child| Die { child }),
        2 => Just(Heal),
    ]
}

fn standing() -> impl Strategy<Value = Standing> {
    prop::sample::select(vec![Standing::Newcomer, Standing::Hungry, Standing::Waiter])
}

/// An Apache child; its number is new for each that is spawned.
#[derive(Debug, Default, Clone, Copy)]
struct Child {
    pid: u32,
    row: Option<Row>,
}

/// A claim between claiming and sending.
type InHand = (u32, Claim, Option<Entry>);

/// The plain model beside the board.
struct Model<'a> {
    board: Board<'a>,
    children: [Child; CHILDREN],
    workers: [(u32, u32); SLOTS],
    last_pid: u32,
    in_hand: Vec<InHand>,
    sent: Vec<Claim>,
    running: Vec<Claim>,
    queued: Vec<(u32, Queued)>,
    /// Claims that have no entry, of children that died: these alone may stay.
    unwritten: Vec<Claim>,
    /// A death in one of the two gaps that no order of two words can close.
    doubt: bool,
}

impl Model<'_> {
    fn happen(&mut self, event: Event) {
        match event {
            Event::Place { slot, capacity } => self.place(slot, capacity),
            Event::Drain { slot } => {
                self.board.set_state(slot, self.workers[slot].0, SlotState::Draining);
            }
            Event::Spawn { child } if self.children[child].pid == 0 => {
                self.last_pid += 1;
                self.children[child] = Child { pid: self.last_pid, row: self.board.join(self.last_pid) };
            }
            Event::Claim { child, standing } if self.children[child].pid != 0 => self.claim(child, standing),
            Event::DieOverIntent { child } if self.children[child].pid != 0 => {
                let claim = Claim { slot: 0, serial: self.workers[0].0.max(1) };
                self.board.write_down(self.children[child].row, claim);
                self.doubt = true;
                self.die(self.children[child].pid);
            }
            Event::Send { which } => {
                if let Some((_, claim, entry)) = pick(&mut self.in_hand, which) {
                    self.board.clear(entry);
                    self.sent.push(claim);
                }
            }
            Event::DieOverSending { which } => {
                if let Some((pid, claim, _)) = pick(&mut self.in_hand, which) {
                    self.sent.push(claim);
                    self.doubt = true;
                    self.die(pid);
                }
            }
            Event::GiveBack { which } => {
                if let Some((_, claim, entry)) = pick(&mut self.in_hand, which) {
                    self.board.release(claim, entry);
                }
            }
            other => self.go_on(other),
        }
    }

    fn go_on(&mut self, event: Event) {
        match event {
            Event::Begin { which } => {
                if let Some(claim) = pick(&mut self.sent, which) {
                    self.board.begin(claim);
                    self.running.push(claim);
                }
            }
            Event::Finish { which } => {
                if let Some(claim) = pick(&mut self.running, which) {
                    self.board.finish(claim);
                }
            }
            Event::Enqueue { child } if self.children[child].pid != 0 => {
                let Child { pid, row } = self.children[child];
                self.queued.extend(self.board.enqueue(row, 5).map(|queued| (pid, queued)));
            }
            Event::Hunger { which } if !self.queued.is_empty() => {
                let at = which % self.queued.len();
                self.board.hunger(&mut self.queued[at].1);
            }
            Event::Leave { which } => {
                if let Some((_, queued)) = pick(&mut self.queued, which) {
                    self.board.leave(queued);
                }
            }
            Event::Die { child } => self.die(self.children[child].pid),
            Event::Heal => self.heal(),
            _ => {}
        }
    }

    /// A new worker: with the old one go its requests.
    fn place(&mut self, slot: usize, capacity: u32) {
        self.workers[slot] = (self.workers.iter().map(|worker| worker.0).max().unwrap_or(0) + 1, capacity);
        self.board.place(slot, self.workers[slot].0, SlotState::Ready, capacity, 1);
        let stays = |claim: &Claim| claim.slot != slot;
        self.sent.retain(stays);
        self.running.retain(stays);
        self.unwritten.retain(stays);
    }

    fn claim(&mut self, child: usize, standing: Standing) {
        let Child { pid, row } = self.children[child];
        let (hungry, offered) = (self.board.hungry(), self.board.words[OFFERED].load(SeqCst));
        let free: u32 = (0..SLOTS).map(|slot| self.free(slot)).sum();
        match self.board.claim(row, standing) {
            Search::Claimed(claim, entry) => {
                assert_eq!(claim.serial, self.workers[claim.slot].0, "a worker that is not there");
                let others = match standing {
                    Standing::Newcomer => hungry,
                    Standing::Hungry if offered == 0 => hungry.saturating_sub(1),
                    Standing::Hungry | Standing::Waiter => 0,
                };
                assert!(u64::from(free) > others, "{free} are free, and {others} are hungry");
                self.in_hand.push((pid, claim, entry));
            }
            Search::Crowded => assert!(u64::from(free) <= hungry, "{free} are free, and {hungry} hungry"),
            Search::NoneReady => assert_eq!(free, 0),
        }
    }

    /// Threads that a slot has to give.
    fn free(&self, slot: usize) -> u32 {
        let word = self.board.slot(slot).filter(|word| word.state == SlotState::Ready);
        word.map_or(0, |word| self.workers[slot].1.saturating_sub(word.claimed))
    }

    fn die(&mut self, pid: u32) {
        let of_the_dead = |other: &InHand| other.0 == pid && other.2.is_none();
        self.unwritten.extend(self.in_hand.iter().filter(|other| of_the_dead(other)).map(|other| other.1));
        self.in_hand.retain(|other| other.0 != pid);
        // One without a row is counted in the header alone, and nobody can tell when it dies: a matter
        // of httpds with more children than there are rows.
        let rows = self.board.ledger();
        let rowless = pid != 0 && !rows.iter().any(|row| row.pid == pid);
        let (dead, living): (Vec<_>, Vec<_>) = self.queued.drain(..).partition(|other| other.0 == pid);
        self.queued = living;
        if rowless {
            dead.into_iter().for_each(|(_, queued)| self.board.leave(queued));
        }
        self.children.iter_mut().filter(|child| child.pid == pid).for_each(|child| *child = Child::default());
    }

    fn heal(&mut self) {
        let living: Vec<u32> = self.children.iter().map(|child| child.pid).collect();
        self.board.heal(u32::MAX, |pid| living.contains(&pid));
    }

    fn check(&self) {
        for slot in 0..SLOTS {
            let word = self.board.slot(slot).unwrap();
            let of = |claim: &&Claim| claim.slot == slot && claim.serial == word.serial;
            let running = self.running.iter().filter(of).count() as u32;
            let on_the_way = self.sent.iter().filter(of).count() as u32;
            let in_hand = self.in_hand.iter().filter(|(_, claim, _)| of(&claim)).count() as u32;
            assert_eq!(word.active, running);
            assert!(word.claimed >= running, "{word:?} and {running} run");
            if !self.doubt {
                assert!(word.claimed >= running + on_the_way + in_hand, "{word:?} is less than is taken");
                assert!(word.claimed <= self.workers[slot].1, "{word:?} is more than there is");
            }
        }
    }

    /// Everybody finishes or dies, and the dead are healed.
    fn end(&mut self) {
        for which in 0..CHILDREN {
            self.happen(Event::Die { child: which });
        }
        while !self.sent.is_empty() {
            self.happen(Event::Begin { which: 0 });
        }
        while !self.running.is_empty() {
            self.happen(Event::Finish { which: 0 });
        }
        self.heal();
        for slot in 0..SLOTS {
            let word = self.board.slot(slot).unwrap();
            let of = |claim: &&Claim| claim.slot == slot && claim.serial == word.serial;
            let lost = self.unwritten.iter().filter(of).count() as u32;
            assert!(word.active == 0 && word.claimed <= lost, "{word:?} is left, {lost} were not written");
        }
        assert_eq!(self.board.ledger(), []);
        assert!(!self.board.has_waiters());
        assert_eq!(self.board.words[HUNGRY].load(SeqCst), 0);
    }
}

fn pick<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.swap_remove(which % list.len()))
}

proptest! {
    #[test]
    fn whatever_happens_the_board_keeps_count(events in prop::collection::vec(event(), 1..200)) {
        let words = Board::<AtomicU64>::words_for(SLOTS, ROWS);
        let memory: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let mut model = Model {
            board: Board::create_with(&memory, ROWS),
            children: Default::default(),
            workers: [(0, 0); SLOTS],
            last_pid: 0,
            in_hand: Vec::new(),
            sent: Vec::new(),
            running: Vec::new(),
            queued: Vec::new(),
            unwritten: Vec::new(),
            doubt: false,
        };
        for event in events {
            model.happen(event);
            model.check();
        }
        model.end();
    }
}
