//! httpd's part: a door that knows what it may be asked for, and when.

use bytes::{Bytes, BytesMut};
use mod_wsgid::door::{BodyPart, ClientGone, Door, NotTaken};
use std::os::fd::OwnedFd;
use wsgid_fuzz::input::Input;
use wsgid_fuzz::socket::FarEnd;
use wsgid_proto::expand;
use wsgid_proto::frame::{self, Frame, Kind};
use wsgid_proto::hook::{Answer, Ask};
use wsgid_proto::response::{CallSite, Level, valid_name, valid_reason, valid_value};
use wsgid_proto::{Message, bounds, request::BodyError};

/// The longest record of httpd's error log.
const RECORD: usize = 8 << 10;

/// What the client sends: some parts, and how that ends.
#[derive(Debug)]
pub struct Body {
    parts: u8,
    part: usize,
    end: BodyPart,
    complete: bool,
}

impl Body {
    pub fn of(input: &mut Input<'_>) -> Self {
        let (parts, part) = (input.number() % 8, usize::from(input.number()));
        let end = match input.number() % 4 {
            0 => BodyPart::Last(0),
            1 => BodyPart::Last(part),
            2 if part % 2 == 0 => BodyPart::Torn(400),
            2 => BodyPart::Failed(413),
            _ => BodyPart::Failed(-3),
        };
        Self { parts, part, end, complete: input.flag() }
    }

    /// Has it all gone over with the head?
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    fn next(&mut self, room: usize) -> BodyPart {
        if self.parts == 0 {
            self.complete = true;
            return match self.end {
                BodyPart::Last(length) => BodyPart::Last(length.min(room)),
                other => other,
            };
        }
        self.parts -= 1;
        BodyPart::More(self.part.min(room))
    }
}

/// How far the response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Nothing,
    Head,
    Content,
    Over,
}

#[derive(Debug)]
pub struct Client {
    body: Body,
    /// How often something can be sent before the client goes away.
    passes: u8,
    worker: Option<FarEnd>,
    diverts: bool,
    stage: Stage,
    gone: bool,
    failed: Option<i32>,
    logged: bool,
    /// What the worker has to be told.
    due: Vec<(Kind, usize)>,
    pub appended: Vec<u8>,
    pub files: usize,
}

impl Client {
    pub fn new(body: Body, passes: u8, worker: Option<FarEnd>) -> Self {
        Self {
            // Some answers are httpd's to give.
            diverts: passes == 77,
            body,
            passes,
            worker,
            stage: Stage::Nothing,
            gone: false,
            failed: None,
            logged: false,
            due: Vec::new(),
            appended: Vec::new(),
            files: 0,
        }
    }

    pub fn begun(&self) -> bool {
        self.stage > Stage::Nothing
    }

    pub fn gone(&self) -> bool {
        self.gone
    }

    /// Was nothing asked of httpd?
    pub fn untouched(&self) -> bool {
        !self.begun() && !self.logged && self.due.is_empty()
    }

    /// Was reading the body answered like this?
    pub fn body_failed(&self, answer: i32) -> bool {
        self.failed == Some(answer)
    }

    /// The worker was told of each part that was read, in order, and of nothing else.
    pub fn check_told(&mut self) {
        self.listen();
        let Some(worker) = &self.worker else { return };
        let mut told = BytesMut::from(&worker.told[..]);
        for (kind, length) in &self.due {
            let frame = next_told(&mut told).expect("each part is sent");
            assert_eq!(frame.kind, *kind);
            match kind {
                Kind::BodyError => drop(BodyError::from_frame(frame).expect("a message")),
                Kind::Answer => assert_eq!(Answer::from_frame(frame).expect("a message"), known()),
                _ => assert_eq!(frame.payload, vec![b'x'; *length]),
            }
        }
        assert!(next_told(&mut told).is_none() && told.is_empty());
    }

    fn stay(&self) {
        assert!(!self.gone, "the client has gone");
        assert!(self.stage < Stage::Over, "the response is over");
    }

