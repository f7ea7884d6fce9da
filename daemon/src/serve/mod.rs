//! `wsgid serve`: one application at once, with a daemon and an httpd of its own, in a temporary
//! directory that goes away with them. For development; it needs neither root nor a configuration.
//!
//! * [`application`]: what is to be served, from a script or a module
//! * [`account`]: as whom, where it is root that asks
//! * [`python`]: with which interpreter
//! * [`port`]: where it listens
//! * [`httpd`], [`conf`]: the web server on this machine, and its configuration
//! * [`site`]: all of that together, on disk
//! * [`children`]: the two programs, their output and their end
//! * [`watch`]: from their start over "Serving …" to Ctrl-C

mod account;
mod application;
mod children;
mod conf;
mod httpd;
mod port;
pub mod python;
mod site;
mod watch;

use crate::installation::Missing;
use clap::Args;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `wsgid serve`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// A WSGI script such as site.wsgi, or module:callable as the current directory knows it.
    #[arg(value_name = "APP")]
    app: String,
    /// Port to listen on; by default 8000, or a free one where that is taken.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Replace the workers when a file of the code they run changes.
    #[arg(long)]
    reload: bool,
    /// Interpreter to run the application with; by default that of $VIRTUAL_ENV, or python3 of PATH.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Have a free-threaded Python do without its GIL.
    #[arg(long)]
    free_threading: bool,
    /// User to run the application as, where root starts it; by default the owner of its files.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Request threads in each worker process.
    #[arg(long, value_name = "N", default_value_t = 5)]
    threads: u32,
    /// Worker processes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    processes: u32,
    /// The httpd program; by default apache2 or httpd, as it is installed.
    #[arg(long, value_name = "PATH")]
    httpd: Option<PathBuf>,
}

/// Why the application is not served, in a sentence that says what to do about it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Application(#[from] application::NoApplication),
    #[error("{0}")]
    Account(#[from] account::NoAccount),
    #[error("{0}")]
    Python(#[from] python::NoPython),
    #[error("{0}")]
    Port(#[from] port::NoPort),
    #[error("{0}")]
    Httpd(#[from] httpd::NoHttpd),
    #[error("{0}")]
    Conf(#[from] conf::Unwritable),
    #[error("{0}")]
    Installation(#[from] Missing),
    #[error("{0}")]
    Children(#[from] children::Trouble),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
}

impl Refusal {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// The program; returns when everything has ended.
pub fn main(arguments: Arguments) -> ExitCode {
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("wsgid serve: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), Refusal> {
    let site = site::prepare(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Refusal::io("the system refuses what is needed"))?.block_on(watch::serve(&site))
}
