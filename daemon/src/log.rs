//! Where the daemon writes: standard error, which is the terminal, the journal or an httpd's log. A
//! panic is written there too, and ends the process: half a daemon would be worse than none.

use std::io::IsTerminal;
use tracing_subscriber::filter::LevelFilter;

/// Sets the log up. Under systemd the journal has its own time stamps.
pub fn init(level: LevelFilter) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().init()
    } else {
        builder.init()
    }
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("wsgid has a fault and ends: {panic}");
        std::process::abort();
    }));
}
