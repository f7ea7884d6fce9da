//! The daemon's two sockets. Nobody but the kernel says who is calling: `SO_PEERCRED` on both.
//!
//! * [`directory`]: where they lie, and the lock that keeps a second daemon away
//! * [`reception`]: who is let in, and how many at a time
//! * [`control`]: configuration, status, orders; for root and the daemon's own user
//! * [`broker`]: pools, for Apache children
//! * [`wire`]: frames on a stream

pub mod broker;
pub mod control;
pub mod directory;
pub mod reception;
pub mod wire;

pub use directory::RuntimeDirectory;
