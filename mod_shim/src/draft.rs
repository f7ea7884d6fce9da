//! The configuration while its directives are read: groups and preloads, each checked where it stands.

use crate::runtime::DeclaredGroup;
use bytes::Bytes;
use nix::unistd::{Group, Uid, User};
use std::collections::HashMap;
use wsgid_proto::control::{Configure, GroupDefinition, Preload};
use wsgid_proto::options::{self, ProcessGroup};

/// What directives have said so far.
#[derive(Debug, Default)]
pub struct Draft {
    groups: Vec<(GroupDefinition, DeclaredGroup)>,
    preloads: Vec<Preload>,
}

/// What is known once all directives are read.
#[derive(Debug, Default)]
pub struct Facts {
    /// Which httpd this is.
    pub instance: String,
    /// Who the children are.
    pub web_uid: u32,
    /// Their group.
    pub web_gid: u32,
    /// The MPM has several threads to a child.
    pub threaded: bool,
    /// `WSGIPythonHome`.
    pub python_home: Option<String>,
    /// `WSGIPythonPath`.
    pub python_path: Option<String>,
    /// `WSGIPythonEggs`.
    pub python_eggs: Option<String>,
    /// `WSGISwitchInterval`.
    pub switch_interval: Option<String>,
}

impl Draft {
    /// Declares a group. `Ok` holds warnings, `Err` the complaints that stop the configuration.
    pub fn group(&mut self, name: &str, options: Vec<(String, Bytes)>) -> Result<Vec<String>, String> {
        if self.knows(name) {
            return Err(format!("Name duplicates previous WSGI daemon definition: '{name}'."));
        }
        let (group, complaints) = options::parse(name, &options);
        let (errors, warnings): (Vec<_>, Vec<_>) = complaints.into_iter().partition(|c| c.is_error());
        let Some(parsed) = group else {
            return Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        };
        check_identity(&parsed)?;
        let definition = GroupDefinition { name: name.into(), options };
        self.groups.push((definition, DeclaredGroup { options: parsed, server: None }));
        Ok(warnings.iter().map(ToString::to_string).collect())
    }

    /// Keeps a group for the virtual hosts of one `ServerName`.
    pub fn bind(&mut self, name: &str, server: &str) {
        for (_, declared) in self.groups.iter_mut().filter(|(definition, _)| definition.name == name) {
            declared.server = Some(server.into());
        }
    }

    /// Is a group of that name declared so far?
    pub fn knows(&self, name: &str) -> bool {
        self.groups.iter().any(|(definition, _)| definition.name == name)
    }

    /// Asks for a script to be imported when its workers start. Once is enough.
    pub fn preload(&mut self, process_group: &str, application_group: &str, script: &[u8]) {
        let known =
            |p: &Preload| p.process_group == process_group && p.application_group == application_group;
        // A pool imports one script ahead of time; others of the same pool when they are asked for.
        if !self.preloads.iter().any(known) && script.first() == Some(&b'/') && !script.ends_with(b"/") {
            self.preloads.push(Preload {
                process_group: process_group.into(),
                application_group: application_group.into(),
                script: Bytes::copy_from_slice(script),
            });
        }
    }

    /// Everything for the daemon, and the groups as requests will look them up.
    pub fn finish(&self, facts: &Facts) -> (Configure, HashMap<String, DeclaredGroup>) {
        let mut definitions = Vec::with_capacity(self.groups.len() + 1);
        let mut groups = HashMap::new();
        for (definition, declared) in &self.groups {
            let mut definition = definition.clone();
            let has_home = definition.options.iter().any(|(key, _)| key == "python-home");
            if let (false, Some(home)) = (has_home, &facts.python_home) {
                definition.options.push(("python-home".into(), Bytes::copy_from_slice(home.as_bytes())));
            }
            groups.insert(definition.name.clone(), declared.clone());
            definitions.push(definition);
        }
        let (definition, declared) = implicit_group(facts);
        groups.insert(definition.name.clone(), declared);
        definitions.push(definition);
        let configuration = Configure {
            instance: facts.instance.clone(),
            web_uid: facts.web_uid,
            web_gid: facts.web_gid,
            groups: definitions,
            preloads: self.preloads.clone(),
        };
        (configuration, groups)
    }
}

