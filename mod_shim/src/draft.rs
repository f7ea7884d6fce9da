//! The configuration while its directives are read: groups and preloads, each checked where it stands.

use crate::env_file;
use crate::owner::Owner;
use crate::runtime::DeclaredGroup;
use bytes::Bytes;
use nix::unistd::{Group, Uid, User};
use std::collections::{HashMap, HashSet};
use wsgid_proto::control::{Configure, GroupDefinition, Overlay, Preload};
use wsgid_proto::options::{self, Complaint, ProcessGroup};
use wsgid_proto::server::Server;

/// What directives have said so far.
#[derive(Debug, Default)]
pub struct Draft {
    groups: Vec<(GroupDefinition, DeclaredGroup)>,
    /// Where in `groups` each is: there may be hundreds, and as many lines that ask for one.
    places: HashMap<String, usize>,
    preloads: Vec<Preload>,
    /// The same, and the pools that they are for.
    preloaded: HashSet<Preload>,
    preloaded_pools: HashSet<(String, String)>,
    server_options: Vec<ServerOption>,
    sections: Vec<Section>,
    /// The last of them is being read.
    in_section: bool,
    /// Options whose lack of effect has been told: a configuration may have hundreds of groups.
    told: HashSet<String>,
}

/// One `<WSGIInterpreterOptions>`; a group that it does not name may be any.
#[derive(Debug)]
struct Section {
    process_group: Option<String>,
    application_group: Option<String>,
    options: Options,
}

/// An option of process groups that a directive of the main server stands for.
#[derive(Debug)]
struct ServerOption {
    name: String,
    value: Bytes,
    /// For the implicit group alone: what mod_wsgi does for its embedded mode and for no daemon process.
    implicit_only: bool,
}

/// Options, as they travel.
type Options = Vec<(String, Bytes)>;

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
    /// What httpd says of itself.
    pub server: Server,
}

/// What the files of `env-file` say stands in their place.
fn with_files_read(options: Options) -> Result<Options, String> {
    let mut read = Options::with_capacity(options.len());
    for (key, value) in options {
        if key == "env-file" && value.first() == Some(&b'/') {
            read.extend(env_file::read(&value)?.into_iter().map(|variable| ("env".to_string(), variable)));
        } else {
            read.push((key, value));
        }
    }
    Ok(read)
}

impl Draft {
    /// Declares a group. `Ok` holds warnings, of each option one, `Err` the complaints that stop the configuration.
    pub fn group(&mut self, name: &str, options: Options) -> Result<Vec<String>, String> {
        if self.knows(name) {
            return Err(format!("Name duplicates previous WSGI daemon definition: '{name}'."));
        }
        let options = with_files_read(options)?;
        let (group, complaints) = options::parse(name, &options);
        let (errors, warnings): (Vec<_>, Vec<_>) = complaints.into_iter().partition(|c| c.is_error());
        let Some(parsed) = group else {
            return Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        };
        check_identity(&parsed)?;
        let script_owner = script_owner(&parsed)?;
        let definition = GroupDefinition { name: name.into(), options, ..Default::default() };
        self.places.insert(name.into(), self.groups.len());
        self.groups.push((definition, DeclaredGroup { options: parsed, server: None, script_owner }));
        Ok(warnings.iter().filter(|warning| self.is_news(warning)).map(ToString::to_string).collect())
    }

    fn is_news(&mut self, warning: &Complaint) -> bool {
        match warning {
            Complaint::NoEffect { name, .. } => self.told.insert(name.clone()),
            _ => true,
        }
    }

    /// What comes now, until [`Draft::end_section`], is for these groups.
    pub fn begin_section(&mut self, process_group: Option<String>, application_group: Option<String>) {
        self.sections.push(Section { process_group, application_group, options: Options::new() });
        self.in_section = true;
    }

    /// What comes now is for all again.
    pub fn end_section(&mut self) {
        self.in_section = false;
    }

