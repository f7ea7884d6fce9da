//! A test's own directory: server root, runtime and state directories, applications and logs.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The directory, gone when this goes.
#[derive(Debug)]
pub struct Place {
    dir: TempDir,
}

impl Place {
    /// A new one, which everybody can read and `owner` (user and group) can write. It has a short
    /// name below /tmp: a Unix socket's path may have 107 bytes.
    pub fn new(owner: Option<(u32, u32)>) -> Self {
        let dir = tempfile::Builder::new().prefix("wsgid-").tempdir_in("/tmp").unwrap();
        open_to_all(dir.path());
        let place = Self { dir };
        for name in ["run", "run/pending", "state", "logs", "apps", "htdocs"] {
            place.make_dir(name);
        }
        if let Some((user, group)) = owner {
            for name in ["", "run", "run/pending", "state", "logs", "apps", "htdocs"] {
                chown(place.path(name), Some(user), Some(group)).unwrap();
            }
        }
        place
    }

    /// The root.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A path below the root.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Makes a directory and those above it, for everybody to read.
    pub fn make_dir(&self, name: &str) -> PathBuf {
        let mut path = self.root().to_path_buf();
        for part in Path::new(name) {
            path.push(part);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
                open_to_all(&path);
            }
        }
        path
    }

    /// What its programs find in their environment: its `tmp/`, if it has that, for what has no name; its `parts/` in
    /// the place of the staged `lib/wsgid`; and with a file `clock`, whose text is as for libfaketime(1), another time
    /// than everybody else's.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = Vec::new();
        if self.path("tmp").is_dir() {
            variables.push(("TMPDIR", self.path("tmp")));
        }
        if self.path("parts").is_dir() {
            variables.push(("WSGID_LIBDIR", self.path("parts")));
        }
        if self.path("clock").exists() {
            variables.push(("LD_PRELOAD", clock_library()));
            variables.push(("FAKETIME_TIMESTAMP_FILE", self.path("clock")));
            variables.push(("FAKETIME_NO_CACHE", "1".into()));
            variables.push(("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()));
        }
        variables
    }

    /// Makes a directory in which applications of any user may leave files.
    pub fn make_public_dir(&self, name: &str) -> PathBuf {
        let path = self.make_dir(name);
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        path
    }

    /// Writes a file, whole or not at all: a worker may be reading it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = Path::new(name).parent() {
            self.make_dir(parent.to_str().unwrap());
        }
        let new = path.with_extension("new");
        fs::write(&new, content).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// Copies an application of tests/apps and answers its path.
    pub fn install_app(&self, name: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("apps/{name}.wsgi"));
        let content = fs::read(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
        self.write(&format!("apps/{name}.wsgi"), content)
    }

    /// A file's text, as far as it is there and is text.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }
}

/// For programs with threads.
fn clock_library() -> PathBuf {
    let name = "faketime/libfaketimeMT.so.1";
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.expect("no libfaketime: ./tests/run installs it")
}

/// Mode 0755, whatever the umask.
pub fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
}
