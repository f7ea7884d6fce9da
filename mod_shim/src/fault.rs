//! Everything that can keep a request from its answer, in words for the error log. Which status that is,
//! and which number it has, is in the table of [`crate::message`].

use crate::channel::ReceiveError;
use crate::message::{self, Message};
use std::time::Duration;
use wsgid_proto::broker::Fate;
use wsgid_proto::hook::Hook;
use wsgid_proto::response::{Abort, AbortCause};

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
    /// `WSGIRestrictProcess` does not name the group.
    #[error("The process group '{0}' is not among those that WSGIRestrictProcess allows here")]
    GroupNotAllowed(String),
    /// The group has no request threads.
    #[error("The process group '{0}' has threads=0: it runs service scripts and serves no requests")]
    ServiceGroup(String),
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
    #[error("The workers of process group '{group}' do not stay up{}; more is in the log of wsgid", colon(.trouble))]
    Failing {
        /// The process group.
        group: String,
        /// The daemon's word for why; empty where it has none.
        trouble: String,
    },
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
    #[error("The worker of process group '{group}' ended before it had answered: {}", or_unknown(&.fate.words))]
    WorkerDied {
        /// The process group.
        group: String,
        /// How it ended, in the daemon's words; without any where the daemon does not know.
        fate: Fate,
    },
    /// Workers have died over the same request.
    #[error(
        "Two workers of process group '{group}' have died over {request}, which is refused for {seconds} seconds more"
    )]
    Suspect {
        /// The process group.
        group: String,
        /// Method and target.
        request: String,
        /// For how long.
        seconds: u64,
    },
    /// The worker said nothing for too long.
    #[error("The worker of process group '{group}' was silent for {seconds} seconds (socket-timeout)")]
    WorkerSilent {
        /// The process group.
        group: String,
        /// How long.
        seconds: u32,
    },
    /// The answer took too long.
    #[error(
        "The application of process group '{group}' had not answered within {seconds} seconds (request-timeout, longer for a group of several threads, and interrupt-timeout)"
    )]
    RequestTimeout {
        /// The process group.
        group: String,
        /// How long the request waited.
        seconds: u64,
    },
    /// The worker said what it may not say.
    #[error("The worker of process group '{group}' broke the protocol: {what}")]
    Protocol {
        /// The process group.
        group: String,
        /// What it did.
        what: String,
    },
    /// No worker has read the request.
    #[error("None of several workers of process group '{0}' read the request; the log of wsgid may say why")]
    NotDelivered(String),
    /// The worker gave up; a traceback is in the log already.
    #[error("{1}")]
    Aborted(AbortCause, String),
    /// httpd has no room for a file.
    #[error("The application's file could not be taken over")]
    FileNotTaken,
    /// A spool file can't be read back.
    #[error("What was spooled can't be read: {0}")]
    Spool(std::io::Error),
    /// The request can't be served as it is, or not here.
    #[error("{1}")]
    Precondition(&'static Message, String),
    /// A script of access control or dispatch has given no verdict.
    #[error("{}", of_hook(.script, .cause))]
    Hook {
        /// Which function was asked.
        hook: Hook,
        /// Whose.
        script: String,
        /// Why not.
        cause: Box<Fault>,
    },
    /// Nor in time.
    #[error("There was no verdict within {0} seconds (Timeout, at most {max})", max = crate::hook::LIMIT.as_secs())]
    HookTimeout(u64),
    /// The client's body can't be read; httpd says what that is worth.
    #[error("The request's body could not be read ({0})")]
    BodyFailed(i32),
}

fn or_unknown(fate: &str) -> &str {
    if fate.is_empty() { "the log of wsgid may say why" } else { fate }
}

