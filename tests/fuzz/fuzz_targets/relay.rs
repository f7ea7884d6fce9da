//! The module's side of an exchange against a worker that says anything: httpd is asked only for what a
//! response may be made of and in its order, a response that is called whole is all that the worker sent,
//! and no descriptor stays behind; and all that as well where a part of it was taken ahead of the client.
#![no_main]

#[path = "relay/client.rs"]
mod client;

use bytes::BytesMut;
use client::{Body, Client};
use libfuzzer_sys::fuzz_target;
use mod_wsgid::body;
use mod_wsgid::buffers::Buffers;
use mod_wsgid::channel::Channel;
use mod_wsgid::door::Door;
use mod_wsgid::fault::Fault;
use mod_wsgid::relay::{Outcome, Relay, Terms};
use mod_wsgid::source::Source;
use mod_wsgid::spool::Limits;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wsgid_fuzz::descriptors;
use wsgid_fuzz::input::Input;
use wsgid_fuzz::socket::{FarEnd, Riders};
use wsgid_proto::frame::{self, Kind};

/// Nothing is ever waited for: a worker that has no more to say has closed its end.
const SILENCE: Duration = Duration::from_secs(30);

fuzz_target!(|data: &[u8]| {
    let before = descriptors::lowest_free();
    exchange(Input::of(data));
    assert_eq!(descriptors::lowest_free(), before, "a descriptor leaks");
});

fn exchange(mut input: Input<'_>) {
    let body = Body::of(&mut input);
    let passes = input.number();
    let riders = match input.number() % 4 {
        0 => Riders::None,
        1 => Riders::Flood,
        _ => Riders::Files,
    };
    let gone = input.flag();
    let ahead = input
        .flag()
        .then(|| Limits { memory: u64::from(input.number()) * 16, file: u64::from(input.number()) });
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let channel = Channel::over(ours, SILENCE).expect("a channel");
    let worker = FarEnd::new(theirs);
    let said = input.clone().rest();
    let said = &said[..worker.say(said, riders)];
    let worker = if gone {
        // It has not read what it was sent, which the kernel tells.
        channel.send(b"a head").expect("it still listens");
        drop(worker);
        None
    } else {
        worker.fall_silent();
        Some(worker)
    };
    let complete = body.is_complete();
    let mut client = Client::new(body, passes, worker);
    let source = Arc::new(Mutex::new(Source::new(channel, ahead.unwrap_or_default())));
    if ahead.is_some() && !gone {
        source.lock().expect("nobody else has it").take_ahead();
    }
    let buffers = Buffers::default();
    let terms = Terms {
        group: "site",
        silence: SILENCE,
        patience: None,
        drain: None,
        buffers: &buffers,
        body_complete: complete,
        server_metrics: true,
    };
    let mut streaming = body::Body::streaming();
    let mut relay = Relay::new(&source, &mut streaming, &mut client, terms);
    let outcome = relay.run();
    let begun = relay.begun();
    drop(relay);
    settle(&outcome, begun, &mut client);
    check(&outcome, begun, &mut client, said, gone);
}

/// What the module does with an outcome.
fn settle(outcome: &Result<Outcome, Fault>, begun: bool, client: &mut Client) {
    match outcome {
        Ok(Outcome::Whole) => drop(client.finish()),
        Err(_) if begun => client.truncate(),
        _ => {}
    }
}

fn check(outcome: &Result<Outcome, Fault>, begun: bool, client: &mut Client, said: &[u8], gone: bool) {
    let answer = Answer::of(said);
    assert_eq!(begun, client.begun() && !client.diverts());
    assert!(answer.bytes.starts_with(&client.appended));
    match outcome {
        Ok(Outcome::Whole) => {
            assert!(answer.ended && begun);
            assert_eq!((client.appended.len(), client.files), (answer.bytes.len(), answer.files));
        }
        Ok(Outcome::ClientGone) => assert!(client.gone()),
        Ok(Outcome::Undelivered) => assert!(gone && client.untouched()),
        // A filter's own answer is handed on as it is.
        Err(Fault::BodyFailed(answer)) => assert!(client.body_failed(*answer)),
        Ok(Outcome::Diverted) => assert!(answer.ended && !begun && client.diverts()),
        Err(fault) => assert!((500..=504).contains(&fault.answer()), "{fault}"),
    }
    client.check_told();
}

/// What the worker's frames would be as a response, in turn or not.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    files: usize,
    ended: bool,
}

impl Answer {
    fn of(said: &[u8]) -> Self {
        let mut input = BytesMut::from(said);
        let mut answer = Self::default();
        while let Ok(Some(frame)) = frame::take(&mut input) {
            match frame.kind {
                Kind::Chunk => answer.bytes.extend_from_slice(&frame.payload),
                Kind::File => answer.files += 1,
                Kind::End | Kind::Abort => {
                    answer.ended = frame.kind == Kind::End;
                    break;
                }
                _ => {}
            }
        }
        answer
    }
}