    fn pass_once(&mut self) -> Result<(), ClientGone> {
        self.gone = self.passes == 0;
        self.passes = self.passes.saturating_sub(1);
        if self.gone { Err(ClientGone) } else { Ok(()) }
    }

    fn listen(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.listen();
        }
    }
}

/// What httpd answers, where it is asked.
fn known() -> Answer {
    Answer { value: Some("known".into()) }
}

/// The next frame that httpd had a part in: what a worker may not know it is told without asking httpd.
fn next_told(told: &mut BytesMut) -> Option<Frame> {
    let unknown = Answer::default().encode();
    loop {
        let frame = frame::take(told).expect("the module speaks frames")?;
        if frame.kind != Kind::Answer || frame.payload != unknown {
            return Some(frame);
        }
    }
}

impl expand::Request for Client {
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

impl Door for Client {
    fn trusts(&self, _: &[u8]) -> Option<bool> {
        None
    }

    fn diverts(&mut self) -> bool {
        self.diverts
    }

    fn divert(&mut self) -> i32 {
        0
    }

    fn answer(&mut self, _: &Ask) -> Option<Bytes> {
        self.listen();
        self.due.push((Kind::Answer, 0));
        known().value
    }

    fn note(&mut self, number: &str) {
        assert!(number.starts_with("WSGI"));
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> BodyPart {
        self.stay();
        assert!(!self.body.complete, "there is no more body");
        assert!((1..=bounds::CHUNK).contains(&buffer.len()));
        // A worker that never reads would only make the module wait.
        self.listen();
        let part = self.body.next(buffer.len());
        match part {
            BodyPart::More(length) => {
                buffer[..length].fill(b'x');
                self.due.push((Kind::BodyChunk, length));
            }
            BodyPart::Last(length) => {
                buffer[..length].fill(b'x');
                self.due.push((Kind::BodyLast, length));
            }
            BodyPart::Torn(answer) | BodyPart::Failed(answer) => {
                self.failed = Some(answer);
                if answer > 0 {
                    self.due.push((Kind::BodyError, 0));
                }
            }
        }
        part
    }

    /// The client is never ahead of the worker: the module's own tests have one that is.
    fn body_at_hand(&mut self, _: &mut [u8]) -> BodyPart {
        BodyPart::More(0)
    }

    fn client_timeout(&mut self, _seconds: u32) {}

    fn set_status(&mut self, status: u16, reason: &[u8]) {
        self.stay();
        assert_eq!(self.stage, Stage::Nothing);
        assert!((100..=999).contains(&status) && valid_reason(reason));
        self.stage = Stage::Head;
    }

    fn add_header(&mut self, name: &[u8], value: &[u8]) {
        self.stay();
        assert_eq!(self.stage, Stage::Head);
        assert!(valid_name(name) && valid_value(value));
    }

    fn append(&mut self, bytes: Bytes) {
        self.stay();
        assert!(self.stage >= Stage::Head && !bytes.is_empty() && !self.diverts);
        self.stage = Stage::Content;
        self.appended.extend_from_slice(&bytes);
    }

    fn append_file(&mut self, _: OwnedFd, offset: u64, length: u64) -> Result<(), NotTaken> {
        self.stay();
        assert!(self.stage >= Stage::Head);
        assert!(offset.checked_add(length).is_some_and(|end| i64::try_from(end).is_ok()));
        self.stage = Stage::Content;
        self.files += 1;
        // Some httpds have no descriptor left.
        if self.passes == 78 { Err(NotTaken) } else { Ok(()) }
    }

    fn pass(&mut self) -> Result<(), ClientGone> {
        self.stay();
        assert!(self.stage >= Stage::Head);
        self.pass_once()
    }

    fn finish(&mut self) -> Result<(), ClientGone> {
        self.stay();
        assert!(self.stage >= Stage::Head);
        self.stage = Stage::Over;
        self.pass_once()
    }

    fn truncate(&mut self) {
        self.stay();
        assert!(self.stage >= Stage::Head);
        self.stage = Stage::Over;
    }

    fn log(&mut self, _: Level, text: &[u8], _: Option<&CallSite>) {
        assert!(!text.is_empty() && text.len() <= RECORD);
        self.logged = true;
    }
}
