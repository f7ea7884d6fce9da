//! Options, their values and their complaints.

use super::*;

fn one(key: &str, value: &str) -> (Option<ProcessGroup>, Vec<Complaint>) {
    parse("site", &[(key, value)])
}

#[test]
fn defaults_are_mod_wsgis() {
    let (group, complaints) = parse::<&str, &str>("site", &[]);
    let group = group.unwrap();
    assert!(complaints.is_empty());
    assert_eq!((group.processes, group.threads, group.multiprocess), (1, 15, false));
    assert_eq!((group.connect_timeout, group.shutdown_timeout, group.listen_backlog), (15, 5, 100));
}

#[test]
fn processes_makes_multiprocess_even_when_it_is_one() {
    assert!(one("processes", "1").0.unwrap().multiprocess);
}

#[test]
fn an_unknown_option_is_an_error_in_mod_wsgis_words() {
    let (group, complaints) = one("processess", "2");
    assert!(group.is_none());
    assert!(complaints[0].to_string().starts_with("Invalid option to WSGI daemon process definition"));
}

/// mod_wsgi-express writes it wherever nobody has chosen a size.
#[test]
fn a_size_of_nothing_is_the_usual_one() {
    for key in ["send-buffer-size", "receive-buffer-size", "header-buffer-size"] {
        assert!(one(key, "0").0.is_some(), "{key}");
    }
}

#[test]
fn values_that_do_not_fit_are_errors() {
    for (key, value) in [
        ("processes", "0"),
        ("processes", "many"),
        ("threads", "-1"),
        ("home", "relative"),
        ("umask", "9"),
        ("umask", "7777"),
        ("cpu-priority", "20"),
        ("switch-interval", "0"),
        ("switch-interval", "inf"),
        ("server-metrics", "maybe"),
        ("user", ""),
        ("header-buffer-size", "100"),
        ("send-buffer-size", "511"),
        ("python-optimize", "3"),
        ("python-warnings", ""),
        ("python-hash-seed", "-1"),
        ("python-hash-seed", "4294967296"),
        ("python-hash-seed", "Random"),
        ("dont-write-bytecode", "yes"),
        ("restrict-signal", "1"),
        ("reload", "now"),
        ("cpu-scheduling", "fifo"),
        ("env", "NAME"),
        ("env", "=value"),
        ("env", "2ND=value"),
        ("env", "A NAME=value"),
    ] {
        let (group, complaints) = one(key, value);
        assert!(group.is_none(), "{key}={value}");
        assert!(complaints[0].to_string().contains(key), "{complaints:?}");
    }
}

#[test]
fn every_option_is_in_force_or_warns_with_its_name() {
    for rule in RULES {
        let value = match rule.shape {
            Text | Names => "x",
            Path | Paths => "/x",
            Number(low, _) => {
                if low > 0 {
                    "100000"
                } else {
                    "1"
                }
            }
            Signed(..) | Seconds | Decimal => "1",
            Size(_) => "100000",
            Octal => "022",
            Switch => "On",
            Seed => "random",
            Variable => "NAME=value",
            Choice(words) => words.last().unwrap(),
        };
        let value = match rule.name {
            "processes" | "processes-max" | "listen-backlog" => "2",
            "restrict-signal" | "destroy-interpreter" => "Off", // they are on by default
            _ => value,
        };
        let (group, complaints) = one(rule.name, value);
        assert!(group.is_some(), "{}: {complaints:?}", rule.name);
        if rule.force == Full {
            assert!(complaints.is_empty(), "{}", rule.name);
            assert_ne!(group.unwrap(), ProcessGroup::named("site"), "{} changes nothing", rule.name);
        } else {
            assert!(complaints[0].to_string().contains(rule.name));
        }
    }
}

#[test]
fn warnings_add_up_and_other_options_are_what_was_said_last() {
    let options =
        [("python-warnings", "error"), ("threads", "2"), ("python-warnings", "ignore"), ("threads", "3")];
    let group = parse("site", &options).0.unwrap();
    assert_eq!((group.python_warnings, group.threads), (vec!["error".to_string(), "ignore".into()], 3));
}

#[test]
fn variables_add_up_and_their_values_may_hold_anything() {
    let group = parse("site", &[("env", "A=1"), ("env", "B_2=x=y z"), ("env", "C=")]).0.unwrap();
    let expected = [("A", "1"), ("B_2", "x=y z"), ("C", "")];
    assert_eq!(group.env, expected.map(|(name, value)| (name.to_string(), value.into())));
}

#[test]
fn there_are_as_many_processes_as_there_must_be() {
    let of = |options: &[(&str, &str)]| {
        parse("site", options).0.map(|group| (group.processes_at_first(), group.processes))
    };
    assert_eq!(of(&[("processes-min", "3")]), Some((3, 3)));
    assert_eq!(of(&[("processes-min", "2"), ("processes-max", "4")]), Some((2, 4)));
    assert_eq!(of(&[("processes-min", "5"), ("processes", "4")]), None);
    assert_eq!(of(&[("processes", "4"), ("processes-max", "4")]), None);
}

#[test]
fn paths_are_as_they_are_below_the_root() {
    let group = |root| one("chroot", root).0.unwrap();
    assert_eq!(group("/srv/jail").path_inside(b"/srv/jail/app.wsgi"), b"/app.wsgi");
    assert_eq!(group("/srv/jail/").path_inside(b"/srv/jail/app.wsgi"), b"/app.wsgi");
    assert_eq!(group("/srv/jail").path_inside(b"/srv/jailed/app.wsgi"), b"/srv/jailed/app.wsgi");
    assert_eq!(ProcessGroup::named("").path_inside(b"/srv/app.wsgi"), b"/srv/app.wsgi");
}

#[test]
fn a_home_is_one_directory_even_where_two_are_written() {
    for (written, home) in [("/opt/python", "/opt/python"), ("/opt/python:/opt/python-amd64", "/opt/python")]
    {
        assert_eq!(one("python-home", written).0.unwrap().python_home.unwrap(), home);
    }
}

#[test]
fn an_overlay_comes_before_directories_and_in_place_of_the_rest() {
    let base = [("python-path", "/a:/b"), ("switch-interval", "1"), ("threads", "0")];
    let mut group = parse("site", &base).0.unwrap();
    assert!(group.is_service());
    let over = [("python-path", "/c"), ("switch-interval", "2"), ("restrict-signal", "Off")];
    assert_eq!(overlay(&mut group, &over), []);
    assert_eq!(
        (group.python_path, group.switch_interval),
        (vec!["/c".into(), "/a".into(), "/b".into()], Some(2.0))
    );
    assert!(!group.restrict_signal);
    let complaints = overlay(&mut ProcessGroup::named(""), &[("threads", "1"), ("restrict-stdin", "x")]);
    assert!(
        matches!(&complaints[..], [Complaint::NotScoped(name), Complaint::Value { .. }] if name == "threads")
    );
}

#[test]
fn all_complaints_come_at_once() {
    let (_, complaints) =
        parse("g", &[("processes", "x"), ("nonsense", "1"), ("script-user", "a"), ("script-group", "b")]);
    assert_eq!(complaints.iter().filter(|c| c.is_error()).count(), 3);
}
