//! What the next daemon has to know of each worker that this one leaves behind when it is killed: a file beside
//! the worker's socket. Only the daemon writes and reads there, so that no worker can claim to be another.

use crate::sys::process;
use bytes::BytesMut;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wsgid_proto::launch::WorkerRecord;
use wsgid_proto::{Message, broker, frame};

/// Behind the name of the worker's socket.
const SUFFIX: &str = "worker";

fn path(directory: &Path, pool: u64, serial: u32) -> PathBuf {
    directory.join(format!("{}.{SUFFIX}", broker::worker_socket(pool, serial)))
}

/// Writes one down; a daemon that is killed meanwhile leaves none.
pub fn write(directory: &Path, record: &WorkerRecord) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&record.frame())?;
    file.persist(path(directory, record.pool, record.serial)).map(drop).map_err(|error| error.error)
}

/// Its worker is gone, or about to go.
pub fn remove(directory: &Path, pool: u64, serial: u32) {
    let _ = fs::remove_file(path(directory, pool, serial));
}

/// The workers that an earlier daemon has left and that still live. Everything else in the directory goes.
pub fn survivors(directory: &Path) -> Vec<WorkerRecord> {
    let mut found = Vec::new();
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if let Some(record) = read(&entry.path()).filter(lives) {
            kept.push(path(directory, record.pool, record.serial));
            kept.push(directory.join(broker::worker_socket(record.pool, record.serial)));
            found.push(record);
        }
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !kept.contains(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    found
}

fn lives(record: &WorkerRecord) -> bool {
    process::start_time(record.pid).is_ok_and(|start| start == record.start)
}

fn read(path: &Path) -> Option<WorkerRecord> {
    path.extension().filter(|suffix| *suffix == SUFFIX)?;
    let mut content = BytesMut::from(fs::read(path).ok()?.as_slice());
    let frame = frame::take(&mut content).ok()??;
    WorkerRecord::from_frame(frame).ok().filter(|_| content.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_live_are_found_and_the_rest_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let own = std::process::id();
        let start = process::start_time(own).unwrap();
        let record = |serial, start| WorkerRecord { pool: 7, serial, pid: own, start, ..Default::default() };
        for record in [record(1, start), record(2, start + 1)] {
            write(dir.path(), &record).unwrap();
            fs::write(dir.path().join(broker::worker_socket(7, record.serial)), "").unwrap();
        }
        fs::write(dir.path().join("torn.worker"), "x").unwrap();
        assert_eq!(survivors(dir.path()), [record(1, start)]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        remove(dir.path(), 7, 1);
        assert_eq!(survivors(dir.path()), []);
    }
}
