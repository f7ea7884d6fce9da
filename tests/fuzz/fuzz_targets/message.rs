//! Every other message from any bytes: it is refused, or it keeps what its type promises and means the
//! same once it is written and read again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;
use wsgid_fuzz::input::Input;
use wsgid_proto::broker::{AskFate, Fate, OpenPool, PoolOpened, PoolRefused};
use wsgid_proto::control::{
    Configure, Configured, Done, Known, KnownReply, PostScores, ReloadGroup, Status, StatusQuery,
};
use wsgid_proto::frame::Kind;
use wsgid_proto::hook::{Answer, Ask, Hook, Verdict};
use wsgid_proto::launch::{
    Attach, Attached, Born, Buried, Fork, Interrupt, LaunchPlan, Note, Ready, ReloadWanted, Retire,
    WorkerPlan, WorkerRecord, Worn,
};
use wsgid_proto::request::{BodyError, BodyWanted};
use wsgid_proto::response::{Abort, End, File, Log};
use wsgid_proto::{Message, bounds};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    let Some(kind) = Kind::from_number(input.number()) else { return };
    let payload = Bytes::copy_from_slice(input.rest());
    match kind {
        // Raw bytes, and the two heads that have targets of their own.
        Kind::BodyChunk | Kind::BodyLast | Kind::Chunk | Kind::RequestHead | Kind::ResponseHead => {}
        Kind::BodyError => drop(read::<BodyError>(payload)),
        Kind::Answer => drop(read::<Answer>(payload)),
        Kind::Ask => drop(read::<Ask>(payload)),
        Kind::Verdict => read(payload).iter().for_each(judged),
        Kind::BodyWanted => drop(read::<BodyWanted>(payload)),
        Kind::Log => drop(read::<Log>(payload)),
        Kind::File => drop(read::<File>(payload)),
        Kind::End => drop(read::<End>(payload)),
        Kind::Abort => drop(read::<Abort>(payload)),
        Kind::Configure => read(payload).iter().for_each(configured),
        Kind::Configured => drop(read::<Configured>(payload)),
        Kind::Known => drop(read::<Known>(payload)),
        Kind::KnownReply => drop(read::<KnownReply>(payload)),
        Kind::PostScores => drop(read::<PostScores>(payload)),
        Kind::OpenPool => read(payload).iter().for_each(asked),
        Kind::PoolOpened => drop(read::<PoolOpened>(payload)),
        Kind::PoolRefused => drop(read::<PoolRefused>(payload)),
        Kind::AskFate => drop(read::<AskFate>(payload)),
        Kind::Fate => drop(read::<Fate>(payload)),
        Kind::StatusQuery => drop(read::<StatusQuery>(payload)),
        Kind::Status => drop(read::<Status>(payload)),
        Kind::ReloadGroup => drop(read::<ReloadGroup>(payload)),
        Kind::Done => drop(read::<Done>(payload)),
        Kind::Ready => drop(read::<Ready>(payload)),
        Kind::ReloadWanted => drop(read::<ReloadWanted>(payload)),
        Kind::Retire => drop(read::<Retire>(payload)),
        Kind::Worn => drop(read::<Worn>(payload)),
        Kind::Attach => drop(read::<Attach>(payload)),
        Kind::Attached => drop(read::<Attached>(payload)),
        Kind::Fork => drop(read::<Fork>(payload)),
        Kind::Born => drop(read::<Born>(payload)),
        Kind::Buried => drop(read::<Buried>(payload)),
        Kind::WorkerRecord => drop(read::<WorkerRecord>(payload)),
        Kind::Interrupt => drop(read::<Interrupt>(payload)),
        Kind::Note => drop(read::<Note>(payload)),
        Kind::LaunchPlan => read(payload).iter().for_each(launched),
        Kind::WorkerPlan => read(payload).iter().for_each(planned),
    }
});

/// Bytes are compared, since a NaN in a plan is not equal to itself.
fn read<M: Message>(payload: Bytes) -> Option<M> {
    let message = M::decode(payload).ok()?;
    let written = message.encode();
    let again = M::decode(written.clone().into()).expect("what was taken once is taken again");
    assert_eq!(again.encode(), written);
    Some(message)
}

/// A verdict is good for some hook, and no text of it ends early where C reads it.
fn judged(verdict: &Verdict) {
    let hooks = [Hook::Access, Hook::Password, Hook::RealmHash, Hook::Groups, Hook::Dispatch];
    assert!(hooks.into_iter().any(|hook| verdict.answers(hook)));
    match verdict {
        Verdict::User(text) | Verdict::Hash(text) => assert!(!text.is_empty() && !text.contains(&0)),
        Verdict::Groups(groups) => assert!(groups.iter().all(|group| !group.contains(&0))),
        _ => {}
    }
}

fn named(name: &str) -> bool {
    name.len() <= bounds::GROUP_NAME && !name.contains('\0')
}

fn configured(configure: &Configure) {
    let names: HashSet<&str> = configure.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names.len(), configure.groups.len());
    assert!(named(&configure.instance) && names.iter().all(|name| named(name)));
    let overlays = configure.groups.iter().flat_map(|group| &group.overlays);
    assert!(overlays.filter_map(|overlay| overlay.application_group.as_ref()).all(|name| named(name)));
    for preload in &configure.preloads {
        assert!(names.contains(preload.process_group.as_str()) && named(&preload.application_group));
        assert!(preload.script.starts_with(b"/"));
    }
}

fn asked(ask: &OpenPool) {
    assert!(named(&ask.instance) && named(&ask.process_group) && named(&ask.application_group));
    assert!(ask.script.is_empty() || ask.script.starts_with(b"/") && !ask.script.contains(&0));
}

fn launched(plan: &LaunchPlan) {
    assert!(plan.program.starts_with(b"/"));
    let strings = plan.environment.iter().chain(&plan.arguments).chain([&plan.program, &plan.directory]);
    assert!(strings.into_iter().all(|text| !text.contains(&0)));
}

fn planned(plan: &WorkerPlan) {
    assert!(plan.threads <= bounds::THREADS);
}
