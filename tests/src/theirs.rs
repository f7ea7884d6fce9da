//! mod_wsgi itself, for comparison: its newest release from PyPI, built here.

use crate::venv::venv;
use std::path::PathBuf;
use std::process::Command;

/// A virtual environment with mod_wsgi in it. A wheel that another interpreter left in a cache would bring that
/// one's libpython along.
pub fn environment() -> PathBuf {
    venv("mod_wsgi", &["--no-cache-dir", "--no-binary", "mod_wsgi", "mod_wsgi"])
}

/// Its module for httpd.
pub fn module() -> PathBuf {
    let python = std::fs::read_dir(environment().join("lib")).unwrap().next().unwrap().unwrap().path();
    let entries = std::fs::read_dir(python.join("site-packages/mod_wsgi/server")).unwrap();
    let found =
        entries.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "so"));
    let module = found.expect("pip installed no module");
    let linked = Command::new("ldd").arg(&module).output().unwrap();
    for line in String::from_utf8_lossy(&linked.stdout).lines().filter(|line| line.contains("libpython")) {
        let own = line.contains("=> /usr/lib/") || line.contains("=> /lib/");
        assert!(own, "mod_wsgi is linked to another libpython: {line}");
    }
    module
}
