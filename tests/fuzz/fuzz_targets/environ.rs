//! A client's headers and httpd's variables on their way to the application: none passes for another,
//! credentials stay outside unless they are asked for, and the worker reads what was written.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mod_wsgid::environ::{write_headers, write_variables};
use wsgid_fuzz::input::Input;
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::request::{HeadFields, HeadWriter, RequestHead};

type Pair<'a> = (&'a [u8], &'a [u8]);

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    let pass_authorization = input.flag();
    let fields = fields(&mut input);
    let count = usize::from(input.number());
    let variables: Vec<Pair<'_>> = (0..count).map(|_| (input.bytes(), input.bytes())).collect();
    let mut headers = Vec::new();
    while !input.is_empty() {
        headers.push((input.bytes(), input.bytes()));
    }

    let mut writer = HeadWriter::new(b"of another request".to_vec());
    let https = write_variables(&mut writer, variables.iter().copied());
    write_headers(&mut writer, headers.iter().copied(), pass_authorization, None);
    let frame = writer.finish(&HeadFields { https, ..fields }).expect("an input is far below the bounds");
    let (kind, length) = frame::parse_header(*frame.first_chunk().expect("a header")).expect("a frame");
    assert_eq!((kind, length), (Kind::RequestHead, frame.len() - frame::HEADER));

    let read = RequestHead::decode(Bytes::from(frame).slice(frame::HEADER..));
    let lawful = fields.script.starts_with(b"/")
        && [fields.callable, fields.handler].iter().all(|text| std::str::from_utf8(text).is_ok());
    assert_eq!(read.is_ok(), lawful);
    let Ok(head) = read else { return };
    compare(&head, &HeadFields { https, ..fields });
    let kept = variables.iter().filter(|(name, _)| !hidden(name)).count();
    let environ: Vec<Pair<'_>> = head.environ().collect();
    assert_eq!(&environ[..kept], variables.into_iter().filter(|(name, _)| !hidden(name)).collect::<Vec<_>>());
    check_headers(&environ[kept..], pass_authorization);
    assert_eq!(
        environ.len() - kept,
        headers.iter().filter(|(name, _)| shown(name, pass_authorization)).count()
    );
});

fn fields<'a>(input: &mut Input<'a>) -> HeadFields<'a> {
    HeadFields {
        script: input.bytes(),
        callable: input.bytes(),
        process_group: input.bytes(),
        application_group: input.bytes(),
        handler: input.bytes(),
        body: input.bytes(),
        body_complete: input.flag(),
        reloading: input.flag(),
        https: false,
        request_start: input.large_number().into(),
        queue_start: u64::from(input.large_number()) << 48,
        script_written: input.number().into(),
        ignore_activity: false,
        processor: 0,
        hook: None,
    }
}

fn compare(head: &RequestHead, fields: &HeadFields<'_>) {
    assert_eq!(head.script(), fields.script);
    assert_eq!(head.callable().as_bytes(), fields.callable);
    assert_eq!(head.process_group(), fields.process_group);
    assert_eq!(head.application_group(), fields.application_group);
    assert_eq!(head.handler().as_bytes(), fields.handler);
    assert_eq!(head.body(), fields.body);
    assert_eq!((head.body_complete, head.reloading), (fields.body_complete, fields.reloading));
    assert_eq!(head.https, fields.https);
    assert_eq!((head.request_start, head.queue_start), (fields.request_start, fields.queue_start));
    assert_eq!(head.script_written, fields.script_written);
}

/// Variables that no application sees under their name.
fn hidden(name: &[u8]) -> bool {
    name == b"HTTPS" || name == b"PATH" || name.starts_with(b"wsgi.") || name.starts_with(b"mod_wsgi.x-")
}

/// Headers that an application sees.
fn shown(name: &[u8], pass_authorization: bool) -> bool {
    let spelled = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    match name.to_ascii_lowercase().as_slice() {
        b"proxy" | b"proxy-authorization" => false,
        b"authorization" => pass_authorization,
        _ => spelled,
    }
}

fn check_headers(written: &[Pair<'_>], pass_authorization: bool) {
    for (name, _) in written {
        assert!(name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_'));
        assert!(name.starts_with(b"HTTP_") || [&b"CONTENT_TYPE"[..], b"CONTENT_LENGTH"].contains(name));
        assert!(![&b"HTTP_PROXY"[..], b"HTTP_PROXY_AUTHORIZATION"].contains(name));
        assert!(pass_authorization || *name != b"HTTP_AUTHORIZATION");
    }
}
