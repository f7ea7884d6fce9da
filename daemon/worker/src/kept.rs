//! The kept connections and the door they come through, as one epoll set that all request threads
//! wait on. Each event is handed to one thread, which owns the connection until it rests again.
//!
//! Connections are watched edge-triggered, so that nothing has to be armed for the next request. What
//! comes while a thread owns the connection is that thread's: whoever is woken by it only leaves word,
//! and the owner looks once more before it lets the connection rest. A thread that pulls a body is
//! about to be sent much, and turns the watch off for as long.
//!
//! Seats bound how many connections there are. Resting ones are in their seat; one that a thread works
//! on has left it empty but reserved. When the worker stops, the door and every connection are shut
//! for reading: what had arrived is served like ever, then each reads its end, and the room empties.

use crate::connection::Connection;
use crate::{journal, locked, sys};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{Shutdown, getsockopt, setsockopt, shutdown, sockopt};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

/// More connections than an httpd has threads would be odd; beyond it, or twice the worker's own, they are closed.
const SEATS: usize = 1024;
const BELL: u64 = u64::MAX;
const DOOR: u64 = u64::MAX - 1;
/// With no descriptor left there is nothing to do but to wait for one.
const NO_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(50);

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection has something to read.
    Readable(Connection),
    /// Somebody is at the door: call [`Kept::welcome`].
    Door,
    /// Leave.
    Bell,
}

/// The door and all connections.
#[derive(Debug)]
pub(crate) struct Kept {
    epoll: Epoll,
    bell: EventFd,
    door: UnixListener,
    door_left: AtomicBool,
    peers: [u32; 3],
    /// SO_SNDBUF and SO_RCVBUF of whoever comes in; 0 is the system's.
    buffers: [u64; 2],
    stopping: AtomicBool,
    /// No room for another connection, and told so: once for each time it comes to that.
    crowded: AtomicBool,
    seats: Mutex<Seats>,
    /// The descriptor behind each seat, readable without a lock by a forked child.
    numbers: Box<[AtomicI32]>,
}

#[derive(Debug)]
struct Seats {
    resting: Vec<Option<Connection>>,
    /// Something came while a thread owned the seat's connection.
    news: Vec<bool>,
    free: Vec<usize>,
    /// Where to look first for somebody to send away.
    turn: usize,
}

impl Kept {
    /// Begins with an open door, through which only these users may come, to so many threads.
    pub(crate) fn new(
        door: UnixListener,
        peers: [u32; 3],
        buffers: [u64; 2],
        threads: u32,
    ) -> io::Result<Self> {
        door.set_nonblocking(true)?;
        let number = SEATS.max(threads as usize * 2);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        epoll.add(&door, once(DOOR))?;
        let seats = Seats {
            resting: (0..number).map(|_| None).collect(),
            news: vec![false; number],
            free: (0..number).rev().collect(),
            turn: 0,
        };
        Ok(Self {
            epoll,
            bell,
            door,
            door_left: AtomicBool::new(false),
            peers,
            buffers,
            stopping: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            seats: Mutex::new(seats),
            numbers: (0..number).map(|_| AtomicI32::new(-1)).collect(),
        })
    }

