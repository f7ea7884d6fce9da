//! Where the parts of an installation lie: relative to the running program, so that a tree works
//! wherever it has been unpacked.
//!
//! ```text
//! <prefix>/sbin/wsgid                     <prefix>/bin/wsgictl
//! <prefix>/lib/wsgid/wsgid-launch         <prefix>/lib/wsgid/_wsgid.abi3.so, _wsgid.cpython-314t.so
//! <prefix>/lib/apache2/modules/mod_wsgid.so   or lib64/httpd/modules, lib/httpd/modules
//! ```
//!
//! `WSGID_LIBDIR` in the environment stands for `<prefix>/lib/wsgid`, for tests and for trees that
//! are laid out otherwise.

use std::env;
use std::path::{Path, PathBuf};
use wsgid_proto::launch::{EXTENSIONS, Extension};

/// The variable that overrides where `lib/wsgid` is.
pub const LIBDIR_VARIABLE: &str = "WSGID_LIBDIR";

const LAUNCHER: &str = "wsgid-launch";
const MODULE: &str = "mod_wsgid.so";
const MODULE_DIRECTORIES: &[&str] = &["lib/apache2/modules", "lib64/httpd/modules", "lib/httpd/modules"];

/// A part is missing: the installation is at fault.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// The running program's own path can't be read.
    #[error("can't find out where this program lies: {0}")]
    Myself(#[source] std::io::Error),
    /// One file.
    #[error("{part} is missing: {} is not there", .path.display())]
    Part {
        /// What it is for.
        part: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// The module is in none of the places.
    #[error("Apache's module is missing: there is no {MODULE} in {}", .0.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
    Module(Vec<PathBuf>),
}

/// An installed tree.
#[derive(Debug, Clone)]
pub struct Installation {
    program: PathBuf,
    libdir: PathBuf,
}

impl Installation {
    /// The tree that the running program belongs to.
    pub fn of_this_program() -> Result<Self, Missing> {
        let program = std::fs::read_link("/proc/self/exe").map_err(Missing::Myself)?;
        let libdir = env::var_os(LIBDIR_VARIABLE).map(PathBuf::from);
        Ok(Self::at(program, libdir))
    }

    /// The tree around `program`, or with another `libdir`.
    pub fn at(program: PathBuf, libdir: Option<PathBuf>) -> Self {
        let beside = || prefix_of(&program).join("lib/wsgid");
        let libdir = libdir.unwrap_or_else(beside);
        Self { program, libdir }
    }

    /// The running program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// `wsgid-launch`.
    pub fn launcher(&self) -> Result<PathBuf, Missing> {
        self.part("the launcher", LAUNCHER)
    }

    /// The builds of the Python extension. That for interpreters with a GIL has to be there.
    pub fn extensions(&self) -> Result<Vec<(Extension, PathBuf)>, Missing> {
        let [usual, free_threaded @ ..] = EXTENSIONS;
        let mut found = vec![(usual, self.part("the Python extension", &file_of(usual))?)];
        let others = free_threaded.into_iter().map(|one| (one, self.libdir.join(file_of(one))));
        found.extend(others.filter(|(_, path)| path.is_file()));
        Ok(found)
    }

    /// `mod_wsgid.so`.
    pub fn module(&self) -> Result<PathBuf, Missing> {
        let prefix = self.libdir.parent().and_then(Path::parent).unwrap_or(Path::new("/usr"));
        let places: Vec<_> = MODULE_DIRECTORIES.iter().map(|dir| prefix.join(dir).join(MODULE)).collect();
        places.iter().find(|path| path.is_file()).cloned().ok_or(Missing::Module(places))
    }

    fn part(&self, part: &'static str, name: &str) -> Result<PathBuf, Missing> {
        let path = self.libdir.join(name);
        if path.is_file() { Ok(path) } else { Err(Missing::Part { part, path }) }
    }
}

fn file_of(extension: Extension) -> String {
    format!("_wsgid.{}.so", extension.tag)
}

/// `/usr` of `/usr/sbin/wsgid`.
fn prefix_of(program: &Path) -> &Path {
    program.parent().and_then(Path::parent).unwrap_or(Path::new("/usr"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_beside_the_program() {
        let tree = tempfile::tempdir().unwrap();
        let usr = tree.path().join("usr");
        for dir in ["sbin", "lib/wsgid", "lib64/httpd/modules"] {
            std::fs::create_dir_all(usr.join(dir)).unwrap();
        }
        let here = Installation::at(usr.join("sbin/wsgid"), None);
        assert!(here.launcher().unwrap_err().to_string().contains("lib/wsgid/wsgid-launch"));
        assert!(here.module().unwrap_err().to_string().contains("lib/apache2/modules/mod_wsgid.so"));
        std::fs::write(usr.join("lib/wsgid/_wsgid.cpython-314t.so"), "").unwrap();
        assert!(here.extensions().unwrap_err().to_string().contains("_wsgid.abi3.so"));
        std::fs::write(usr.join("lib/wsgid/_wsgid.abi3.so"), "").unwrap();
        std::fs::write(usr.join("lib64/httpd/modules/mod_wsgid.so"), "").unwrap();
        let files = ["_wsgid.abi3.so", "_wsgid.cpython-314t.so"].map(|name| usr.join("lib/wsgid").join(name));
        let found = here.extensions().unwrap();
        assert_eq!(found, EXTENSIONS.into_iter().zip(files.clone()).collect::<Vec<_>>());
        std::fs::remove_file(&files[1]).unwrap();
        assert_eq!(here.extensions().unwrap(), found[..1]);
        assert_eq!(here.module().unwrap(), usr.join("lib64/httpd/modules/mod_wsgid.so"));
    }
}