    /// Sets an option for every group that does not itself, or only for the implicit one; within a section,
    /// for whom that is for.
    pub fn option(&mut self, name: &str, value: &[u8], implicit_only: bool) -> Result<(), String> {
        let sentences = |complaints: Vec<Complaint>| {
            complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        if let (None, complaints) = options::parse("", &[(name, value)]) {
            return Err(sentences(complaints));
        }
        let value = Bytes::copy_from_slice(value);
        if let Some(section) = self.sections.last_mut().filter(|_| self.in_section) {
            let complaints = options::overlay(&mut ProcessGroup::named(""), &[(name, &value)]);
            if !complaints.is_empty() {
                return Err(sentences(complaints));
            }
            section.options.retain(|(key, _)| key != name);
            section.options.push((name.into(), value));
            return Ok(());
        }
        self.server_options.push(ServerOption { name: name.into(), value, implicit_only });
        Ok(())
    }

    /// Keeps a group for the virtual hosts of one `ServerName`.
    pub fn bind(&mut self, name: &str, server: &str) {
        let place = self.places.get(name).and_then(|place| self.groups.get_mut(*place));
        place.into_iter().for_each(|(_, declared)| declared.server = Some(server.into()));
    }

    /// Is a group of that name declared so far?
    pub fn knows(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Asks for a script to be imported when its workers start, after those that were asked for before. Once
    /// is enough; `first` is for a script that nobody has asked for, and that is worth beginning with.
    pub fn preload(&mut self, process_group: &str, application_group: &str, script: &[u8], first: bool) {
        let preload = Preload {
            process_group: process_group.into(),
            application_group: application_group.into(),
            script: Bytes::copy_from_slice(script),
        };
        let pool = (preload.process_group.clone(), preload.application_group.clone());
        let superfluous = first && self.preloaded_pools.contains(&pool);
        let is_script = script.first() == Some(&b'/') && !script.ends_with(b"/");
        if is_script && !superfluous && self.preloaded.insert(preload.clone()) {
            self.preloaded_pools.insert(pool);
            self.preloads.push(preload);
        }
    }

    /// Everything for the daemon, and the groups as requests will look them up.
    pub fn finish(&self, facts: &Facts) -> (Configure, HashMap<String, DeclaredGroup>) {
        let mut definitions = Vec::with_capacity(self.groups.len() + 1);
        let mut groups = HashMap::new();
        for (definition, declared) in &self.groups {
            let mut definition = definition.clone();
            let missing = self.server_options.iter().filter(|default| {
                !default.implicit_only && !definition.options.iter().any(|(key, _)| *key == default.name)
            });
            let missing: Options = missing.map(ServerOption::pair).collect();
            definition.options.extend(missing);
            definition.overlays = self.overlays_of(&definition.name);
            groups.insert(definition.name.clone(), declared.clone());
            definitions.push(definition);
        }
        let (definition, declared) = self.implicit_group(facts);
        groups.insert(definition.name.clone(), declared);
        definitions.push(definition);
        let configuration = Configure {
            instance: facts.instance.clone(),
            web_uid: facts.web_uid,
            web_gid: facts.web_gid,
            groups: definitions,
            preloads: self.preloads.clone(),
            server: facts.server.clone(),
        };
        (configuration, groups)
    }

    /// The group of applications without a `WSGIDaemonProcess`, mod_wsgi's embedded mode: as many threads
    /// as an application had to expect under this MPM.
    fn implicit_group(&self, facts: &Facts) -> (GroupDefinition, DeclaredGroup) {
        let (processes, threads) = if facts.threaded { ("2", "15") } else { ("8", "1") };
        let mut options: Options =
            vec![("processes".into(), processes.into()), ("threads".into(), threads.into())];
        options.extend(self.server_options.iter().map(ServerOption::pair));
        let (group, _) = options::parse("", &options);
        let group = group.unwrap_or_else(|| ProcessGroup::named(""));
        let definition = GroupDefinition { name: String::new(), options, overlays: self.overlays_of("") };
        (definition, DeclaredGroup { options: group, server: None, script_owner: None })
    }

    /// What can be known to have no effect only when all directives are read.
    pub fn warnings(&self) -> Vec<String> {
        let names = self.sections.iter().filter_map(|section| section.process_group.as_ref());
        let unknown = names.filter(|name| !name.is_empty() && !self.knows(name));
        let sentence = |name: &String| {
            format!(
                "<WSGIInterpreterOptions process-group={name}> has no effect: no such process group is declared."
            )
        };
        unknown.map(sentence).collect()
    }

    /// What sections say of a process group, lightest first: the one that names more groups weighs more, and
    /// among equals the later one.
    fn overlays_of(&self, process_group: &str) -> Vec<Overlay> {
        let is_for = |section: &&Section| {
            section.process_group.as_ref().is_none_or(|name| name == process_group)
                && !section.options.is_empty()
        };
        let mut sections: Vec<&Section> = self.sections.iter().filter(is_for).collect();
        sections.sort_by_key(|section| section.names());
        let overlay = |section: &Section| Overlay {
            application_group: section.application_group.clone(),
            options: section.options.clone(),
        };
        sections.into_iter().map(overlay).collect()
    }
}

impl Section {
    fn names(&self) -> usize {
        usize::from(self.process_group.is_some()) + usize::from(self.application_group.is_some())
    }
}

impl ServerOption {
    fn pair(&self) -> (String, Bytes) {
        (self.name.clone(), self.value.clone())
    }
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
        group_id(name)?;
    }
    Ok(())
}

/// `script-user=` or `script-group=`, of which a group has one at most.
fn script_owner(group: &ProcessGroup) -> Result<Option<Owner>, String> {
    if let Some(name) = &group.script_user {
        let uid = user_id(name).ok_or_else(|| format!("There is no user '{name}'."))?;
        return Ok(Some(Owner::User(uid.as_raw())));
    }
    group.script_group.as_deref().map(|name| group_id(name).map(Owner::Group)).transpose()
}

fn group_id(name: &str) -> Result<u32, String> {
    let known = match name.strip_prefix('#') {
        Some(number) => number.parse().ok(),
        None => Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw()),
    };
    known.ok_or_else(|| format!("There is no group '{name}'."))
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
    fn an_option_without_effect_is_told_once() {
        let mut draft = Draft::default();
        let mut told =
            |group: &str, option: &str| draft.group(group, options(&[(option, "web")])).unwrap().len();
        assert_eq!(
            (told("a", "socket-user"), told("b", "socket-user"), told("c", "newrelic-environment")),
            (1, 0, 1)
        );
    }

