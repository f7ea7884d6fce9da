//! A worker's answer. Heads are validated on both sides: the worker before it sends, so that the
//! application learns what it did wrong; the shim on arrival, so that nothing a worker says can put
//! a line break into an HTTP header.

use crate::fields::{self, Fields, Pairs, Value, put_bytes, put_entry, put_number};
use crate::frame::Kind;
use crate::message::{DecodeError, message, plain_message};
use crate::{bounds, wire};
use bytes::Bytes;

/// Status line and headers as the shim reads them. PEP 3333, "The start_response() Callable".
#[derive(Debug, Clone)]
pub struct ResponseHead<'a> {
    /// 100 to 999.
    pub status: u16,
    /// Reason phrase without control characters; may be empty.
    pub reason: &'a [u8],
    payload: &'a [u8],
}

/// Why a head is none.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum HeadFault {
    /// Not three digits.
    #[error("has the status {0}, which is not a three digit number")]
    Status(u32),
    /// A control character in the reason phrase.
    #[error("has a control character in its reason phrase")]
    Reason,
    /// The name is no token.
    #[error("has the header name {0:?}, which is empty or holds a control character, a colon or a space")]
    Name(String),
    /// CR, LF or NUL in a value.
    #[error("has a line break or NUL in the value of header {0:?}")]
    Value(String),
    /// See [`crate::bounds::PAIRS`], or a name without a value.
    #[error("{0}")]
    List(String),
}

/// Is this a header's name? Stricter than a missing control character: a colon or a space would
/// shift the border between name and value (RFC 9112, 5.1).
pub fn valid_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| b > b' ' && b != b':' && b != 0x7f)
}

/// Is this a header's value? RFC 9110, 5.5: CR, LF and NUL are dangerous, the rest is tolerated.
pub fn valid_value(value: &[u8]) -> bool {
    !value.iter().any(|&b| matches!(b, b'\r' | b'\n' | 0))
}

/// Is this a reason phrase?
pub fn valid_reason(reason: &[u8]) -> bool {
    !reason.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f)
}

impl<'a> ResponseHead<'a> {
    /// From a payload, every name and value checked.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(payload).map_err(|fault| DecodeError::Invalid(Kind::ResponseHead, fault.to_string()))
    }

    fn read(payload: &'a [u8]) -> Result<Self, HeadFault> {
        let mut fields = Fields::of(payload);
        let (mut status, mut reason, mut values) = (0, &b""[..], 0);
        while let Some((tag, value)) = fields.field().map_err(HeadFault::List)? {
            match (tag, value) {
                // As prost has it, and protobuf: a number for 32 bits is cut to them.
                (1, Value::Number(number)) => status = number as u32,
                (2, Value::Bytes(text)) => reason = text,
                (3, Value::Bytes(_)) => values += 1,
                (1..=3, _) => return Err(HeadFault::List(format!("has a field {tag} of another type"))),
                _ => {}
            }
        }
        fields::check_pairs(values).map_err(HeadFault::List)?;
        let status = u16::try_from(status)
            .ok()
            .filter(|status| (100..=999).contains(status))
            .ok_or(HeadFault::Status(status))?;
        let head = Self { status, reason, payload };
        head.check()?;
        Ok(head)
    }

    fn check(&self) -> Result<(), HeadFault> {
        if !valid_reason(self.reason) {
            return Err(HeadFault::Reason);
        }
        for (name, value) in self.headers() {
            let text = || String::from_utf8_lossy(name).into_owned();
            if !valid_name(name) {
                return Err(HeadFault::Name(text()));
            }
            if !valid_value(value) {
                return Err(HeadFault::Value(text()));
            }
        }
        Ok(())
    }

    /// Names and values, in the application's order, duplicates kept.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        Pairs::of(self.payload, 3)
    }
}

/// Writes a head's payload as the worker learns it: status first, then header by header. Checking is
/// up to whoever writes.
#[derive(Debug)]
pub struct ResponseWriter {
    out: Vec<u8>,
}

impl ResponseWriter {
    /// Begins a payload in `buffer`, whose old content is dropped and whose room is used again.
    pub fn new(mut buffer: Vec<u8>, status: u16, reason: &[u8]) -> Self {
        buffer.clear();
        put_number(&mut buffer, 1, status.into());
        put_bytes(&mut buffer, 2, reason);
        Self { out: buffer }
    }

    /// Appends one header.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        put_entry(&mut self.out, 3, name);
        put_entry(&mut self.out, 3, value);
    }

    /// The payload as far as it is written.
    pub fn payload(&self) -> &[u8] {
        &self.out
    }

    /// The buffer, for another head.
    pub fn into_buffer(self) -> Vec<u8> {
        self.out
    }
}

