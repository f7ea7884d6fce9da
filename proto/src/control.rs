//! `control.sock`: the Apache parent tells the daemon its configuration; `wsgictl` asks and orders.
//! Only root and the daemon's own user may speak here.

use crate::message::{message, plain_message};
use crate::server::Server;
use crate::{bounds, wire};
use bytes::Bytes;

/// One process group as the configuration declares it. The options travel as they were written and
/// are parsed by [`crate::options`] on both sides; two definitions are the same when they are equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupDefinition {
    /// `""` is the implicit group, for applications without `WSGIDaemonProcess`.
    pub name: String,
    /// Keys and values.
    pub options: Vec<(String, Bytes)>,
    /// What single applications have otherwise; those that weigh more come later.
    pub overlays: Vec<Overlay>,
}

/// Options over those of a group: one of `<WSGIInterpreterOptions>` that is for the group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlay {
    /// For this application group alone.
    pub application_group: Option<String>,
    /// Keys and values; see [`crate::options::overlay`].
    pub options: Vec<(String, Bytes)>,
}

/// An application that is imported before its workers are ready.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Preload {
    /// A group of the same configuration.
    pub process_group: String,
    /// Without `%{…}`.
    pub application_group: String,
    /// Absolute path of the script.
    pub script: Bytes,
}

/// The configuration of one httpd instance, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configure {
    /// Which httpd: its process id file, which is unique on a host.
    pub instance: String,
    /// Who the httpd children are; they alone may open this instance's pools.
    pub web_uid: u32,
    /// Their group.
    pub web_gid: u32,
    /// Every group, names unique.
    pub groups: Vec<GroupDefinition>,
    /// What to import at start.
    pub preloads: Vec<Preload>,
    /// What it tells of itself. No part of a group, so that another httpd replaces no worker.
    pub server: Server,
}

impl From<&Configure> for wire::Configure {
    fn from(from: &Configure) -> Self {
        let group = |group: &GroupDefinition| wire::Group {
            name: group.name.clone(),
            options: to_wire(&group.options),
            overlays: group.overlays.iter().map(wire::Overlay::from).collect(),
        };
        let preload = |preload: &Preload| wire::Preload {
            process_group: preload.process_group.clone(),
            application_group: preload.application_group.clone(),
            script: preload.script.clone(),
        };
        Self {
            instance: from.instance.clone(),
            web_uid: from.web_uid,
            web_gid: from.web_gid,
            groups: from.groups.iter().map(group).collect(),
            preloads: from.preloads.iter().map(preload).collect(),
            server: from.server.clone().into(),
        }
    }
}

impl TryFrom<wire::Configure> for Configure {
    type Error = String;

    fn try_from(from: wire::Configure) -> Result<Self, String> {
        name_fits("instance", &from.instance)?;
        if from.groups.len() > bounds::GROUPS || from.preloads.len() > bounds::GROUPS {
            return Err(format!("has more than {} groups or preloads", bounds::GROUPS));
        }
        let mut groups: Vec<GroupDefinition> = Vec::with_capacity(from.groups.len());
        let mut names = std::collections::HashSet::new();
        for group in from.groups {
            name_fits("process group", &group.name)?;
            if !names.insert(group.name.clone()) {
                return Err(format!("declares the process group '{}' twice", group.name));
            }
            let overlays = group.overlays.into_iter().map(Overlay::try_from).collect::<Result<_, _>>()?;
            groups.push(GroupDefinition { name: group.name, options: from_wire(group.options), overlays });
        }
        let mut preloads = Vec::with_capacity(from.preloads.len());
        for preload in from.preloads {
            if !names.contains(&preload.process_group) {
                return Err(format!("preloads into the unknown process group '{}'", preload.process_group));
            }
            name_fits("application group", &preload.application_group)?;
            if preload.script.first() != Some(&b'/') {
                return Err("preloads a script that is not an absolute path".into());
            }
            preloads.push(Preload {
                process_group: preload.process_group,
                application_group: preload.application_group,
                script: preload.script,
            });
        }
        Ok(Self {
            instance: from.instance,
            web_uid: from.web_uid,
            web_gid: from.web_gid,
            groups,
            preloads,
            server: from.server.into(),
        })
    }
}

message!(Configure, Configure, wire::Configure);

fn to_wire(options: &[(String, Bytes)]) -> Vec<wire::Option> {
    let option = |(key, value): &(String, Bytes)| wire::Option { key: key.clone(), value: value.clone() };
    options.iter().map(option).collect()
}

fn from_wire(options: Vec<wire::Option>) -> Vec<(String, Bytes)> {
    options.into_iter().map(|option| (option.key, option.value)).collect()
}

impl From<&Overlay> for wire::Overlay {
    fn from(from: &Overlay) -> Self {
        Self { application_group: from.application_group.clone(), options: to_wire(&from.options) }
    }
}

impl TryFrom<wire::Overlay> for Overlay {
    type Error = String;

    fn try_from(from: wire::Overlay) -> Result<Self, String> {
        from.application_group.iter().try_for_each(|name| name_fits("application group", name))?;
        Ok(Self { application_group: from.application_group, options: from_wire(from.options) })
    }
}

/// Names travel in every request and key the daemon's maps.
pub(crate) fn name_fits(what: &str, name: &str) -> Result<(), String> {
    if name.len() > bounds::GROUP_NAME {
        return Err(format!(
            "has a name of {} bytes for its {what}, over the bound of {}",
            name.len(),
            bounds::GROUP_NAME
        ));
    }
    if name.contains('\0') {
        return Err(format!("has a NUL in the name of its {what}"));
    }
    Ok(())
}

