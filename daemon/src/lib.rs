//! The household of mod_wsgid: who starts Python, who stops it, and who is asked for it.
//!
//! Three programs are made of this crate. `wsgid` is the daemon: it takes the configuration of httpd
//! instances over a socket, keeps a pool of workers for each application, and hands the pools'
//! boards to Apache children. It never sees a request and never runs code of an application.
//! `wsgid-launch` stands between the daemon and each worker: it becomes the worker's user, step by
//! step, and then its Python. `wsgictl` asks the daemon what runs.
//!
//! * [`cli`], [`log`], [`installation`]: how the programs are called, where they write, where they lie
//! * [`configuration`]: what httpd has told us to run
//! * [`supervisor`]: pools and their workers; one task owns them all
//! * [`sockets`]: `control.sock` and `broker.sock`
//! * [`run`]: the daemon from its start to its end
//! * [`launcher`]: the steps between the daemon and Python
//! * [`serve`]: `wsgid serve`, one application with an httpd of its own
//! * [`wsgictl`]: the operator's tool; [`check`]: its opinion of a configuration
//! * [`sys`]: the only `unsafe`
#![deny(unsafe_code)]
#![allow(rustdoc::private_intra_doc_links)] // the story is for those who work on the crate

mod check;
pub mod cli;
mod configuration;
mod installation;
pub mod launcher;
mod log;
mod run;
mod serve;
mod sockets;
mod supervisor;
mod sys;
pub mod wsgictl;
