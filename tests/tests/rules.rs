//! Rules of the house, read from cargo's metadata and the built files.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use wsgid_proto::launch::{EXTENSIONS, Extension};
use wsgid_tests::stage::{module, repository, root, staged};

fn metadata() -> Metadata {
    MetadataCommand::new()
        .current_dir(repository())
        .no_deps()
        .other_options(["--offline".into()])
        .exec()
        .unwrap()
}

/// What each crate of the workspace names, development dependencies aside.
fn named() -> BTreeMap<String, BTreeSet<String>> {
    let of = |package: &cargo_metadata::Package| {
        let names = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
        (package.name.to_string(), names.map(|d| d.name.clone()).collect())
    };
    metadata().packages.iter().map(of).collect()
}

#[test]
fn crates_depend_in_one_direction() {
    let named = named();
    let set = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(named["wsgid-proto"], set(&["prost", "bytes", "thiserror"]));
    let ours: BTreeSet<String> = named.keys().cloned().collect();
    for name in ["mod-wsgid", "wsgid", "wsgid-worker"] {
        let of_ours: BTreeSet<String> = named[name].intersection(&ours).cloned().collect();
        assert_eq!(of_ours, set(&["wsgid-proto"]), "{name}");
    }
    for (name, dependencies) in &named {
        assert_eq!(dependencies.contains("pyo3"), name == "wsgid-worker", "{name} and pyo3");
        assert_eq!(dependencies.contains("tokio"), name == "wsgid", "{name} and tokio");
        let of_httpd = dependencies.contains("bindgen") || dependencies.contains("cc");
        assert_eq!(of_httpd, name == "mod-wsgid", "{name} and httpd's headers");
    }
}

#[test]
fn versions_stand_once() {
    for package in metadata().packages {
        let text = std::fs::read_to_string(&package.manifest_path).unwrap();
        let own = text.lines().find(|line| line.contains("version = \""));
        assert_eq!(own, None, "{} has a version of its own", package.manifest_path);
    }
}

fn output(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_file_needs_libpython() {
    for file in
        [module(), staged("usr/sbin/wsgid"), staged("usr/bin/wsgictl"), staged("usr/lib/wsgid/wsgid-launch")]
    {
        let needed = output("readelf", &["-d"], &file);
        assert!(needed.contains("(NEEDED)"), "{}: nothing read", file.display());
        assert!(!needed.contains("python"), "{}: {needed}", file.display());
        assert!(!output("ldd", &[], &file).contains("python"), "{}", file.display());
    }
    for extension in EXTENSIONS.map(extension) {
        let needed = output("readelf", &["-d"], &extension);
        assert!(!needed.contains("libpython"), "a second interpreter would come with it: {needed}");
    }
}

#[test]
fn the_module_shows_httpd_one_name() {
    let symbols = output("nm", &["-D", "--defined-only"], &module());
    let names: Vec<&str> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(names, ["wsgi_module"]);
}

fn extension(build: Extension) -> PathBuf {
    staged(&format!("usr/lib/wsgid/_wsgid.{}.so", build.tag))
}

#[test]
fn the_extension_shows_python_one_name() {
    for extension in EXTENSIONS.map(extension) {
        let symbols = output("nm", &["-D", "--defined-only"], &extension);
        let names: Vec<&str> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
        assert_eq!(names, ["PyInit__wsgid"]);
    }
}

#[test]
fn the_staged_tree_is_whole() {
    for name in [
        "usr/sbin/wsgid",
        "usr/bin/wsgictl",
        "usr/lib/wsgid/wsgid-launch",
        "usr/lib/systemd/system/wsgid.service",
        "usr/lib/tmpfiles.d/wsgid.conf",
        "usr/share/man/man8/wsgid.8",
        "usr/share/man/man1/wsgictl.1",
        "usr/share/man/man5/mod_wsgid.5",
        "usr/share/man/man7/wsgid-messages.7",
        "usr/share/doc/wsgid/examples/hello.wsgi",
    ] {
        staged(name);
    }
    let debian = root().join("etc/apache2/mods-available/wsgid.load");
    assert!(debian.exists() || root().join("etc/httpd/conf.modules.d/10-wsgid.conf").exists());
    for program in ["usr/sbin/wsgid", "usr/bin/wsgictl"] {
        assert!(
            output(staged(program).to_str().unwrap(), &[], Path::new("--help")).contains("Usage"),
            "{program}"
        );
    }
}
