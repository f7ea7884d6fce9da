//! The modules that need no Python, with their own tests. The library itself is an extension, whose
//! undefined symbols only Python can provide, so its test binary could not be linked.
#![allow(dead_code)]

#[path = "../src/body.rs"]
mod body;
#[path = "../src/hops.rs"]
mod hops;
#[path = "../src/length.rs"]
mod length;
#[path = "../src/lines.rs"]
mod lines;
#[path = "../src/meter.rs"]
mod meter;
#[path = "../src/others.rs"]
mod others;
#[path = "../src/processor.rs"]
mod processor;
#[path = "../src/status.rs"]
mod status;
#[path = "../src/tally.rs"]
mod tally;
