//! Functions of scripts that decide something about a request before it is served: who may see it, and
//! where it goes. A head names the [`Hook`] in place of a request to serve, and the answer is a [`Verdict`].
//!
//! Meanwhile, and while a request is served, a worker may [`Ask`] what only httpd knows.

use crate::message::message;
use crate::{bounds, wire};
use bytes::Bytes;

/// Which function is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// `WSGIAccessScript`: `allow_access(environ, host)`.
    Access = 1,
    /// `WSGIAuthUserScript` and Basic: `check_password(environ, user, password)`.
    Password = 2,
    /// `WSGIAuthUserScript` and Digest: `get_realm_hash(environ, user, realm)`.
    RealmHash = 3,
    /// `WSGIAuthGroupScript`: `groups_for_user(environ, user)`.
    Groups = 4,
    /// `WSGIDispatchScript`: `process_group(environ)`, `application_group(environ)` and
    /// `callable_object(environ)`, each where there is one.
    Dispatch = 5,
}

impl Hook {
    /// From a number of the wire, of which 0 is none.
    pub(crate) fn from_number(number: u64) -> Result<Option<Self>, String> {
        // As prost has it, and protobuf: a number for 32 bits is cut to them.
        Ok(Some(match number as u32 {
            0 => return Ok(None),
            1 => Hook::Access,
            2 => Hook::Password,
            3 => Hook::RealmHash,
            4 => Hook::Groups,
            5 => Hook::Dispatch,
            other => return Err(format!("names the unknown hook {other}")),
        }))
    }

    /// How many arguments the function has beside the environ.
    pub fn arguments(self) -> usize {
        match self {
            Hook::Dispatch => 0,
            Hook::Access | Hook::Groups => 1,
            Hook::Password | Hook::RealmHash => 2,
        }
    }
}

/// What a hook's function answered. Texts have no NUL, where httpd's would end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// True: let in.
    Granted,
    /// False: keep out.
    Denied,
    /// None: somebody else may decide; there is no such user.
    Undecided,
    /// Let in, under this name.
    User(Bytes),
    /// The hash of the user's name, realm and password.
    Hash(Bytes),
    /// The groups of the user.
    Groups(Vec<Bytes>),
    /// Where the request goes.
    Route(Route),
}

/// What of a request's place is another than configured; `%{…}` is still to be expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Its process group.
    pub process_group: Option<Bytes>,
    /// Its application group.
    pub application_group: Option<Bytes>,
    /// The callable in its script.
    pub callable: Option<Bytes>,
}

impl Verdict {
    /// May this hook be answered so?
    pub fn answers(&self, hook: Hook) -> bool {
        match self {
            Verdict::Granted | Verdict::Denied => matches!(hook, Hook::Access | Hook::Password),
            Verdict::Undecided => matches!(hook, Hook::Access | Hook::Password | Hook::RealmHash),
            Verdict::User(_) => hook == Hook::Password,
            Verdict::Hash(_) => hook == Hook::RealmHash,
            Verdict::Groups(_) => hook == Hook::Groups,
            Verdict::Route(_) => hook == Hook::Dispatch,
        }
    }

    fn kind(&self) -> u32 {
        match self {
            Verdict::Granted => 1,
            Verdict::Denied => 2,
            Verdict::Undecided => 3,
            Verdict::User(_) => 4,
            Verdict::Hash(_) => 5,
            Verdict::Groups(_) => 6,
            Verdict::Route(_) => 7,
        }
    }
}

impl From<&Verdict> for wire::Verdict {
    fn from(verdict: &Verdict) -> Self {
        let mut wire = wire::Verdict { kind: verdict.kind(), ..Default::default() };
        match verdict {
            Verdict::Granted | Verdict::Denied | Verdict::Undecided => {}
            Verdict::User(text) | Verdict::Hash(text) => wire.texts.push(text.clone()),
            Verdict::Groups(groups) => wire.texts.clone_from(groups),
            Verdict::Route(route) => {
                wire.process_group.clone_from(&route.process_group);
                wire.application_group.clone_from(&route.application_group);
                wire.callable.clone_from(&route.callable);
            }
        }
        wire
    }
}

impl TryFrom<wire::Verdict> for Verdict {
    type Error = String;

    fn try_from(wire: wire::Verdict) -> Result<Self, String> {
        let wire::Verdict { kind, texts, process_group, application_group, callable } = wire;
        let places = [&process_group, &application_group, &callable];
        if texts.iter().chain(places.into_iter().flatten()).any(|text| text.contains(&0)) {
            return Err("has a NUL in a text".into());
        }
        if texts.len() > bounds::PAIRS {
            return Err(format!("has more than {} texts", bounds::PAIRS));
        }
        if kind != 7 && places.into_iter().any(Option::is_some) {
            return Err("has a route beside what it is".into());
        }
        let verdict = match (kind, texts.as_slice()) {
            (1, []) => Verdict::Granted,
            (2, []) => Verdict::Denied,
            (3, []) => Verdict::Undecided,
            (4, [user]) if !user.is_empty() => Verdict::User(user.clone()),
            (5, [hash]) if !hash.is_empty() => Verdict::Hash(hash.clone()),
            (6, _) => Verdict::Groups(texts),
            (7, []) => Verdict::Route(Route { process_group, application_group, callable }),
            _ => return Err(format!("is of the unknown kind {kind}, or has not the texts of its kind")),
        };
        Ok(verdict)
    }
}