plain_message! {
    /// A part of the response is in a file, whose descriptor rides on the frame.
    File {
        /// First byte to send.
        offset: u64,
        /// Bytes to send; a file that ends earlier truncates the response.
        length: u64,
    }
}

plain_message! {
    /// The response is whole.
    End {}
}

/// A line for the error log of the request's virtual host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How grave.
    pub level: Level,
    /// One line, without its end; any bytes.
    pub text: Bytes,
    /// Where in the application, if that is known.
    pub site: Option<CallSite>,
}

/// A line of a source file. It stands in the log unescaped, so its name has no control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSite {
    file: Bytes,
    line: u32,
}

impl CallSite {
    /// None if the file's name is empty, has a control character or is over its bound.
    pub fn new(file: Bytes, line: u32) -> Option<Self> {
        let fits = !file.is_empty() && file.len() <= bounds::CALL_SITE;
        (fits && !file.iter().any(u8::is_ascii_control)).then_some(Self { file, line })
    }

    /// The file's name.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The line's number, counted from 1; 0 where nobody knows.
    pub fn line(&self) -> u32 {
        self.line
    }
}

/// Apache's log levels, which are syslog's, as far as Python has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Level {
    Critical = 2,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

impl Level {
    /// From a number of the wire; what is out of range is an error, which no log hides.
    pub fn from_number(number: u32) -> Level {
        match number {
            2 => Level::Critical,
            4 => Level::Warning,
            5 => Level::Notice,
            6 => Level::Info,
            7 => Level::Debug,
            _ => Level::Error,
        }
    }
}

impl From<&Log> for wire::Log {
    fn from(log: &Log) -> Self {
        let site = log.site.clone().unwrap_or(CallSite { file: Bytes::new(), line: 0 });
        Self { level: log.level as u32, text: log.text.clone(), file: site.file, line: site.line }
    }
}

impl TryFrom<wire::Log> for Log {
    type Error = String;
    fn try_from(log: wire::Log) -> Result<Self, String> {
        let known = !log.file.is_empty();
        let site = CallSite::new(log.file, log.line);
        if known && site.is_none() {
            return Err("has a call site with a name that is none".into());
        }
        Ok(Self { level: Level::from_number(log.level), text: log.text, site })
    }
}

message!(Log, Log, wire::Log);

/// The response will never be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// Whose fault.
    pub cause: AbortCause,
    /// One sentence for the log; the traceback has travelled as [`Log`].
    pub detail: String,
}

/// Why a worker gave up. Before the response's head each of these is a 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortCause {
    /// The application raised, or broke PEP 3333.
    Application = 1,
    /// The script could not be imported.
    Script = 2,
    /// The script has no such callable.
    Callable = 3,
    /// The client's body could not be read, and the application did not recover.
    Body = 4,
    /// A fault of ours.
    Internal = 5,
    /// The application raised SystemExit, which ends the request and nothing else.
    Exit = 6,
    /// The application sent fewer bytes than its Content-Length promised.
    Short = 7,
    /// A hook's function answered what it may not.
    Verdict = 8,
    /// A part of a hook's answer is what it may not be.
    Item = 9,
    /// A hook's answer is empty where it may not be.
    Empty = 10,
    /// `mod_wsgi.RequestTimeout` came out of the application.
    Timeout = 11,
    /// The code on disk is newer than what is loaded, and nothing of the request has been looked at: another
    /// worker may have it.
    Stale = 12,
}

impl From<&Abort> for wire::Abort {
    fn from(abort: &Abort) -> Self {
        Self { cause: abort.cause as u32, detail: abort.detail.clone() }
    }
}

impl TryFrom<wire::Abort> for Abort {
    type Error = String;
    fn try_from(abort: wire::Abort) -> Result<Self, String> {
        let cause = match abort.cause {
            1 => AbortCause::Application,
            2 => AbortCause::Script,
            3 => AbortCause::Callable,
            4 => AbortCause::Body,
            5 => AbortCause::Internal,
            6 => AbortCause::Exit,
            7 => AbortCause::Short,
            8 => AbortCause::Verdict,
            9 => AbortCause::Item,
            10 => AbortCause::Empty,
            11 => AbortCause::Timeout,
            12 => AbortCause::Stale,
            other => return Err(format!("has the unknown cause {other}")),
        };
        Ok(Self { cause, detail: abort.detail })
    }
}