/// The group of applications without a `WSGIDaemonProcess`, mod_wsgi's embedded mode: as many threads
/// as an application had to expect under this MPM.
fn implicit_group(facts: &Facts) -> (GroupDefinition, DeclaredGroup) {
    let (processes, threads) = if facts.threaded { ("2", "15") } else { ("8", "1") };
    let mut options =
        vec![("processes".to_string(), processes.to_string()), ("threads".into(), threads.into())];
    let given = [
        ("python-home", &facts.python_home),
        ("python-path", &facts.python_path),
        ("python-eggs", &facts.python_eggs),
        ("switch-interval", &facts.switch_interval),
    ];
    options.extend(given.into_iter().filter_map(|(key, value)| Some((key.to_string(), value.clone()?))));
    let (group, _) = options::parse("", &options);
    let group = group.unwrap_or_else(|| ProcessGroup::named(""));
    let options = options.into_iter().map(|(key, value)| (key, Bytes::from(value))).collect();
    (GroupDefinition { name: String::new(), options }, DeclaredGroup { options: group, server: None })
}

/// Users and groups are looked up where the directive stands, so that a typing error has a line.
fn check_identity(group: &ProcessGroup) -> Result<(), String> {
    if let Some(name) = &group.user {
        let uid = user_id(name).ok_or_else(|| format!("There is no user '{name}'."))?;
        if uid.is_root() {
            return Err("WSGI process blocked from running as root.".into());
        }
    }
    let names = group.group.iter().chain(group.supplementary_groups.iter().flatten());
    for name in names {
        let known = match name.strip_prefix('#') {
            Some(number) => number.parse::<u32>().is_ok(),
            None => Group::from_name(name).ok().flatten().is_some(),
        };
        if !known {
            return Err(format!("There is no group '{name}'."));
        }
    }
    Ok(())
}

fn user_id(name: &str) -> Option<Uid> {
    match name.strip_prefix('#') {
        Some(number) => number.parse().ok().map(Uid::from_raw),
        None => User::from_name(name).ok().flatten().map(|user| user.uid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[(&str, &str)]) -> Vec<(String, Bytes)> {
        list.iter().map(|(k, v)| (k.to_string(), Bytes::copy_from_slice(v.as_bytes()))).collect()
    }

    #[test]
    fn a_name_is_declared_once() {
        let mut draft = Draft::default();
        draft.group("site", vec![]).unwrap();
        assert!(draft.group("site", vec![]).unwrap_err().contains("duplicates"));
        assert!(draft.knows("site"));
        assert!(!draft.knows("other"));
    }

    #[test]
    fn identities_are_checked_at_once() {
        let mut draft = Draft::default();
        for (option, complaint) in [
            (("user", "root"), "blocked from running as root"),
            (("user", "#0"), "blocked from running as root"),
            (("user", "nosuchuser"), "no user 'nosuchuser'"),
            (("group", "nosuchgroup"), "no group 'nosuchgroup'"),
            (("supplementary-groups", "root,nosuchgroup"), "no group 'nosuchgroup'"),
        ] {
            let error = draft.group("g", options(&[option])).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_group_without_a_python_home_gets_the_servers() {
        let mut draft = Draft::default();
        draft.group("own", options(&[("python-home", "/opt/a")])).unwrap();
        draft.group("plain", vec![]).unwrap();
        let facts = Facts {
            python_home: Some("/opt/b".into()),
            python_path: Some("/x:/y".into()),
            ..Default::default()
        };
        let (configuration, _) = draft.finish(&facts);
        let home = |n: usize| {
            let options = &configuration.groups[n].options;
            options.iter().find(|(key, _)| key == "python-home").unwrap().1.clone()
        };
        assert_eq!((home(0), home(1), home(2)), ("/opt/a".into(), "/opt/b".into(), "/opt/b".into()));
        // WSGIPythonPath is for the implicit group alone.
        let with_path =
            |n: usize| configuration.groups[n].options.iter().any(|(key, _)| key == "python-path");
        assert_eq!((with_path(1), with_path(2)), (false, true));
    }

    #[test]
    fn the_implicit_group_has_the_mpms_concurrency() {
        for (threaded, threads) in [(true, 15), (false, 1)] {
            let (_, groups) = Draft::default().finish(&Facts { threaded, ..Default::default() });
            assert_eq!(groups[""].options.threads, threads);
            assert!(groups[""].options.multiprocess);
        }
    }

    #[test]
    fn a_pool_preloads_one_script_and_no_directory() {
        let mut draft = Draft::default();
        draft.group("g", vec![]).unwrap();
        draft.preload("g", "", b"/a.wsgi");
        draft.preload("g", "", b"/b.wsgi");
        draft.preload("g", "x", b"/srv/apps/");
        let (configuration, _) = draft.finish(&Facts::default());
        assert_eq!(configuration.preloads.len(), 1);
        assert_eq!(configuration.preloads[0].script, "/a.wsgi");
    }
}
