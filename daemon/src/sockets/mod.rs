//! The daemon's sockets. Nobody but the kernel says who is calling: `SO_PEERCRED` on each.
//!
//! * [`directory`]: where they lie, and the lock that keeps a second daemon away
//! * [`reception`]: who is let in, and how many at a time
//! * [`control`]: configuration, status, orders; for root and the daemon's own user
//! * [`broker`]: pools, for Apache children
//! * [`attach`]: a new daemon, for workers that have lost theirs
//! * [`records`]: what that daemon has to know of them
//! * [`wire`]: frames on a stream

pub mod attach;
pub mod broker;
pub mod control;
pub mod directory;
pub mod reception;
pub mod records;
pub mod wire;

pub use directory::RuntimeDirectory;
