//! A worker's answer. Heads are validated on both sides: the worker before it sends, so that the
//! application learns what it did wrong; the shim on arrival, so that nothing a worker says can put
//! a line break into an HTTP header.

use crate::message::{flatten, message, pairs, plain_message};
use crate::wire;
use bytes::Bytes;

/// Status line and headers. PEP 3333, "The start_response() Callable".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// Reason phrase without control characters; may be empty.
    pub reason: Bytes,
    /// Names and values, in the application's order, duplicates kept.
    pub headers: Vec<(Bytes, Bytes)>,
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

impl From<&ResponseHead> for wire::ResponseHead {
    fn from(head: &ResponseHead) -> Self {
        Self { status: head.status.into(), reason: head.reason.clone(), headers: flatten(&head.headers) }
    }
}

impl TryFrom<wire::ResponseHead> for ResponseHead {
    type Error = HeadFault;

    fn try_from(head: wire::ResponseHead) -> Result<Self, HeadFault> {
        if !(100..=999).contains(&head.status) {
            return Err(HeadFault::Status(head.status));
        }
        if !valid_reason(&head.reason) {
            return Err(HeadFault::Reason);
        }
        let headers = pairs(head.headers).map_err(HeadFault::List)?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        for (name, value) in &headers {
            if !valid_name(name) {
                return Err(HeadFault::Name(text(name)));
            }
            if !valid_value(value) {
                return Err(HeadFault::Value(text(name)));
            }
        }
        Ok(Self { status: head.status as u16, reason: head.reason, headers })
    }
}

message!(ResponseHead, ResponseHead, wire::ResponseHead);

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
        Self { level: log.level as u32, text: log.text.clone() }
    }
}

impl From<wire::Log> for Log {
    fn from(log: wire::Log) -> Self {
        Self { level: Level::from_number(log.level), text: log.text }
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

    fn head(status: u16, reason: &'static str, name: &'static str, value: &'static str) -> ResponseHead {
        ResponseHead { status, reason: reason.into(), headers: vec![(name.into(), value.into())] }
    }

    #[test]
    fn a_good_head_survives() {
        let good = head(404, "Nicht da", "X-Ü", "caf\u{e9}");
        assert_eq!(ResponseHead::decode(good.encode().into()).unwrap(), good);
    }

    #[test]
    fn a_head_that_would_split_the_response_is_refused() {
        for bad in [
            head(99, "", "A", "b"),
            head(1000, "", "A", "b"),
            head(200, "OK\r\nX: y", "A", "b"),
            head(200, "OK", "A\n", "b"),
            head(200, "OK", "A:B", "b"),
            head(200, "OK", "", "b"),
            head(200, "OK", "A", "b\r\nSet-Cookie: x"),
            head(200, "OK", "A", "b\0"),
        ] {
            assert!(ResponseHead::decode(bad.encode().into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_abort_is_refused() {
        let wire = wire::Abort { cause: 77, detail: String::new() };
        assert!(Abort::decode(prost::Message::encode_to_vec(&wire).into()).is_err());
    }
}
