//! The board as each of its users sees it.

use super::*;
use std::sync::atomic::Ordering::SeqCst;

fn memory(slots: usize) -> Vec<AtomicU64> {
    (0..Board::size(slots) / 8).map(|_| AtomicU64::new(0)).collect()
}

fn claimed(search: Search) -> (Claim, Option<Entry>) {
    match search {
        Search::Claimed(claim, entry) => (claim, entry),
        other => panic!("{other:?}"),
    }
}

/// A claim of somebody who needs no ledger.
fn claim(board: Board<'_>) -> Search {
    board.claim(None, Standing::Newcomer)
}

/// All processes live but this one.
fn dead(pid: u32) -> impl Fn(u32) -> bool {
    move |other| other != pid
}

#[test]
fn claims_go_to_the_least_loaded_and_end_when_all_is_taken() {
    let memory = memory(3);
    let board = Board::create(&memory);
    assert_eq!(claim(board), Search::NoneReady);
    board.place(0, 7, SlotState::Ready, 1, 100);
    board.place(1, 8, SlotState::Ready, 2, 101);
    board.place(2, 9, SlotState::Starting, 9, 102);
    let mut slots = Vec::new();
    while let Search::Claimed(claim, _) = claim(board) {
        slots.push((claim.slot, claim.serial));
    }
    slots.sort();
    assert_eq!(slots, [(0, 7), (1, 8), (1, 8)]);
    assert_eq!(claim(board), Search::Crowded);
    board.release(Claim { slot: 1, serial: 8 }, None);
    assert_eq!(claimed(claim(board)).0, Claim { slot: 1, serial: 8 });
}

#[test]
fn a_claim_of_a_worker_that_is_gone_frees_nothing() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    claimed(claim(board));
    board.place(0, 2, SlotState::Ready, 1, 2);
    claimed(claim(board));
    board.release(Claim { slot: 0, serial: 1 }, None);
    board.finish(Claim { slot: 0, serial: 1 });
    assert_eq!(claim(board), Search::Crowded);
    assert!(!board.set_state(0, 1, SlotState::Draining));
}

#[test]
fn a_draining_worker_keeps_its_claims_and_gets_no_more() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 5, 1);
    claimed(claim(board));
    assert!(board.set_state(0, 1, SlotState::Draining));
    assert_eq!(claim(board), Search::NoneReady);
    assert_eq!(board.slot(0).unwrap().claimed, 1);
}

#[test]
fn all_workers_claims_count_together() {
    let words = memory(2);
    let board = Board::create(&words);
    board.place(0, 1, SlotState::Ready, 2, 10);
    board.place(1, 2, SlotState::Ready, 2, 11);
    assert!(board.has_claims_up_to(0));
    let (first, second) = (claimed(claim(board)).0, claimed(claim(board)).0);
    assert_ne!(first.slot, second.slot);
    assert!(board.has_claims_up_to(2) && !board.has_claims_up_to(1));
    board.release(first, None);
    assert!(board.has_claims_up_to(1) && !board.has_claims_up_to(0));
}

#[test]
fn a_request_under_way_is_claimed_until_it_is_finished() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let (claim, entry) = claimed(claim(board));
    board.begin(claim);
    board.release(claim, entry);
    assert_eq!(board.slot(0).unwrap().claimed, 1, "given back by somebody whose it is not");
    board.finish(claim);
    let slot = board.slot(0).unwrap();
    assert_eq!((slot.claimed, slot.active), (0, 0));
}

#[test]
fn a_claim_of_the_dead_is_given_back_once() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 2, 1);
    let row = board.join(10);
    claimed(board.claim(row, Standing::Newcomer));
    assert_eq!(board.ledger()[0].claims, 1);
    assert_eq!(board.heal(11, dead(0)), 0, "it lives");
    assert_eq!(board.heal(11, dead(10)), 1);
    assert_eq!(board.heal(11, dead(10)), 0);
    assert_eq!(board.slot(0).unwrap().claimed, 0);
    assert_eq!(board.ledger(), []);
}

#[test]
fn a_claim_that_was_handed_over_is_the_workers() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 2, 1);
    let row = board.join(10);
    let (claim, entry) = claimed(board.claim(row, Standing::Newcomer));
    board.clear(entry);
    assert_eq!(board.heal(11, dead(10)), 0);
    assert_eq!(board.slot(0).unwrap().claimed, 1);
    board.begin(claim);
    board.finish(claim);
    assert_eq!(board.slot(0).unwrap().claimed, 0);
}

