//! The Rust half of `mod_wsgid.so`: what happens to a request between httpd's handler and a worker.
//!
//! ```text
//! handler.c ─► ffi ─► serve ─► environ    the head of the request, into one buffer
//!                       ├────► dispatch   a thread of a worker: board, queue, connection, retries
//!                       └────► relay      frames of the worker ─► door ─► reply.c
//! startup.c ─► ffi ─► draft ─► control    the configuration, to the daemon
//! ```
//!
//! * [`door`]: what a request may ask of httpd, as a trait, so that tests need none
//! * [`pool`], [`broker`], [`channel`], [`kept`]: a child's view of the workers, and its kept connections
//! * [`fault`]: everything that can go wrong, with its status and its words
//!
//! Nothing here starts a thread, and nothing is open when httpd forks.

pub mod broker;
pub mod channel;
pub mod control;
pub mod dispatch;
pub mod door;
pub mod draft;
pub mod environ;
pub mod fault;
mod ffi;
pub mod kept;
pub mod pool;
pub mod relay;
pub mod runtime;
pub mod serve;
mod sys;
