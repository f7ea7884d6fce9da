//! With which Python: the one that is asked for, the virtual environment that is active, or the first
//! `python3` of PATH that the application's user may execute. The interpreter itself is asked where
//! its home is, so that shims and version managers come out right.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The system's, which everyone may execute.
const SYSTEM: &str = "/usr/bin/python3";

/// There is no Python to use.
#[derive(Debug, thiserror::Error)]
pub enum NoPython {
    /// Nowhere.
    #[error("there is no python3 in PATH: install python3, or say which one with --python")]
    Nowhere,
    /// It does not run.
    #[error("the interpreter {} does not work: {why}", .path.display())]
    Broken { path: PathBuf, why: String },
    /// Somewhere the application's user may not go.
    #[error("user '{user}' may not execute the interpreter {}", .path.display())]
    Forbidden { path: PathBuf, user: String },
    /// An interpreter without the usual place.
    #[error("the home of {}, {}, has no bin/python", .path.display(), .home.display())]
    Homeless { path: PathBuf, home: PathBuf },
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// `--python`.
    pub python: Option<PathBuf>,
    /// `$VIRTUAL_ENV`.
    pub environment: Option<PathBuf>,
    /// `$PATH`.
    pub path: OsString,
}

/// Chooses one that exists, and that `executable` allows. Only what nobody asked for by name may be
/// replaced by the system's.
pub fn choose(wishes: &Wishes, user: &str, executable: impl Fn(&Path) -> bool) -> Result<PathBuf, NoPython> {
    let named = wishes.python.clone().or(wishes.environment.as_ref().map(|home| home.join("bin/python")));
    if let Some(path) = named {
        let broken = |why: &str| NoPython::Broken { path: path.clone(), why: why.into() };
        return match path.is_file() {
            false => Err(broken("there is no such file")),
            true if !executable(&path) => Err(NoPython::Forbidden { path, user: user.into() }),
            true => Ok(path),
        };
    }
    let found = in_path("python3", &wishes.path).ok_or(NoPython::Nowhere)?;
    let system = Path::new(SYSTEM);
    match (executable(&found), executable(system)) {
        (true, _) => Ok(found),
        (false, true) => Ok(system.into()),
        (false, false) => Err(NoPython::Forbidden { path: found, user: user.into() }),
    }
}

/// The first executable of that name.
pub fn in_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    let candidates = std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name));
    candidates.into_iter().find(|path| crate::supervisor::interpreter::is_executable(path))
}

/// `python-home=` for an interpreter, or `None` if the workers find it without.
pub fn home(python: &Path) -> Result<Option<PathBuf>, NoPython> {
    let broken = |why: String| NoPython::Broken { path: python.into(), why };
    let asked = Command::new(python)
        .args(["-c", "import sys; sys.stdout.write(sys.prefix)"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| broken(error.to_string()))?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        return Err(broken(said.trim().lines().last().unwrap_or("it fails").into()));
    }
    let home = PathBuf::from(OsString::from_vec(asked.stdout));
    if home == Path::new("/usr") {
        return Ok(None);
    }
    let has_interpreter = ["bin/python", "bin/python3"].iter().any(|name| home.join(name).exists());
    if has_interpreter { Ok(Some(home)) } else { Err(NoPython::Homeless { path: python.into(), home }) }
}

/// Says whether a script binds `callable` nowhere, by its text alone: it is parsed and not run. What
/// can't be told that way (a star import, `globals()`, a syntax error) passes; the import will tell.
const LOOK: &str = "
import ast, sys
name, path = sys.argv[1:]
try:
    with open(path, 'rb') as file:
        tree = ast.parse(file.read())
except Exception:
    sys.exit(0)
opaque = {'globals', 'locals', 'vars', 'exec', 'setattr', '__dict__'}
for node in ast.walk(tree):
    words = [getattr(node, key, None) for key in ('id', 'name', 'asname', 'attr')]
    if isinstance(node, ast.alias):
        words = [node.asname or node.name.split('.')[0]]
    if name in words or '*' in words or opaque.intersection(word for word in words if word):
        sys.exit(0)
sys.exit(3)
";

/// Could importing this script bind that name?
pub fn may_bind(python: &Path, script: &Path, callable: &str) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", LOOK, callable]).arg(script).stdin(Stdio::null());
    let looked = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    looked.map_or(true, |status| status.code() != Some(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_named_python_is_not_replaced_by_another() {
        let wishes = Wishes {
            environment: Some("/nonexistent".into()),
            path: "/usr/bin".into(),
            ..Default::default()
        };
        let refused = choose(&wishes, "bob", |_| true).unwrap_err().to_string();
        assert!(refused.contains("/nonexistent/bin/python"), "{refused}");
        let wishes = Wishes { python: Some(SYSTEM.into()), ..Default::default() };
        assert!(matches!(choose(&wishes, "bob", |_| false), Err(NoPython::Forbidden { .. })));
    }

    #[test]
    fn without_a_wish_path_decides_and_the_system_helps_out() {
        let dir = tempfile::tempdir().unwrap();
        let shim = dir.path().join("python3");
        std::os::unix::fs::symlink("/bin/sh", &shim).unwrap();
        let wishes = Wishes { path: dir.path().into(), ..Default::default() };
        assert_eq!(choose(&wishes, "bob", |_| true).unwrap(), shim);
        assert_eq!(choose(&wishes, "bob", |path| path != shim).unwrap(), Path::new(SYSTEM));
        assert!(matches!(choose(&Wishes::default(), "bob", |_| true), Err(NoPython::Nowhere)));
    }

    #[test]
    fn a_script_without_the_callable_is_seen_through() {
        let python = Path::new(SYSTEM);
        if !python.exists() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("app.wsgi");
        for (text, may) in [
            ("def application(e, s): pass", true),
            ("if 1:\n  from x import y as application", true),
            ("from x import *", true),
            ("globals()['application'] = 1", true),
            ("syntax error", true),
            ("def app(e, s): pass\napplications = 1", false),
            ("import os.application", false),
        ] {
            fs::write(&script, text).unwrap();
            assert_eq!(may_bind(python, &script, "application"), may, "{text}");
        }
    }
}
