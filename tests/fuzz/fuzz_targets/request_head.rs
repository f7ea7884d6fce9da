//! A request's head from any bytes is what prost reads in them, or is refused for a reason that can be
//! named.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wsgid_fuzz::wire;
use wsgid_proto::bounds;
use wsgid_proto::request::RequestHead;

fuzz_target!(|data: &[u8]| {
    let payload = Bytes::copy_from_slice(data);
    let prosts = <wire::RequestHead as prost::Message>::decode(payload.clone());
    match (RequestHead::decode(payload), prosts) {
        (Ok(ours), Ok(prosts)) => {
            assert_eq!(as_wire(&ours), prosts);
            assert!(lawful(&prosts));
        }
        (Ok(ours), Err(error)) => panic!("prost refuses {ours:?}: {error}"),
        (Err(error), Ok(prosts)) => assert!(!lawful(&prosts), "{error}: {prosts:?}"),
        (Err(_), Err(_)) => {}
    }
});

fn lawful(head: &wire::RequestHead) -> bool {
    head.script.starts_with(b"/")
        && head.body.len() <= bounds::FIRST_BODY
        && head.environ.len() % 2 == 0
        && head.environ.len() / 2 <= bounds::PAIRS
        && head.arguments.iter().all(|argument| argument.len() <= bounds::ARGUMENT)
        && match head.hook {
            0 => head.arguments.is_empty(),
            // Dispatch has none, access and groups have one, the others a name and a secret.
            hook @ 1..=5 => {
                let due = [1, 2, 2, 1, 0][hook as usize - 1];
                head.arguments.len() == due && head.body.is_empty()
            }
            _ => false,
        }
}

fn as_wire(head: &RequestHead) -> wire::RequestHead {
    let copy = Bytes::copy_from_slice;
    wire::RequestHead {
        environ: head.environ().flat_map(|(name, value)| [copy(name), copy(value)]).collect(),
        script: copy(head.script()),
        callable: head.callable().into(),
        process_group: copy(head.process_group()),
        application_group: copy(head.application_group()),
        request_start: head.request_start,
        queue_start: head.queue_start,
        body: head.body(),
        body_complete: head.body_complete,
        reloading: head.reloading,
        https: head.https,
        handler: head.handler().into(),
        script_written: head.script_written,
        ignore_activity: head.ignore_activity,
        processor: head.processor,
        hook: head.hook.map_or(0, |hook| hook as u32),
        arguments: head.arguments().map(copy).collect(),
        tries: head.tries.all,
        restarts: head.tries.restarts,
    }
}
