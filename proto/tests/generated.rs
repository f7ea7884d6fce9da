//! `src/generated/wsgid.rs` is what `wsgid.proto` says. `WSGID_REGENERATE=1 cargo test -p wsgid-proto
//! --test generated` writes it anew; without that, a difference is a failure.

use std::{fs, path::Path};

#[test]
fn the_checked_in_types_are_those_of_the_grammar() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let descriptors = protox::compile([root.join("wsgid.proto")], [root]).unwrap();
    prost_build::Config::new().bytes(["."]).out_dir(out.path()).compile_fds(descriptors).unwrap();
    let fresh = fs::read_to_string(out.path().join("wsgid.rs")).unwrap();
    let kept = root.join("src/generated/wsgid.rs");
    if std::env::var_os("WSGID_REGENERATE").is_some() {
        fs::write(&kept, &fresh).unwrap();
    }
    assert!(fs::read_to_string(&kept).unwrap() == fresh, "run with WSGID_REGENERATE=1");
}
