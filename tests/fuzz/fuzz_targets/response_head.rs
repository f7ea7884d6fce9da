//! A response's head from any bytes is what prost reads in them, or is refused for a reason that can be
//! named; nothing in it can put a line break into an HTTP header.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wsgid_fuzz::wire;
use wsgid_proto::bounds;
use wsgid_proto::response::{ResponseHead, valid_name, valid_reason, valid_value};

fuzz_target!(|data: &[u8]| {
    let prosts = <wire::ResponseHead as prost::Message>::decode(data);
    match (ResponseHead::decode(data), prosts) {
        (Ok(ours), Ok(prosts)) => {
            assert_eq!(as_wire(&ours), prosts);
            assert!(lawful(&prosts));
            let free_of = |bad: &[u8], text: &[u8]| !text.iter().any(|b| bad.contains(b));
            assert!(free_of(b"\r\n\0", ours.reason));
            let mut headers = ours.headers();
            assert!(headers.all(|(name, value)| free_of(b": \t\r\n\0", name) && free_of(b"\r\n\0", value)));
        }
        (Ok(ours), Err(error)) => panic!("prost refuses {ours:?}: {error}"),
        (Err(error), Ok(prosts)) => assert!(!lawful(&prosts), "{error}: {prosts:?}"),
        (Err(_), Err(_)) => {}
    }
});

fn lawful(head: &wire::ResponseHead) -> bool {
    let pairs = head.headers.chunks_exact(2);
    (100..=999).contains(&head.status)
        && valid_reason(&head.reason)
        && pairs.remainder().is_empty()
        && pairs.len() <= bounds::PAIRS
        && pairs.into_iter().all(|pair| valid_name(&pair[0]) && valid_value(&pair[1]))
}

fn as_wire(head: &ResponseHead<'_>) -> wire::ResponseHead {
    let headers = head.headers().flat_map(|(name, value)| [name, value]);
    wire::ResponseHead {
        status: head.status.into(),
        reason: Bytes::copy_from_slice(head.reason),
        headers: headers.map(Bytes::copy_from_slice).collect(),
    }
}
