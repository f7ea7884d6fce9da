//! From the delivered head to the end of the answer: frames of the worker become calls of the door,
//! and parts of the body go to the worker when it asks for them.
//!
//! Nothing is held back for long: what has been appended is passed on as soon as the worker has
//! nothing more at hand, when it has become much, and before anything is waited for.

use crate::body::Body;
use crate::buffers::{Buffer, Buffers};
use crate::channel::ReceiveError;
use crate::door::{BodyPart, Door, NotTaken};
use crate::drain::Drain;
use crate::fault::Fault;
use crate::source::Source;
use bytes::Bytes;
use nix::sys::stat::{SFlag, fstat};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wsgid_proto::exchange::{Exchange, Phase};
use wsgid_proto::frame::{self, Frame, Kind};
use wsgid_proto::hook::{Answer, Ask};
use wsgid_proto::request::{BodyError, BodyWanted};
use wsgid_proto::response::{Abort, AbortCause, File, Log, ResponseHead};
use wsgid_proto::{DecodeError, Message, bounds};

/// How the exchange went.
#[derive(Debug)]
pub enum Outcome {
    /// The response is whole and has been appended; the channel may serve another request.
    Whole,
    /// The same, but httpd answers in place of it.
    Diverted,
    /// The client went away; the worker learns it from the closed channel.
    ClientGone,
    /// The worker went away without having read the head: another one may have it.
    Undelivered,
}

/// A worker that is faster than the client always has more at hand: so much is kept in memory, no more.
const HELD: usize = 256 << 10;

/// httpd cuts a record of its error log near 8 KiB, its own words included.
const LOG_RECORD: usize = 7 << 10;

/// A text in pieces that fit into a record each; a character stays in one piece.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut cut = text.len().min(LOG_RECORD);
        while cut < text.len() && cut > LOG_RECORD - 4 && text[cut] & 0xc0 == 0x80 {
            cut -= 1;
        }
        let (piece, rest) = text.split_at(cut);
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Writes a worker's line to the error log of the request.
pub(crate) fn log<D: Door + ?Sized>(door: &mut D, log: &Log) {
    lines(&log.text).for_each(|line| door.log(log.level, line, log.site.as_ref()));
}

/// Under which terms the answer is relayed.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The process group, for messages.
    pub group: &'a str,
    /// How long the worker may be silent: the channel's time-out, for messages.
    pub silence: Duration,
    /// How long the whole answer may take, if that has a bound.
    pub patience: Option<Duration>,
    /// Who takes the answer off the worker while the client is slow.
    pub drain: Option<&'a Drain>,
    /// Where the buffer for parts of the body comes from.
    pub buffers: &'a Buffers,
    /// All of the body went along with the head.
    pub body_complete: bool,
    /// The worker may see httpd's scoreboard.
    pub server_metrics: bool,
}

/// One relay.
#[derive(Debug)]
pub struct Relay<'a, D: Door + ?Sized> {
    source: &'a Arc<Mutex<Source>>,
    body: &'a mut Body,
    door: &'a mut D,
    exchange: Exchange,
    terms: Terms<'a>,
    spoken: bool,
    begun: bool,
    /// httpd answers in place of the application, whose body goes nowhere.
    diverted: bool,
    appended: bool,
    /// Bytes appended since the last pass.
    held: usize,
    body_fault: Option<Fault>,
    /// A part of the body, in front of it room for its frame's header; `None` as long as none was wanted.
    buffer: Option<Buffer<'a>>,
    /// What is there of the body, before the worker has asked for it.
    ahead: Option<Part>,
    /// A part has been sent since it was looked for more.
    handed_over: bool,
    /// When the patience ends.
    end: Option<Instant>,
}

/// A part of the body that lies in the relay's buffer, and what reading it came to.
#[derive(Debug, Clone)]
struct Part {
    lies: Range<usize>,
    came_to: BodyPart,
}

