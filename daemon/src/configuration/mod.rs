//! What httpd instances have told us to run: checked, resolved, remembered.
//!
//! * [`accounts`]: the system's users and groups, behind a trait
//! * [`asked`]: each question to them only once for a configuration
//! * [`identity`]: as whom a process group runs
//! * [`mod@accept`]: a `Configure` message becomes an [`Instance`], or a refusal
//! * [`state`]: the accepted ones in the state directory, for the daemon's next start
//! * [`pending`]: those that an httpd left while no daemon was there

pub mod accept;
pub mod accounts;
pub mod asked;
pub mod identity;
pub mod pending;
pub mod state;

pub use accept::{Group, Instance, accept};
pub use accounts::{Accounts, SystemAccounts};
pub use identity::{Identity, Privilege};