message!(Abort, Abort, wire::Abort);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use proptest::prelude::*;

    type Header = (&'static [u8], &'static [u8]);

    fn written(status: u16, reason: &[u8], headers: &[Header]) -> Vec<u8> {
        let mut writer = ResponseWriter::new(b"old".to_vec(), status, reason);
        headers.iter().for_each(|(name, value)| writer.header(name, value));
        writer.into_buffer()
    }

    /// What was read, as prost has it.
    fn as_wire(head: &ResponseHead<'_>) -> wire::ResponseHead {
        let headers = head.headers().flat_map(|(name, value)| [name, value]);
        wire::ResponseHead {
            status: head.status.into(),
            reason: Bytes::copy_from_slice(head.reason),
            headers: headers.map(Bytes::copy_from_slice).collect(),
        }
    }

    #[test]
    fn a_good_head_survives_and_prost_reads_it_alike() {
        let payload = written(404, b"Nicht da", &[("X-Ü".as_bytes(), b"caf\xe9"), (b"Empty", b"")]);
        let read = as_wire(&ResponseHead::decode(&payload).unwrap());
        assert_eq!(read, <wire::ResponseHead as prost::Message>::decode(&payload[..]).unwrap());
        assert_eq!(read.headers.len(), 4);
        assert_eq!(prost::Message::encode_to_vec(&read), payload);
    }

    #[test]
    fn a_head_that_would_split_the_response_is_refused() {
        let bad: [(u16, &[u8], Header); 8] = [
            (99, b"", (b"A", b"b")),
            (1000, b"", (b"A", b"b")),
            (200, b"OK\r\nX: y", (b"A", b"b")),
            (200, b"OK", (b"A\n", b"b")),
            (200, b"OK", (b"A:B", b"b")),
            (200, b"OK", (b"", b"b")),
            (200, b"OK", (b"A", b"b\r\nSet-Cookie: x")),
            (200, b"OK", (b"A", b"b\0")),
        ];
        for (status, reason, header) in bad {
            assert!(ResponseHead::decode(&written(status, reason, &[header])).is_err(), "{header:?}");
        }
        let lone = wire::ResponseHead { status: 200, headers: vec!["x".into()], ..Default::default() };
        assert!(ResponseHead::decode(&prost::Message::encode_to_vec(&lone)).is_err());
    }

    #[test]
    fn a_field_of_another_wire_type_is_refused_unless_unknown() {
        let with = |fields: &[u8]| [&written(200, b"OK", &[])[..], fields].concat();
        assert!(ResponseHead::decode(&with(b"\xf1\x0112345678\xf5\x011234")).is_ok());
        for known in [&b"\x0912345678"[..], b"\x151234", b"\x10\x01", b"\x0a\x01x"] {
            assert!(ResponseHead::decode(&with(known)).is_err(), "{known:?}");
        }
    }

    proptest! {
        /// Whatever comes, this reader takes nothing that prost refuses, and reads it as prost does.
        #[test]
        fn reader_and_prost_agree_on_damaged_heads(at in 0usize..60, byte: u8, cut in 0usize..60) {
            let mut bytes = written(200, b"OK", &[(b"Content-Type", b"text/plain"), (b"A", b"b")]);
            let (at, cut) = (at % bytes.len(), bytes.len() - cut % bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut);
            let ours = ResponseHead::decode(&bytes);
            match (ours, <wire::ResponseHead as prost::Message>::decode(&bytes[..])) {
                (Ok(ours), Ok(prosts)) => prop_assert_eq!(as_wire(&ours), prosts),
                (Ok(ours), Err(error)) => prop_assert!(false, "prost refuses {:?}: {}", ours, error),
                (Err(_), _) => {}
            }
        }
    }

    #[test]
    fn a_line_for_the_log_survives_with_its_call_site() {
        for site in [None, CallSite::new("/srv/app.py".into(), 7)] {
            let log = Log { level: Level::Debug, text: "looked".into(), site };
            assert_eq!(Log::decode(log.encode().into()).unwrap(), log);
        }
    }

    #[test]
    fn a_call_site_that_would_forge_a_line_is_refused() {
        let long = Bytes::from(vec![b'x'; bounds::CALL_SITE + 1]);
        for file in [Bytes::from("a\n[error] forged"), "a\0".into(), long] {
            assert_eq!(CallSite::new(file.clone(), 1), None);
            let wire = wire::Log { level: 3, text: "x".into(), file, line: 1 };
            assert!(Log::decode(prost::Message::encode_to_vec(&wire).into()).is_err());
        }
    }

    #[test]
    fn every_cause_of_an_abort_survives() {
        use AbortCause::*;
        for cause in
            [Application, Script, Callable, Body, Internal, Exit, Short, Verdict, Item, Empty, Timeout]
        {
            let abort = Abort { cause, detail: "gave up".into() };
            assert_eq!(Abort::decode(abort.encode().into()).unwrap(), abort);
        }
    }

    #[test]
    fn an_unknown_abort_is_refused() {
        let wire = wire::Abort { cause: 77, detail: String::new() };
        assert!(Abort::decode(prost::Message::encode_to_vec(&wire).into()).is_err());
    }
}
