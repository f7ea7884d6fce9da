//! A `python-home`: is it an environment, is its interpreter there for the group's user, and is it one
//! that can be served? Names, modes and `pyvenv.cfg` tell; no interpreter is started.

use super::probe::{Kind, Probe};
use super::way::{End, Need, Walker, way};
use std::path::{Path, PathBuf};
use wsgid_proto::launch::EXTENSIONS;

/// The oldest that is served.
const OLDEST: (u32, u32) = (3, 9);

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The way to the interpreter or to the home ends elsewhere.
    Way { to: PathBuf, end: End },
    /// Nothing in it looks like Python.
    NoEnvironment,
    /// An environment without its program.
    NoInterpreter,
    /// `bin/python` is something else.
    NotAProgram(PathBuf),
    /// Of before 3.9.
    Old(u32, u32),
    /// A free-threaded one, for which there is no extension.
    FreeThreaded(PathBuf),
}

/// Looks at a home with the eyes of the group's user.
pub fn fault(probe: &dyn Probe, who: &Walker, home: &Path) -> Option<Fault> {
    match way(probe, who, home, Need::Nothing) {
        End::There(_, Kind::Directory) => {}
        End::There(..) => return Some(Fault::NoEnvironment),
        End::Unsure => return None,
        end => return Some(Fault::Way { to: home.into(), end }),
    }
    let settings = probe.beginning(&home.join("pyvenv.cfg")).ok();
    let mut first = None;
    for name in ["bin/python", "bin/python3"] {
        let path = home.join(name);
        match way(probe, who, &path, Need::Execute) {
            End::There(program, Kind::File) => return version_fault(&program, settings.as_deref()),
            End::There(program, _) => return Some(Fault::NotAProgram(program)),
            End::Unsure => return None,
            End::Missing(_) => {}
            end => first = first.or(Some(Fault::Way { to: path, end })),
        }
    }
    let absent = if settings.is_some() { Fault::NoInterpreter } else { Fault::NoEnvironment };
    Some(first.unwrap_or(absent))
}

fn version_fault(program: &Path, settings: Option<&str>) -> Option<Fault> {
    let name = program.file_name()?.to_str()?;
    if let Some(minor) = name.strip_prefix("python3.").and_then(|rest| rest.strip_suffix('t')) {
        let tag = format!("cpython-3{minor}t");
        let is_served = EXTENSIONS.iter().any(|extension| extension.tag == tag);
        return (!is_served).then(|| Fault::FreeThreaded(program.into()));
    }
    let written = settings.and_then(written_version);
    let (major, minor) = name.strip_prefix("python").and_then(version).or(written)?;
    ((major, minor) < OLDEST).then_some(Fault::Old(major, minor))
}

/// `version = 3.8.10` of the standard library's venv, `version_info = …` of virtualenv.
fn written_version(settings: &str) -> Option<(u32, u32)> {
    let lines = settings.lines().filter_map(|line| line.split_once('='));
    let mut versions = lines.filter(|(key, _)| ["version", "version_info"].contains(&key.trim()));
    versions.find_map(|(_, value)| version(value.trim()))
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    match (parts.next()?, parts.next()?) {
        (Ok(major), Ok(minor)) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::fixture::Few;
    use super::*;

    fn fault_of(tree: Few) -> Option<Fault> {
        let bob = Walker { name: "bob".into(), uid: 1000, groups: vec![1000] };
        fault(&tree, &bob, Path::new("/venv"))
    }

    fn venv(program: &str, settings: &str) -> Few {
        let program = format!("/usr/bin/{program}");
        Few::new().program(&program).links("/venv/bin/python", &program).text("/venv/pyvenv.cfg", settings)
    }

    #[test]
    fn good_homes_have_no_fault() {
        assert_eq!(fault_of(venv("python3.11", "version = 3.11.2\n")), None);
        assert_eq!(fault_of(venv("python3", "home = /usr/bin\nversion = 3.9.1\n")), None);
        assert_eq!(fault_of(venv("python3", "")), None);
        assert_eq!(fault_of(Few::new().program("/venv/bin/python3")), None);
        assert_eq!(fault_of(venv("pypy3.10", "")), None);
        assert_eq!(fault_of(venv("python3.14t", "version = 3.14.4\n")), None);
    }

    #[test]
    fn what_is_no_environment() {
        assert_eq!(fault_of(Few::new().dir("/venv/lib", 0o755, 0)), Some(Fault::NoEnvironment));
        assert_eq!(fault_of(Few::new().file("/venv")), Some(Fault::NoEnvironment));
        assert_eq!(fault_of(Few::new().text("/venv/pyvenv.cfg", "")), Some(Fault::NoInterpreter));
        let missing = Fault::Way { to: "/venv".into(), end: End::Missing("/venv".into()) };
        assert_eq!(fault_of(Few::new()), Some(missing));
        let directory = Few::new().dir("/venv/bin/python", 0o755, 0);
        assert_eq!(fault_of(directory), Some(Fault::NotAProgram("/venv/bin/python".into())));
    }

    #[test]
    fn an_interpreter_that_is_gone_or_closed() {
        let gone = Few::new().links("/venv/bin/python", "/usr/bin/python3.8").dir("/usr/bin", 0o755, 0);
        let end = End::Dangling { link: "/venv/bin/python".into(), to: "/usr/bin/python3.8".into() };
        assert_eq!(fault_of(gone), Some(Fault::Way { to: "/venv/bin/python".into(), end }));
        let closed = Few::new().dir("/home/ann", 0o700, 1001).program("/home/ann/python3.12");
        let closed = closed.links("/venv/bin/python", "/home/ann/python3.12");
        let fault = fault_of(closed).unwrap();
        assert!(matches!(fault, Fault::Way { end: End::Closed(at, _), .. } if at == Path::new("/home/ann")));
    }

    #[test]
    fn versions_that_are_not_served() {
        assert_eq!(fault_of(venv("python3.8", "")), Some(Fault::Old(3, 8)));
        assert_eq!(fault_of(venv("python3", "version = 3.6.9\n")), Some(Fault::Old(3, 6)));
        assert_eq!(fault_of(venv("python3", "version_info = 2.7.18.final.0\n")), Some(Fault::Old(2, 7)));
        assert_eq!(
            fault_of(venv("python3.13t", "")),
            Some(Fault::FreeThreaded("/usr/bin/python3.13t".into()))
        );
    }
}
