//! The module's side of a question to a hook against a worker that says anything: there is no verdict but
//! the one that was said, in its turn and for this very hook, and no descriptor stays behind.
#![no_main]

#[allow(dead_code)]
#[path = "relay/client.rs"]
mod client;

use bytes::BytesMut;
use client::{Body, Client};
use libfuzzer_sys::fuzz_target;
use mod_wsgid::channel::Channel;
use mod_wsgid::dispatch::Limit;
use mod_wsgid::fault::Fault;
use mod_wsgid::hook::Hearing;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use wsgid_fuzz::descriptors;
use wsgid_fuzz::input::Input;
use wsgid_fuzz::socket::{FarEnd, Riders};
use wsgid_proto::Message;
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::hook::{Hook, Verdict};
use wsgid_proto::options::ProcessGroup;

/// Nothing is ever waited for: a worker that has no more to say has closed its end.
const SILENCE: Duration = Duration::from_secs(30);

fuzz_target!(|data: &[u8]| {
    let before = descriptors::lowest_free();
    exchange(Input::of(data));
    assert_eq!(descriptors::lowest_free(), before, "a descriptor leaks");
});

fn exchange(mut input: Input<'_>) {
    let hook = [Hook::Access, Hook::Password, Hook::RealmHash, Hook::Groups, Hook::Dispatch]
        [usize::from(input.number() % 5)];
    let riders = if input.flag() { Riders::Flood } else { Riders::None };
    let group = ProcessGroup { server_metrics: input.flag(), ..ProcessGroup::named("") };
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let mut channel = Channel::over(ours, SILENCE).expect("a channel");
    let worker = FarEnd::new(theirs);
    let said = input.rest();
    let said = &said[..worker.say(said, riders)];
    worker.fall_silent();
    let mut client = Client::new(Body::of(&mut Input::of(b"")), 0, Some(worker));
    let limit = Limit::of(SILENCE);
    let heard = Hearing { channel: &mut channel, group: &group, limit, hook, door: &mut client }.run();
    match heard {
        Ok(verdict) => {
            let verdict = verdict.expect("the head was read");
            assert!(verdict.answers(hook));
            assert_eq!(Some(verdict), verdict_in(said));
        }
        Err(fault) => assert!(!matches!(fault, Fault::HookTimeout(_)), "{fault}"),
    }
    assert!(!client.begun());
    client.check_told();
}

/// The one that ends what was said, if that is all in turn.
fn verdict_in(said: &[u8]) -> Option<Verdict> {
    let mut input = BytesMut::from(said);
    loop {
        let frame = frame::take(&mut input).ok()??;
        match frame.kind {
            Kind::Log | Kind::Ask => {}
            Kind::Verdict => return Verdict::from_frame(frame).ok(),
            _ => return None,
        }
    }
}
