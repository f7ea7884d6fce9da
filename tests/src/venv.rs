//! Pythons and virtual environments. Making one takes longer than using it, so the tests of a run
//! share them: the first test that asks makes it, under a lock, the others wait and take it.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An interpreter that the web server's user can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Its minor version: 11 of 3.11.
    pub minor: u32,
    /// Its prefix.
    pub prefix: PathBuf,
    /// The program.
    pub program: PathBuf,
}

/// The oldest that the worker's extension loads into.
const OLDEST: u32 = 9;

/// A virtual environment of the system's Python with these packages from PyPI.
pub fn venv(name: &str, packages: &[&str]) -> PathBuf {
    venv_of(&Python::system(), name, packages)
}

/// A virtual environment of any Python.
pub fn venv_of(python: &Python, name: &str, packages: &[&str]) -> PathBuf {
    shared(name, |dir| {
        run(&[python.program.as_os_str(), "-m".as_ref(), "venv".as_ref(), dir.as_os_str()]);
        if !packages.is_empty() {
            let pip = dir.join("bin/pip");
            let mut command = vec![pip.as_os_str(), "install".as_ref(), "--quiet".as_ref()];
            command.extend(packages.iter().map(|package| std::ffi::OsStr::new(*package)));
            run(&command);
        }
    })
}

/// Something under this name in the run's cache: made once, whole or not at all.
pub fn shared(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = std::env::var_os("WSGID_TEST_CACHE").map(PathBuf::from);
    let cache = cache.expect("no cache: start ./tests/run, or eval \"$(./tests/run --stage-only)\" first");
    let lock = File::create(cache.join(format!("{name}.lock"))).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, e)| e).unwrap();
    let (dir, done) = (cache.join(name), cache.join(format!("{name}.done")));
    if !done.exists() {
        let _ = fs::remove_dir_all(&dir);
        make(&dir);
        File::create(done).unwrap();
    }
    dir
}

/// A certificate for `localhost` that vouches for itself: a directory with `certificate.pem` and `key.pem`.
pub fn certificate() -> PathBuf {
    shared("certificate", |dir| {
        std::fs::create_dir_all(dir).unwrap();
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]);
        command.arg("-keyout").arg(dir.join("key.pem")).arg("-out").arg(dir.join("certificate.pem"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    })
}

/// Runs a command with results that everybody can read.
#[track_caller]
fn run(command: &[&std::ffi::OsStr]) {
    let output = Command::new("/bin/sh").args(["-c", "umask 022; exec \"$@\"", "sh"]).args(command).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

impl Python {
    /// The distribution's.
    pub fn system() -> Self {
        Self::at(Path::new("/usr/bin/python3")).expect("no /usr/bin/python3 of 3.9 or later")
    }

    /// One of each minor version on this machine, the system's first.
    pub fn all() -> Vec<Self> {
        let mut found = vec![Self::system()];
        for program in candidates() {
            let python = Self::at(&program);
            if let Some(new) = python.filter(|new| found.iter().all(|known| known.minor != new.minor)) {
                found.push(new.within_reach());
            }
        }
        found
    }

    fn at(program: &Path) -> Option<Self> {
        let ask = "import sys, os; print(sys.version_info[1], os.path.realpath(sys.base_prefix))";
        let output = Command::new(program).args(["-I", "-c", ask]).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        let (minor, prefix) = said.trim().split_once(' ')?;
        let minor = minor.parse().ok().filter(|minor| *minor >= OLDEST)?;
        Some(Self { minor, prefix: prefix.into(), program: program.into() })
    }

    /// Itself, or a copy where everybody can go if it stands in somebody's home.
    fn within_reach(self) -> Self {
        let open =
            |dir: &Path| fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o005 == 0o005);
        if !nix::unistd::getuid().is_root() || self.prefix.ancestors().all(open) {
            return self;
        }
        let version = format!("python3.{}", self.minor);
        let prefix = shared(&version, |dir| self.copy(&version, dir));
        let program = prefix.join("bin").join(&version);
        Self { prefix, program, ..self }
    }

    fn copy(&self, version: &str, to: &Path) {
        let script = r#"
            set -e
            mkdir -p "$2/bin" "$2/lib"
            cp "$1/bin/$3" "$2/bin/"
            ln -s "$3" "$2/bin/python3"
            cp -P "$1"/lib/libpython* "$2/lib/" 2>/dev/null || :
            cd "$1/lib"
            find "$3" \( -path "$3/test" -o -path "$3/site-packages" -o -name __pycache__ \
                -o -name 'config-*' \) -prune -o -type f -print0 | xargs -0 cp --parents -t "$2/lib"
            mkdir -p "$2/lib/$3/site-packages"
            chmod -R a+rX "$2"
        "#;
        let arguments = [self.prefix.as_os_str(), to.as_os_str(), version.as_ref()];
        run(&[&["/bin/sh".as_ref(), "-c".as_ref(), script.as_ref(), "sh".as_ref()], &arguments[..]].concat());
        relocate(&to.join("bin").join(version), &self.prefix.join("lib"));
    }
}

/// The place of the interpreter's own library is written in its program; what replaces it is
/// shorter and relative.
fn relocate(program: &Path, old: &Path) {
    let mut bytes = fs::read(program).unwrap();
    let old = old.to_str().unwrap().as_bytes();
    let whole = [old, b"\0"].concat();
    if let Some(at) = bytes.windows(whole.len()).position(|window| window == whole) {
        let new = b"$ORIGIN/../lib";
        assert!(new.len() <= old.len());
        bytes[at..at + old.len()].fill(0);
        bytes[at..at + new.len()].copy_from_slice(new);
        fs::write(program, bytes).unwrap();
    }
}

/// Where Pythons are found, beside the system's own.
fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in ["/usr/bin", "/usr/local/bin"] {
        found.extend((OLDEST..40).map(|minor| PathBuf::from(format!("{dir}/python3.{minor}"))));
    }
    let home = std::env::var_os("HOME").unwrap_or_default();
    if let Ok(versions) = fs::read_dir(Path::new(&home).join(".pyenv/versions")) {
        let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
        versions.sort();
        found.extend(versions.iter().map(|version| version.join("bin/python3")));
    }
    found.retain(|program| program.exists());
    found
}
