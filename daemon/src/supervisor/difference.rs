//! What a new configuration changes: values in, a list of [`Change`]s out.

use super::pool::PoolKey;
use crate::configuration::Instance;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What happens to one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Its group is gone.
    Close(PoolKey),
    /// Its group is another one now: a new pool takes over when it is ready.
    Replace(PoolKey),
    /// Its group is the same: nobody is touched. A replacement under way is called off.
    Keep(PoolKey),
    /// The configuration names it for the first time, with this script.
    Open(PoolKey, Bytes),
    /// It is there, and the configuration names it.
    Preload(PoolKey, Bytes),
}

/// A pool that is there: whether it serves for a group that is the same in the new configuration.
pub type Present<'a> = BTreeMap<&'a PoolKey, bool>;

/// Compares. `present` holds the pools of this instance.
pub fn between(present: &Present<'_>, new: &Instance) -> Vec<Change> {
    let mut changes = Vec::new();
    for (&key, &same) in present {
        changes.push(match new.groups.contains_key(&key.process_group) {
            false => Change::Close(key.clone()),
            true if same => Change::Keep(key.clone()),
            true => Change::Replace(key.clone()),
        });
    }
    for (key, script) in preloads(new) {
        changes.push(if present.contains_key(&key) {
            Change::Preload(key, script)
        } else {
            Change::Open(key, script)
        });
    }
    changes
}

/// The pools that the configuration names. Of several scripts in one application group the first is
/// what makes a worker ready; the others are imported when they are asked for.
pub fn preloads(instance: &Instance) -> BTreeMap<PoolKey, Bytes> {
    let mut named = BTreeMap::new();
    for preload in &instance.configure.preloads {
        let key = PoolKey {
            instance: instance.configure.instance.clone(),
            process_group: preload.process_group.clone(),
            application_group: preload.application_group.clone(),
        };
        named.entry(key).or_insert_with(|| preload.script.clone());
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
        let group = |name: &&str| GroupDefinition { name: (*name).into(), options: vec![] };
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
            Change::Replace(b.clone()),
            Change::Close(c.clone()),
            Change::Preload(a.clone(), "/a".into()),
            Change::Open(key("d"), "/d".into()),
        ];
        assert_eq!(between(&present, &new), expected);
    }

    #[test]
    fn the_first_configuration_opens_what_it_names() {
        let new = instance(&["a", "b"], &[("b", "/b")]);
        assert_eq!(between(&Present::new(), &new), [Change::Open(key("b"), "/b".into())]);
    }
}
