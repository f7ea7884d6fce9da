//! A pool as `wsgictl` shows it.

use super::super::roster::Stage;
use super::Pool;
use wsgid_proto::control::{PoolStatus, WorkerStatus};

impl Pool {
    /// What keeps it from serving, or from serving new code, with the traceback where that is it.
    fn trouble(&self) -> String {
        let trouble = self.roster.trouble();
        match trouble.is_empty() || self.failure.is_empty() {
            true => trouble.into(),
            false => format!("{trouble}\n{}", self.failure),
        }
    }

    /// For `wsgictl`.
    pub fn status(&self) -> PoolStatus {
        let board = self.board.view();
        let worker = |(serial, slot, stage): (u32, u32, Stage)| WorkerStatus {
            pid: self.pid(serial),
            slot,
            serial,
            state: in_a_word(stage).into(),
            claimed: board.slot(slot as usize).map_or(0, |word| word.claimed),
            requests: board.requests(slot as usize),
        };
        PoolStatus {
            instance: self.key.instance.clone(),
            process_group: self.key.process_group.clone(),
            application_group: self.key.application_group.clone(),
            workers: self.roster.members().map(worker).collect(),
            trouble: self.trouble(),
        }
    }
}

fn in_a_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Starting { .. } => "starting",
        Stage::Ready { .. } => "ready", // an import that failed is tried again by the next request
        Stage::Draining { .. } => "draining",
        Stage::Doomed => "killed",
    }
}
