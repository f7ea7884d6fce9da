//! What a new configuration changes: values in, a list of [`Change`]s out.

use super::pool::PoolKey;
use crate::configuration::{Group, Instance};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What happens to one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Its group is gone, or the scripts of a service are.
    Close(PoolKey),
    /// Its group is another one now: a new pool takes over when it is ready. Does the configuration name it?
    Replace(PoolKey, bool),
    /// Its group is the same: nobody is touched. A replacement under way is called off.
    Keep(PoolKey),
    /// The configuration names it for the first time, with these scripts.
    Open(PoolKey, Vec<Bytes>),
    /// It is there, and the configuration names it.
    Preload(PoolKey, Vec<Bytes>),
    /// It is kept, and the configuration does not name it, or no more.
    Unload(PoolKey),
}

impl Change {
    /// Which pool.
    pub fn key(&self) -> &PoolKey {
        match self {
            Change::Close(key) | Change::Replace(key, _) | Change::Keep(key) | Change::Unload(key) => key,
            Change::Open(key, _) | Change::Preload(key, _) => key,
        }
    }
}

/// A pool that is there: whether it serves for a group that is the same in the new configuration.
pub type Present<'a> = BTreeMap<&'a PoolKey, bool>;

/// Compares. `present` holds the pools of this instance.
pub fn between(present: &Present<'_>, new: &Instance) -> Vec<Change> {
    let mut changes = Vec::new();
    let named = preloads(new);
    for (&key, &same) in present {
        let group = new.groups.get(&key.process_group);
        let has_work = |group: &Group| !group.options.is_service() || named.contains_key(key);
        if !group.is_some_and(|group| has_work(group)) {
            changes.push(Change::Close(key.clone()));
            continue;
        }
        match (same, named.contains_key(key)) {
            (true, true) => changes.push(Change::Keep(key.clone())),
            (true, false) => changes.extend([Change::Keep(key.clone()), Change::Unload(key.clone())]),
            (false, is_named) => changes.push(Change::Replace(key.clone(), is_named)),
        }
    }
    for (key, scripts) in named {
        changes.push(if present.contains_key(&key) {
            Change::Preload(key, scripts)
        } else {
            Change::Open(key, scripts)
        });
    }
    changes
}

/// The pools that the configuration names, with their scripts in its order.
pub fn preloads(instance: &Instance) -> BTreeMap<PoolKey, Vec<Bytes>> {
    let mut named: BTreeMap<PoolKey, Vec<Bytes>> = BTreeMap::new();
    for preload in &instance.configure.preloads {
        let key = PoolKey {
            instance: instance.configure.instance.clone(),
            process_group: preload.process_group.clone(),
            application_group: preload.application_group.clone(),
        };
        named.entry(key).or_default().push(preload.script.clone());
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::accounts::fixture::Few;
    use crate::configuration::{Privilege, accept};
    use wsgid_proto::control::{Configure, GroupDefinition, Preload};

    fn instance(groups: &[&str], preloads: &[(&str, &str)]) -> Instance {
        let group = |name: &&str| {
            let options = name.strip_suffix('0').map(|_| ("threads".into(), "0".into()));
            GroupDefinition { name: (*name).into(), options: options.into_iter().collect(), overlays: vec![] }
        };
        let preload = |(group, script): &(&str, &str)| Preload {
            process_group: (*group).into(),
            application_group: String::new(),
            script: Bytes::copy_from_slice(script.as_bytes()),
        };
        let configure = Configure {
            instance: "i".into(),
            web_uid: 33,
            web_gid: 33,
            groups: groups.iter().map(group).collect(),
            preloads: preloads.iter().map(preload).collect(),
            ..Default::default()
        };
        accept(configure, &Privilege::Root { allow_root: false }, &Few).unwrap().0
    }

    fn key(group: &str) -> PoolKey {
        PoolKey { instance: "i".into(), process_group: group.into(), application_group: String::new() }
    }

    #[test]
    fn each_pool_has_its_change() {
        let (a, b, c) = (key("a"), key("b"), key("c"));
        let present = Present::from([(&a, true), (&b, false), (&c, true)]);
        let new = instance(&["a", "b", "d"], &[("a", "/a"), ("d", "/d"), ("d", "/second")]);
        let expected = [
            Change::Keep(a.clone()),
            Change::Replace(b.clone(), false),
            Change::Close(c.clone()),
            Change::Preload(a.clone(), vec!["/a".into()]),
            Change::Open(key("d"), vec!["/d".into(), "/second".into()]),
        ];
        assert_eq!(between(&present, &new), expected);
    }

    #[test]
    fn a_pool_that_is_not_named_any_more_unloads() {
        let (a, b) = (key("a"), key("b"));
        let present = Present::from([(&a, true), (&b, false)]);
        let changes = between(&present, &instance(&["a", "b"], &[("b", "/b")]));
        let preload = Change::Preload(b.clone(), vec!["/b".into()]);
        let expected =
            [Change::Keep(a.clone()), Change::Unload(a.clone()), Change::Replace(b.clone(), true), preload];
        assert_eq!(changes, expected);
    }

    #[test]
    fn the_first_configuration_opens_what_it_names() {
        let new = instance(&["a", "b"], &[("b", "/b")]);
        assert_eq!(between(&Present::new(), &new), [Change::Open(key("b"), vec!["/b".into()])]);
    }

    #[test]
    fn a_service_without_its_script_is_closed() {
        let (a, b) = (key("a0"), key("b0"));
        let present = Present::from([(&a, true), (&b, true)]);
        let new = instance(&["a0", "b0"], &[("b0", "/b")]);
        let preload = Change::Preload(b.clone(), vec!["/b".into()]);
        assert_eq!(between(&present, &new), [Change::Close(a.clone()), Change::Keep(b.clone()), preload]);
    }
}
