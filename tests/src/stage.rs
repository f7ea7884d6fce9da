//! The installed tree that `packaging/install` staged for this run.

use std::path::{Path, PathBuf};

/// A file of the tree.
pub fn staged(name: &str) -> PathBuf {
    let root = root();
    let path = root.join(name);
    assert!(path.exists(), "{} is not in the staged tree; stage it again with ./tests/run", path.display());
    path
}

/// The tree's root.
pub fn root() -> PathBuf {
    let root = std::env::var_os("WSGID_STAGE").map(PathBuf::from);
    root.expect("no staged tree: start ./tests/run, or eval \"$(./tests/run --stage-only)\" first")
}

/// `mod_wsgid.so`, which has another place on each family of distributions.
pub fn module() -> PathBuf {
    let fedora = root().join("usr/lib64/httpd/modules/mod_wsgid.so");
    if fedora.exists() { fedora } else { staged("usr/lib/apache2/modules/mod_wsgid.so") }
}

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
