//! Rules of the house, read from cargo's metadata, the built files and the manual.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use wsgid_proto::options::{Force, RULES};
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
    let extension = output("readelf", &["-d"], &staged("usr/lib/wsgid/_wsgid.abi3.so"));
    assert!(!extension.contains("libpython"), "a second interpreter would come with it: {extension}");
}

#[test]
fn the_module_shows_httpd_one_name() {
    let symbols = output("nm", &["-D", "--defined-only"], &module());
    let names: Vec<&str> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(names, ["wsgi_module"]);
}

#[test]
fn the_extension_shows_python_one_name() {
    let symbols = output("nm", &["-D", "--defined-only"], &staged("usr/lib/wsgid/_wsgid.abi3.so"));
    let names: Vec<&str> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(names, ["PyInit__wsgid"]);
}

/// The options that mod_wsgid(5) lists under a heading.
fn listed(heading: &str) -> BTreeSet<String> {
    let manual = std::fs::read_to_string(repository().join("packaging/man/mod_wsgid.5")).unwrap();
    let section = manual.split(".Ss ").find(|section| section.starts_with(heading)).unwrap();
    let items = section.lines().filter_map(|line| line.strip_prefix(".It Cm "));
    items.map(|item| item.split(' ').next().unwrap().to_string()).collect()
}

#[test]
fn the_manual_says_which_options_are_in_force() {
    type Wanted = fn(Force) -> bool;
    let headings: [(&str, Wanted); 3] = [
        ("Options in force", |force| force == Force::Full),
        ("Options not in force yet", |force| force == Force::NotYet),
        ("Options with nothing to do here", |force| matches!(force, Force::Moot(_))),
    ];
    for (heading, wanted) in headings {
        let rules = RULES.iter().filter(|rule| wanted(rule.force));
        let expected: BTreeSet<String> = rules.map(|rule| rule.name.to_string()).collect();
        assert_eq!(listed(heading), expected, "{heading}");
    }
}

#[test]
fn the_staged_tree_is_whole() {
    for name in [
        "usr/sbin/wsgid",
        "usr/bin/wsgictl",
        "usr/lib/wsgid/wsgid-launch",
        "usr/lib/wsgid/_wsgid.abi3.so",
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

/// What a program's `--help` lists is in its manual page, and the other way round.
#[test]
fn the_manual_knows_every_option_of_the_programs() {
    for (program, commands, page) in [
        ("usr/sbin/wsgid", &["run", "serve"][..], "wsgid.8"),
        ("usr/bin/wsgictl", &["status", "reload", "check"][..], "wsgictl.1"),
    ] {
        let mut offered = BTreeSet::new();
        for command in commands {
            let help = output(staged(program).to_str().unwrap(), &[command], Path::new("--help"));
            let words = help.lines().filter_map(|line| line.trim_start().split("--").nth(1));
            let names =
                words.map(|rest| rest.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next().unwrap());
            offered.extend(names.map(String::from));
        }
        offered.remove("help");
        let manual = std::fs::read_to_string(repository().join("packaging/man").join(page)).unwrap();
        let body = manual.split(".Sh DESCRIPTION").nth(1).unwrap();
        let flags = body
            .lines()
            .filter(|line| line.starts_with(".It Fl "))
            .flat_map(|line| line.split("Fl -").skip(1));
        let described: BTreeSet<String> =
            flags.map(|flag| flag.split(' ').next().unwrap().to_string()).collect();
        assert_eq!(described, offered, "{page}");
    }
}