/// It had sent the head, and did not live to write that down.
#[test]
fn a_request_that_runs_is_not_taken_for_a_claim_of_the_dead() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let row = board.join(10);
    let (taken, _) = claimed(board.claim(row, Standing::Newcomer));
    board.begin(taken);
    assert_eq!(board.heal(11, dead(10)), 0);
    assert_eq!(claim(board), Search::Crowded);
    board.finish(taken);
    claimed(claim(board));
}

#[test]
fn a_claim_that_was_given_back_too_early_is_counted_again() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let row = board.join(10);
    let (taken, _) = claimed(board.claim(row, Standing::Newcomer));
    assert_eq!(board.heal(11, dead(10)), 1); // while the head is on its way
    board.begin(taken);
    assert_eq!(claim(board), Search::Crowded);
    board.finish(taken);
    assert_eq!(board.slot(0).unwrap().claimed, 0);
}

#[test]
fn a_process_with_the_number_of_a_dead_one_heals_it() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let row = board.join(10);
    claimed(board.claim(row, Standing::Newcomer));
    board.heal(10, |_| false);
    let again = board.join(10);
    assert_eq!(again, row);
    claimed(board.claim(again, Standing::Newcomer));
}

#[test]
fn whoever_dies_over_the_healing_is_healed_too() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 2, 1);
    let row = board.join(10);
    claimed(board.claim(row, Standing::Newcomer));
    // What a healer leaves that got as far as making the row its own.
    assert!(board.update_row(row.unwrap(), |row| Some(row.of(11))));
    assert_eq!(board.heal(12, dead(10)), 0);
    assert_eq!(board.heal(12, dead(11)), 1);
}

#[test]
fn a_full_row_or_ledger_is_gone_without() {
    let memory: Vec<_> = (0..Board::<AtomicU64>::words_for(1, 1)).map(|_| AtomicU64::new(0)).collect();
    let board = Board::create_with(&memory, 1);
    let many = ROW_WORDS + 5;
    board.place(0, 1, SlotState::Ready, many as u32, 1);
    let row = board.join(10);
    assert_eq!(board.join(11), None);
    let noted = (0..many).filter(|_| claimed(board.claim(row, Standing::Newcomer)).1.is_some()).count();
    assert_eq!(noted, ROW_WORDS - 1);
    assert_eq!(board.slot(0).unwrap().claimed, many as u32);
    board.heal(11, dead(10));
    assert_eq!(board.join(11), row, "its row is free again");
}

#[test]
fn a_crowded_board_leaves_nothing_in_the_ledger() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let row = board.join(10);
    let (claim, entry) = claimed(board.claim(row, Standing::Newcomer));
    assert_eq!(board.claim(row, Standing::Newcomer), Search::Crowded);
    board.release(claim, entry);
    assert_eq!(board.ledger()[0].claims, 0);
}

#[test]
fn who_waits_is_known_and_forgotten_with_its_process() {
    let memory = memory(1);
    let board = Board::create(&memory);
    let row = board.join(10);
    let staying = board.enqueue(board.join(11), 3).unwrap();
    let _dying = (board.enqueue(row, 3).unwrap(), board.enqueue(row, 3).unwrap());
    assert!(board.enqueue(row, 3).is_none(), "a fourth");
    board.heal(11, dead(10));
    assert!(board.has_waiters());
    let room = board.enqueue(None, 2).expect("the dead make room");
    board.leave(room);
    board.leave(staying);
    assert!(!board.has_waiters());
}

#[test]
fn no_queue_at_all_takes_nobody() {
    let memory = memory(1);
    let board = Board::create(&memory);
    assert!(board.enqueue(board.join(10), 0).is_none());
    assert!(!board.has_waiters());
}

#[test]
fn freeing_says_whether_to_wake() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let (taken, entry) = claimed(claim(board));
    let (word, seen) = board.freed();
    assert!(!board.release(taken, entry));
    assert_ne!(word.load(SeqCst) as u32, seen);
    let queued = board.enqueue(None, 1).unwrap();
    assert!(board.finish(taken));
    board.leave(queued);
    assert!(!board.finish(taken));
}