/// A fault, or the end of all trying.
enum Stop {
    Fault(Fault),
    ClientGone,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl<'a, D: Door + ?Sized> Relay<'a, D> {
    /// Begins after the head has been sent.
    pub fn new(
        source: &'a Arc<Mutex<Source>>,
        body: &'a mut Body,
        door: &'a mut D,
        terms: Terms<'a>,
    ) -> Self {
        let mut exchange = Exchange::default();
        // A fresh exchange takes a head: this can't be out of turn.
        let _ = exchange.head(terms.body_complete);
        Self {
            source,
            body,
            door,
            exchange,
            terms,
            spoken: false,
            begun: false,
            diverted: false,
            appended: false,
            held: 0,
            body_fault: None,
            buffer: None,
            ahead: None,
            handed_over: false,
            end: terms.patience.map(|patience| Instant::now() + patience),
        }
    }

    /// Has the response been begun? Then a fault can only cut it short.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Has httpd been told status and headers, be they those of a response that goes nowhere?
    pub fn has_head(&self) -> bool {
        self.begun || self.diverted
    }

    /// Runs to the end.
    pub fn run(&mut self) -> Result<Outcome, Fault> {
        loop {
            let frame = match self.receive() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(Outcome::Undelivered),
                Err(Stop::ClientGone) => return Ok(Outcome::ClientGone),
                Err(Stop::Fault(fault)) => return Err(fault),
            };
            self.spoken = true;
            match self.handle(frame) {
                Ok(()) if self.exchange.phase() == Phase::Finished => return Ok(self.finished()),
                Ok(()) => {}
                Err(Stop::ClientGone) => return Ok(Outcome::ClientGone),
                Err(Stop::Fault(fault)) => return Err(fault),
            }
        }
    }

    fn finished(&self) -> Outcome {
        if self.diverted { Outcome::Diverted } else { Outcome::Whole }
    }

    fn source(&self) -> MutexGuard<'a, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame; `None` when the worker closed without having read the head.
    fn receive(&mut self) -> Result<Option<Frame>, Stop> {
        let at_hand = match self.appended {
            // Is that all for now? Then it goes out before anything is waited for.
            true => self.source().at_hand(),
            false => self.source().held(),
        };
        let frame = match at_hand {
            Ok(None) => {
                self.flush()?;
                self.look_ahead()?;
                self.await_frame()
            }
            Ok(Some(frame)) => Ok(frame),
            Err(error) => Err(error),
        };
        match frame {
            Ok(frame) => Ok(Some(frame)),
            Err(ReceiveError::Reset) if !self.spoken => Ok(None),
            Err(error) => Err(self.channel_fault(error).into()),
        }
    }

    /// The next frame, as long as the worker may be silent and the whole answer may take.
    fn await_frame(&self) -> Result<Frame, ReceiveError> {
        match self.end {
            None => self.source().receive(),
            Some(end) if self.terms.silence.is_zero() => self.source().receive_by(end),
            Some(end) => self.source().receive_by(end.min(Instant::now() + self.terms.silence)),
        }
    }

    fn channel_fault(&self, error: ReceiveError) -> Fault {
        if let (ReceiveError::Silent, Some(end)) = (&error, self.end) {
            if end <= Instant::now() {
                return Fault::RequestTimeout {
                    group: self.terms.group.into(),
                    seconds: self.terms.patience.unwrap_or_default().as_secs(),
                };
            }
        }
        Fault::of_channel(error, self.terms.group, self.terms.silence)
    }