plain_message! {
    /// The daemon's answer to [`Configure`].
    Configured {
        /// What an administrator should know, each a sentence that names the group.
        warnings: Vec<String>,
        /// Why nothing was taken over; empty if it was.
        refusal: String,
    }
}

plain_message! {
    /// Does the daemon have a configuration of this instance?
    Known {
        /// As in [`Configure::instance`].
        instance: String,
    }
}

plain_message! {
    /// The answer to [`Known`].
    KnownReply {
        /// It has.
        known: bool,
    }
}

plain_message! {
    /// What httpd's own threads are doing, for the workers that may know. Answered by [`Done`].
    PostScores {
        /// As in [`Configure::instance`].
        instance: String,
        /// A [`crate::scoreboard::Scoreboard`], encoded; the daemon does not look into it.
        board: Bytes,
    }
}

plain_message! {
    /// What runs?
    StatusQuery {}
}

plain_message! {
    /// Start new workers for a process group and let the old ones drain.
    ReloadGroup {
        /// Its name.
        process_group: String,
        /// Every other, too.
        all: bool,
    }
}

plain_message! {
    /// The answer to an order.
    Done {
        /// How many pools it touched.
        affected: u32,
        /// Why it was not done; empty if it was.
        refusal: String,
    }
}

/// One worker as `wsgictl status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct WorkerStatus {
    pub pid: u32,
    pub slot: u32,
    pub serial: u32,
    pub state: String,
    pub claimed: u32,
    pub requests: u64,
}

/// One pool as `wsgictl status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct PoolStatus {
    pub instance: String,
    pub process_group: String,
    pub application_group: String,
    pub workers: Vec<WorkerStatus>,
    /// Why it cannot serve; empty if it can.
    pub trouble: String,
}

/// The answer to [`StatusQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Every pool.
    pub pools: Vec<PoolStatus>,
    /// Since the daemon started.
    pub uptime_seconds: u64,
}

impl From<&Status> for wire::Status {
    fn from(from: &Status) -> Self {
        let worker = |w: &WorkerStatus| wire::WorkerStatus {
            pid: w.pid,
            slot: w.slot,
            serial: w.serial,
            state: w.state.clone(),
            claimed: w.claimed,
            requests: w.requests,
        };
        let pool = |p: &PoolStatus| wire::PoolStatus {
            instance: p.instance.clone(),
            process_group: p.process_group.clone(),
            application_group: p.application_group.clone(),
            workers: p.workers.iter().map(worker).collect(),
            trouble: p.trouble.clone(),
        };
        Self { pools: from.pools.iter().map(pool).collect(), uptime_seconds: from.uptime_seconds }
    }
}

impl From<wire::Status> for Status {
    fn from(from: wire::Status) -> Self {
        let worker = |w: wire::WorkerStatus| WorkerStatus {
            pid: w.pid,
            slot: w.slot,
            serial: w.serial,
            state: w.state,
            claimed: w.claimed,
            requests: w.requests,
        };
        let pool = |p: wire::PoolStatus| PoolStatus {
            instance: p.instance,
            process_group: p.process_group,
            application_group: p.application_group,
            workers: p.workers.into_iter().map(worker).collect(),
            trouble: p.trouble,
        };
        Self { pools: from.pools.into_iter().map(pool).collect(), uptime_seconds: from.uptime_seconds }
    }
}

message!(Status, Status, wire::Status);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn a_configuration_survives() {
        let configure = Configure {
            instance: "/run/apache2.pid".into(),
            web_uid: 33,
            web_gid: 33,
            groups: vec![GroupDefinition {
                name: "site".into(),
                options: vec![("threads".into(), "5".into())],
                overlays: [None, Some("www")]
                    .map(|name| Overlay {
                        application_group: name.map(String::from),
                        options: vec![("restrict-stdin".into(), "On".into())],
                    })
                    .to_vec(),
            }],
            preloads: vec![Preload {
                process_group: "site".into(),
                application_group: "".into(),
                script: "/a".into(),
            }],
            server: Server {
                version: vec![2, 4, 62],
                description: "Apache/2.4.62".into(),
                ..Default::default()
            },
        };
        assert_eq!(Configure::decode(configure.encode().into()).unwrap(), configure);
    }

    #[test]
    fn a_configuration_that_contradicts_itself_is_refused() {
        let group = |name: &str| GroupDefinition { name: name.into(), ..Default::default() };
        let twice = Configure { groups: vec![group("a"), group("a")], ..Default::default() };
        assert!(Configure::decode(twice.encode().into()).is_err());
        let preload = |group: &str, script: &'static str| Configure {
            groups: vec![self::GroupDefinition { name: "a".into(), ..Default::default() }],
            preloads: vec![Preload {
                process_group: group.into(),
                script: script.into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert!(Configure::decode(preload("a", "/x").encode().into()).is_ok());
        assert!(Configure::decode(preload("b", "/x").encode().into()).is_err());
        assert!(Configure::decode(preload("a", "x").encode().into()).is_err());
        let long =
            Configure { groups: vec![group(&"x".repeat(bounds::GROUP_NAME + 1))], ..Default::default() };
        assert!(Configure::decode(long.encode().into()).is_err());
    }
}
