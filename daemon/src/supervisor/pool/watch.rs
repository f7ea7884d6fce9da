//! A pool's watch over its workers: what there is to see of each goes to its [`Vigil`], and what that finds is done.

use super::super::roster::Stage;
use super::super::vigil::{Finding, Rules, Signs, Vigil};
use super::super::worker::Order;
use super::Pool;
use crate::sys::process;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use wsgid_proto::launch::Reason;
use wsgid_proto::pulse::{Busy, Pulse};

/// A tenth of the shortest time-out that there is.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// The vigils of all workers, and when the next is due.
#[derive(Debug)]
pub struct Watch {
    rules: Rules,
    vigils: HashMap<u32, Vigil>,
    next: Option<Instant>,
}

impl Watch {
    /// By these rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules, vigils: HashMap::new(), next: None }
    }

    /// Somebody serves from now on.
    pub fn begin(&mut self, now: Instant) {
        self.next = Some(now);
    }

    /// When to look.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// A worker is gone.
    pub fn forget(&mut self, serial: u32) {
        self.vigils.remove(&serial);
    }
}

impl Pool {
    /// Looks after every worker that serves, or finishes what it has.
    pub fn look_after_workers(&mut self, now: Instant) {
        if self.watch.next.is_none_or(|next| next > now) {
            return;
        }
        let at_work: Vec<(u32, u32, Stage)> = self
            .roster
            .members()
            .filter(|(.., stage)| matches!(stage, Stage::Ready { .. } | Stage::Draining { .. }))
            .collect();
        let clock = process::monotonic_micros();
        let mut next = None;
        for (serial, slot, stage) in at_work {
            let Some(signs) = self.signs(serial, slot) else { continue };
            let vigil = self.watch.vigils.entry(serial).or_default();
            let (findings, pause) = vigil.look(&self.watch.rules, &signs, clock);
            next = next.into_iter().chain(pause).min();
            findings.into_iter().for_each(|finding| self.act_on(serial, stage, finding, now));
        }
        // What a worker shows of itself does not decide how busy the daemon is.
        self.watch.next = next.map(|pause| now + pause.max(LEAST_PAUSE));
    }

    fn signs(&self, serial: u32, slot: u32) -> Option<Signs> {
        let hand = self.hands.get(&serial)?;
        let pulse = Pulse::over(hand.pulse.words());
        let resident = if self.watch.rules.weigh() { process::resident(hand.pid).ok() } else { None };
        let threads = self.group.options.threads;
        let (busy, last_beat, unread) = (pulse.busy().collect(), pulse.last_beat(), self.board.unread(slot));
        Some(Signs { busy, threads, unread, last_beat, resident })
    }

    fn act_on(&mut self, serial: u32, stage: Stage, finding: Finding, now: Instant) {
        let (group, pid) = (self.group.title().to_string(), self.pid(serial));
        let is_leaving = matches!(stage, Stage::Draining { .. });
        match finding {
            Finding::Stuck | Finding::Lost if is_leaving => {
                self.order(serial, Order::Dump);
                self.end(serial, "nobody in it gets on", now);
            }
            Finding::Max(bytes) if is_leaving => {
                // Others finish what they have, unless it grows and grows.
                if self.watch.rules.memory_max.is_some_and(|most| bytes / 2 > most) {
                    self.end(serial, "it has more than twice memory-max", now);
                }
            }
            Finding::Interrupt(busy) => {
                tracing::warn!(%group, pid, "{} and is interrupted", too_long(&busy));
                self.order(serial, Order::Dump);
                self.order(serial, Order::Interrupt(busy, false));
            }
            Finding::GiveUp(busy) => {
                tracing::warn!(%group, pid, "{} and is given up", too_long(&busy));
                self.order(serial, Order::Dump);
                self.order(serial, Order::Interrupt(busy, true));
                let actions = self.roster.worn(serial, Reason::RequestTimeout, now);
                self.perform(actions, now);
            }
            Finding::Lost => {
                tracing::error!(%group, pid, "worker has not served anybody within request-timeout");
                self.order(serial, Order::Dump);
                let actions = self.roster.dismiss(serial, Reason::RequestTimeout, now);
                self.perform(actions, now);
            }
            Finding::Stuck => {
                tracing::error!(%group, pid, "Python's lock was not to be had within deadlock-timeout");
                self.order(serial, Order::Dump);
                let actions = self.roster.dismiss(serial, Reason::Deadlock, now);
                self.perform(actions, now);
            }
            Finding::High(bytes) => {
                tracing::warn!(%group, pid, "worker has {} MiB in memory, more than memory-high", bytes >> 20);
                let actions = self.roster.worn(serial, Reason::Memory, now);
                self.perform(actions, now);
            }
            Finding::Max(bytes) => {
                tracing::warn!(%group, pid, "worker has {} MiB in memory, more than memory-max", bytes >> 20);
                let actions = self.roster.dismiss(serial, Reason::Memory, now);
                self.perform(actions, now);
            }
        }
    }

    /// Of a worker that is on its way out.
    fn end(&mut self, serial: u32, why: &str, now: Instant) {
        tracing::warn!(group = %self.group.title(), pid = self.pid(serial), "worker that is to end is killed: {why}");
        let actions = self.roster.end(serial);
        self.perform(actions, now);
    }
}

fn too_long(busy: &Busy) -> String {
    format!("the request in thread {} ({:#x}) takes longer than request-timeout", busy.thread, busy.ident)
}
