//! Everything that can keep a request from its answer: whose fault it is, which status the client
//! gets, and the words for the error log. One table; compat with mod_wsgi's statuses.

use wsgid_proto::response::Level;

/// Why a request has no answer of the application's.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The configuration names a process group that nobody declared.
    #[error("No WSGI daemon process called '{0}' has been configured")]
    UnknownGroup(String),
    /// The group belongs to another virtual host.
    #[error(
        "The WSGI daemon process '{group}' belongs to the virtual host {owner} and can't be used by \
         {server}; declare it outside of any virtual host to use it everywhere"
    )]
    ForeignGroup {
        /// The process group.
        group: String,
        /// Who declared it.
        owner: String,
        /// Who asked for it.
        server: String,
    },
    /// `WSGIRestrictEmbedded On`.
    #[error("The request has no process group, and WSGIRestrictEmbedded is On")]
    Restricted,
    /// The name of a group, expanded, is over its bound.
    #[error("The name of the {0} is longer than {max} bytes", max = wsgid_proto::bounds::GROUP_NAME)]
    NameTooLong(&'static str),
    /// The variables are over their bound.
    #[error("{0}")]
    HeadTooLarge(#[from] wsgid_proto::request::HeadTooLarge),
    /// Nobody answers at the daemon's socket.
    #[error("wsgid can't be reached at {path}: {error}. Is it running?")]
    DaemonAbsent {
        /// Its broker socket.
        path: String,
        /// What connecting said.
        error: std::io::Error,
    },
    /// The daemon has not been told this httpd's configuration.
    #[error("wsgid does not know the configuration of this httpd (yet): {0}")]
    NotConfigured(String),
    /// The daemon will not open the pool.
    #[error("wsgid does not open the pool: {0}")]
    Refused(String),
    /// The daemon will not open the pool for now.
    #[error("wsgid does not open the pool for now: {0}")]
    Overloaded(String),
    /// The daemon, or shared memory, does not behave.
    #[error("wsgid's answer can't be used: {0}")]
    BadBroker(String),
    /// No worker became ready.
    #[error("No worker of process group '{group}' was ready within {seconds} seconds (connect-timeout)")]
    NoWorker {
        /// The process group.
        group: String,
        /// How long the request waited.
        seconds: u32,
    },
    /// Workers end as fast as they start.
    #[error("The workers of process group '{0}' do not start; the log of wsgid says why")]
    Failing(String),
    /// So many wait already that one more would wait for nothing.
    #[error(
        "All threads of process group '{group}' are busy, and {size} requests (queue-size) wait for one already"
    )]
    QueueFull {
        /// The process group.
        group: String,
        /// How many may wait.
        size: u32,
    },
    /// Every thread stayed busy.
    #[error(
        "No thread of process group '{group}' came free within {seconds} seconds (queue-timeout, or socket-timeout where that is 0)"
    )]
    QueueTimeout {
        /// The process group.
        group: String,
        /// How long the request waited.
        seconds: u32,
    },
    /// The worker went away while it had the request.
    #[error("The worker of process group '{group}' ended before it had answered: {}", or_unknown(.fate))]
    WorkerDied {
        /// The process group.
        group: String,
        /// How it ended, in the daemon's words; empty where the daemon does not know.
        fate: String,
    },
    /// The worker said nothing for too long.
    #[error("The worker of process group '{group}' was silent for {seconds} seconds (socket-timeout)")]
    WorkerSilent {
        /// The process group.
        group: String,
        /// How long.
        seconds: u32,
    },
    /// The worker said what it may not say.
    #[error("The worker of process group '{group}' broke the protocol: {what}")]
    Protocol {
        /// The process group.
        group: String,
        /// What it did.
        what: String,
    },
    /// The application did not answer; its traceback is in the log already.
    #[error("{0}")]
    Application(String),
    /// The client's body can't be read; httpd says what that is worth.
    #[error("The request's body could not be read ({0})")]
    BodyFailed(i32),
}

fn or_unknown(fate: &str) -> &str {
    if fate.is_empty() { "the log of wsgid may say why" } else { fate }
}

impl Fault {
    /// The HTTP status for the client.
    pub fn status(&self) -> u16 {
        match self {
            Fault::UnknownGroup(_)
            | Fault::ForeignGroup { .. }
            | Fault::Restricted
            | Fault::NameTooLong(_)
            | Fault::HeadTooLarge(_)
            | Fault::Refused(_)
            | Fault::BadBroker(_)
            | Fault::Application(_) => 500,
            Fault::DaemonAbsent { .. }
            | Fault::NotConfigured(_)
            | Fault::Overloaded(_)
            | Fault::NoWorker { .. }
            | Fault::Failing(_)
            | Fault::QueueFull { .. } => 503,
            Fault::WorkerDied { .. } | Fault::Protocol { .. } => 502,
            Fault::QueueTimeout { .. } | Fault::WorkerSilent { .. } => 504,
            Fault::BodyFailed(answer) => u16::try_from(*answer).unwrap_or(400),
        }
    }

    /// Seconds after which the client may well try again (RFC 9110, 10.2.3), where the trouble is one that
    /// passes by itself.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            // The next thread comes free before long, but not for everybody who was turned away.
            Fault::QueueFull { .. } | Fault::QueueTimeout { .. } => Some(5),
            // A worker, or the daemon, is being started.
            Fault::NoWorker { .. } | Fault::DaemonAbsent { .. } | Fault::Overloaded(_) => Some(10),
            // httpd offers its configuration every ten seconds.
            Fault::NotConfigured(_) => Some(15),
            // The longest pause between two attempts to start a worker.
            Fault::Failing(_) => Some(30),
            _ => None,
        }
    }

    /// What the handler returns to httpd.
    pub fn answer(&self) -> i32 {
        match self {
            Fault::BodyFailed(answer) => *answer,
            other => other.status().into(),
        }
    }

    /// How grave it is for the administrator; what a client did is not.
    pub fn level(&self) -> Level {
        match self {
            Fault::BodyFailed(_) => Level::Info,
            _ => Level::Error,
        }
    }
}
