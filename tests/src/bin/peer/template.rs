//! A template of one copy: what it says and does until then, and what the copy does until it is a worker, with a name
//! for each state in between. Whoever wants a second copy needs another template.

use crate::part::Part;
use mod_wsgid::channel::Channel;
use mod_wsgid::sys::own;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::env;
use std::ffi::OsString;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;
use wsgid_proto::Message;
use wsgid_proto::frame::Kind;
use wsgid_proto::launch::{Attached, Born, CONTROL_FD, FORK_RIDERS, Ready};
use wsgid_tests::daemon::read_frame;

/// All that there are, of a template and of its copy.
pub const STATES: [&str; 5] = ["importing", "imported", "ordered", "born", "welcomed"];

/// The program's first argument where it is a copy.
const COPY: &str = "copy";

/// From its first moment to the end of its copy, unless its part ends before.
pub fn play(part: &Part) {
    part.at("importing");
    let mut daemon = UnixStream::from(own(CONTROL_FD));
    daemon.write_all(&Ready { loaded: true, failure: String::new() }.frame()).unwrap();
    part.at("imported");
    let control = order(&mut daemon);
    part.at("ordered");
    let program = env::current_exe().unwrap();
    let mut copy = Command::new(program).arg(COPY).args(part.arguments()).stdin(control).spawn().unwrap();
    copy.wait().unwrap();
}

/// The order to fork: the copy's own control socket.
fn order(daemon: &mut UnixStream) -> OwnedFd {
    let mut first = [0; 1];
    let mut room = nix::cmsg_space!([i32; FORK_RIDERS]);
    let mut parts = [IoSliceMut::new(&mut first)];
    let message =
        recvmsg::<()>(daemon.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
    let riders: Vec<OwnedFd> = message
        .cmsgs()
        .unwrap()
        .flat_map(|control| match control {
            ControlMessageOwned::ScmRights(numbers) => numbers,
            _ => Vec::new(),
        })
        .map(own)
        .collect();
    let (kind, _) = read_frame(&mut first.chain(daemon)).unwrap();
    assert_eq!(kind, Kind::Fork);
    let [_plan, control, _listener, _pulse, _name, _output] =
        <[OwnedFd; FORK_RIDERS]>::try_from(riders).unwrap();
    control
}

/// Is the program a copy, by its arguments? Then it lives up to the moment in which it would be a worker.
pub fn copy(arguments: &[OsString]) -> Option<()> {
    let [_, copy, part @ ..] = arguments else { return None };
    let part = Part::given(part).filter(|_| copy == COPY)?;
    let mut control = Channel::over(UnixStream::from(own(0)), Duration::ZERO).unwrap();
    control.send(&Born {}.frame()).unwrap();
    part.at("born");
    Attached::from_frame(control.receive().unwrap()).unwrap();
    part.at("welcomed");
    Some(())
}
