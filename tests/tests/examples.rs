//! Every configuration that is shipped as an example loads and serves a page.

use std::path::{Path, PathBuf};
use wsgid_tests::check::findings;
use wsgid_tests::httpd::configtest;
use wsgid_tests::stage::repository;
use wsgid_tests::venv::venv;
use wsgid_tests::{Mpm, Plan, Request, Stack};

fn directory() -> PathBuf {
    repository().join("apache-conf/examples")
}

/// The example with its places moved into the test's own, and the files it speaks of.
fn plan(text: &str) -> Plan {
    let hello = std::fs::read(directory().join("hello.wsgi")).unwrap();
    let moved = text
        .replace("/srv/", "@ROOT@/srv/")
        .replace("<Directory /srv>", "<Directory @ROOT@/srv>")
        .replace("/var/log/apache2/", "@ROOT@/logs/")
        .replace("*:80>", "127.0.0.1:@PORT@>");
    let mut plan = Stack::on(Mpm::Event).module("authn_core").module("auth_basic").config(&moved);
    for word in text.split_whitespace().filter(|word| word.starts_with("/srv/")) {
        let place = word.strip_prefix('/').unwrap().trim_end_matches('>');
        if place.ends_with(".wsgi") || place.ends_with(".py") {
            // A file that is shipped along, or else the application that is.
            let shipped = std::fs::read(directory().join(Path::new(place).file_name().unwrap()));
            plan = plan.file(place, shipped.unwrap_or(hello.clone()));
        } else if place.ends_with('/') {
            plan = plan.file(&format!("{place}hello.wsgi"), &hello);
        }
    }
    plan
}

/// The path at which the example's first application is.
fn target(text: &str) -> String {
    let alias = text.lines().find_map(|line| line.trim().strip_prefix("WSGIScriptAlias ")).unwrap();
    let mut words = alias.split(' ');
    let (path, script) = (words.next().unwrap(), words.next().unwrap());
    if script.ends_with('/') { format!("{path}hello.wsgi") } else { path.to_string() }
}

/// Virtual environments stand where the example has them.
fn furnish(stack_root: &Path, text: &str) {
    for word in text.split_whitespace() {
        if let Some(home) = word.strip_prefix("python-home=/") {
            let link = stack_root.join(home);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(venv("plain", &[]), link).unwrap();
        }
    }
}

fn serves(name: &str) {
    let text = std::fs::read_to_string(directory().join(name)).unwrap();
    let plan = plan(&text).without_daemon();
    let (good, said) = configtest(&plan.lay_out());
    assert!(good, "{said}");
    assert!(!said.contains("not in force"), "an example should show what works: {said}");
    let mut stack = plan.run();
    furnish(stack.place.root(), &text);
    stack.start_daemon();
    let hosts: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("ServerName ")).collect();
    for host in if hosts.is_empty() { vec!["localhost"] } else { hosts } {
        let page = wsgid_tests::eventually(wsgid_tests::wait::PATIENCE, "a page", || {
            let reply = stack.get_from(host, &target(&text));
            if reply.status == 200 { Ok(reply.text()) } else { Err(reply.head) }
        });
        assert!(page.starts_with("Hello from mod_wsgid!\n"), "{page}");
    }
    passes_the_check(&stack);
}

/// What an application does about the Authorization header is left to it, and that is all there is to note.
fn passes_the_check(stack: &Stack) {
    let (status, mut findings) = findings(&stack.place, &[]);
    findings.retain(|each| !each["what"].as_str().unwrap().contains("Authorization header"));
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(status, Some(0));
}

macro_rules! examples {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            serves($name);
        })*

        #[test]
        fn every_example_is_tried() {
            let mut found: Vec<String> = std::fs::read_dir(directory())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name.ends_with(".conf"))
                .collect();
            found.sort();
            assert_eq!(found, [$($name),*]);
        }
    };
}

examples! {
    access_control: "access-control.conf";
    django: "django.conf";
    minimal: "minimal.conf";
    process_group: "process-group.conf";
    script_directory: "script-directory.conf";
    service_script: "service-script.conf";
    two_users: "two-users.conf";
}

#[test]
fn the_private_part_is_for_the_staff() {
    let text = std::fs::read_to_string(directory().join("access-control.conf")).unwrap();
    let stack = plan(&text).run();
    stack.get("/private").expect(401);
    for (who, credentials, status) in [
        ("ann:correct horse", "YW5uOmNvcnJlY3QgaG9yc2U=", 200),
        ("ann:incorrect horse", "YW5uOmluY29ycmVjdCBob3JzZQ==", 401),
        ("bob:battery staple", "Ym9iOmJhdHRlcnkgc3RhcGxl", 401),
        ("eve:", "ZXZlOg==", 401),
    ] {
        let request = Request::get("/private").header("Authorization", &format!("Basic {credentials}"));
        assert_eq!(stack.ask(&request).status, status, "{who}");
    }
}

/// What wsgid.conf offers in comments is good configuration, too.
#[test]
fn the_offered_directives_are_good() {
    let text = std::fs::read_to_string(repository().join("apache-conf/wsgid.conf")).unwrap();
    let offered =
        text.lines().filter_map(|line| line.strip_prefix('#').filter(|line| line.starts_with("WSGI")));
    let offered: Vec<&str> = offered.collect();
    assert!(offered.len() >= 2, "{text}");
    let place = Stack::on(Mpm::Event).config(&offered.join("\n")).without_daemon().lay_out();
    let (good, said) = configtest(&place);
    assert!(good, "{said}");
}