message!(Verdict, Verdict, wire::Verdict);

/// What only httpd knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// `mod_ssl.is_https()`: has the answer a value?
    IsHttps,
    /// `mod_ssl.var_lookup(name)`.
    SslVariable(Bytes),
    /// `mod_wsgi.server_metrics()`: a [`crate::scoreboard::Scoreboard`], encoded.
    ServerMetrics,
}

impl From<&Ask> for wire::Ask {
    fn from(ask: &Ask) -> Self {
        let (what, name) = match ask {
            Ask::IsHttps => (1, Bytes::new()),
            Ask::SslVariable(name) => (2, name.clone()),
            Ask::ServerMetrics => (3, Bytes::new()),
        };
        Self { what, name }
    }
}

impl TryFrom<wire::Ask> for Ask {
    type Error = String;

    fn try_from(wire: wire::Ask) -> Result<Self, String> {
        match wire.what {
            1 if wire.name.is_empty() => Ok(Ask::IsHttps),
            2 if !wire.name.contains(&0) => Ok(Ask::SslVariable(wire.name)),
            3 if wire.name.is_empty() => Ok(Ask::ServerMetrics),
            other => Err(format!("asks for {other}, which is unknown or not of that name")),
        }
    }
}

message!(Ask, Ask, wire::Ask);

/// The answer to [`Ask`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// None where there is none, or the worker may not know.
    pub value: Option<Bytes>,
}

impl From<&Answer> for wire::Answer {
    fn from(answer: &Answer) -> Self {
        Self { value: answer.value.clone() }
    }
}

impl From<wire::Answer> for Answer {
    fn from(wire: wire::Answer) -> Self {
        Self { value: wire.value }
    }
}

message!(Answer, Answer, wire::Answer);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn verdicts() -> Vec<Verdict> {
        let route = Route {
            process_group: Some(Bytes::new()),
            application_group: None,
            callable: Some("app".into()),
        };
        vec![
            Verdict::Granted,
            Verdict::Denied,
            Verdict::Undecided,
            Verdict::User("ann".into()),
            Verdict::Hash("0123".into()),
            Verdict::Groups(vec![]),
            Verdict::Groups(vec!["staff".into(), "".into()]),
            Verdict::Route(Route::default()),
            Verdict::Route(route),
        ]
    }

    #[test]
    fn every_verdict_survives() {
        for verdict in verdicts() {
            assert_eq!(Verdict::decode(verdict.encode().into()).unwrap(), verdict);
        }
    }

    #[test]
    fn a_verdict_answers_the_hook_that_it_is_for() {
        use Hook::*;
        let all = [Access, Password, RealmHash, Groups, Dispatch];
        let answered =
            |verdict: &Verdict| all.into_iter().filter(|&hook| verdict.answers(hook)).collect::<Vec<_>>();
        let expected: [&[Hook]; 9] = [
            &[Access, Password],
            &[Access, Password],
            &[Access, Password, RealmHash],
            &[Password],
            &[RealmHash],
            &[Groups],
            &[Groups],
            &[Dispatch],
            &[Dispatch],
        ];
        for (verdict, expected) in verdicts().iter().zip(expected) {
            assert_eq!(answered(verdict), expected, "{verdict:?}");
        }
    }

    #[test]
    fn a_verdict_that_says_something_else_as_well_is_refused() {
        let wire = |kind, texts: &[&'static str]| wire::Verdict {
            kind,
            texts: texts.iter().map(|&text| Bytes::from(text)).collect(),
            ..Default::default()
        };
        let odd = [
            wire(0, &[]),
            wire(8, &[]),
            wire(1, &["ann"]),
            wire(4, &[]),
            wire(4, &[""]),
            wire(4, &["ann", "bob"]),
            wire(4, &["root\0x"]),
            wire(5, &[""]),
            wire(6, &["a\0"]),
            wire(7, &["x"]),
            wire::Verdict { callable: Some("app".into()), ..wire(1, &[]) },
            wire::Verdict { callable: Some("a\0".into()), ..wire(7, &[]) },
            wire::Verdict { texts: vec![Bytes::new(); bounds::PAIRS + 1], ..wire(6, &[]) },
        ];
        for wire in odd {
            assert!(Verdict::decode(prost::Message::encode_to_vec(&wire).into()).is_err(), "{wire:?}");
        }
    }

    #[test]
    fn questions_and_answers_survive() {
        for ask in [Ask::IsHttps, Ask::SslVariable("SSL_CLIENT_S_DN".into()), Ask::ServerMetrics] {
            assert_eq!(Ask::decode(ask.encode().into()).unwrap(), ask);
        }
        for value in [None, Some(Bytes::new()), Some("on".into())] {
            let answer = Answer { value };
            assert_eq!(Answer::decode(answer.encode().into()).unwrap(), answer);
        }
    }

    #[test]
    fn an_odd_question_is_refused() {
        for (what, name) in [(0, ""), (9, ""), (1, "x"), (2, "a\0b"), (3, "x")] {
            let wire = wire::Ask { what, name: name.into() };
            assert!(Ask::decode(prost::Message::encode_to_vec(&wire).into()).is_err(), "{wire:?}");
        }
    }
}
