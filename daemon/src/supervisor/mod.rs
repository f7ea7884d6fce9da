//! The supervisor: pools, their workers, and the one task that owns them all.
//!
//! Everything that changes a pool happens in that task: requests from the sockets and reports from
//! the workers arrive on channels, time arrives as deadlines. So there are no locks, and the order
//! of events is the order of the log.
//!
//! * [`backoff`], [`roster`]: decisions without effects
//! * [`difference`]: what a new configuration changes
//! * [`plan`], [`interpreter`], [`launch`]: how a worker comes to be
//! * [`worker`], [`output`]: one worker, seen from here
//! * [`template`]: whom a pool's workers may be forked off
//! * [`board`], [`pool`]: one pool at work
//! * [`household`]: every pool of every httpd instance
//! * [`errands`]: what the sockets ask of it

pub mod backoff;
pub mod board;
pub mod difference;
pub mod errands;
pub mod household;
pub mod interpreter;
pub mod launch;
pub mod output;
pub mod plan;
pub mod pool;
pub mod process;
pub mod roster;
pub mod scores;
pub mod template;
pub mod vigil;
pub mod worker;

pub use errands::{Errand, Reply};
pub use household::Household;
