//! Whole-stack tests of mod_wsgid: a real httpd on free ports, a real daemon, real Pythons, and
//! assertions on exact bytes.
//!
//! A test says what it needs and gets a running [`Stack`] in a directory of its own:
//!
//! ```no_run
//! use wsgid_tests::{Mpm, Stack};
//! let stack = Stack::on(Mpm::Event).app("hello").run();
//! assert_eq!(stack.get("/").text(), "Hello, world!\n");
//! ```
//!
//! When the stack goes out of scope everything ends, and the test fails if a process stays behind.
//!
//! * [`stack`]: the sentence above; [`plan`] its words
//! * [`httpd`], [`daemon`], [`serve`]: the programs; [`family`] their processes, [`place`] their directory
//! * [`client`]: HTTP, byte by byte; [`browser`]: with cookies and forms; [`tls`]: encrypted
//! * [`board`]: what a pool's board says; [`check`]: what `wsgictl check` says
//! * [`peer`]: a worker, or a child of httpd's, that stands still where it is told to
//! * [`stage`], [`venv`]: what many tests share: the installed tree, virtual environments; [`theirs`]: mod_wsgi
//! * [`wait`]: patience without sleeping

pub mod board;
pub mod browser;
pub mod check;
pub mod client;
pub mod daemon;
pub mod family;
pub mod httpd;
pub mod peer;
pub mod place;
pub mod plan;
pub mod serve;
pub mod stack;
pub mod stage;
pub mod theirs;
pub mod tls;
pub mod venv;
pub mod wait;

pub use client::{Connection, Reply, Request};
pub use httpd::Mpm;
pub use plan::Plan;
pub use stack::Stack;
pub use wait::eventually;

/// The same test for every MPM: `each_mpm! { fn name(mpm) { … } }` becomes `name::event`,
/// `name::worker` and `name::prefork`.
#[macro_export]
macro_rules! each_mpm {
    ($($(#[$attribute:meta])* fn $name:ident($mpm:ident) $body:block)*) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            fn body($mpm: $crate::Mpm) $body
            #[test]
            fn event() { body($crate::Mpm::Event) }
            #[test]
            fn worker() { body($crate::Mpm::Worker) }
            #[test]
            fn prefork() { body($crate::Mpm::Prefork) }
        }
    )*};
}
