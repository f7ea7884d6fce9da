//! The numbers of everything that can keep a request from its answer, in one table: what stands before
//! the words in the error log and in the note `wsgi-error`, the HTTP status, and when to try again.
//!
//! Where mod_wsgi has a number for the same thing, it is that one; ours begin at 8001. A number is never
//! given a second meaning. The manual page wsgid-messages(7) has a paragraph for each.

use std::fmt;
use wsgid_proto::hook::Hook;
use wsgid_proto::response::Level;

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub number: u16,
    /// The HTTP status; 0 where httpd says which.
    pub status: u16,
    /// Seconds after which the client may well try again (RFC 9110, 10.2.3), where the trouble is one that
    /// passes by itself.
    pub retry_after: Option<u32>,
    /// How grave it is for the administrator; what a client did is not.
    pub level: Level,
}

/// As it is written: `WSGI0084`.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WSGI{:04}", self.number)
    }
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $status:literal $(=> retry $seconds:literal)? $(@ $level:ident)?;)*) => {
        $($(#[$doc])* pub const $name: &Message = &Message {
            number: $number,
            status: $status,
            retry_after: messages!(@retry $($seconds)?),
            level: messages!(@level $($level)?),
        };)*

        /// The whole table.
        pub const ALL: &[&Message] = &[$($name),*];
    };
    (@retry) => { None };
    (@retry $seconds:literal) => { Some($seconds) };
    (@level) => { Level::Error };
    (@level $level:ident) => { Level::$level };
}

/// A hook could not be asked.
pub fn unasked(hook: Hook) -> &'static Message {
    match hook {
        Hook::Access => ACCESS_UNASKED,
        Hook::Password => PASSWORD_UNASKED,
        Hook::RealmHash => HASH_UNASKED,
        Hook::Groups => GROUPS_UNASKED,
        Hook::Dispatch => DISPATCH_UNASKED,
    }
}

