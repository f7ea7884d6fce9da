//! The Rust half of `mod_wsgid.so`: what happens to a request between httpd's handler and a worker.
//!
//! ```text
//! handler.c ─► ffi ─► serve ─► body       what the client sends, ahead of the worker
//!                       ├────► head       environ and the rest, into one buffer
//!                       ├────► dispatch   a thread of a worker: board, queue, connection, retries
//!                       └────► relay      frames of the worker ─► door ─► reply.c
//! hooks.c ───► ffi ─► hook                a question to a script: head and dispatch as above, and a verdict
//! startup.c ─► ffi ─► draft ─► control    the configuration, to the daemon
//! ```
//!
//! * [`door`]: what a request may ask of httpd, as a trait, so that tests need none
//! * [`pool`], [`pools`], [`broker`], [`channel`], [`kept`]: a child's view of the workers, and its kept connections
//! * [`source`], [`drain`], [`spool`]: answers that are ahead of their clients, and where they wait
//! * [`fault`], [`message`]: everything that can go wrong, with its words, its number and its status
//!
//! One thread is ours, [`drain`]'s, in children alone; nothing is open when httpd forks.

pub mod body;
pub mod broker;
pub mod buffers;
pub mod channel;
pub mod control;
pub mod dispatch;
pub mod door;
pub mod draft;
pub mod drain;
pub mod env_file;
pub mod environ;
pub mod fault;
mod ffi;
pub mod head;
pub mod hook;
pub mod kept;
pub mod message;
pub mod owner;
pub mod pool;
pub mod pools;
pub mod relay;
pub mod runtime;
pub mod serve;
pub mod source;
pub mod spool;
pub mod suspects;
pub mod sys;
pub mod trusted;
