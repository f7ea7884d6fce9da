//! The Apache httpd of this machine: where its program is, what is built into it, and where the rest
//! of its modules lie.

use super::python::in_path;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PROGRAMS: &[&str] = &["apache2", "httpd"];
const PLACES: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/usr/local/apache2/bin", "/opt/apache2/bin"];
const MODULES: &[&str] = &[
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules",
];

/// Modules that a site needs: the file's name when it is built in, the directive's name, the file.
const NEEDED: &[(&str, &str, &str)] = &[
    ("mod_unixd.c", "unixd_module", "mod_unixd.so"),
    ("mod_log_config.c", "log_config_module", "mod_log_config.so"),
    ("mod_authz_core.c", "authz_core_module", "mod_authz_core.so"),
];

/// Of these, one: event has the best manners.
const MPMS: &[(&str, &str, &str)] = &[
    ("event.c", "mpm_event_module", "mod_mpm_event.so"),
    ("worker.c", "mpm_worker_module", "mod_mpm_worker.so"),
    ("prefork.c", "mpm_prefork_module", "mod_mpm_prefork.so"),
];

/// No web server to use.
#[derive(Debug, thiserror::Error)]
pub enum NoHttpd {
    /// Not installed.
    #[error("Apache httpd not found: install apache2 (Debian) or httpd (Fedora/RHEL)")]
    Missing,
    /// `--httpd` is wrong, or the program is broken.
    #[error("{} does not work as an httpd: {why}", .path.display())]
    Broken { path: PathBuf, why: String },
    /// A module that every package has.
    #[error("{} has no {module}: is the httpd package installed as a whole?", .path.display())]
    Module { path: PathBuf, module: &'static str },
}

/// An httpd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Httpd {
    /// The program.
    pub program: PathBuf,
    /// `LoadModule` lines' two arguments.
    pub load: Vec<(&'static str, PathBuf)>,
}

/// Finds one.
pub fn find(asked_for: Option<&Path>, path: &OsStr) -> Result<Httpd, NoHttpd> {
    let program = match asked_for {
        Some(program) => program.to_path_buf(),
        None => installed(path).ok_or(NoHttpd::Missing)?,
    };
    let broken = |why: String| NoHttpd::Broken { path: program.clone(), why };
    let listed = Command::new(&program).arg("-l").stdin(Stdio::null()).output();
    let listed = listed.map_err(|error| broken(error.to_string()))?;
    let built_in = String::from_utf8_lossy(&listed.stdout).into_owned();
    if !built_in.contains("core.c") {
        return Err(broken("it does not list its modules".into()));
    }
    let directory = modules_of(&program);
    let load =
        to_load(&built_in, |file| directory.iter().map(|dir| dir.join(file)).find(|path| path.is_file()))
            .map_err(|module| NoHttpd::Module { path: program.clone(), module })?;
    Ok(Httpd { program, load })
}

fn installed(path: &OsStr) -> Option<PathBuf> {
    let named = PROGRAMS.iter().find_map(|name| in_path(name, path));
    let usual = || {
        let places = PLACES.iter().flat_map(|dir| PROGRAMS.iter().map(move |name| Path::new(dir).join(name)));
        places.into_iter().find(|path| crate::supervisor::interpreter::is_executable(path))
    };
    named.or_else(usual)
}

/// Beside the program first, for an httpd that was built by hand.
fn modules_of(program: &Path) -> Vec<PathBuf> {
    let beside = program.parent().and_then(Path::parent).map(|prefix| prefix.join("modules"));
    beside.into_iter().chain(MODULES.iter().map(PathBuf::from)).collect()
}

/// What is not built in has to be loaded; of the MPMs just one, if none is built in.
fn to_load(
    built_in: &str,
    file: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Vec<(&'static str, PathBuf)>, &'static str> {
    let has = |name: &str| built_in.lines().any(|line| line.trim() == name);
    let mut load = Vec::new();
    if !MPMS.iter().any(|(name, ..)| has(name)) {
        let mpm = MPMS.iter().find_map(|(_, module, name)| Some((*module, file(name)?)));
        load.push(mpm.ok_or("mod_mpm_event.so")?);
    }
    for (_, module, so) in NEEDED.iter().filter(|(name, ..)| !has(name)) {
        load.push((*module, file(so).ok_or(*so)?));
    }
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_built_in_is_loaded() {
        let any = |name: &str| Some(PathBuf::from(name));
        let names =
            |load: Vec<(&'static str, PathBuf)>| load.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let debian = "Compiled in modules:\n  core.c\n  mod_log_config.c\n  mod_unixd.c\n";
        assert_eq!(names(to_load(debian, any).unwrap()), ["mpm_event_module", "authz_core_module"]);
        let by_hand = "  core.c\n  worker.c\n  mod_unixd.c\n  mod_authz_core.c\n  mod_log_config.c\n";
        assert!(to_load(by_hand, any).unwrap().is_empty());
        let only_prefork =
            |name: &str| (name != "mod_mpm_event.so" && name != "mod_mpm_worker.so").then(|| name.into());
        assert_eq!(names(to_load(debian, only_prefork).unwrap())[0], "mpm_prefork_module");
        assert_eq!(to_load("core.c", |_| None), Err("mod_mpm_event.so"));
    }

    #[test]
    fn what_is_no_httpd_is_told() {
        let refused = find(Some(Path::new("/bin/true")), OsStr::new("")).unwrap_err().to_string();
        assert!(refused.contains("/bin/true does not work as an httpd"), "{refused}");
    }
}
