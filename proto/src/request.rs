//! A request on its way to a worker.
//!
//! The shim writes the head straight from Apache's own strings with [`HeadWriter`], so that nothing
//! is allocated for each variable; the worker reads it as a [`RequestHead`], whose values share the
//! frame's one buffer.

use crate::message::{flatten, message, pairs, plain_message};
use crate::{bounds, frame::Kind, wire};
use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};

/// Everything about a request that is known before its body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestHead {
    /// CGI variables and `mod_wsgi.*` strings, complete and in order, as bytes.
    pub environ: Vec<(Bytes, Bytes)>,
    /// Absolute path of the script file.
    pub script: Bytes,
    /// Attribute of the script's module.
    pub callable: String,
    /// `mod_wsgi.process_group`.
    pub process_group: Bytes,
    /// `mod_wsgi.application_group`.
    pub application_group: Bytes,
    /// When Apache took the request: microseconds since the epoch.
    pub request_start: u64,
    /// When the shim began to look for a worker: microseconds since the epoch.
    pub queue_start: u64,
    /// The first bytes of the body.
    pub body: Bytes,
    /// Nothing follows `body`.
    pub body_complete: bool,
    /// `WSGIScriptReloading`.
    pub reloading: bool,
    /// `wsgi.url_scheme` is https.
    pub https: bool,
    /// `mod_wsgi.request_handler`, usually `wsgi-script`.
    pub handler: String,
}

impl From<&RequestHead> for wire::RequestHead {
    fn from(head: &RequestHead) -> Self {
        Self {
            environ: flatten(&head.environ),
            script: head.script.clone(),
            callable: head.callable.clone(),
            process_group: head.process_group.clone(),
            application_group: head.application_group.clone(),
            request_start: head.request_start,
            queue_start: head.queue_start,
            body: head.body.clone(),
            body_complete: head.body_complete,
            reloading: head.reloading,
            https: head.https,
            handler: head.handler.clone(),
        }
    }
}

impl TryFrom<wire::RequestHead> for RequestHead {
    type Error = String;

    fn try_from(head: wire::RequestHead) -> Result<Self, String> {
        if head.script.first() != Some(&b'/') {
            return Err("names a script that is not an absolute path".into());
        }
        if head.body.len() > bounds::FIRST_BODY {
            return Err("carries more of the body than allowed".into());
        }
        Ok(Self {
            environ: pairs(head.environ)?,
            script: head.script,
            callable: head.callable,
            process_group: head.process_group,
            application_group: head.application_group,
            request_start: head.request_start,
            queue_start: head.queue_start,
            body: head.body,
            body_complete: head.body_complete,
            reloading: head.reloading,
            https: head.https,
            handler: head.handler,
        })
    }
}

message!(RequestHead, RequestHead, wire::RequestHead);

/// What of a head is not a variable; borrowed for [`HeadWriter::finish`].
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadFields<'a> {
    /// See [`RequestHead::script`], and so on for the rest.
    pub script: &'a [u8],
    #[allow(missing_docs)]
    pub callable: &'a [u8],
    #[allow(missing_docs)]
    pub process_group: &'a [u8],
    #[allow(missing_docs)]
    pub application_group: &'a [u8],
    #[allow(missing_docs)]
    pub request_start: u64,
    #[allow(missing_docs)]
    pub queue_start: u64,
    #[allow(missing_docs)]
    pub body: &'a [u8],
    #[allow(missing_docs)]
    pub body_complete: bool,
    #[allow(missing_docs)]
    pub reloading: bool,
    #[allow(missing_docs)]
    pub https: bool,
    #[allow(missing_docs)]
    pub handler: &'a [u8],
}

/// Writes a whole head frame into one buffer, variable by variable.
#[derive(Debug)]
pub struct HeadWriter {
    out: Vec<u8>,
    variables: usize,
}

/// The head would be over its bound.
#[derive(Debug, thiserror::Error)]
#[error("the request's variables are over the bound of {} bytes or {} entries", bounds::HEAD, bounds::PAIRS)]
pub struct HeadTooLarge;

