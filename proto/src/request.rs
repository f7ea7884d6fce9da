//! A request on its way to a worker.
//!
//! The shim writes the head straight from Apache's own strings with [`HeadWriter`], so that nothing
//! is allocated for each variable; the worker reads it as a [`RequestHead`], whose values share the
//! frame's one buffer.

use crate::fields::{self, Fields, Pairs, Value, put_bytes, put_entry, put_length, put_number};
use crate::hook::Hook;
use crate::message::{DecodeError, plain_message};
use crate::{bounds, frame::Kind};
use bytes::Bytes;
use std::borrow::Cow;
use std::ops::Range;

/// Everything about a request that is known before its body, where the frame's buffer has it.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    payload: Bytes,
    /// Where the last of the variables ends: they come first.
    environ_end: usize,
    script: Range<usize>,
    callable: Range<usize>,
    process_group: Range<usize>,
    application_group: Range<usize>,
    handler: Range<usize>,
    body: Range<usize>,
    arguments: Vec<Range<usize>>,
    /// The function to ask, where this is no request to serve.
    pub hook: Option<Hook>,
    /// When Apache took the request: microseconds since the epoch.
    pub request_start: u64,
    /// When the shim began to look for a worker: microseconds since the epoch.
    pub queue_start: u64,
    /// When the script's file was written, as httpd saw it: microseconds since the epoch; 0 if unknown.
    pub script_written: u64,
    /// Nothing follows the body's first bytes.
    pub body_complete: bool,
    /// `WSGIScriptReloading`.
    pub reloading: bool,
    /// `wsgi.url_scheme` is https.
    pub https: bool,
    /// `WSGIIgnoreActivity`: it keeps no worker from being idle.
    pub ignore_activity: bool,
    /// Who had it before.
    pub tries: Tries,
    /// The processor on which httpd's thread ran that sent it, counted from 1; 0 if unknown.
    pub processor: u32,
}

/// How often a request was sent to a worker in vain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// Whatever the reason.
    pub all: u32,
    /// Those among them in which the worker gave it back, because its code has changed.
    pub restarts: u32,
}

impl Tries {
    /// The frame of a head, with what is behind it. A first try is the frame as it is.
    pub fn told<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        if self.all == 0 {
            return frame.into();
        }
        let mut out = frame.to_vec();
        put_number(&mut out, 17, self.all.into());
        put_number(&mut out, 18, self.restarts.into());
        let length = out.len() - crate::frame::HEADER;
        if length > bounds::HEAD {
            return frame.into(); // better untold than not sent
        }
        out[..crate::frame::HEADER].copy_from_slice(&crate::frame::header(Kind::RequestHead, length));
        out.into()
    }
}