    #[test]
    fn identities_are_checked_at_once() {
        let mut draft = Draft::default();
        for (option, complaint) in [
            (("user", "root"), "blocked from running as root"),
            (("user", "#0"), "blocked from running as root"),
            (("user", "nosuchuser"), "no user 'nosuchuser'"),
            (("group", "nosuchgroup"), "no group 'nosuchgroup'"),
            (("script-user", "nosuchuser"), "no user 'nosuchuser'"),
            (("script-group", "nosuchgroup"), "no group 'nosuchgroup'"),
            (("supplementary-groups", "root,nosuchgroup"), "no group 'nosuchgroup'"),
        ] {
            let error = draft.group("g", options(&[option])).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }

    fn values<'a>(group: &'a GroupDefinition, wanted: &str) -> Vec<&'a str> {
        let named = group.options.iter().filter(|(key, _)| key == wanted);
        named.map(|(_, value)| std::str::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn the_servers_options_are_for_groups_that_do_not_say() {
        let mut draft = Draft::default();
        draft.group("own", options(&[("python-home", "/opt/a"), ("python-warnings", "error")])).unwrap();
        draft.group("plain", vec![]).unwrap();
        for (name, value, implicit_only) in [
            ("python-home", "/opt/b", false),
            ("python-warnings", "default", false),
            ("python-warnings", "ignore", false),
            ("python-path", "/x:/y", true),
        ] {
            draft.option(name, value.as_bytes(), implicit_only).unwrap();
        }
        let (configuration, _) = draft.finish(&Facts::default());
        let [own, plain, implicit] = &configuration.groups[..] else { panic!() };
        assert_eq!(
            [own, plain, implicit].map(|group| values(group, "python-home")),
            [["/opt/a"], ["/opt/b"], ["/opt/b"]]
        );
        assert_eq!(values(own, "python-warnings"), ["error"]);
        assert_eq!(values(plain, "python-warnings"), ["default", "ignore"]);
        assert!(values(plain, "python-path").is_empty());
        assert_eq!(values(implicit, "python-path"), ["/x:/y"]);
    }

    #[test]
    fn a_servers_option_is_checked_where_it_stands() {
        let complaint = Draft::default().option("python-hash-seed", b"-1", false).unwrap_err();
        assert!(complaint.contains("python-hash-seed") && complaint.contains("'-1'"), "{complaint}");
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
    fn a_pool_preloads_each_script_once_and_no_directory() {
        let mut draft = Draft::default();
        draft.group("g", vec![]).unwrap();
        draft.preload("g", "", b"/a.wsgi", false);
        draft.preload("g", "", b"/b.wsgi", false);
        draft.preload("g", "", b"/a.wsgi", false);
        draft.preload("g", "", b"/c.wsgi", true);
        draft.preload("g", "x", b"/srv/apps/", false);
        draft.preload("g", "x", b"/d.wsgi", true);
        let (configuration, _) = draft.finish(&Facts::default());
        let scripts: Vec<_> = configuration.preloads.iter().map(|preload| &preload.script[..]).collect();
        assert_eq!(scripts, [b"/a.wsgi", b"/b.wsgi", b"/d.wsgi"]);
    }

    #[test]
    fn sections_weigh_by_what_they_name_and_then_by_their_order() {
        let mut draft = Draft::default();
        draft.group("g", vec![]).unwrap();
        for (number, (process, application)) in [
            (Some("g"), Some("x")),
            (None, None),
            (None, Some("x")),
            (Some("g"), None),
            (Some("other"), None),
            (Some(""), None),
        ]
        .into_iter()
        .enumerate()
        {
            draft.begin_section(process.map(String::from), application.map(String::from));
            draft.option("switch-interval", format!("{}", number + 1).as_bytes(), true).unwrap();
            assert!(draft.option("python-optimize", b"1", false).is_err(), "for whole groups only");
            draft.end_section();
        }
        draft.option("switch-interval", b"9", true).unwrap();
        let (configuration, _) = draft.finish(&Facts::default());
        let overlays = |number: usize| -> Vec<(Option<&str>, &[u8])> {
            let overlays = configuration.groups[number].overlays.iter();
            overlays
                .map(|overlay| (overlay.application_group.as_deref(), &overlay.options[0].1[..]))
                .collect()
        };
        let both: [(_, &[u8]); 4] = [(None, b"2"), (Some("x"), b"3"), (None, b"4"), (Some("x"), b"1")];
        assert_eq!(overlays(0), both);
        let [warning] = &draft.warnings()[..] else { panic!("{:?}", draft.warnings()) };
        assert!(warning.contains("process-group=other>"), "{warning}");
        assert_eq!(overlays(1), [(None, &b"2"[..]), (Some("x"), b"3"), (None, b"6")]);
    }
}
