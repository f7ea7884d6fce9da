//! A worker's side of an exchange against an Apache child that says anything: the worker's own
//! connections, among the kept ones as they are in service, and its reading of bodies. An application
//! reads no byte that was not sent, nothing is answered out of turn, and no seat or descriptor stays
//! taken.
#![no_main]
#![allow(dead_code)]

#[path = "../../../daemon/worker/src/body.rs"]
mod body;
#[path = "../../../daemon/worker/src/connection.rs"]
mod connection;
#[path = "connection/journal.rs"]
mod journal;
#[path = "../../../daemon/worker/src/kept.rs"]
mod kept;
#[path = "connection/reading.rs"]
mod reading;
#[path = "connection/shim.rs"]
mod shim;
#[path = "connection/sys.rs"]
mod sys;

use connection::Connection;
use kept::{Event, Kept};
use libfuzzer_sys::fuzz_target;
use reading::Reading;
use shim::{SHIM, Shim};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use wsgid_fuzz::descriptors;
use wsgid_fuzz::input::Input;

/// As in the worker.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fuzz_target!(|data: &[u8]| {
    let (kept, address) = place();
    let before = descriptors::lowest_free();
    let mut input = Input::of(data);
    let reads = input.bytes().to_vec();
    let stream = UnixStream::connect_addr(address).expect("the door is open");
    SHIM.set(Some(Shim::new(stream, input)));
    visit(kept, &reads);
    if let Some(shim) = SHIM.take() {
        shim.check();
    }
    assert_eq!(descriptors::lowest_free(), before, "a descriptor leaks");
});

/// The worker's door, open as long as the process runs.
fn place() -> &'static (Kept, SocketAddr) {
    static PLACE: OnceLock<(Kept, SocketAddr)> = OnceLock::new();
    PLACE.get_or_init(|| {
        let name = format!("wsgid-fuzz-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).expect("a name for a socket");
        let door = UnixListener::bind_addr(&address).expect("the name is ours");
        let own = nix::unistd::getuid().as_raw();
        (Kept::new(door, [own; 3], [0; 2], 1).expect("a place for connections"), address)
    })
}

/// Serves one connection until it has ended.
fn visit(kept: &'static Kept, reads: &[u8]) {
    let mut readable: Option<Connection> = None;
    loop {
        let connection = match readable.take() {
            Some(connection) => connection,
            None => match kept.wait().expect("there are events") {
                Event::Readable(connection) => connection,
                Event::Door => kept.welcome().expect("there is a seat"),
                Event::Bell => panic!("nobody rang"),
            },
        };
        let Some(rested) = serve(connection, reads) else { return };
        readable = rested;
        if readable.is_none() {
            shim::go_on();
        }
    }
}

/// One look at a connection: `None` when it has ended, else what resting made of it.
fn serve(mut connection: Connection, reads: &[u8]) -> Option<Option<Connection>> {
    if let Some(head) = connection.head().ok()? {
        connection = Reading::new(connection, &head).ok()?.run(reads)?;
    }
    connection.rest().ok()
}
