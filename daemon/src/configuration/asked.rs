//! The answers of the user database for as long as one configuration is read: hundreds of process groups have few
//! users, and each question may go as far as a directory service.

use super::accounts::{Account, Accounts, Unreadable};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

/// Asks each question once.
pub struct AskedOnce<'a> {
    accounts: &'a dyn Accounts,
    users: Answers<String, Option<Account>>,
    users_of: Answers<u32, Option<Account>>,
    groups: Answers<String, Option<u32>>,
    groups_of: Answers<(String, u32), Vec<u32>>,
}

type Answers<Q, A> = RefCell<HashMap<Q, A>>;

impl<'a> AskedOnce<'a> {
    /// In place of these.
    pub fn new(accounts: &'a dyn Accounts) -> Self {
        let (users, users_of, groups, groups_of) = Default::default();
        Self { accounts, users, users_of, groups, groups_of }
    }
}

/// What could not be answered is asked again.
fn once<Q: Eq + Hash, A: Clone>(
    known: &Answers<Q, A>,
    question: Q,
    ask: impl FnOnce(&Q) -> Result<A, Unreadable>,
) -> Result<A, Unreadable> {
    if let Some(answer) = known.borrow().get(&question) {
        return Ok(answer.clone());
    }
    let answer = ask(&question)?;
    known.borrow_mut().insert(question, answer.clone());
    Ok(answer)
}

impl Accounts for AskedOnce<'_> {
    fn user(&self, name: &str) -> Result<Option<Account>, Unreadable> {
        once(&self.users, name.to_string(), |name| self.accounts.user(name))
    }

    fn user_of(&self, uid: u32) -> Result<Option<Account>, Unreadable> {
        once(&self.users_of, uid, |uid| self.accounts.user_of(*uid))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, Unreadable> {
        once(&self.groups, name.to_string(), |name| self.accounts.group(name))
    }

    fn groups_of(&self, name: &str, gid: u32) -> Result<Vec<u32>, Unreadable> {
        once(&self.groups_of, (name.to_string(), gid), |(name, gid)| self.accounts.groups_of(name, *gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::accounts::fixture::Few;
    use std::cell::Cell;

    struct Counted(Cell<u32>);

    impl Accounts for Counted {
        fn user(&self, name: &str) -> Result<Option<Account>, Unreadable> {
            self.0.set(self.0.get() + 1);
            Few.user(name)
        }

        fn user_of(&self, uid: u32) -> Result<Option<Account>, Unreadable> {
            Few.user_of(uid)
        }

        fn group(&self, name: &str) -> Result<Option<u32>, Unreadable> {
            Few.group(name)
        }

        fn groups_of(&self, name: &str, gid: u32) -> Result<Vec<u32>, Unreadable> {
            Few.groups_of(name, gid)
        }
    }

    #[test]
    fn a_question_is_asked_once_and_each_has_its_own_answer() {
        let counted = Counted(Cell::new(0));
        let asked = AskedOnce::new(&counted);
        for name in ["bob", "nobody-here", "bob", "nobody-here"] {
            assert_eq!(asked.user(name).unwrap(), Few.user(name).unwrap());
        }
        assert_eq!(counted.0.get(), 2);
        assert_eq!(asked.groups_of("bob", 1000).unwrap(), Few.groups_of("bob", 1000).unwrap());
    }
}
