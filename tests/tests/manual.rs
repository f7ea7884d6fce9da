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

/// The module's own table: name, contexts, why it has no effect, default.
fn commands() -> Vec<[String; 4]> {
    let place = Stack::on(Mpm::Event).without_daemon().lay_out();
    let lines = dump(&place).into_iter().filter(|fields| fields[0] == "command");
    lines.map(|fields| [1, 2, 3, 5].map(|field| fields[field].clone())).collect()
}

#[test]
fn every_directive_is_described_where_it_may_stand() {
    let described = described();
    let commands = commands();
    let known: BTreeSet<&String> = commands.iter().map(|[name, ..]| name).collect();
    assert_eq!(described.keys().collect::<BTreeSet<_>>(), known);
    for [name, contexts, ..] in &commands {
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
    for [name, _, why, _] in commands() {
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

/// The text of an item of mod_wsgid(5) without its markup.
fn plain(item: &str) -> String {
    let macros = ["Cm", "Li", "Va", "Ic", "Pa", "Fn", "Ev", "Dv", "Ar"];
    let words = item.lines().flat_map(|line| {
        let marked = line.strip_prefix('.').filter(|rest| macros.iter().any(|each| rest.starts_with(each)));
        marked.map_or(line, |rest| &rest[2..]).split_whitespace()
    });
    let text = words.collect::<Vec<_>>().join(" ");
    [",", ".", ";"].iter().fold(text, |text, mark| text.replace(&format!(" {mark}"), mark))
}

/// The words that an option's item calls the default, as far as they are values.
fn defaults_in(item: &str) -> Vec<String> {
    let text = plain(item).to_lowercase();
    let before = |phrase: &str| {
        let ends: Vec<usize> = text.match_indices(phrase).map(|(at, _)| at).collect();
        ends.into_iter().map(|at| text[..at].rsplit(' ').next().unwrap().to_string()).collect::<Vec<_>>()
    };
    let words = [before(" by default"), before(", the default")].concat();
    let is_value = |word: &String| {
        word.parse::<i64>().is_ok()
            || ["on", "off", "rolling", "immediate", "batch", "inherit"].contains(&word.as_str())
    };
    words.into_iter().filter(is_value).collect()
}

/// What the parser takes an option to be that is not written down; `None` if it is nothing then.
fn parsed_default(option: &str) -> Option<String> {
    let field = match option {
        "reload" => "reload_at_once".to_string(),
        "cpu-scheduling" => "cpu_batch".into(),
        "env-file" => "env_files".into(),
        "processes-max" => return None, // another name
        other => other.replace('-', "_"),
    };
    let group = format!("{:#?}", ProcessGroup::named(""));
    let line =
        group.lines().find_map(|line| line.trim().strip_prefix(&format!("{field}: ")).map(String::from));
    let value = line.unwrap_or_else(|| panic!("{option} has no field"));
    match value.trim_end_matches(',') {
        "None" | "[]" => None,
        "false" if option == "reload" => Some("rolling".into()),
        "true" if option == "cpu-scheduling" => Some("batch".into()),
        "false" => Some("off".into()),
        "true" => Some("on".into()),
        number => Some(number.into()),
    }
}

#[test]
fn the_manual_has_the_default_of_every_option() {
    let manual = page("mod_wsgid.5");
    let mut compared = 0;
    for rule in RULES.iter().filter(|rule| rule.force == Force::Full) {
        let name = rule.name;
        let item = manual.split("\n.It Cm ").find(|item| item.starts_with(&format!("{name} "))).unwrap();
        let item = item.split("\n.El").next().unwrap();
        let expected: Vec<String> = parsed_default(name).into_iter().collect();
        compared += expected.len();
        assert_eq!(defaults_in(item), expected, "{name}: {}", plain(item));
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn the_manual_has_the_default_of_every_directive() {
    let manual = page("mod_wsgid.5");
    let mut compared = 0;
    for [name, _, why, default] in commands() {
        let item =
            manual.split("\n.It Ic ").find(|item| item.split_whitespace().next() == Some(&name)).unwrap();
        let text = plain(item.split("\n.Pp").next().unwrap());
        let said = text.split_once(" Default: ").map(|(_, said)| said.trim_end_matches('.').to_string());
        let due = match default.strip_prefix('=') {
            Some(option) => {
                parsed_default(option).map(|value| value.replace("off", "Off").replace("on", "On"))
            }
            None => Some(default.clone()).filter(|default| !default.is_empty()),
        };
        compared += usize::from(due.is_some());
        match due {
            // What stands for nothing has words of its own, or none.
            None => assert!(
                said.is_none_or(
                    |said| ["none", "every group", "every peer", "random"].contains(&said.as_str())
                ),
                "{name}: {text}"
            ),
            Some(_) if !why.is_empty() => panic!("{name} has no effect, and a default"),
            Some(due) => assert_eq!(said, Some(due), "{name}"),
        }
    }
    assert!(compared >= 20, "{compared}");
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
