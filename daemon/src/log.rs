//! Where the daemon writes: standard error, which is the terminal, the journal or an httpd's log. A
//! panic is written there too, and ends the process: half a daemon would be worse than none.

use std::io::IsTerminal;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::prelude::*;

/// What workers print has a target of its own, so that it can be asked for without the daemon's own
/// records: `--log-level warn,worker=info`.
pub const WORKER: &str = "worker";

/// Sets the log up. Under systemd the journal has its own time stamps.
pub fn init(level: &Targets, times: bool) {
    let lines =
        layer().with_writer(std::io::stderr).with_target(false).with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry();
    if !times || std::env::var_os("JOURNAL_STREAM").is_some() {
        registry.with(lines.without_time().with_filter(level.clone())).init();
    } else {
        registry.with(lines.with_filter(level.clone())).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("wsgid has a fault and ends: {panic}");
        std::process::abort();
    }));
}