impl RequestHead {
    /// From a payload, every field checked.
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let mut head = Self { payload: payload.clone(), ..Self::default() };
        head.read(&payload).map_err(|what| DecodeError::Invalid(Kind::RequestHead, what))?;
        Ok(head)
    }

    fn read(&mut self, payload: &[u8]) -> Result<(), String> {
        let mut fields = Fields::of(payload);
        let (mut values, mut hook) = (0, 0);
        while let Some((tag, value)) = fields.field()? {
            match (tag, value) {
                (1, Value::Bytes(value)) => {
                    values += 1;
                    self.environ_end = place(payload, value).end;
                }
                (15, Value::Bytes(value)) => self.add_argument(place(payload, value))?,
                (14, Value::Number(number)) => hook = number,
                (2..=5 | 8 | 12, Value::Bytes(value)) => {
                    if tag == 3 || tag == 12 {
                        std::str::from_utf8(value).map_err(|e| e.to_string())?;
                    }
                    self.set_text(tag, place(payload, value));
                }
                (6 | 7 | 9..=11 | 13 | 16..=19, Value::Number(number)) => self.set_number(tag, number),
                (1..=19, _) => return Err(format!("has a field {tag} of another type")),
                _ => {}
            }
        }
        fields::check_pairs(values)?;
        self.hook = Hook::from_number(hook)?;
        self.check()
    }

    fn set_text(&mut self, tag: u32, place: Range<usize>) {
        match tag {
            2 => self.script = place,
            3 => self.callable = place,
            4 => self.process_group = place,
            5 => self.application_group = place,
            8 => self.body = place,
            _ => self.handler = place,
        }
    }

    fn set_number(&mut self, tag: u32, number: u64) {
        match tag {
            6 => self.request_start = number,
            7 => self.queue_start = number,
            9 => self.body_complete = number != 0,
            10 => self.reloading = number != 0,
            11 => self.https = number != 0,
            16 => self.ignore_activity = number != 0,
            17 => self.tries.all = number as u32,
            18 => self.tries.restarts = number as u32,
            19 => self.processor = number as u32,
            _ => self.script_written = number,
        }
    }

    fn add_argument(&mut self, place: Range<usize>) -> Result<(), String> {
        if self.arguments.len() == bounds::ARGUMENTS || place.len() > bounds::ARGUMENT {
            return Err("has more or longer arguments than a hook may have".into());
        }
        self.arguments.push(place);
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.script().first() != Some(&b'/') {
            return Err("names a script that is not an absolute path".into());
        }
        if self.body.len() > bounds::FIRST_BODY {
            return Err("carries more of the body than allowed".into());
        }
        match self.hook {
            None if self.arguments.is_empty() => {}
            Some(hook) if self.arguments.len() == hook.arguments() && self.body.is_empty() => {}
            _ => return Err("has other arguments than its hook, or a body beside it".into()),
        }
        Ok(())
    }

    /// CGI variables and `mod_wsgi.*` strings, complete and in order, as bytes.
    pub fn environ(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        Pairs::of(&self.payload[..self.environ_end], 1)
    }

    /// Absolute path of the script file.
    pub fn script(&self) -> &[u8] {
        &self.payload[self.script.clone()]
    }

    /// Attribute of the script's module.
    pub fn callable(&self) -> &str {
        self.text(&self.callable)
    }

    /// `mod_wsgi.process_group`.
    pub fn process_group(&self) -> &[u8] {
        &self.payload[self.process_group.clone()]
    }

    /// `mod_wsgi.application_group`.
    pub fn application_group(&self) -> &[u8] {
        &self.payload[self.application_group.clone()]
    }

    /// `mod_wsgi.request_handler`, usually `wsgi-script`.
    pub fn handler(&self) -> &str {
        self.text(&self.handler)
    }

    /// The first bytes of the body.
    pub fn body(&self) -> Bytes {
        self.payload.slice(self.body.clone())
    }

    /// What the hook's function is given beside the environ.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.arguments.iter().map(|place| &self.payload[place.clone()])
    }

    fn text(&self, place: &Range<usize>) -> &str {
        // Checked when it was read.
        std::str::from_utf8(&self.payload[place.clone()]).unwrap_or_default()
    }
}

