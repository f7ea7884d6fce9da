//! Every bound of the wire, in one place, each with its reason. A length that arrives is compared
//! with one of these before anything is allocated for it.

/// A request's head. Apache's own defaults allow 100 fields of 8 KiB; mod_wsgi stops at 16 MiB, and
/// an administrator who raised `LimitRequestFields` on the strength of that must not be cut short.
pub const HEAD: usize = 16 << 20;

/// Bytes in one chunk of a body, in either direction. Large enough that a round trip for each chunk
/// does not dominate a bulk transfer, small enough that a peer's buffer of this size is no burden.
pub const CHUNK: usize = 256 << 10;

/// Body bytes that ride along with the head, so that a small POST needs no further round trip.
pub const FIRST_BODY: usize = 16 << 10;

/// A response's head: as for requests, an application may set many cookies, but nothing sane
/// comes near this.
pub const RESPONSE_HEAD: usize = 4 << 20;

/// One log message. A traceback of a deep recursion fits; longer texts are split by the sender.
pub const LOG: usize = 64 << 10;

/// The name of the source file that logged a message: Linux's longest path.
pub const CALL_SITE: usize = 4 << 10;

/// One argument of a hook: a user, a password, a realm. Apache's own default for the header that carries
/// them is 8 KiB.
pub const ARGUMENT: usize = 64 << 10;

/// Arguments of a hook. None has more than a user and a password.
pub const ARGUMENTS: usize = 2;

/// A hook's verdict: a user who is in some ten thousand groups is the longest.
pub const VERDICT: usize = 1 << 20;

/// What a worker is told when it asks: httpd's scoreboard is the longest, with about 200 bytes for each
/// thread that is there.
pub const ANSWER: usize = 16 << 20;

/// Slots of a scoreboard that is told: `ServerLimit` times `ThreadLimit`, of which httpd's defaults make about
/// a thousand. A larger one is not even read.
pub const SCORES: u64 = 80_000;

/// Small messages: end, abort, file, body-wanted and the worker's control messages.
pub const SMALL: usize = 16 << 10;

/// Bytes of a traceback in a message about it, whose rest is in the log.
pub const TRACEBACK: usize = 4 << 10;

/// A whole configuration: thousands of groups with a few hundred bytes each.
pub const CONFIGURE: usize = 32 << 20;

/// A plan for one launch: an environment may be large.
pub const PLAN: usize = 4 << 20;

/// Answers to `wsgictl`.
pub const STATUS: usize = 32 << 20;

/// Entries of the environ or headers in one message: bounds the per-entry overhead of decoding.
pub const PAIRS: usize = 20_000;

/// Process groups in one configuration.
pub const GROUPS: usize = 10_000;

/// Longest name of a process or application group, in bytes: it travels in every request and is a
/// map key in the daemon. Longer ones (a forged `Host` under `%{HOST}`) are refused.
pub const GROUP_NAME: usize = 512;

/// Worker processes in one group; the board has slots for twice as many, and two to spare.
pub const PROCESSES: u32 = 1_024;

/// Request threads in one worker.
pub const THREADS: u32 = 4_096;

/// Pools of one process group: under `%{HOST}` the client names them. Each group has its own share, so
/// that one site's clients can't use up another's.
pub const OPENED_POOLS: usize = 256;
