//! The command line of `wsgid`.

use crate::{run, serve};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;

/// Where sockets lie unless it is said otherwise.
pub const RUNTIME_DIRECTORY: &str = "/run/wsgid";

/// Runs Python applications for Apache's mod_wsgid: a supervisor of worker processes, each a plain
/// Python interpreter that runs as the user its process group asks for.
#[derive(Debug, Parser)]
#[command(name = "wsgid", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon in the foreground. Its configuration comes from httpd, over a socket.
    Run(Box<RunArguments>),
    /// Serves one application with an httpd of its own. Needs neither root nor a configuration.
    Serve(serve::Arguments),
}

/// Arguments of `wsgid run`.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// Directory of the sockets; made if it is missing.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIRECTORY)]
    pub runtime_dir: PathBuf,
    /// Directory where accepted configurations are remembered; made if it is missing.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wsgid")]
    pub state_dir: PathBuf,
    /// How much to log: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Targets,
    /// Leave the time out of the log: whoever reads it has a clock.
    #[arg(long, hide = true)]
    pub no_log_times: bool,
    /// Let groups run as root if they ask for it.
    #[arg(long, hide = true)]
    pub allow_root: bool,
    /// Run every group as the daemon's own user, root included.
    #[arg(long, hide = true)]
    pub as_self: bool,
    /// Let workers watch every file they import, and reload when one changes.
    #[arg(long, hide = true)]
    pub watch: bool,
}

/// The program.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => run::main(*arguments),
        Command::Serve(arguments) => serve::main(arguments),
    }
}
