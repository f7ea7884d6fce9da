//! The manual pages say what the programs know: directives with their contexts, options, and arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use wsgid_proto::options::{Force, ProcessGroup, RULES};
use wsgid_tests::check::dump;
use wsgid_tests::httpd::configtest;
use wsgid_tests::stage::{repository, staged};
use wsgid_tests::{Mpm, Stack};

fn page(name: &str) -> String {
    std::fs::read_to_string(repository().join("packaging/man").join(name)).unwrap()
}

/// What mod_wsgid(5) says of a directive.
#[derive(Debug)]
struct Described {
    heading: String,
    context: String,
}

/// The directives of mod_wsgid(5), by name.
fn described() -> BTreeMap<String, Described> {
    let manual = page("mod_wsgid.5");
    let directives = manual.split("\n.Sh ").find(|section| section.starts_with("DIRECTIVES")).unwrap();
    let mut described = BTreeMap::new();
    for section in directives.split("\n.Ss ").skip(1) {
        let heading = section.lines().next().unwrap();
        for item in section.split("\n.It Ic ").skip(1) {
            let name = item.split_whitespace().next().unwrap();
            let context = item.lines().find_map(|line| line.strip_prefix("Context: "));
            let context = context.unwrap_or_else(|| panic!("{name} has no line 'Context: ...'")).to_string();
            let twice = described.insert(name.to_string(), Described { heading: heading.into(), context });
            assert!(twice.is_none(), "{name} is there twice");
        }
    }
    described
}

/// The module's own table: name, contexts, why it has no effect.
fn commands() -> Vec<[String; 3]> {
    let place = Stack::on(Mpm::Event).without_daemon().lay_out();
    let lines = dump(&place).into_iter().filter(|fields| fields[0] == "command");
    lines.map(|fields| [fields[1].clone(), fields[2].clone(), fields[3].clone()]).collect()
}

#[test]
fn every_directive_is_described_where_it_may_stand() {
    let described = described();
    let commands = commands();
    let known: BTreeSet<&String> = commands.iter().map(|[name, ..]| name).collect();
    assert_eq!(described.keys().collect::<BTreeSet<_>>(), known);
    for [name, contexts, _] in &commands {
        let said = described[name].context.as_str();
        let expected: &[&str] = match contexts.as_str() {
            "server" => &["server config.", "server config, virtual host."],
            "server,directory" => &["server config, virtual host, directory."],
            "server,directory,htaccess:FileInfo" => {
                &["server config, virtual host, directory, .htaccess (FileInfo)."]
            }
            "directory,htaccess:AuthConfig" => &["directory, .htaccess (AuthConfig)."],
            "server,directory,htaccess:All" => &["everywhere."],
            other => panic!("{name}: {other}"),
        };
        assert!(expected.contains(&said), "{name} may stand in {contexts}, the manual says {said}");
    }
}

/// httpd's table does not tell what a directive's own function refuses.
#[test]
fn what_only_the_main_server_may_set_is_refused_in_a_virtual_host() {
    let mut tried = 0;
    for (name, Described { context, .. }) in described() {
        let main_only = context == "server config.";
        if !main_only && context != "server config, virtual host." {
            continue;
        }
        let usage = match name.strip_prefix('<') {
            Some(section) => format!("<{section}>\n</{section}>"),
            None => format!("{name} On"),
        };
        let text = format!("<VirtualHost *:1>\n{usage}\n</VirtualHost>");
        let (_, said) = configtest(&Stack::on(Mpm::Event).without_daemon().config(&text).lay_out());
        assert_eq!(said.contains("cannot occur within <VirtualHost> section"), main_only, "{name}: {said}");
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn the_manual_says_which_directives_have_no_effect() {
    let described = described();
    for [name, _, why] in commands() {
        let expected = match () {
            () if why.is_empty() => None,
            () if why.contains("removed from mod_wsgi") => Some("Directives that were removed from mod_wsgi"),
            () => Some("Directives without effect"),
        };
        let heading = described[&name].heading.as_str();
        match expected {
            Some(expected) => assert_eq!(heading, expected, "{name} {why}"),
            None => assert!(!heading.starts_with("Directives"), "{name} has an effect"),
        }
    }
}

/// The options that mod_wsgid(5) lists under a heading.
fn listed(heading: &str) -> BTreeSet<String> {
    let manual = page("mod_wsgid.5");
    let section = manual.split(".Ss ").find(|section| section.starts_with(heading)).unwrap();
    let items = section.lines().filter_map(|line| line.strip_prefix(".It Cm "));
    items.map(|item| item.split(' ').next().unwrap().to_string()).collect()
}

#[test]
fn the_manual_says_which_options_are_in_force() {
    type Wanted = fn(Force) -> bool;
    let headings: [(&str, Wanted); 2] = [
        ("Options in force", |force| force == Force::Full),
        ("Options with nothing to do here", |force| matches!(force, Force::Moot(_))),
    ];
    for (heading, wanted) in headings {
        let rules = RULES.iter().filter(|rule| wanted(rule.force));
        let expected: BTreeSet<String> = rules.map(|rule| rule.name.to_string()).collect();
        assert_eq!(listed(heading), expected, "{heading}");
    }
}

#[test]
fn the_manual_has_the_defaults() {
    let group = ProcessGroup::named("");
    let manual = page("mod_wsgid.5");
    for (name, number) in [
        ("processes", group.processes.into()),
        ("threads", group.threads.into()),
        ("shutdown-timeout", group.shutdown_timeout.into()),
        ("connect-timeout", group.connect_timeout.into()),
        ("queue-size", group.queue_size.into()),
        ("request-buffer-size", group.request_buffer_size),
        ("request-spool-size", group.request_spool_size),
        ("response-buffer-size", group.response_buffer_size),
        ("response-spool-size", group.response_spool_size),
        ("listen-backlog", group.listen_backlog.into()),
    ] {
        let item = manual.split("\n.It Cm ").find(|item| item.starts_with(&format!("{name} "))).unwrap();
        assert!(item.contains(&format!("\n{number} by default")), "{name} is {number} by default: {item}");
    }
}

/// What a program's `--help` lists is in its manual page, and the other way round.
#[test]
fn the_manual_knows_every_option_of_the_programs() {
    for (program, commands, name) in [
        ("usr/sbin/wsgid", &["run", "serve"][..], "wsgid.8"),
        ("usr/bin/wsgictl", &["status", "reload", "check"][..], "wsgictl.1"),
    ] {
        let mut offered = BTreeSet::new();
        for command in commands {
            let output = Command::new(staged(program)).args([command, "--help"]).output().unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            let words = help.lines().filter_map(|line| line.trim_start().split("--").nth(1));
            let names =
                words.map(|rest| rest.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next().unwrap());
            offered.extend(names.map(String::from));
        }
        offered.remove("help");
        let manual = page(name);
        let body = manual.split(".Sh DESCRIPTION").nth(1).unwrap();
        let flags = body
            .lines()
            .filter(|line| line.starts_with(".It Fl "))
            .flat_map(|line| line.split("Fl -").skip(1));
        let described: BTreeSet<String> =
            flags.map(|flag| flag.split(' ').next().unwrap().to_string()).collect();
        assert_eq!(described, offered, "{name}");
    }
}