fn colon(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// What the worker says names the script already.
fn of_hook(script: &str, cause: &Fault) -> String {
    match cause {
        Fault::Aborted(..) => cause.to_string(),
        cause => format!("The script '{script}' could not be asked: {cause}"),
    }
}

impl Fault {
    /// Has a worker ended for which no request is to blame?
    pub fn is_from_outside(&self) -> bool {
        matches!(self, Fault::WorkerDied { fate, .. } if fate.from_outside)
    }

    /// Why a frame did not come from a worker of this group, which may be silent for so long.
    pub fn of_channel(error: ReceiveError, group: &str, silence: Duration) -> Self {
        match error {
            ReceiveError::Closed | ReceiveError::Reset | ReceiveError::Io(_) => {
                Fault::WorkerDied { group: group.into(), fate: Fate::default() }
            }
            ReceiveError::Silent => {
                Fault::WorkerSilent { group: group.into(), seconds: silence.as_secs() as u32 }
            }
            ReceiveError::Frame(error) => Fault::protocol(group, error),
            ReceiveError::Spool(error) => Fault::Spool(error),
        }
    }

    /// A worker of this group broke the protocol.
    pub fn protocol(group: &str, what: impl std::fmt::Display) -> Self {
        Fault::Protocol { group: group.into(), what: what.to_string() }
    }

    /// A worker gave up.
    pub fn of_abort(abort: Abort) -> Self {
        match abort.detail.is_empty() {
            true => Fault::Aborted(abort.cause, "The worker gave up without a word".into()),
            false => Fault::Aborted(abort.cause, abort.detail),
        }
    }

    /// Its line in the table of messages.
    pub fn message(&self) -> &'static Message {
        match self {
            Fault::UnknownGroup(_) => message::UNKNOWN_GROUP,
            Fault::ForeignGroup { .. } => message::FOREIGN_GROUP,
            Fault::GroupNotAllowed(_) => message::GROUP_NOT_ALLOWED,
            Fault::ServiceGroup(_) => message::SERVICE_GROUP,
            Fault::Restricted => message::RESTRICTED,
            Fault::NameTooLong(_) => message::NAME_TOO_LONG,
            Fault::HeadTooLarge(_) => message::HEAD_TOO_LARGE,
            Fault::DaemonAbsent { .. } => message::DAEMON_ABSENT,
            Fault::NotConfigured(_) => message::NOT_CONFIGURED,
            Fault::Refused(_) => message::REFUSED,
            Fault::Overloaded(_) => message::OVERLOADED,
            Fault::BadBroker(_) => message::BAD_BROKER,
            Fault::NoWorker { .. } => message::NO_WORKER,
            Fault::Failing { .. } => message::FAILING,
            Fault::QueueFull { .. } => message::QUEUE_FULL,
            Fault::QueueTimeout { .. } => message::QUEUE_TIMEOUT,
            Fault::NotDelivered(_) => message::NOT_DELIVERED,
            Fault::WorkerDied { .. } => message::WORKER_DIED,
            Fault::Suspect { .. } => message::SUSPECT,
            Fault::WorkerSilent { .. } => message::WORKER_SILENT,
            Fault::RequestTimeout { .. } => message::REQUEST_TIMEOUT,
            Fault::Protocol { .. } => message::PROTOCOL,
            Fault::Aborted(cause, _) => of_cause(*cause),
            Fault::BodyFailed(_) => message::BODY_UNREADABLE,
            Fault::FileNotTaken => message::FILE,
            Fault::Spool(_) => message::SPOOL,
            Fault::Precondition(what, _) => what,
            Fault::Hook { hook, cause, .. } => match &**cause {
                Fault::Aborted(cause, _) => of_verdict(*hook, *cause),
                Fault::HookTimeout(_) => message::HOOK_TIMEOUT,
                _ => message::unasked(*hook),
            },
            Fault::HookTimeout(_) => message::HOOK_TIMEOUT,
        }
    }

    /// What the handler returns to httpd: an HTTP status, or, below zero, word that a filter has answered.
    pub fn answer(&self) -> i32 {
        match self {
            Fault::BodyFailed(answer) => *answer,
            other => other.message().status.into(),
        }
    }
}

fn of_cause(cause: AbortCause) -> &'static Message {
    match cause {
        AbortCause::Application | AbortCause::Body => message::EXCEPTION,
        AbortCause::Exit => message::EXIT,
        AbortCause::Short => message::SHORT,
        AbortCause::Timeout => message::TIMED_OUT,
        AbortCause::Script => message::SCRIPT_FAILED,
        AbortCause::Callable => message::NO_CALLABLE,
        // The others are hooks' alone.
        _ => message::INTERNAL,
    }
}

fn of_verdict(hook: Hook, cause: AbortCause) -> &'static Message {
    match (hook, cause) {
        (Hook::Password, AbortCause::Callable) => message::NO_CHECK_PASSWORD,
        (Hook::Password, AbortCause::Empty) => message::EMPTY_USER,
        (Hook::Password, AbortCause::Verdict) => message::PASSWORD_VERDICT,
        (Hook::RealmHash, AbortCause::Callable) => message::NO_REALM_HASH,
        (Hook::RealmHash, AbortCause::Empty) => message::EMPTY_HASH,
        (Hook::RealmHash, AbortCause::Verdict) => message::HASH_VERDICT,
        (Hook::Groups, AbortCause::Callable) => message::NO_GROUPS_FOR_USER,
        (Hook::Groups, AbortCause::Item) => message::GROUPS_ITEM,
        (Hook::Groups, AbortCause::Verdict) => message::GROUPS_VERDICT,
        (Hook::Access, AbortCause::Callable) => message::NO_ALLOW_ACCESS,
        (Hook::Access, AbortCause::Verdict) => message::ACCESS_VERDICT,
        (Hook::Dispatch, AbortCause::Verdict) => message::DISPATCH_VERDICT,
        (_, cause) => of_cause(cause),
    }
}