/// Where in `whole` its slice `part` lies.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

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
    #[allow(missing_docs)]
    pub script_written: u64,
    #[allow(missing_docs)]
    pub ignore_activity: bool,
    #[allow(missing_docs)]
    pub processor: u32,
    /// The function to ask and its arguments, where this is no request to serve.
    pub hook: Option<(Hook, &'a [&'a [u8]])>,
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

    /// Appends one variable.
    #[inline]
    pub fn variable(&mut self, name: &[u8], value: &[u8]) {
        put_entry(&mut self.out, 1, name);
        put_entry(&mut self.out, 1, value);
        self.variables += 1;
    }

    /// Appends one variable whose name is an HTTP header's: `HTTP_` and the name in CGI's spelling.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        put_length(&mut self.out, 1, name.len() + 5);
        self.out.extend_from_slice(b"HTTP_");
        self.out.extend(name.iter().map(|&b| if b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
        put_entry(&mut self.out, 1, value);
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
        put_number(out, 13, fields.script_written);
        if let Some((hook, arguments)) = fields.hook {
            put_number(out, 14, hook as u64);
            if arguments.iter().any(|argument| argument.len() > bounds::ARGUMENT) {
                return Err(HeadTooLarge);
            }
            arguments.iter().for_each(|argument| put_entry(out, 15, argument));
        }
        put_number(out, 16, fields.ignore_activity.into());
        put_number(out, 19, fields.processor.into());
        let length = out.len() - crate::frame::HEADER;
        if length > bounds::HEAD || self.variables > bounds::PAIRS {
            return Err(HeadTooLarge);
        }
        out[..crate::frame::HEADER].copy_from_slice(&crate::frame::header(Kind::RequestHead, length));
        Ok(self.out)
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
    use crate::{frame, wire};
    use proptest::prelude::*;

    fn example() -> wire::RequestHead {
        wire::RequestHead {
            environ: ["REQUEST_METHOD", "GET", "HTTP_X_ODD", "\u{0}", "EMPTY", ""].map(Bytes::from).to_vec(),
            script: Bytes::from("/srv/app.wsgi"),
            callable: "application".into(),
            process_group: Bytes::from("site"),
            application_group: Bytes::from("www"),
            request_start: 1_700_000_000_000_000,
            queue_start: 1_700_000_000_000_001,
            body: Bytes::from("a=1"),
            body_complete: true,
            reloading: true,
            https: true,
            handler: "wsgi-script".into(),
            script_written: 1_600_000_000_000_000,
            hook: 0,
            arguments: Vec::new(),
            ignore_activity: true,
            tries: 0,
            restarts: 0,
            processor: 2,
        }
    }

    /// The same head for a hook.
    fn hooked() -> wire::RequestHead {
        let arguments = vec![Bytes::from("ann"), Bytes::new()];
        wire::RequestHead { body: Bytes::new(), hook: Hook::Password as u32, arguments, ..example() }
    }

    fn encoded(head: &wire::RequestHead) -> Bytes {
        prost::Message::encode_to_vec(head).into()
    }

    /// What was read, as prost has it.
    fn as_wire(head: &RequestHead) -> wire::RequestHead {
        wire::RequestHead {
            environ: head
                .environ()
                .flat_map(|(name, value)| [name, value])
                .map(Bytes::copy_from_slice)
                .collect(),
            script: Bytes::copy_from_slice(head.script()),
            callable: head.callable().into(),
            process_group: Bytes::copy_from_slice(head.process_group()),
            application_group: Bytes::copy_from_slice(head.application_group()),
            request_start: head.request_start,
            queue_start: head.queue_start,
            body: head.body(),
            body_complete: head.body_complete,
            reloading: head.reloading,
            https: head.https,
            handler: head.handler().into(),
            script_written: head.script_written,
            hook: head.hook.map_or(0, |hook| hook as u32),
            arguments: head.arguments().map(Bytes::copy_from_slice).collect(),
            ignore_activity: head.ignore_activity,
            tries: head.tries.all,
            restarts: head.tries.restarts,
            processor: head.processor,
        }
    }

    #[test]
    fn the_writer_and_the_reader_agree_with_prost() {
        let arguments: [&[u8]; 2] = [b"ann", b""];
        for (hook, body, expected) in
            [(None, &b"a=1"[..], example()), (Some((Hook::Password, &arguments[..])), b"", hooked())]
        {
            let mut writer = HeadWriter::new(Vec::new());
            writer.variable(b"REQUEST_METHOD", b"GET");
            writer.header(b"x-Odd", b"\0");
            writer.variable(b"EMPTY", b"");
            let fields = HeadFields {
                script: b"/srv/app.wsgi",
                callable: b"application",
                process_group: b"site",
                application_group: b"www",
                request_start: 1_700_000_000_000_000,
                queue_start: 1_700_000_000_000_001,
                body,
                body_complete: true,
                reloading: true,
                https: true,
                handler: b"wsgi-script",
                script_written: 1_600_000_000_000_000,
                ignore_activity: true,
                processor: 2,
                hook,
            };
            let frame = writer.finish(&fields).unwrap();
            assert_eq!(frame[frame::HEADER..], encoded(&expected));
            assert_eq!(as_wire(&RequestHead::decode(encoded(&expected)).unwrap()), expected);
        }
    }

    #[test]
    fn a_head_tells_of_those_who_had_it_before() {
        let mut frame = frame::header(Kind::RequestHead, encoded(&example()).len()).to_vec();
        frame.extend_from_slice(&encoded(&example()));
        assert!(matches!(Tries::default().told(&frame), Cow::Borrowed(told) if told == frame));
        let told = Tries { all: 300, restarts: 2 }.told(&frame);
        let payload = Bytes::copy_from_slice(&told[frame::HEADER..]);
        assert_eq!(told[..frame::HEADER], frame::header(Kind::RequestHead, payload.len()));
        let expected = wire::RequestHead { tries: 300, restarts: 2, ..example() };
        assert_eq!(as_wire(&RequestHead::decode(payload).unwrap()), expected);
        // No room for it.
        let full = vec![0; frame::HEADER + bounds::HEAD];
        assert!(matches!(Tries { all: 1, restarts: 0 }.told(&full), Cow::Borrowed(_)));
    }

    #[test]
    fn an_argument_over_its_bound_is_not_sent() {
        let long = vec![b'x'; bounds::ARGUMENT + 1];
        let arguments: [&[u8]; 2] = [b"ann", &long];
        let fields =
            HeadFields { script: b"/s", hook: Some((Hook::Password, &arguments)), ..Default::default() };
        assert!(HeadWriter::new(Vec::new()).finish(&fields).is_err());
    }

    #[test]
    fn odd_heads_are_refused() {
        let odd: [fn(&mut wire::RequestHead); 11] = [
            |head| head.script = Bytes::from("app.wsgi"),
            |head| head.script = Bytes::new(),
            |head| head.body = vec![0; bounds::FIRST_BODY + 1].into(),
            |head| head.environ = vec![Bytes::from("x")],
            |head| head.arguments = vec![Bytes::from("ann")],
            |head| *head = wire::RequestHead { hook: 77, ..hooked() },
            |head| *head = wire::RequestHead { arguments: Vec::new(), ..hooked() },
            |head| *head = wire::RequestHead { arguments: vec![Bytes::from("a"); 3], ..hooked() },
            |head| *head = wire::RequestHead { body: Bytes::from("x"), ..hooked() },
            |head| *head = wire::RequestHead { hook: Hook::Dispatch as u32, ..hooked() },
            |head| head.hook = Hook::Access as u32,
        ];
        for change in odd {
            let mut head = example();
            change(&mut head);
            assert!(RequestHead::decode(encoded(&head)).is_err(), "{head:?}");
        }
        assert!(RequestHead::decode(Bytes::from("not protobuf at all")).is_err());
    }

    /// Protobuf lets a field come again, and the last one counts; prost refuses the others all the same.
    #[test]
    fn no_field_is_better_for_being_overruled() {
        let with = |fields: &[u8]| RequestHead::decode([&encoded(&example())[..], fields].concat().into());
        assert_eq!(with(b"\x1a\x01a\x1a\x01b").unwrap().callable(), "b");
        assert!(with(b"\x1a\x01\xff\x1a\x01b").is_err());
        assert!(with(b"\x62\x01\xff\x62\x01b").is_err());
    }

    #[test]
    fn a_field_of_another_wire_type_is_refused_unless_unknown() {
        let with = |fields: &[u8]| RequestHead::decode([&encoded(&example())[..], fields].concat().into());
        assert!(with(b"\xf1\x0112345678\xf5\x011234").is_ok());
        for known in [&b"\x0912345678"[..], b"\x151234", b"\x10\x01", b"\x32\x01x"] {
            assert!(with(known).is_err(), "{known:?}");
        }
    }

    #[test]
    fn a_head_over_its_bound_is_not_sent() {
        let mut writer = HeadWriter::new(Vec::new());
        writer.variable(b"BIG", &vec![b'x'; bounds::HEAD]);
        assert!(writer.finish(&HeadFields::default()).is_err());
    }

    proptest! {
        /// Whatever comes, this reader takes nothing that prost refuses, and reads it as prost does.
        #[test]
        fn reader_and_prost_agree_on_damaged_heads(
            at in 0usize..150,
            byte: u8,
            cut in 0usize..150,
            hook: bool,
        ) {
            let mut bytes = encoded(&if hook { hooked() } else { example() }).to_vec();
            let (at, cut) = (at % bytes.len(), bytes.len() - cut % bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut);
            let bytes = Bytes::from(bytes);
            let ours = RequestHead::decode(bytes.clone());
            let prosts = <wire::RequestHead as prost::Message>::decode(bytes);
            match (ours, prosts) {
                (Ok(ours), Ok(prosts)) => prop_assert_eq!(as_wire(&ours), prosts),
                (Ok(ours), Err(error)) => prop_assert!(false, "prost refuses {:?}: {}", ours, error),
                (Err(_), _) => {}
            }
        }
    }
}
