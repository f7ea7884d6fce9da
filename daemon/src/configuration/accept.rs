//! A `Configure` message becomes an [`Instance`], or is refused whole. The daemon trusts no peer:
//! options are parsed here again, with the parser that the module has used already.

use super::Accounts;
use super::identity::{self, Identity, Privilege};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use wsgid_proto::Message;
use wsgid_proto::control::{Configure, GroupDefinition, Overlay};
use wsgid_proto::options::{self, Complaint, ProcessGroup};
use wsgid_proto::server::Server;

/// One process group, ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// As it was configured: what decides whether a group has changed.
    pub definition: GroupDefinition,
    /// Its options.
    pub options: ProcessGroup,
    /// As whom it runs.
    pub identity: Identity,
    /// Who may connect to its workers.
    pub web_uid: u32,
    /// That user's group.
    pub web_gid: u32,
    /// Which httpd that is. Workers of another do as well: see [`Group::same_as`].
    pub server: Arc<Server>,
}

impl Group {
    /// Its name for people: the implicit group has none.
    pub fn title(&self) -> &str {
        if self.definition.name.is_empty() { "(implicit)" } else { &self.definition.name }
    }

    /// The group as it is for one application: with the overlays that concern it, and no others.
    pub fn for_application(self: &Arc<Self>, application_group: &str) -> Arc<Self> {
        if self.definition.overlays.is_empty() {
            return self.clone();
        }
        let mut own = Group::clone(self);
        let is_for = |overlay: &Overlay| {
            overlay.application_group.as_ref().is_none_or(|name| name == application_group)
        };
        own.definition.overlays.retain(is_for);
        for overlay in &own.definition.overlays {
            options::overlay(&mut own.options, &overlay.options);
        }
        Arc::new(own)
    }

    /// What tells it from every group whose workers would not do for it, across daemons.
    pub fn fingerprint(&self) -> Bytes {
        let alone = Configure {
            web_uid: self.web_uid,
            web_gid: self.web_gid,
            groups: vec![self.definition.clone()],
            ..Default::default()
        };
        alone.encode().into()
    }

    /// Would workers of the one do for the other?
    pub fn same_as(&self, other: &Group) -> bool {
        self.definition == other.definition && (self.web_uid, self.web_gid) == (other.web_uid, other.web_gid)
    }
}

/// One httpd's configuration, checked.
#[derive(Debug, Clone)]
pub struct Instance {
    /// What was sent, to be kept.
    pub configure: Configure,
    /// Its groups by name.
    pub groups: BTreeMap<String, Arc<Group>>,
}

/// Checks a configuration. The sentences of a refusal stand together, so that the administrator
/// sees every mistake at once; warnings come with the instance.
pub fn accept(
    configure: Configure,
    privilege: &Privilege,
    accounts: &dyn Accounts,
) -> Result<(Instance, Vec<String>), String> {
    let mut groups = BTreeMap::new();
    let mut warnings = Vec::new();
    let mut refusals = Vec::new();
    let web =
        Web { uid: configure.web_uid, gid: configure.web_gid, server: Arc::new(configure.server.clone()) };
    for definition in &configure.groups {
        match accept_group(definition, &web, privilege, accounts) {
            Ok((group, said)) => {
                groups.insert(definition.name.clone(), Arc::new(group));
                warnings.extend(said);
            }
            Err(said) => refusals.extend(said),
        }
    }
    warnings.extend(idle_services(&configure, &groups));
    warnings.extend(lonely_templates(&groups));
    if refusals.is_empty() {
        Ok((Instance { configure, groups }, warnings))
    } else {
        Err(refusals.join("; "))
    }
}

/// Groups without request threads in which no script runs either.
fn idle_services(configure: &Configure, groups: &BTreeMap<String, Arc<Group>>) -> Vec<String> {
    let has_script = |name: &str| configure.preloads.iter().any(|preload| preload.process_group == name);
    let idle = groups.iter().filter(|(name, group)| group.options.is_service() && !has_script(name));
    let sentence = |(name, _): (&String, _)| {
        format!("WSGI process group '{name}' has threads=0 and no WSGIImportScript: nothing runs in it.")
    };
    idle.map(sentence).collect()
}

/// Groups whose workers would be copies of a template, if they had more than one.
fn lonely_templates(groups: &BTreeMap<String, Arc<Group>>) -> Vec<String> {
    let lonely = groups.iter().filter(|(_, group)| group.options.preload && group.options.is_service());
    let sentence = |(name, _): (&String, _)| {
        format!("WSGI process group '{name}': preload=on has no effect with threads=0.")
    };
    lonely.map(sentence).collect()
}

/// The web server that sent the configuration.
struct Web {
    uid: u32,
    gid: u32,
    server: Arc<Server>,
}

