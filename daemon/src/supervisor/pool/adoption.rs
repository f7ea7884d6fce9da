//! Workers across daemons: what is written down of each while this one lives, and how the next takes it over.

use super::super::board::PoolBoard;
use super::super::launch::{self, Launched, Source};
use super::super::process::Process;
use super::super::roster::Roster;
use super::super::worker::{self, Name};
use super::{Opening, Pool, Surroundings};
use crate::sockets::attach::Newcomer;
use crate::sockets::records;
use crate::sys::memory::SharedWords;
use crate::sys::process;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
use wsgid_proto::launch::{Attached, WorkerRecord};
use wsgid_proto::pulse::Pulse;

impl Pool {
    /// The pool of a worker that an earlier daemon has left, by its old number and on its old board. Nobody is
    /// started before [`Pool::release`], and nobody ever under a serial up to the `highest` that is taken.
    pub fn adopted(
        id: u64,
        highest: u32,
        opening: Opening,
        board: OwnedFd,
        surroundings: Surroundings,
    ) -> io::Result<Self> {
        let slots = Roster::slots(opening.group.options.processes);
        let board = PoolBoard::adopt(board, slots)?;
        let mut pool = Self::with(id, board, opening, surroundings);
        pool.roster.hold();
        pool.roster.pass_over(highest);
        Ok(pool)
    }

    /// Takes a worker over, or says why not.
    pub fn adopt(
        &mut self,
        record: &WorkerRecord,
        newcomer: Newcomer,
        now: Instant,
    ) -> Result<(), (Newcomer, String)> {
        if !self.board.is(newcomer.board.as_fd()) {
            return Err((newcomer, "its board is another one".into()));
        }
        let prepared = self.prepare(record, &newcomer);
        let (process, pulse, output, write_end) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err((newcomer, error.to_string())),
        };
        // Its time goes on, whoever is its daemon.
        let age = process::age(record.start).unwrap_or_default();
        let since = now.checked_sub(age).unwrap_or(now);
        let actions = self.roster.adopt(record.serial, record.slot, newcomer.attach.loaded, since);
        if actions.is_empty() {
            return Err((newcomer, "its slot is taken".into()));
        }
        let sent = newcomer.conversation.try_send_with(&Attached {}, write_end.as_fd());
        if let Err(error) = sent {
            tracing::warn!(group = %self.group.title(), pid = newcomer.pid, "worker is not told that it is taken over: {error}");
        }
        let source = Source::Running(process);
        let launched = Launched { source, control: newcomer.conversation, output, pulse };
        let name = Name { pool: self.id, serial: record.serial, group: self.group.title().into() };
        self.hands.insert(record.serial, worker::attend(name, launched, self.surroundings.reports.clone()));
        self.perform(actions, now);
        Ok(())
    }

    fn prepare(
        &self,
        record: &WorkerRecord,
        newcomer: &Newcomer,
    ) -> io::Result<(Process, SharedWords, tokio::net::unix::pipe::Receiver, OwnedFd)> {
        let process = Process::adopt(record.pid, record.start)?;
        let pulse = SharedWords::adopt(newcomer.pulse.try_clone()?, Pulse::size(record.threads))?;
        let (output, write_end) = launch::output_pipe()?;
        Ok((process, pulse, output, write_end))
    }

    /// All who might come are there: whoever else is wanted may be started.
    pub fn release(&mut self, now: Instant) {
        if self.waits_for.is_empty() {
            let actions = self.roster.release(now);
            self.perform(actions, now);
        }
    }

    /// Do its workers end with this daemon? Development's do.
    pub fn is_bound(&self) -> bool {
        self.surroundings.premises.watch
    }

    /// For the next daemon.
    pub(super) fn write_down(&self, serial: u32, slot: u32, pid: u32, start: u64) {
        if self.is_bound() {
            return;
        }
        let record = WorkerRecord {
            pool: self.id,
            serial,
            slot,
            pid,
            start,
            instance: self.key.instance.clone(),
            process_group: self.key.process_group.clone(),
            application_group: self.key.application_group.clone(),
            scripts: self.scripts.clone(),
            fingerprint: self.group.fingerprint(),
            threads: self.group.options.threads,
        };
        let written = records::write(&self.surroundings.premises.sockets, &record);
        if let Err(error) = written {
            tracing::warn!(group = %self.group.title(), pid, "the next daemon will not know of this worker: {error}");
        }
    }
}
