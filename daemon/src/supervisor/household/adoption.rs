//! Taking over the workers that an earlier daemon has left. It was killed, or has made room for a newer program;
//! its workers go on serving, which needs no daemon, and come to [`crate::sockets::attach`] one by one.
//!
//! For a moment after the start those that are expected are waited for: until then nobody is started in the place
//! of one who may be there. A worker whose group has changed meanwhile is told to finish and end; a service is taken
//! over for that, since its successor has to wait for it.

use super::{Household, Place};
use crate::configuration::Group;
use crate::sockets::attach::Newcomer;
use crate::supervisor::pool::{Opening, Pool, PoolKey};
use crate::supervisor::process::Process;
use crate::supervisor::roster::STARTUP;
use crate::sys::process;
use nix::sys::signal::Signal;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use wsgid_proto::launch::{Reason, Retire, WorkerRecord};
use wsgid_proto::options::ProcessGroup;

/// They look for a daemon ten times a second.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at children that are on their way out.
const LOOK: Duration = Duration::from_millis(500);
/// Who does not come may still be importing, or finishing what it has; and then it is enough.
const STRAY: Duration = STARTUP.saturating_add(Duration::from_secs(30));

/// Those that are expected, by pool and serial.
#[derive(Debug, Default)]
pub struct Expected {
    records: HashMap<(u64, u32), WorkerRecord>,
    until: Option<Instant>,
}

impl Expected {
    fn has_any_of(&self, key: &PoolKey) -> bool {
        self.records.values().any(|record| key_of(record) == *key)
    }
}

/// Is it, or will it be, a service, which is never there together with its successor?
fn is_alone(record: &WorkerRecord, group: &Group) -> bool {
    record.threads == 0 || group.options.is_service()
}

fn key_of(record: &WorkerRecord) -> PoolKey {
    PoolKey {
        instance: record.instance.clone(),
        process_group: record.process_group.clone(),
        application_group: record.application_group.clone(),
    }
}

impl Household {
    /// These workers are there, and will come. To be called before anybody is started.
    pub fn expect(&mut self, records: Vec<WorkerRecord>, now: Instant) {
        attend_inherited(&records);
        if records.is_empty() {
            return;
        }
        tracing::info!(workers = records.len(), "workers of an earlier daemon live, and are taken over");
        self.expected.records =
            records.into_iter().map(|record| ((record.pool, record.serial), record)).collect();
        self.expected.until = Some(now + PATIENCE);
        self.terms.expected.send_replace(self.expected.records.values().map(|record| record.pid).collect());
    }

    /// Are some of them still waited for?
    pub(super) fn is_expecting(&self) -> bool {
        self.expected.until.is_some()
    }

    /// Until when at the latest.
    pub(super) fn expecting_until(&self) -> Option<Instant> {
        self.expected.until
    }

    /// Is one of this pool's still waited for?
    pub(super) fn expects_any_of(&self, key: &PoolKey) -> bool {
        self.is_expecting() && self.expected.has_any_of(key)
    }

    /// One is there. Whoever can't be taken over finishes what it has.
    pub(super) fn attach(&mut self, newcomer: Newcomer, now: Instant) {
        let (pid, name) = (newcomer.pid, (newcomer.attach.pool, newcomer.attach.serial));
        // The word of the daemon before, and not the worker's, says which process that is.
        let Some(record) = self.expected.records.get(&name).filter(|record| record.pid == pid).cloned()
        else {
            tracing::debug!(
                pid,
                "a process that nobody knows wants to be taken over as a worker, or comes too late"
            );
            return dismiss(&newcomer, None);
        };
        self.expected.records.remove(&name);
        let key = key_of(&record);
        let outcome = self.adopt(&record, &key, newcomer, now);
        match outcome {
            Ok(()) => tracing::info!(group = %record.process_group, pid, "worker is taken over"),
            Err((newcomer, why)) => {
                tracing::info!(group = %record.process_group, pid, "worker is not taken over, and finishes: {why}");
                dismiss(&newcomer, self.group(&key).map(|group| group.options.clone()).as_ref());
                take_note_of(vec![pid]);
            }
        }
        if self.expected.records.is_empty() {
            self.end_expecting(now);
        }
    }