messages! {
    /// Basic authentication by `wsgi`, and no script for it.
    NO_PASSWORD_SCRIPT = 41, 500;
    /// `check_password` could not be asked.
    PASSWORD_UNASKED = 42, 500;
    /// There is no such function.
    NO_CHECK_PASSWORD = 43, 500;
    /// Digest authentication by `wsgi`, and no script for it.
    NO_HASH_SCRIPT = 44, 500;
    /// `get_realm_hash` could not be asked.
    HASH_UNASKED = 45, 500;
    /// There is no such function.
    NO_REALM_HASH = 46, 500;
    /// `groups_for_user` could not be asked.
    GROUPS_UNASKED = 48, 0;
    /// It answered with something that is no group's name.
    GROUPS_ITEM = 50, 0;
    /// It answered with something that is no list.
    GROUPS_VERDICT = 51, 0;
    /// There is no such function.
    NO_GROUPS_FOR_USER = 52, 0;
    /// `allow_access` could not be asked.
    ACCESS_UNASKED = 54, 403;
    /// It answered with something that is no verdict.
    ACCESS_VERDICT = 55, 403;
    /// There is no such function.
    NO_ALLOW_ACCESS = 56, 403;
    /// It said no.
    ACCESS_DENIED = 57, 403;
    /// `Require wsgi-group`, and no script for it.
    NO_GROUP_SCRIPT = 58, 0;
    /// The user is in no group.
    NO_GROUPS = 59, 0;
    /// The user is in other groups.
    OTHER_GROUPS = 60, 0;
    /// The next thread comes free before long, but not for everybody who was turned away.
    QUEUE_TIMEOUT = 84, 504 => retry 5;
    /// The dispatch script could not be asked.
    DISPATCH_UNASKED = 86, 500;
    /// The script has no such callable.
    NO_CALLABLE = 89, 500;
    /// The script could not be read, compiled or executed.
    SCRIPT_FAILED = 109, 500;
    /// No worker got ready in time: one is being started.
    NO_WORKER = 116, 503 => retry 10;
    /// The daemon does not answer: it is being started.
    DAEMON_ABSENT = 117, 503 => retry 10;
    /// Several workers ended before they had read the request.
    NOT_DELIVERED = 124, 503 => retry 10;
    /// The client's body can't be read; httpd says what that is worth.
    BODY_UNREADABLE = 126, 0 @ Info;
    /// No leave to run scripts here.
    EXEC_CGI_OFF = 134, 403;
    /// There is no such script.
    NO_SCRIPT = 135, 404;
    /// The target is a directory.
    DIRECTORY = 136, 403;
    /// The script takes no path behind its own.
    PATH_INFO = 137, 404;
    /// A transfer coding that nobody knows.
    TRANSFER_CODING = 138, 501;
    /// A chunked body where that is not allowed.
    CHUNKED = 139, 411;
    /// A Content-Length that is none.
    CONTENT_LENGTH = 141, 400;
    /// `WSGIRestrictEmbedded On`.
    RESTRICTED = 143, 500;
    /// The worker was silent.
    WORKER_SILENT = 145, 504;
    /// The worker ended before it had answered.
    WORKER_DIED = 146, 502;
    /// The worker broke the protocol.
    PROTOCOL = 147, 502;
    /// `WSGIRestrictProcess` does not name the process group.
    GROUP_NOT_ALLOWED = 149, 500;
    /// Nobody declared the process group.
    UNKNOWN_GROUP = 151, 500;
    /// The process group is another virtual host's.
    FOREIGN_GROUP = 152, 500;
    /// `script-group`: the script can't be looked at.
    SCRIPT_GROUP_UNKNOWN = 153, 403;
    /// It belongs to another group.
    SCRIPT_GROUP = 155, 403;
    /// Everybody may write to it.
    SCRIPT_GROUP_WORLD = 157, 403;
    /// Its directory can't be looked at.
    SCRIPT_GROUP_NO_DIRECTORY = 158, 403;
    /// Its directory belongs to another group.
    SCRIPT_GROUP_DIRECTORY = 160, 403;
    /// Everybody may write to its directory.
    SCRIPT_GROUP_DIRECTORY_WORLD = 161, 403;
    /// `script-user`: the script can't be looked at.
    SCRIPT_USER_UNKNOWN = 162, 403;
    /// It belongs to another user.
    SCRIPT_USER = 164, 403;
    /// Its group may write to it.
    SCRIPT_USER_GROUP = 166, 403;
    /// Everybody may write to it.
    SCRIPT_USER_WORLD = 168, 403;
    /// Its directory can't be looked at.
    SCRIPT_USER_NO_DIRECTORY = 169, 403;
    /// Its directory belongs to another user.
    SCRIPT_USER_DIRECTORY = 171, 403;
    /// Everybody may write to its directory.
    SCRIPT_USER_DIRECTORY_WORLD = 172, 403;
    /// The group of its directory may write there.
    SCRIPT_USER_DIRECTORY_GROUP = 173, 403;
    /// The application raised an exception, or broke PEP 3333.
    EXCEPTION = 174, 500;
    /// The application raised SystemExit.
    EXIT = 175, 500;
    /// `check_password` let a user in under an empty name.
    EMPTY_USER = 176, 500;
    /// It answered with something that is no verdict.
    PASSWORD_VERDICT = 177, 500;
    /// `get_realm_hash` answered with an empty one.
    EMPTY_HASH = 178, 500;
    /// It answered with something that is none.
    HASH_VERDICT = 179, 500;
    /// The name of a group is too long.
    NAME_TOO_LONG = 8001, 500;
    /// The variables of the request are too many or too long.
    HEAD_TOO_LARGE = 8002, 500;
    /// The daemon does not know this httpd's configuration: httpd offers it every ten seconds.
    NOT_CONFIGURED = 8003, 503 => retry 15;
    /// The daemon will not open the pool.
    REFUSED = 8004, 500;
    /// The daemon will not open the pool for now.
    OVERLOADED = 8005, 503 => retry 10;
    /// The daemon, or shared memory, does not behave.
    BAD_BROKER = 8006, 500;
    /// Workers end as fast as they start: this is the longest pause between two attempts.
    FAILING = 8007, 503 => retry 30;
    /// A spool file can't be read back.
    SPOOL = 8008, 500;
    /// As for a wait that was too long.
    QUEUE_FULL = 8009, 503 => retry 5;
    /// The module has no configuration.
    NO_CONFIGURATION = 8010, 500;
    /// The application sent less than it had promised.
    SHORT = 8011, 500;
    /// A fault of mod_wsgid's own.
    INTERNAL = 8012, 500;
    /// The body is larger than `LimitRequestBody` allows.
    BODY_TOO_LARGE = 8013, 413 @ Info;
    /// httpd could not take over a file to send.
    FILE = 8014, 500;
    /// Workers have died over the same request.
    SUSPECT = 8015, 502;
    /// A script of access control or dispatch took too long.
    HOOK_TIMEOUT = 8020, 0;
    /// A function of a dispatch script answered with something that is no name.
    DISPATCH_VERDICT = 8021, 500;
    /// The process group runs service scripts.
    SERVICE_GROUP = 8040, 500;
    /// The application ended with `mod_wsgi.RequestTimeout`.
    TIMED_OUT = 8060, 504 @ Info;
    /// It did not answer within `request-timeout`.
    REQUEST_TIMEOUT = 8061, 504;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_number_has_two_meanings() {
        let numbers: BTreeSet<u16> = ALL.iter().map(|message| message.number).collect();
        assert_eq!(numbers.len(), ALL.len());
    }

    #[test]
    fn the_manual_has_a_paragraph_for_each_and_for_no_other() {
        let page = include_str!("../../packaging/man/wsgid-messages.7");
        let said: Vec<String> =
            page.lines().filter_map(|line| line.strip_prefix(".It Li ")).map(String::from).collect();
        let due: Vec<String> = ALL
            .iter()
            .map(|message| match message.status {
                0 => message.to_string(),
                status => format!("{message} , {status}"),
            })
            .collect();
        assert_eq!(said, due);
    }

    #[test]
    fn what_passes_says_when_to_come_again() {
        for message in ALL {
            assert_eq!(
                message.retry_after.is_some(),
                message.status == 503 || *message == QUEUE_TIMEOUT,
                "{message}"
            );
        }
    }
}