    fn protocol(&self, what: impl std::fmt::Display) -> Fault {
        Fault::protocol(self.terms.group, what)
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.held = 0;
        if std::mem::take(&mut self.appended) {
            let _watch = self.terms.drain.and_then(|drain| drain.watch(self.source));
            self.door.pass().map_err(|_| Stop::ClientGone)?;
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame) -> Result<(), Stop> {
        self.exchange.step(frame.kind).map_err(|e| self.protocol(e))?;
        match frame.kind {
            Kind::Log => {
                let line = Log::decode(frame.payload).map_err(|e| self.protocol(e))?;
                log(self.door, &line);
                Ok(())
            }
            Kind::ResponseHead => self.response_head(frame.payload),
            Kind::Chunk | Kind::File if self.diverted => Ok(()),
            Kind::Chunk => {
                if !frame.payload.is_empty() {
                    self.held += frame.payload.len();
                    self.door.append(frame.payload);
                    self.appended = true;
                }
                if self.held >= HELD { self.flush() } else { Ok(()) }
            }
            Kind::File => self.file(frame.payload),
            Kind::BodyWanted => self.body_wanted(frame.payload),
            Kind::Ask => self.asked(frame.payload),
            Kind::Abort => Err(self.aborted(frame.payload).into()),
            // End; the exchange lets nothing else come here.
            _ => Ok(()),
        }
    }

    fn response_head(&mut self, payload: Bytes) -> Result<(), Stop> {
        let head = ResponseHead::decode(&payload).map_err(|e| self.protocol(e))?;
        self.door.set_status(head.status, head.reason);
        for (name, value) in head.headers() {
            self.door.add_header(name, value);
        }
        self.diverted = self.door.diverts();
        self.begun = !self.diverted;
        // It goes out with the first bytes of the body or with the end (PEP 3333): httpd serves ranges
        // only of what it has in one brigade with both.
        Ok(())
    }

    fn file(&mut self, payload: Bytes) -> Result<(), Stop> {
        let part = File::decode(payload).map_err(|e| self.protocol(e))?;
        let descriptor = self.source().take_descriptor();
        let file = descriptor.ok_or_else(|| self.protocol("a file came without its descriptor"))?;
        let is_regular = |mode| SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        if !fstat(&file).is_ok_and(|status| is_regular(status.st_mode)) {
            return Err(self.protocol("what came as a file is none").into());
        }
        // The two may not be added up beyond what a file offset can be.
        if part.offset.checked_add(part.length).is_none_or(|end| end > i64::MAX as u64) {
            return Err(self.protocol("a part of a file is beyond any file's end").into());
        }
        // No pass on its own account: the end follows at once, and httpd serves ranges only of what it
        // has in one brigade with the end.
        self.appended = false;
        self.door.append_file(file, part.offset, part.length).map_err(|NotTaken| Fault::FileNotTaken.into())
    }

    fn body_wanted(&mut self, payload: Bytes) -> Result<(), Stop> {
        let wanted = BodyWanted::decode(payload).map_err(|e: DecodeError| self.protocol(e))?;
        self.flush()?;
        let room = (wanted.max as usize).clamp(1, bounds::CHUNK);
        let part = match self.ahead.take() {
            Some(part) => part,
            None => {
                let buffer = self.buffer.get_or_insert_with(|| self.terms.buffers.take());
                let came_to = self.body.read(&mut buffer.bytes()[frame::HEADER..][..room], self.door)?;
                self.read(came_to, room)?
            }
        };
        self.hand_over(part, room)
    }

    /// While the worker is busy with a part, the next is read as far as it has come, so that both work at a time.
    fn look_ahead(&mut self) -> Result<(), Stop> {
        if !std::mem::take(&mut self.handed_over) || self.ahead.is_some() {
            return Ok(());
        }
        let Some(buffer) = &mut self.buffer else { return Ok(()) };
        self.ahead = match self.body.at_hand(&mut buffer.bytes()[frame::HEADER..], self.door) {
            BodyPart::More(0) => None,
            came_to => Some(self.read(came_to, bounds::CHUNK)?),
        };
        Ok(())
    }

    /// What now lies behind the buffer's room for a header.
    fn read(&self, came_to: BodyPart, room: usize) -> Result<Part, Stop> {
        let length = match came_to {
            BodyPart::More(length) | BodyPart::Last(length) => length.min(room),
            // A filter has answered the client already: whatever the application says would be a second
            // response. It learns of it from the closed connection.
            BodyPart::Failed(answered) if answered < 0 => return Err(Fault::BodyFailed(answered).into()),
            BodyPart::Torn(_) | BodyPart::Failed(_) => 0,
        };
        Ok(Part { lies: frame::HEADER..frame::HEADER + length, came_to })
    }

    /// Sends a part, or as much of it as was asked for.
    fn hand_over(&mut self, part: Part, room: usize) -> Result<(), Stop> {
        let Part { lies, came_to } = part;
        let end = lies.end.min(lies.start + room);
        let kind = match came_to {
            BodyPart::Torn(answer) | BodyPart::Failed(answer) => {
                return self.body_failed(Fault::BodyFailed(answer));
            }
            BodyPart::Last(_) if end == lies.end => Kind::BodyLast,
            BodyPart::More(_) | BodyPart::Last(_) => Kind::BodyChunk,
        };
        // In front of it is room for a header, be it that of what has been sent before.
        let begin = lies.start - frame::HEADER;
        let mut buffer = self.buffer.take().unwrap_or_else(|| self.terms.buffers.take());
        buffer.bytes()[begin..lies.start].copy_from_slice(&frame::header(kind, end - lies.start));
        self.send(kind, &buffer.bytes()[begin..end])?;
        // After the last part the answer may take its time, and the buffer is for others.
        self.buffer = (kind == Kind::BodyChunk).then_some(buffer);
        self.ahead = (end < lies.end).then_some(Part { lies: end..lies.end, came_to });
        self.handed_over = kind == Kind::BodyChunk;
        Ok(())
    }

    fn body_failed(&mut self, fault: Fault) -> Result<(), Stop> {
        let error = BodyError { reason: fault.to_string() };
        self.body_fault = Some(fault);
        self.buffer = None;
        self.send(Kind::BodyError, &error.frame())
    }

    /// What mod_ssl knows is for hooks alone.
    fn asked(&mut self, payload: Bytes) -> Result<(), Stop> {
        let ask = Ask::decode(payload).map_err(|e| self.protocol(e))?;
        let allowed = self.terms.server_metrics && ask == Ask::ServerMetrics;
        let value = if allowed { self.door.answer(&ask) } else { None };
        self.send(Kind::Answer, &Answer { value }.frame())
    }

    fn send(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), Stop> {
        self.exchange.step(kind).map_err(|e| self.protocol(e))?;
        let sent = self.source().send(bytes);
        sent.map_err(|e| self.channel_fault(e).into())
    }

    /// The worker gave up. If the body failed first, that is the reason the client is told.
    fn aborted(&mut self, payload: Bytes) -> Fault {
        let abort = match Abort::decode(payload) {
            Ok(abort) => abort,
            Err(error) => return self.protocol(error),
        };
        match self.body_fault.take() {
            Some(fault)
                if matches!(abort.cause, AbortCause::Body | AbortCause::Application | AbortCause::Exit) =>
            {
                fault
            }
            _ => Fault::of_abort(abort),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::channel::Channel;
    use crate::door::ClientGone;
    use crate::spool::Limits;
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use std::io::{IoSlice, Read, Write};
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use wsgid_proto::expand;
    use wsgid_proto::response::{CallSite, Level, ResponseWriter};

    /// A door that writes down what it is asked for, and whose client sends `body` in parts.
    #[derive(Default)]
    pub(crate) struct Notes {
        pub(crate) said: Vec<String>,
        pub(crate) body: Vec<BodyPart>,
        /// What has come when it is looked for, after the first part.
        pub(crate) at_hand: Vec<(&'static [u8], BodyPart)>,
        pub(crate) gone: bool,
        pub(crate) diverts: bool,
    }

    impl expand::Request for Notes {
        fn server_name(&self) -> Vec<u8> {
            Vec::new()
        }
        fn port(&self) -> u16 {
            80
        }
        fn host(&self) -> Vec<u8> {
            Vec::new()
        }
        fn script_name(&self) -> Vec<u8> {
            Vec::new()
        }
        fn variable(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }

    impl Door for Notes {
        fn trusts(&self, _: &[u8]) -> Option<bool> {
            None
        }
        fn read_body(&mut self, buffer: &mut [u8]) -> BodyPart {
            self.said.push(format!("read at most {}", buffer.len()));
            self.body.remove(0)
        }
        fn body_at_hand(&mut self, buffer: &mut [u8]) -> BodyPart {
            if self.at_hand.is_empty() {
                return BodyPart::More(0);
            }
            self.said.push("read ahead".into());
            let (bytes, part) = self.at_hand.remove(0);
            buffer[..bytes.len()].copy_from_slice(bytes);
            part
        }
        fn client_timeout(&mut self, _seconds: u32) {}
        fn set_status(&mut self, status: u16, reason: &[u8]) {
            self.said.push(format!("{status} {}", String::from_utf8_lossy(reason)));
        }
        fn add_header(&mut self, name: &[u8], value: &[u8]) {
            self.said.push(format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        }
        fn diverts(&mut self) -> bool {
            self.diverts
        }
        fn divert(&mut self) -> i32 {
            0
        }
        fn append(&mut self, bytes: Bytes) {
            self.said.push(format!("+{}", String::from_utf8_lossy(&bytes)));
        }
        fn append_file(&mut self, _: OwnedFd, offset: u64, length: u64) -> Result<(), NotTaken> {
            self.said.push(format!("+file {offset} {length}"));
            Ok(())
        }
        fn pass(&mut self) -> Result<(), ClientGone> {
            self.said.push("pass".into());
            if self.gone { Err(ClientGone) } else { Ok(()) }
        }
        fn finish(&mut self) -> Result<(), ClientGone> {
            Ok(())
        }
        fn truncate(&mut self) {}
        fn answer(&mut self, ask: &Ask) -> Option<Bytes> {
            self.said.push(format!("{ask:?}"));
            Some("known".into())
        }
        fn note(&mut self, number: &str) {
            self.said.push(format!("note {number}"));
        }
        fn log(&mut self, level: Level, text: &[u8], site: Option<&CallSite>) {
            let line = site.map_or(0, CallSite::line);
            self.said.push(format!("log {level:?} {line} {}", String::from_utf8_lossy(text)));
        }
    }

    fn head() -> Vec<u8> {
        let mut writer = ResponseWriter::new(Vec::new(), 200, b"OK");
        writer.header(b"A", b"b");
        framed(Kind::ResponseHead, writer.payload())
    }

    fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, kind, payload);
        bytes
    }

    fn abort(cause: AbortCause) -> Vec<u8> {
        Abort { cause, detail: "it failed".into() }.frame()
    }

    /// Runs a relay against what a worker has written, which then closes its end.
    fn run(written: &[Vec<u8>], door: &mut Notes) -> Result<Outcome, Fault> {
        let (ours, mut worker) = UnixStream::pair().unwrap();
        worker.write_all(&written.concat()).unwrap();
        worker.shutdown(std::net::Shutdown::Write).unwrap();
        relay(Channel::over(ours, PATIENCE).unwrap(), false, door)
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    fn relay(channel: Channel, body_complete: bool, door: &mut Notes) -> Result<Outcome, Fault> {
        let source = Arc::new(Mutex::new(Source::new(channel, Limits::default())));
        let buffers = Buffers::default();
        let terms = Terms {
            group: "site",
            silence: PATIENCE,
            patience: None,
            drain: None,
            buffers: &buffers,
            body_complete,
            server_metrics: true,
        };
        Relay::new(&source, &mut Body::streaming(), door, terms).run()
    }

    #[test]
    fn a_diverted_response_is_read_to_its_end_and_goes_nowhere() {
        let mut door = Notes { diverts: true, ..Default::default() };
        let frames = [head(), framed(Kind::Chunk, b"unseen"), framed(Kind::End, b"")];
        assert!(matches!(run(&frames, &mut door), Ok(Outcome::Diverted)));
        assert_eq!(door.said, ["200 OK", "A: b"]);
    }

    #[test]
    fn a_whole_answer_needs_no_pass_of_its_own() {
        let mut door = Notes::default();
        let whole = run(&[head(), framed(Kind::Chunk, b"hello"), framed(Kind::End, b"")], &mut door);
        assert!(matches!(whole, Ok(Outcome::Whole)));
        assert_eq!(door.said, ["200 OK", "A: b", "+hello"]);
    }

    #[test]
    fn what_is_there_is_passed_before_the_body_is_read() {
        let mut door = Notes { body: vec![BodyPart::More(3), BodyPart::Last(0)], ..Default::default() };
        let wanted = BodyWanted { max: 10 }.frame();
        let frames = [head(), framed(Kind::Chunk, b"early"), wanted.clone(), wanted, framed(Kind::End, b"")];
        assert!(matches!(run(&frames, &mut door), Ok(Outcome::Whole)));
        assert_eq!(door.said, ["200 OK", "A: b", "+early", "pass", "read at most 10", "read at most 10"]);
    }

    /// A worker that asks for these parts, one after the other, and is given them.
    fn given(door: &mut Notes, wanted: &[u32]) -> Vec<u8> {
        let (ours, mut worker) = UnixStream::pair().unwrap();
        let wanted = wanted.to_vec();
        let worker = std::thread::spawn(move || {
            let mut all = Vec::new();
            for max in wanted {
                worker.write_all(&BodyWanted { max }.frame()).unwrap();
                let mut header = [0; frame::HEADER];
                worker.read_exact(&mut header).unwrap();
                let (_, length) = frame::parse_header(header).unwrap();
                all.extend(header);
                all.resize(all.len() + length, 0);
                let start = all.len() - length;
                worker.read_exact(&mut all[start..]).unwrap();
            }
            worker.write_all(&[head(), framed(Kind::End, b"")].concat()).unwrap();
            all
        });
        relay(Channel::over(ours, PATIENCE).unwrap(), false, door).unwrap();
        worker.join().unwrap()
    }

    #[test]
    fn what_has_come_of_the_body_is_read_before_it_is_wanted() {
        let mut door = Notes {
            body: vec![BodyPart::More(1)],
            at_hand: vec![(b"abcde", BodyPart::More(5)), (b"f", BodyPart::Last(1))],
            ..Default::default()
        };
        let chunks: [&[u8]; 4] = [b"\0", b"ab", b"cd", b"e"];
        let mut expected: Vec<u8> = chunks.iter().flat_map(|chunk| framed(Kind::BodyChunk, chunk)).collect();
        expected.extend(framed(Kind::BodyLast, b"f"));
        assert_eq!(given(&mut door, &[1, 2, 2, 9, 9]), expected);
        assert_eq!(door.said, ["read at most 1", "read ahead", "read ahead", "200 OK", "A: b"]);
    }

    #[test]
    fn a_body_that_ends_ahead_is_not_ended_before_all_of_it_is_sent() {
        let at_hand: Vec<(&[u8], BodyPart)> = vec![(b"abc", BodyPart::Last(3))];
        let mut door = Notes { body: vec![BodyPart::More(1)], at_hand, ..Default::default() };
        let expected =
            [framed(Kind::BodyChunk, b"\0"), framed(Kind::BodyChunk, b"ab"), framed(Kind::BodyLast, b"c")];
        assert_eq!(given(&mut door, &[1, 2, 2]), expected.concat());
    }

    #[test]
    fn what_fails_ahead_is_told_when_it_is_wanted() {
        let at_hand: Vec<(&[u8], BodyPart)> = vec![(b"", BodyPart::Torn(400))];
        let mut door = Notes { body: vec![BodyPart::More(1)], at_hand, ..Default::default() };
        let answer = given(&mut door, &[1, 2]);
        let (_, told) = answer.split_at(framed(Kind::BodyChunk, b"x").len());
        assert_eq!(told[4], Kind::BodyError as u8);
        // And if it is not, the application's answer is as good as any.
        let at_hand: Vec<(&[u8], BodyPart)> = vec![(b"", BodyPart::Torn(400))];
        let mut door = Notes { body: vec![BodyPart::More(1)], at_hand, ..Default::default() };
        given(&mut door, &[1]);
        assert_eq!(door.said.last().unwrap(), "A: b");
    }

    #[test]
    fn a_body_wanted_without_measure_is_bounded() {
        let mut door = Notes { body: vec![BodyPart::Last(0)], ..Default::default() };
        let frames = [BodyWanted { max: u32::MAX }.frame(), head(), framed(Kind::End, b"")];
        assert!(run(&frames, &mut door).is_ok());
        assert_eq!(door.said[0], format!("read at most {}", bounds::CHUNK));
    }

    #[test]
    fn the_status_names_whose_fault_it_is() {
        let status = |frames: &[Vec<u8>], body: Vec<BodyPart>| {
            run(frames, &mut Notes { body, ..Default::default() }).unwrap_err().answer()
        };
        let wanted = BodyWanted { max: 9 }.frame();
        assert_eq!(status(&[], vec![]), 502);
        assert_eq!(status(&[head()], vec![]), 502);
        assert_eq!(status(&[framed(Kind::End, b"")], vec![]), 502);
        assert_eq!(status(&[b"\xff\xff\xff\xff\x13".to_vec()], vec![]), 502);
        assert_eq!(status(&[b"HTTP/1.1 200 OK".to_vec()], vec![]), 502);
        assert_eq!(status(&[abort(AbortCause::Script)], vec![]), 500);
        assert_eq!(
            status(&[wanted.clone(), abort(AbortCause::Application)], vec![BodyPart::Failed(408)]),
            408
        );
        assert_eq!(status(&[wanted.clone(), abort(AbortCause::Body)], vec![BodyPart::Failed(413)]), 413);
        assert_eq!(status(&[wanted, abort(AbortCause::Script)], vec![BodyPart::Failed(400)]), 500);
    }

    #[test]
    fn a_request_that_a_filter_has_answered_is_not_answered_twice() {
        let mut door = Notes { body: vec![BodyPart::Failed(-3)], ..Default::default() };
        let frames = [BodyWanted { max: 9 }.frame(), head(), framed(Kind::End, b"")];
        assert_eq!(run(&frames, &mut door).unwrap_err().answer(), -3);
        assert_eq!(door.said, ["read at most 9"]);
    }

    #[test]
    fn a_file_without_its_descriptor_is_a_fault() {
        let file = File { offset: 0, length: 1 }.frame();
        assert_eq!(run(&[head(), file], &mut Notes::default()).unwrap_err().answer(), 502);
    }

    /// What comes with a descriptor on it.
    fn run_with(rider: impl AsFd, written: &[Vec<u8>], door: &mut Notes) -> Result<Outcome, Fault> {
        let (ours, worker) = UnixStream::pair().unwrap();
        let (bytes, descriptors) = (written.concat(), [rider.as_fd().as_raw_fd()]);
        let rights = [ControlMessage::ScmRights(&descriptors)];
        sendmsg::<()>(worker.as_raw_fd(), &[IoSlice::new(&bytes)], &rights, MsgFlags::empty(), None).unwrap();
        drop(worker);
        relay(Channel::over(ours, PATIENCE).unwrap(), true, door)
    }

    #[test]
    fn a_file_is_one_on_disk_and_nothing_follows_it() {
        let frames = [head(), File { offset: 0, length: 0 }.frame()];
        let end = [&frames[..], &[framed(Kind::End, b"")]].concat();
        let file = tempfile::tempfile().unwrap();
        let mut door = Notes::default();
        assert!(matches!(run_with(&file, &end, &mut door), Ok(Outcome::Whole)));
        assert_eq!(door.said, ["200 OK", "A: b", "+file 0 0"]);
        for behind in [framed(Kind::Chunk, b"x"), frames[1].clone()] {
            let written = [&frames[..], &[behind]].concat();
            assert_eq!(run_with(&file, &written, &mut Notes::default()).unwrap_err().answer(), 502);
        }
        let (pipe, _other) = nix::unistd::pipe().unwrap();
        assert_eq!(run_with(&pipe, &end, &mut Notes::default()).unwrap_err().answer(), 502);
    }

    #[test]
    fn a_worker_that_did_not_read_the_head_leaves_it_for_another() {
        let (ours, worker) = UnixStream::pair().unwrap();
        let channel = Channel::over(ours, PATIENCE).unwrap();
        channel.send(b"head").unwrap();
        drop(worker);
        let outcome = relay(channel, true, &mut Notes::default());
        assert!(matches!(outcome, Ok(Outcome::Undelivered)));
    }

    #[test]
    fn a_client_that_is_gone_ends_the_exchange() {
        let mut door = Notes { gone: true, body: vec![BodyPart::Last(0)], ..Default::default() };
        let frames = [head(), framed(Kind::Chunk, b"x"), BodyWanted { max: 1 }.frame()];
        assert!(matches!(run(&frames, &mut door), Ok(Outcome::ClientGone)));
    }

    #[test]
    fn log_lines_reach_the_log_of_the_request() {
        let log = Log { level: Level::Warning, text: "careful".into(), site: None };
        let mut door = Notes::default();
        run(&[log.frame(), head(), framed(Kind::End, b"")], &mut door).unwrap();
        assert_eq!(door.said[0], "log Warning 0 careful");
    }

    #[test]
    fn a_request_may_ask_for_the_scoreboard_and_for_nothing_of_mod_ssls() {
        for (ask, value) in
            [(Ask::ServerMetrics, Some("known".into())), (Ask::SslVariable("SSL_CIPHER".into()), None)]
        {
            let (ours, mut worker) = UnixStream::pair().unwrap();
            worker.write_all(&ask.frame()).unwrap();
            let due = Answer { value }.frame();
            let heard = std::thread::spawn(move || {
                let mut got = vec![0; due.len()];
                worker.read_exact(&mut got).unwrap();
                worker.write_all(&[head(), framed(Kind::End, b"")].concat()).unwrap();
                got == due
            });
            relay(Channel::over(ours, PATIENCE).unwrap(), true, &mut Notes::default()).unwrap();
            assert!(heard.join().unwrap());
        }
    }

    #[test]
    fn every_piece_of_a_long_line_has_its_level_and_call_site() {
        let text = Bytes::from(vec![b'x'; LOG_RECORD + 1]);
        let log = Log { level: Level::Debug, text, site: CallSite::new("/srv/app.py".into(), 7) };
        let mut door = Notes::default();
        run(&[log.frame(), head(), framed(Kind::End, b"")], &mut door).unwrap();
        assert!(door.said[0].starts_with("log Debug 7 xxx"), "{}", door.said[0]);
        assert_eq!(door.said[1], "log Debug 7 x");
    }

    #[test]
    fn a_long_line_becomes_several_records() {
        let text = "ä".repeat(LOG_RECORD);
        let pieces: Vec<&[u8]> = lines(text.as_bytes()).collect();
        assert!(pieces.iter().all(|piece| piece.len() <= LOG_RECORD && std::str::from_utf8(piece).is_ok()));
        assert_eq!(pieces.concat(), text.as_bytes());
        assert_eq!(lines(&[0x80; 20_000]).map(<[u8]>::len).sum::<usize>(), 20_000);
    }

    #[test]
    fn the_worker_gets_what_the_client_sent() {
        let (ours, mut worker) = UnixStream::pair().unwrap();
        let mut door = Notes { body: vec![BodyPart::Last(3)], ..Default::default() };
        worker.write_all(&BodyWanted { max: 3 }.frame()).unwrap();
        let answer = std::thread::spawn(move || {
            let mut got = vec![0; frame::HEADER + 3];
            worker.read_exact(&mut got).unwrap();
            worker.write_all(&[head(), framed(Kind::End, b"")].concat()).unwrap();
            got
        });
        relay(Channel::over(ours, PATIENCE).unwrap(), false, &mut door).unwrap();
        assert_eq!(answer.join().unwrap(), framed(Kind::BodyLast, b"\0\0\0"));
    }
}
