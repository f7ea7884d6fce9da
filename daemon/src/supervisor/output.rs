//! What a worker prints outside any request, line by line into the daemon's log. Lines are bounded;
//! a longer one is cut into several, so that an application can't make the daemon hold it all.

use super::worker::printable;
use crate::log::WORKER;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Bytes in one line of the log.
const LINE: usize = 8 << 10;

/// The lines of one worker.
#[derive(Debug)]
pub struct Lines {
    pipe: pipe::Receiver,
    group: String,
    pid: u32,
    cutter: Cutter,
    open: bool,
}

impl Lines {
    /// From this pipe.
    pub fn new(pipe: pipe::Receiver, group: String, pid: u32) -> Self {
        Self { pipe, group, pid, cutter: Cutter::default(), open: true }
    }

    /// Logs what comes next; waits for ever once nothing will. May be dropped and called again.
    pub async fn log_next(&mut self) {
        if !self.open {
            return std::future::pending().await;
        }
        self.cutter.rest.reserve(LINE);
        self.open = matches!(self.pipe.read_buf(&mut self.cutter.rest).await, Ok(1..));
        while let Some(line) = self.cutter.next(!self.open) {
            tracing::info!(target: WORKER, "[{} {}] {line}", self.group, self.pid);
        }
    }

    /// Can more come?
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The last line so far that was not empty.
    pub fn last(&self) -> String {
        self.cutter.last.clone()
    }
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Cutter {
    rest: BytesMut,
    last: String,
}

impl Cutter {
    /// The next line that is whole, too long, or (at the `end`) all there is.
    fn next(&mut self, end: bool) -> Option<String> {
        let line = match self.rest.iter().take(LINE).position(|&byte| byte == b'\n') {
            Some(at) => self.rest.split_to(at + 1),
            None if self.rest.len() >= LINE => self.rest.split_to(LINE),
            None if end && !self.rest.is_empty() => self.rest.split(),
            None => return None,
        };
        let text = String::from_utf8_lossy(&line);
        let text = printable(text.trim_end_matches(['\n', '\r']));
        if !text.trim().is_empty() {
            self.last.clone_from(&text);
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(input: &[u8], end: bool) -> Vec<String> {
        let mut cutter = Cutter { rest: BytesMut::from(input), last: String::new() };
        std::iter::from_fn(|| cutter.next(end)).collect()
    }

    #[test]
    fn lines_end_where_they_end() {
        assert_eq!(cut(b"one\ntwo\r\nthr", false), ["one", "two"]);
        assert_eq!(cut(b"one\nthr", true), ["one", "thr"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let lines = cut(&vec![b'x'; LINE * 2 + 1], true);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LINE, LINE, 1]);
    }
}
