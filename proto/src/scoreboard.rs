//! httpd's scoreboard: what each of its own threads is doing. A worker is told when it asks for it
//! ([`crate::hook::Ask::ServerMetrics`]) and its group may know (`server-metrics=On`, `WSGIServerMetrics On`).
//! Times are microseconds since the epoch; what a slot has never had is 0 or empty, and costs no byte.

use crate::bounds;
use crate::wire;
use bytes::Bytes;
use prost::Message as _;

/// All of it, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Scoreboard {
    pub server_limit: u32,
    pub thread_limit: u32,
    pub generation: u32,
    pub restart_time: u64,
    pub current_time: u64,
    pub processes: Vec<ServerProcess>,
}

/// A process of httpd's, or an empty slot for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ServerProcess {
    pub number: u32,
    pub pid: u32,
    pub generation: u32,
    pub quiescing: bool,
    pub threads: Vec<ServerThread>,
}

/// A thread of httpd's, or an empty slot for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ServerThread {
    pub number: u32,
    pub generation: u32,
    /// `SERVER_DEAD` and so on, as httpd numbers them; see [`ServerThread::flag`].
    pub status: u32,
    pub access_count: u64,
    pub bytes_served: u64,
    pub start_time: u64,
    pub stop_time: u64,
    pub last_used: u64,
    pub client: Bytes,
    pub request: Bytes,
    pub vhost: Bytes,
}

/// How mod_status shows what a thread does, in the order of httpd's numbers.
const FLAGS: &str = ".S_RWKLDCGI";

impl ServerThread {
    /// What it does, in one character; `?` where httpd has learned something new.
    pub fn flag(&self) -> &'static str {
        let at = self.status as usize;
        FLAGS.get(at..at + 1).unwrap_or("?")
    }
}

impl Scoreboard {
    /// As bytes; None if they are over their bound.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let wire = wire::Scoreboard {
            server_limit: self.server_limit,
            thread_limit: self.thread_limit,
            generation: self.generation,
            restart_time: self.restart_time,
            current_time: self.current_time,
            processes: self.processes.iter().map(process).collect(),
        };
        // The answer around it has a few bytes of its own.
        (wire.encoded_len() + 16 <= bounds::ANSWER).then(|| wire.encode_to_vec())
    }

    /// From bytes.
    pub fn decode(bytes: Bytes) -> Result<Self, prost::DecodeError> {
        let wire = wire::Scoreboard::decode(bytes)?;
        Ok(Self {
            server_limit: wire.server_limit,
            thread_limit: wire.thread_limit,
            generation: wire.generation,
            restart_time: wire.restart_time,
            current_time: wire.current_time,
            processes: wire.processes.into_iter().map(ServerProcess::from).collect(),
        })
    }
}

fn process(from: &ServerProcess) -> wire::ServerProcess {
    wire::ServerProcess {
        number: from.number,
        pid: from.pid,
        generation: from.generation,
        quiescing: from.quiescing,
        threads: from.threads.iter().map(thread).collect(),
    }
}

fn thread(from: &ServerThread) -> wire::ServerThread {
    wire::ServerThread {
        number: from.number,
        generation: from.generation,
        status: from.status,
        access_count: from.access_count,
        bytes_served: from.bytes_served,
        start_time: from.start_time,
        stop_time: from.stop_time,
        last_used: from.last_used,
        client: from.client.clone(),
        request: from.request.clone(),
        vhost: from.vhost.clone(),
    }
}

impl From<wire::ServerProcess> for ServerProcess {
    fn from(from: wire::ServerProcess) -> Self {
        Self {
            number: from.number,
            pid: from.pid,
            generation: from.generation,
            quiescing: from.quiescing,
            threads: from.threads.into_iter().map(ServerThread::from).collect(),
        }
    }
}

impl From<wire::ServerThread> for ServerThread {
    fn from(from: wire::ServerThread) -> Self {
        Self {
            number: from.number,
            generation: from.generation,
            status: from.status,
            access_count: from.access_count,
            bytes_served: from.bytes_served,
            start_time: from.start_time,
            stop_time: from.stop_time,
            last_used: from.last_used,
            client: from.client,
            request: from.request,
            vhost: from.vhost,
        }
    }
}

/// Where a scoreboard is posted for workers that have no request to ask with: a file that the daemon writes and
/// they read, each at any time. It begins with the number of the posting, odd while it is being written, and
/// the board's length, 8 bytes each, the lowest first.
pub mod post {
    use crate::bounds;

    /// Bytes before the board.
    pub const HEADER: usize = 16;

    /// What stands before a board of so many bytes.
    pub fn header(number: u64, length: usize) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..].copy_from_slice(&(length as u64).to_le_bytes());
        bytes
    }

    /// The number and the length; none if nothing whole is there.
    pub fn read_header(bytes: [u8; HEADER]) -> Option<(u64, usize)> {
        let word =
            |at: usize| bytes[at..at + 8].iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
        let (number, length) = (word(0), usize::try_from(word(8)).ok()?);
        (number != 0 && number % 2 == 0 && length <= bounds::ANSWER).then_some((number, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_counts_when_it_is_whole() {
        let read = |number, length| post::read_header(post::header(number, length));
        assert_eq!(read(2, 300), Some((2, 300)));
        assert_eq!(read(u64::MAX - 1, bounds::ANSWER), Some((u64::MAX - 1, bounds::ANSWER)));
        assert_eq!((read(0, 0), read(3, 300), read(2, bounds::ANSWER + 1)), (None, None, None));
    }

    fn example(threads: usize) -> Scoreboard {
        let thread = ServerThread {
            number: 1,
            status: 4,
            access_count: 7,
            client: "192.0.2.1".into(),
            request: "GET / HTTP/1.1".into(),
            vhost: "example.org:80".into(),
            ..Default::default()
        };
        let process =
            ServerProcess { number: 0, pid: 42, threads: vec![thread; threads], ..Default::default() };
        Scoreboard { server_limit: 16, thread_limit: 64, processes: vec![process], ..Default::default() }
    }

    #[test]
    fn a_scoreboard_survives() {
        let board = example(3);
        assert_eq!(Scoreboard::decode(board.encode().unwrap().into()).unwrap(), board);
    }

    #[test]
    fn one_over_its_bound_is_not_told() {
        assert!(example(bounds::ANSWER / 16).encode().is_none());
    }

    #[test]
    fn a_thread_is_shown_as_mod_status_does() {
        let flag = |status| ServerThread { status, ..Default::default() }.flag();
        assert_eq!([0, 2, 4, 10, 11, 77].map(flag), [".", "_", "W", "I", "?", "?"]);
    }
}