#[test]
fn the_count_of_changes_wraps_and_disturbs_no_other() {
    let memory = memory(1);
    let board = Board::create(&memory);
    memory[FREED].store(u64::from(u32::MAX), SeqCst);
    board.set_pool_state(PoolState::Open);
    assert_eq!((board.freed().1, board.has_waiters()), (0, false));
}

#[test]
fn newcomers_leave_a_thread_for_each_that_is_hungry() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 2, 1);
    let row = board.join(10);
    let mut queued = board.enqueue(row, 9).unwrap();
    board.hunger(&mut queued);
    board.hunger(&mut queued);
    claimed(board.claim(row, Standing::Newcomer));
    assert_eq!(board.claim(row, Standing::Newcomer), Search::Crowded);
    let (taken, entry) = claimed(board.claim(row, Standing::Waiter));
    board.leave(queued);
    board.release(taken, entry);
    claimed(board.claim(row, Standing::Newcomer));
}

/// Whoever frees a thread may do so before it sleeps, and then does not wake it.
#[test]
fn the_hungry_leave_a_thread_for_the_others_and_not_for_themselves() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let row = board.join(10);
    let mut queued = board.enqueue(row, 9).unwrap();
    assert_eq!(queued.standing(), Standing::Newcomer);
    board.hunger(&mut queued);
    let mut other = board.enqueue(row, 9).unwrap();
    board.hunger(&mut other);
    assert_eq!(board.claim(row, queued.standing()), Search::Crowded);
    board.leave(other);
    assert_eq!(board.claim(row, Standing::Newcomer), Search::Crowded);
    claimed(board.claim(row, queued.standing()));
    board.leave(queued);
}

#[test]
fn the_hunger_of_the_dead_keeps_nobody_waiting() {
    let memory = memory(1);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 1, 1);
    let row = board.join(10);
    let mut queued = board.enqueue(row, 9).unwrap();
    board.hunger(&mut queued);
    assert_eq!(claim(board), Search::Crowded);
    board.heal(11, dead(10));
    claimed(claim(board));
    // A count that a death in the wrong moment left too high is not believed either.
    memory[HUNGRY].store(1, SeqCst);
    claimed_again(board);
}

fn claimed_again(board: Board<'_>) {
    board.finish(Claim { slot: 0, serial: 1 });
    claimed(claim(board));
}

#[test]
fn garbage_is_no_panic() {
    for fill in [0, 1, u64::MAX, 0x5555_5555_5555_5555] {
        let memory: Vec<_> = memory(2).into_iter().map(|_| AtomicU64::new(fill)).collect();
        assert!(Board::open(&memory).is_err());
        memory[0].store(MAGIC, SeqCst);
        let board = Board::open(&memory).unwrap();
        let row = board.join(10);
        board.claim(row, Standing::Newcomer);
        for claim in [Claim { slot: usize::MAX, serial: 1 }, Claim { slot: 0, serial: u32::MAX }] {
            board.release(claim, None);
            board.begin(claim);
            board.finish(claim);
        }
        board.pool_state();
        board.ledger();
        if let Some(mut queued) = board.enqueue(row, u32::MAX) {
            board.hunger(&mut queued);
            board.leave(queued);
        }
        board.heal(10, |_| false);
    }
    assert_eq!(Board::open(&[]).unwrap_err(), NotABoard);
}

#[test]
fn a_board_of_nothing_is_empty() {
    let board = Board::none();
    assert_eq!((board.slots(), board.join(10)), (0, None));
    assert_eq!(claim(board), Search::NoneReady);
}

#[test]
fn many_threads_never_take_more_than_there_is() {
    let memory = memory(2);
    let board = Board::create(&memory);
    board.place(0, 1, SlotState::Ready, 3, 1);
    board.place(1, 1, SlotState::Ready, 3, 1);
    let row = board.join(10);
    let most = AtomicU64::new(0);
    let now = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    if let Search::Claimed(claim, entry) = board.claim(row, Standing::Newcomer) {
                        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                        now.fetch_sub(1, SeqCst);
                        board.release(claim, entry);
                    }
                }
            });
        }
    });
    assert!(most.load(SeqCst) <= 6);
    assert_eq!(board.slot(0).unwrap().claimed + board.slot(1).unwrap().claimed, 0);
    assert_eq!(board.ledger()[0].claims, 0);
}
