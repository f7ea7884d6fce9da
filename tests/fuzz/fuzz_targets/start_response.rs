//! What an application says of its response: its status line, its Content-Length and how much it then
//! sends. What the worker lets through the shim takes, and a promise is never broken unnoticed.
#![no_main]
#![allow(dead_code)]

#[path = "../../../daemon/worker/src/length.rs"]
mod length;
#[path = "../../../daemon/worker/src/status.rs"]
mod status;

use length::Length;
use libfuzzer_sys::fuzz_target;
use wsgid_fuzz::input::Input;
use wsgid_proto::response::{ResponseHead, ResponseWriter, valid_name, valid_reason, valid_value};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    let head_only = input.flag();
    let line = input.bytes();
    let Some((code, reason)) = status::parse(line) else {
        assert!(!is_status(line));
        return;
    };
    assert!(is_status(line));
    let mut writer = ResponseWriter::new(Vec::new(), code, reason);
    let mut length = Length::new(code, head_only);
    let mut promised = None;
    for _ in 0..input.number() {
        let (name, value) = (input.bytes(), input.bytes());
        if !valid_name(name) || !valid_value(value) {
            return;
        }
        writer.header(name, value);
        if name.eq_ignore_ascii_case(b"content-length") {
            let Some(number) = promise(&mut length, value, promised) else { return };
            promised = Some(number);
        }
    }
    let read = ResponseHead::decode(writer.payload()).expect("the shim takes what the worker lets through");
    assert_eq!((read.status, read.reason), (code, reason));
    send(&mut length, promised, code, head_only, input);
});

fn is_status(line: &[u8]) -> bool {
    let Some((digits, rest)) = line.split_at_checked(3) else { return false };
    let code = digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit);
    code && (rest.is_empty() || rest[0] == b' ') && valid_reason(rest)
}

/// Takes a promise; what it is then, unless it makes no sense.
fn promise(length: &mut Length, value: &[u8], before: Option<u64>) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
    let number = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    let sensible = number.filter(|number| before.is_none_or(|before| before == *number));
    assert_eq!(length.promise(value).is_ok(), sensible.is_some());
    sensible
}

fn send(length: &mut Length, promised: Option<u64>, code: u16, head_only: bool, mut input: Input<'_>) {
    let bodiless = matches!(code, 100..=199 | 204 | 304);
    assert_eq!(length.is_open(), promised.is_none() && !bodiless);
    let (mut offered, mut sent) = (0u64, 0u64);
    while !input.is_empty() {
        let bytes = u64::from(input.large_number());
        offered += bytes;
        sent += length.admit(bytes);
    }
    let allowed = if bodiless { 0 } else { promised.unwrap_or(u64::MAX) };
    assert_eq!(sent, offered.min(allowed));
    let missing = promised.filter(|&promised| sent < promised && !bodiless && !head_only);
    assert_eq!(length.shortfall(), missing.map(|promised| (promised, sent)));
}
