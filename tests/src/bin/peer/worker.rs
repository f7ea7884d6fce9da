//! A worker of one request: everything that a worker says and does in its life, in its order, with a name for each
//! state in between.

use crate::part::Part;
use mod_wsgid::channel::Channel;
use mod_wsgid::pool::wake_one;
use mod_wsgid::sys::{Mapping, own};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use wsgid_proto::Message;
use wsgid_proto::board::{Board, Claim};
use wsgid_proto::bounds;
use wsgid_proto::frame::{self, Frame, Kind};
use wsgid_proto::launch::{
    BOARD_FD, CONTROL_FD, LISTEN_FD, PULSE_FD, Ready, Retire, WORKER_PLAN_FD, WorkerPlan,
};
use wsgid_proto::pulse::Pulse;
use wsgid_proto::request::{BodyWanted, RequestHead};
use wsgid_proto::response::ResponseWriter;
use wsgid_tests::daemon::read_frame;
use wsgid_tests::peer::SCRIPTED;

/// From its first moment to its last, unless its part ends before.
pub fn play(part: &Part) {
    part.at("started");
    let mut outfit = Outfit::take();
    beat(own(PULSE_FD));
    outfit.control.send(&Ready { loaded: true, failure: String::new() }.frame()).unwrap();
    part.at("ready");
    let (stream, _) = outfit.listener.accept().unwrap();
    let mut connection = Channel::over(stream, Duration::ZERO).unwrap();
    until_readable(&connection);
    part.at("accepted");
    let head = RequestHead::decode(connection.receive().unwrap().payload).unwrap();
    outfit.board().begin(outfit.claim);
    part.at("head_read");
    if part.ends("retiring_busy") {
        outfit.until_retired();
        part.at("retiring_busy");
    }
    if !head.body_complete {
        connection.send(&BodyWanted { max: bounds::CHUNK as u32 }.frame()).unwrap();
        part.at("body_wanted");
        connection.receive().unwrap();
        part.at("body_received");
    }
    answer(part, &connection);
    if outfit.board().finish(outfit.claim) {
        wake_one(outfit.board());
    }
    part.at("idle");
    if part.goes_on() && !part.ends("retiring") {
        return; // it has no other request in it
    }
    outfit.until_retired();
    part.at("retiring");
}

fn answer(part: &Part, connection: &Channel) {
    let mut head = ResponseWriter::new(Vec::new(), 200, b"OK");
    head.header(b"Content-Type", b"text/plain");
    let send = |kind: Kind, payload: &[u8], half: &str, whole: &str| {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, kind, payload);
        part.send(connection, &bytes, half, whole);
    };
    send(Kind::ResponseHead, head.payload(), "half_a_head_sent", "head_sent");
    send(Kind::Chunk, SCRIPTED.as_bytes(), "half_a_chunk_sent", "chunk_sent");
    send(Kind::End, b"", "half_an_end_sent", "end_sent");
}

/// What the daemon hands a worker.
struct Outfit {
    control: Channel,
    listener: UnixListener,
    mapping: Mapping,
    /// The thread that it has, as the board knows it.
    claim: Claim,
}

impl Outfit {
    fn take() -> Self {
        let (kind, payload) = read_frame(&mut File::from(own(WORKER_PLAN_FD))).unwrap();
        let plan = WorkerPlan::from_frame(Frame { kind, payload: payload.into() }).unwrap();
        Self {
            control: Channel::over(UnixStream::from(own(CONTROL_FD)), Duration::ZERO).unwrap(),
            listener: own(LISTEN_FD).into(),
            mapping: Mapping::of(own(BOARD_FD).as_fd()).unwrap(),
            claim: Claim { slot: plan.slot as usize, serial: plan.serial },
        }
    }

    fn board(&self) -> Board<'_> {
        Board::open(self.mapping.words()).unwrap()
    }

    fn until_retired(&mut self) {
        Retire::from_frame(self.control.receive().unwrap()).unwrap();
    }
}

/// As often as the shortest `deadlock-timeout` wants it; the first time before this returns.
fn beat(pulse: std::os::fd::OwnedFd) {
    let mapping = Mapping::of(pulse.as_fd()).unwrap();
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_micros() as u64;
    Pulse::over(mapping.words()).beat(now());
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            Pulse::over(mapping.words()).beat(now());
        }
    });
}

fn until_readable(connection: &Channel) {
    poll(&mut [PollFd::new(connection.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
}