fn accept_group(
    definition: &GroupDefinition,
    web: &Web,
    privilege: &Privilege,
    accounts: &dyn Accounts,
) -> Result<(Group, Vec<String>), Vec<String>> {
    let (parsed, complaints) = options::parse(&definition.name, &definition.options);
    let Some(options) = parsed else {
        let sentence =
            |complaint: &Complaint| format!("WSGI process group '{}': {complaint}", definition.name);
        return Err(complaints.iter().filter(|complaint| complaint.is_error()).map(sentence).collect());
    };
    if options.chroot.is_some() && !matches!(privilege, Privilege::Root { .. }) {
        return Err(vec![format!(
            "WSGI process group '{}': chroot= takes a daemon that runs as root, and is not left out otherwise",
            definition.name
        )]);
    }
    let mut trial = options.clone();
    let refusals: Vec<String> = (definition.overlays.iter())
        .flat_map(|overlay| options::overlay(&mut trial, &overlay.options))
        .map(|complaint| format!("WSGI process group '{}': {complaint}", definition.name))
        .collect();
    if !refusals.is_empty() {
        return Err(refusals);
    }
    // Which options have no effect the module has said, where they stand.
    let mut warnings = Vec::new();
    let (identity, warning) = identity::resolve(&options, (web.uid, web.gid), privilege, accounts)
        .map_err(|refusal| vec![refusal.to_string()])?;
    warnings.extend(warning);
    let group = Group {
        definition: definition.clone(),
        options,
        identity,
        web_uid: web.uid,
        web_gid: web.gid,
        server: web.server.clone(),
    };
    Ok((group, warnings))
}

#[cfg(test)]
mod tests {
    use super::super::accounts::fixture::Few;
    use super::*;

    fn definition(name: &str, options: &[(&str, &'static str)]) -> GroupDefinition {
        let options = options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        GroupDefinition { name: name.into(), options, overlays: vec![] }
    }

    fn accepted(groups: Vec<GroupDefinition>) -> Result<(Instance, Vec<String>), String> {
        let configure = Configure { web_uid: 33, web_gid: 33, groups, ..Default::default() };
        accept(configure, &Privilege::Root { allow_root: false }, &Few)
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let groups = vec![
            definition("a", &[("user", "eve")]),
            definition("b", &[("processes", "0"), ("nonsense", "1")]),
            definition("c", &[]),
        ];
        let refusal = accepted(groups).unwrap_err();
        for part in ["'a'", "'eve'", "'b'", "processes", "nonsense"] {
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn what_has_no_effect_is_the_modules_to_say() {
        let (instance, warnings) =
            accepted(vec![definition("a", &[("socket-user", "bob")]), definition("", &[])]).unwrap();
        assert_eq!((instance.groups.len(), warnings.len()), (2, 0));
    }

    #[test]
    fn an_application_has_the_overlays_that_are_for_it() {
        let overlay = |name: Option<&str>, path: &'static str| Overlay {
            application_group: name.map(String::from),
            options: vec![("python-path".into(), path.into())],
        };
        let overlays = vec![overlay(None, "/all"), overlay(Some("x"), "/x")];
        let group = GroupDefinition { overlays, ..definition("a", &[("python-path", "/base")]) };
        let (instance, _) = accepted(vec![group.clone()]).unwrap();
        let of = |name: &str| instance.groups["a"].for_application(name);
        assert_eq!(of("x").options.python_path, ["/x", "/all", "/base"]);
        assert_eq!(of("y").options.python_path, ["/all", "/base"]);
        // Another overlay for x makes another x, and the same y.
        let changed =
            GroupDefinition { overlays: vec![overlay(None, "/all"), overlay(Some("x"), "/z")], ..group };
        let (after, _) = accepted(vec![changed]).unwrap();
        let same = |name: &str| of(name).same_as(&after.groups["a"].for_application(name));
        assert_eq!((same("x"), same("y")), (false, true));
    }

    #[test]
    fn an_overlay_of_what_is_for_whole_groups_is_refused() {
        let overlay = Overlay { application_group: None, options: vec![("user".into(), "bob".into())] };
        let group = GroupDefinition { overlays: vec![overlay], ..definition("a", &[]) };
        assert!(accepted(vec![group]).unwrap_err().contains("'user'"));
    }

    #[test]
    fn a_service_without_a_script_is_worth_a_warning() {
        let (_, warnings) = accepted(vec![definition("a", &[("threads", "0")])]).unwrap();
        assert!(warnings.iter().any(|warning| warning.contains("'a'") && warning.contains("threads=0")));
    }

    #[test]
    fn another_web_user_makes_another_group() {
        let (instance, _) = accepted(vec![definition("a", &[("threads", "3")])]).unwrap();
        let group = &instance.groups["a"];
        assert!(group.same_as(group));
        assert!(!group.same_as(&Group { web_gid: 99, ..(**group).clone() }));
        let newer = Arc::new(Server { version: vec![2, 5, 0], ..Default::default() });
        assert!(group.same_as(&Group { server: newer, ..(**group).clone() }));
        let changed = definition("a", &[("threads", "4")]);
        assert!(!group.same_as(&Group { definition: changed, ..(**group).clone() }));
    }
}