    /// Waits until there is something for this thread to do.
    pub(crate) fn wait(&self) -> io::Result<Event> {
        let mut events = [EpollEvent::empty()];
        loop {
            match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(e) => return Err(e.into()),
            }
            match events[0].data() {
                BELL => return Ok(Event::Bell),
                DOOR => return Ok(Event::Door),
                seat => {
                    let seat = usize::try_from(seat).unwrap_or(usize::MAX);
                    if let Some(connection) = locked(&self.seats).take(seat) {
                        return Ok(Event::Readable(connection));
                    }
                }
            }
        }
    }

    /// Lets one peer in, if it may. The door is watched again before this returns.
    pub(crate) fn welcome(&'static self) -> Option<Connection> {
        // Looked at first: nobody comes through a shut door, so one at which nobody waits is done with.
        let stopping = self.stopping.load(Ordering::Acquire);
        let accepted = self.door.accept();
        match &accepted {
            Err(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                self.complain("no descriptors are left for another connection");
                std::thread::sleep(NO_DESCRIPTORS_PAUSE);
            }
            Err(e) if stopping && e.kind() == io::ErrorKind::WouldBlock => self.leave_door(),
            _ => {}
        }
        if !self.door_left.load(Ordering::Acquire) {
            // Failing to watch the door would mean to serve the kept connections only; say so.
            if let Err(e) = self.epoll.modify(&self.door, &mut once(DOOR)) {
                journal::note(&format!("the listening socket cannot be watched: {e}"));
            }
        }
        self.seat(accepted.ok()?.0)
    }

    fn seat(&'static self, stream: UnixStream) -> Option<Connection> {
        let peer = getsockopt(&stream, sockopt::PeerCredentials).ok()?.uid();
        if !self.peers.contains(&peer) {
            journal::note(&format!("a connection by user {peer} is refused"));
            return None;
        }
        // A size that the kernel does not take it leaves as it is.
        let [send, receive] = self.buffers.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let _ = (send > 0).then(|| setsockopt(&stream, sockopt::SndBuf, &send));
        let _ = (receive > 0).then(|| setsockopt(&stream, sockopt::RcvBuf, &receive));
        let Some(seat) = self.free_seat() else {
            self.complain(&format!("a connection is refused: {} are busy already", self.numbers.len()));
            return None;
        };
        self.crowded.store(false, Ordering::Relaxed);
        self.numbers[seat].store(stream.as_raw_fd(), Ordering::Release);
        let connection = Connection::new(stream, seat, self);
        if let Err(e) = self.epoll.add(&connection, watched(seat)) {
            journal::note(&format!("a connection cannot be watched: {e}"));
            return None;
        }
        if self.stopping.load(Ordering::Acquire) {
            connection.close_reading();
        }
        Some(connection)
    }

    /// A free seat, or that of a connection that rests: whoever is sent away connects again, and a head
    /// that it had just sent and nobody has read goes with it.
    fn free_seat(&self) -> Option<usize> {
        let mut seats = locked(&self.seats);
        if let Some(seat) = seats.free.pop() {
            return Some(seat);
        }
        let turn = seats.turn;
        let resting = (turn..self.numbers.len())
            .chain(0..turn)
            .find_map(|seat| Some((seat, seats.resting[seat].take()?)));
        let (seat, connection) = resting?;
        seats.turn = seat + 1;
        drop(seats);
        drop(connection);
        locked(&self.seats).free.pop()
    }

    fn complain(&self, text: &str) {
        if !self.crowded.swap(true, Ordering::Relaxed) {
            journal::note(text);
        }
    }

    /// Puts a connection back into its seat until it is readable again, or gives it back since it is
    /// already.
    pub(crate) fn rest(&self, connection: Connection) -> Option<Connection> {
        let seat = connection.seat();
        let mut seats = locked(&self.seats);
        if self.stopping.load(Ordering::Acquire) {
            connection.close_reading();
        }
        if std::mem::take(&mut seats.news[seat]) {
            return Some(connection);
        }
        seats.resting[seat] = Some(connection);
        None
    }

    /// Turns the watch on a connection off or on again; what has come in between counts as just come.
    pub(crate) fn watch(&self, connection: &Connection, on: bool) -> io::Result<()> {
        let seat = connection.seat();
        let mut event = if on { watched(seat) } else { EpollEvent::new(EpollFlags::empty(), seat as u64) };
        Ok(self.epoll.modify(connection, &mut event)?)
    }

    /// A connection is about to close.
    pub(crate) fn vacate(&self, seat: usize) {
        self.numbers[seat].store(-1, Ordering::Release);
        let mut seats = locked(&self.seats);
        seats.news[seat] = false;
        seats.free.push(seat);
    }

    /// Takes nothing new. What has arrived is still served.
    pub(crate) fn stop(&self) {
        let seats = locked(&self.seats);
        // From here on connecting is refused, while those who wait are still let in.
        let _ = shutdown(self.door.as_raw_fd(), Shutdown::Read);
        self.stopping.store(true, Ordering::Release);
        seats.resting.iter().flatten().for_each(Connection::close_reading);
    }

    /// After [`Kept::stop`]: has everybody left?
    pub(crate) fn is_empty(&self) -> bool {
        self.door_left.load(Ordering::Acquire) && locked(&self.seats).free.len() == self.numbers.len()
    }

    /// Sends every thread home that waits, or will.
    pub(crate) fn ring(&self) {
        let _ = self.bell.write(1);
    }

    fn leave_door(&self) {
        self.door_left.store(true, Ordering::Release);
        let _ = self.epoll.delete(&self.door);
    }

    /// In a forked child: lets go of everything that would keep Apache waiting for a worker that is
    /// gone. Takes no lock, since the thread that holds it was not forked along.
    pub(crate) fn abandon_in_child(&self) {
        let own = [self.door.as_raw_fd(), self.epoll.0.as_fd().as_raw_fd(), self.bell.as_fd().as_raw_fd()];
        let kept = self.numbers.iter().map(|number| number.load(Ordering::Acquire));
        own.into_iter().chain(kept).filter(|&number| number >= 0).for_each(sys::close_in_child);
    }
}

impl Seats {
    /// Takes the connection that rests at a seat, or leaves word for the thread that owns it.
    fn take(&mut self, seat: usize) -> Option<Connection> {
        let resting = self.resting.get_mut(seat)?.take();
        self.news[seat] |= resting.is_none();
        resting
    }
}

/// How a seat's connection is watched.
fn watched(seat: usize) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, seat as u64)
}

/// One event, then deaf until armed again: so that one thread has it.
fn once(data: u64) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, data)
}
