//! Which Python a group gets: its own home's, else the system's. The supervisor only looks at names
//! and mode bits; it opens nothing below a user's directory.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// No interpreter: the configuration or the system is at fault. Looked for again at the next start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoInterpreter {
    /// `python-home=` has none.
    #[error("python-home={} has no interpreter: there is no executable bin/python or bin/python3 in it", .0.display())]
    Home(PathBuf),
    /// Nor has the system.
    #[error("there is no python3 in /usr/bin, /usr/local/bin or PATH, and the group has no python-home=")]
    System,
}

/// Finds the interpreter. `search_path` is the daemon's own PATH.
pub fn find(
    home: Option<&Path>,
    search_path: Option<&OsStr>,
    executable: impl Fn(&Path) -> bool,
) -> Result<PathBuf, NoInterpreter> {
    if let Some(home) = home {
        let names = ["bin/python", "bin/python3"].map(|name| home.join(name));
        return names.into_iter().find(|path| executable(path)).ok_or(NoInterpreter::Home(home.into()));
    }
    let usual = ["/usr/bin", "/usr/local/bin"].map(PathBuf::from);
    let further: Vec<PathBuf> =
        search_path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    usual
        .into_iter()
        .chain(further.into_iter().filter(|dir| dir.is_absolute()))
        .map(|directory| directory.join("python3"))
        .find(|path| executable(path))
        .ok_or(NoInterpreter::System)
}

/// A regular file that somebody may execute. Whether the worker's user may, the exec will tell.
pub fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_asked_for_its_own_and_for_nothing_else() {
        let home = Some(Path::new("/venv"));
        let found = find(home, None, |path| path == Path::new("/venv/bin/python3")).unwrap();
        assert_eq!(found, Path::new("/venv/bin/python3"));
        let fault = find(home, None, |path| path == Path::new("/usr/bin/python3")).unwrap_err();
        assert!(fault.to_string().contains("python-home=/venv"));
    }

    #[test]
    fn without_a_home_the_systems_comes_before_paths() {
        let path = Some(OsStr::new("relative:/opt/bin"));
        assert_eq!(find(None, path, |_| true).unwrap(), Path::new("/usr/bin/python3"));
        let only_opt = |path: &Path| path.starts_with("/opt");
        assert_eq!(find(None, path, only_opt).unwrap(), Path::new("/opt/bin/python3"));
        assert_eq!(find(None, path, |path| !path.is_absolute()), Err(NoInterpreter::System));
    }
}