    fn adopt(
        &mut self,
        record: &WorkerRecord,
        key: &PoolKey,
        newcomer: Newcomer,
        now: Instant,
    ) -> Result<(), (Newcomer, String)> {
        if self.stopping {
            return Err((newcomer, "the daemon is on its way down".into()));
        }
        let group = self.group(key);
        let same = group.as_ref().is_some_and(|group| group.fingerprint() == record.fingerprint);
        let Some(group) = group.filter(|group| same || is_alone(record, group)) else {
            return Err((newcomer, "its group has changed, or is no more".into()));
        };
        let known = self.pools.contains_key(&record.pool);
        if !known && self.places.contains_key(key) {
            return Err((newcomer, "others serve in its place".into()));
        }
        if !known {
            let scripts = record.scripts.clone();
            let opening = Opening { key: key.clone(), group, scripts, preloaded: false, wanted: 1 };
            let board = match newcomer.board.try_clone() {
                Ok(board) => board,
                Err(error) => return Err((newcomer, error.to_string())),
            };
            let surroundings = self.terms.surroundings.clone();
            let of_pool = self.expected.records.values().filter(|other| other.pool == record.pool);
            let highest = of_pool.map(|other| other.serial).max().unwrap_or(0).max(record.serial);
            match Pool::adopted(record.pool, highest, opening, board, surroundings) {
                Ok(pool) => self.pools.insert(record.pool, pool),
                Err(error) => return Err((newcomer, format!("its board can't be used: {error}"))),
            };
            self.places.insert(key.clone(), Place { serving: record.pool, successor: None });
        }
        match self.pools.get_mut(&record.pool) {
            Some(pool) => pool.adopt(record, newcomer, now)?,
            None => return Err((newcomer, "its pool is gone".into())),
        }
        if !same {
            // Whoever comes in its place waits for the pools that are there; one that comes later has no place.
            self.close(key, now);
            self.dismiss(record.pool, now);
        }
        Ok(())
    }

    /// Whoever is not there by now is not waited for.
    pub(super) fn end_expecting_if_late(&mut self, now: Instant) {
        if self.expected.until.is_some_and(|until| until <= now) {
            let missing = self.expected.records.len();
            tracing::warn!(missing, "workers of an earlier daemon have not come to be taken over");
            self.end_expecting(now);
        }
    }

    /// Nobody is taken over any more: whoever was waited for is told to finish.
    pub(super) fn turn_away_expected(&mut self) {
        self.terms.expected.send_replace(HashSet::new());
        self.reloads.clear(); // whoever waits for the answer hears that there is none
        for record in std::mem::take(&mut self.expected).records.into_values() {
            if let Ok(process) = Process::adopt(record.pid, record.start) {
                process.signal(Signal::SIGTERM);
            }
        }
    }

    fn end_expecting(&mut self, now: Instant) {
        self.terms.expected.send_replace(HashSet::new());
        let strays = std::mem::take(&mut self.expected).records;
        strays.into_values().for_each(|record| drop(tokio::spawn(attend_stray(record))));
        self.pools.values_mut().for_each(|pool| pool.release(now));
        for (group, reply) in std::mem::take(&mut self.reloads) {
            self.reload(group, reply, now);
        }
    }
}

/// Children of the program that this process ran before and that come to nobody, such as those on their way out:
/// somebody has to take note of their end.
fn attend_inherited(records: &[WorkerRecord]) {
    let children = process::children().into_iter();
    let others = children.filter(|pid| records.iter().all(|record| record.pid != *pid));
    take_note_of(others.collect());
}

/// Children that nothing but their end is of interest of. Their number is their own until that is noted, and there
/// may be any number of them: so there is neither a descriptor nor a task for each.
fn take_note_of(mut children: Vec<u32>) {
    tokio::spawn(async move {
        let end = Instant::now() + STRAY;
        while !children.is_empty() && Instant::now() < end {
            children.retain(|pid| process::is_child_alive(*pid));
            tokio::time::sleep(LOOK).await;
        }
    });
}

/// Somebody who is on the way out does not come to be taken over. It may still be a child of this process, which
/// has to take note of its end.
async fn attend_stray(record: WorkerRecord) {
    if let Ok(mut process) = Process::adopt(record.pid, record.start) {
        process.signal(Signal::SIGTERM); // where it is not on its way out already
        let ended = tokio::time::timeout(STRAY, process.wait()).await;
        let how = match ended {
            Ok(how) => how,
            Err(_) => {
                process.kill_group();
                process.wait().await
            }
        };
        tracing::info!(group = %record.process_group, pid = record.pid, "worker of an earlier daemon {how}");
    }
}

fn dismiss(newcomer: &Newcomer, options: Option<&ProcessGroup>) {
    let seconds = options.map_or(20, |options| options.graceful_timeout + options.shutdown_timeout);
    let retire = Retire { reason: Reason::Graceful.name().into(), seconds };
    let _ = newcomer.conversation.try_send(&retire); // a worker that does not hear it ends by itself
}
