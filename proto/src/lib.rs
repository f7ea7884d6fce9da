//! The contract between the three programs of mod_wsgid: the module inside Apache, the daemon, and
//! the workers with their Python. This crate decides; the programs act. Nothing here does I/O.
//!
//! * [`bounds`]: how large anything may be
//! * [`frame`]: `u32 length, u8 kind, payload`, on every socket
//! * [`request`], [`response`]: one request and its answer as data
//! * [`hook`]: functions of scripts that decide before a request is served, and what a worker may ask meanwhile
//! * [`scoreboard`]: what httpd's own threads are doing
//! * [`exchange`]: which frame may follow which
//! * [`control`], [`broker`], [`launch`]: the messages between httpd, daemon, launcher and worker
//! * [`server`]: what an httpd tells of itself
//! * [`options`]: the options of `WSGIDaemonProcess`, parsed once for the module and the daemon
//! * [`expand`]: `%{GLOBAL}`, `%{SERVER}`, `%{HOST}`, `%{RESOURCE}`, `%{ENV:…}`
//! * [`board`]: the shared memory in which a pool's workers are chosen
#![forbid(unsafe_code)]

pub mod board;
pub mod bounds;
pub mod broker;
pub mod control;
pub mod exchange;
pub mod expand;
pub mod frame;
pub mod hook;
pub mod launch;
pub mod options;
pub mod pulse;
pub mod request;
pub mod response;
pub mod scoreboard;
pub mod server;

/// What protoc's grammar becomes; kept up to date by `tests/generated.rs`.
// The two heads have readers and writers of their own (fields.rs), which tests compare with these.
#[allow(missing_docs, dead_code, clippy::all)]
#[rustfmt::skip]
#[path = "generated/wsgid.rs"]
mod wire;

mod fields;
mod message;
pub use message::{DecodeError, Message};