impl HeadWriter {
    /// Begins a head in `buffer`, whose old content is dropped and whose room is used again.
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&[0; crate::frame::HEADER]);
        Self { out: buffer, variables: 0 }
    }

    /// Appends one variable; the name is given in parts that are joined.
    pub fn variable(&mut self, name: &[&[u8]], value: &[u8]) {
        encode_key(1, WireType::LengthDelimited, &mut self.out);
        encode_varint(name.iter().map(|part| part.len() as u64).sum(), &mut self.out);
        name.iter().for_each(|part| self.out.extend_from_slice(part));
        encode_key(1, WireType::LengthDelimited, &mut self.out);
        encode_varint(value.len() as u64, &mut self.out);
        self.out.extend_from_slice(value);
        self.variables += 1;
    }

    /// Appends one variable whose name is an HTTP header's: `HTTP_` and the name in CGI's spelling.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        encode_key(1, WireType::LengthDelimited, &mut self.out);
        encode_varint(name.len() as u64 + 5, &mut self.out);
        self.out.extend_from_slice(b"HTTP_");
        self.out.extend(name.iter().map(|&b| if b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
        encode_key(1, WireType::LengthDelimited, &mut self.out);
        encode_varint(value.len() as u64, &mut self.out);
        self.out.extend_from_slice(value);
        self.variables += 1;
    }

    /// Completes the frame.
    pub fn finish(mut self, fields: &HeadFields<'_>) -> Result<Vec<u8>, HeadTooLarge> {
        let out = &mut self.out;
        put_bytes(out, 2, fields.script);
        put_bytes(out, 3, fields.callable);
        put_bytes(out, 4, fields.process_group);
        put_bytes(out, 5, fields.application_group);
        put_number(out, 6, fields.request_start);
        put_number(out, 7, fields.queue_start);
        put_bytes(out, 8, fields.body);
        put_number(out, 9, fields.body_complete.into());
        put_number(out, 10, fields.reloading.into());
        put_number(out, 11, fields.https.into());
        put_bytes(out, 12, fields.handler);
        let length = out.len() - crate::frame::HEADER;
        if length > bounds::HEAD || self.variables > bounds::PAIRS {
            return Err(HeadTooLarge);
        }
        out[..crate::frame::HEADER].copy_from_slice(&crate::frame::header(Kind::RequestHead, length));
        Ok(self.out)
    }
}

/// Default values are left out, as proto3 does.
fn put_bytes(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    if !value.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(value.len() as u64, out);
        out.extend_from_slice(value);
    }
}

fn put_number(out: &mut Vec<u8>, tag: u32, value: u64) {
    if value != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(value, out);
    }
}

plain_message! {
    /// The worker wants a part of the body.
    BodyWanted {
        /// At most so many bytes; the shim answers with at most [`bounds::CHUNK`].
        max: u32,
    }
}

plain_message! {
    /// The client's body could not be read to its end.
    BodyError {
        /// Why, for the application's `OSError`.
        reason: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, frame};

    fn example() -> RequestHead {
        RequestHead {
            environ: vec![
                (Bytes::from("REQUEST_METHOD"), Bytes::from("GET")),
                (Bytes::from("HTTP_X_ODD"), Bytes::from(&b"\xff\x00"[..])),
            ],
            script: Bytes::from("/srv/app.wsgi"),
            callable: "application".into(),
            process_group: Bytes::from("site"),
            request_start: 1_700_000_000_000_000,
            body: Bytes::from("a=1"),
            body_complete: true,
            https: true,
            handler: "wsgi-script".into(),
            ..Default::default()
        }
    }

    #[test]
    fn the_writer_and_prost_agree() {
        let head = example();
        let mut writer = HeadWriter::new(Vec::new());
        writer.variable(&[b"REQUEST_", b"METHOD"], b"GET");
        writer.header(b"x-Odd", b"\xff\x00");
        let frame = writer
            .finish(&HeadFields {
                script: b"/srv/app.wsgi",
                callable: b"application",
                process_group: b"site",
                request_start: 1_700_000_000_000_000,
                body: b"a=1",
                body_complete: true,
                https: true,
                handler: b"wsgi-script",
                ..Default::default()
            })
            .unwrap();
        assert_eq!(frame, head.frame());
        let read = RequestHead::decode(Bytes::from(frame[frame::HEADER..].to_vec())).unwrap();
        assert_eq!(read, head);
    }

    #[test]
    fn odd_heads_are_refused() {
        let relative = RequestHead { script: Bytes::from("app.wsgi"), ..example() };
        assert!(RequestHead::decode(relative.encode().into()).is_err());
        let eager = RequestHead { body: vec![0; bounds::FIRST_BODY + 1].into(), ..example() };
        assert!(RequestHead::decode(eager.encode().into()).is_err());
        let lone =
            wire::RequestHead { environ: vec![Bytes::from("x")], script: "/x".into(), ..Default::default() };
        assert!(RequestHead::decode(prost::Message::encode_to_vec(&lone).into()).is_err());
        assert!(RequestHead::decode(Bytes::from("not protobuf at all")).is_err());
    }

    #[test]
    fn a_head_over_its_bound_is_not_sent() {
        let mut writer = HeadWriter::new(Vec::new());
        writer.variable(&[b"BIG"], &vec![b'x'; bounds::HEAD]);
        assert!(writer.finish(&HeadFields::default()).is_err());
    }
}
