//! The few things that the safe crates do not offer, and the only `unsafe` of this crate.
//!
//! * [`acl`]: whether a file's mode is all there is to know
//! * [`descriptors`]: fixed descriptor numbers on the way to a worker
//! * [`memory`]: shared and sealed memory files
//! * [`process`]: priorities, signals, futexes, random numbers
#![allow(unsafe_code)]

pub mod acl;
pub mod descriptors;
pub mod memory;
pub mod process;
