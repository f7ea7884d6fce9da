//! Directives of the main server: what of it reaches the interpreters, and where each may stand.

use serde_json::{Value, json};
use wsgid_tests::check::findings;
use wsgid_tests::httpd::configtest;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Plan, Stack};

/// Where a directive may stand: in the main server alone, in any server, in a directory's section too, or in
/// `.htaccess` as well. Those of access control stand in directories and in `.htaccess`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Where {
    Main,
    Servers,
    Sections,
    Htaccess,
    Everywhere,
}

use Where::*;

/// Every directive of mod_wsgi's, but for those of access control.
const DIRECTIVES: &[(&str, Where)] = &[
    ("WSGIScriptAlias /x @APPS@/hello.wsgi", Servers),
    ("WSGIScriptAliasMatch ^/y @APPS@/hello.wsgi", Servers),
    ("WSGIImportScript @APPS@/hello.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}", Servers),
    ("WSGIDaemonProcess @NEW@", Servers),
    ("WSGIHandlerScript name @APPS@/hello.wsgi", Sections),
    ("WSGIProcessGroup %{GLOBAL}", Sections),
    ("WSGIApplicationGroup %{GLOBAL}", Sections),
    ("WSGIRestrictProcess site %{GLOBAL}", Sections),
    ("WSGIPassApacheRequest Off", Sections),
    ("WSGICallableObject application", Htaccess),
    ("WSGIScriptReloading Off", Htaccess),
    ("WSGIPassAuthorization On", Htaccess),
    ("WSGIChunkedRequest On", Htaccess),
    ("WSGIMapHEADToGET Auto", Htaccess),
    ("WSGIErrorOverride On", Htaccess),
    ("WSGIEnableSendfile On", Htaccess),
    ("WSGIIgnoreActivity On", Htaccess),
    ("WSGITrustedProxyHeaders X-Forwarded-For", Htaccess),
    ("WSGITrustedProxies 10.0.0.0/8", Htaccess),
    ("WSGIPythonHome @PREFIX@", Main),
    ("WSGIPythonPath /srv:/opt", Main),
    ("WSGIPythonEggs /srv", Main),
    ("WSGIPythonOptimize 1", Main),
    ("WSGIPythonWarnings ignore", Main),
    ("WSGIPythonHashSeed random", Main),
    ("WSGIDontWriteBytecode on", Main),
    ("WSGISwitchInterval 0.1", Main),
    ("WSGIDestroyInterpreter OFF", Main),
    ("WSGIPerInterpreterGIL On", Main),
    ("WSGIFreeThreading On", Main),
    ("WSGIRestrictEmbedded Off", Main),
    ("WSGIRestrictStdin On", Main),
    ("WSGIRestrictStdout On", Main),
    ("WSGIRestrictSignal Off", Main),
    ("WSGICaseSensitivity Off", Main),
    ("WSGISocketPrefix /var/run/wsgi", Main),
    ("WSGISocketRotation Off", Main),
    ("WSGIAcceptMutex flock", Main),
    ("WSGITelemetryService unix:/tmp/x interval=1", Main),
    ("WSGISlowRequests 5", Main),
    ("WSGITelemetryOptions +CaptureUserAgent", Main),
    ("WSGIVerboseDebugging On", Main),
    ("WSGILazyInitialization On", Everywhere),
    ("WSGINewRelicConfigFile /x", Everywhere),
    ("WSGINewRelicEnvironment x", Everywhere),
    ("WSGIPy3kWarningFlag On", Everywhere),
    ("WSGIReloadMechanism Process", Everywhere),
    ("WSGIOutputBuffering On", Everywhere),
    ("WSGIApacheExtensions On", Everywhere),
    ("WSGIServerGroup x", Everywhere),
    ("WSGIPythonExecutable /usr/bin/python3", Everywhere),
    ("WSGIUserAuthoritative On", Everywhere),
];

/// Those that are accepted and do nothing, as every removed one.
const WITHOUT_EFFECT: &[&str] = &[
    "WSGIPerInterpreterGIL",
    "WSGICaseSensitivity",
    "WSGISocketPrefix",
    "WSGISocketRotation",
    "WSGIAcceptMutex",
    "WSGITelemetryService",
    "WSGISlowRequests",
    "WSGITelemetryOptions",
    "WSGIVerboseDebugging",
];

fn plan(config: &str) -> Plan {
    Stack::on(Mpm::Event).bring("hello").with("PREFIX", "/usr").config(config).without_daemon()
}

/// `httpd -t` with these lines: whether it is good, and what it says.
fn check(config: &str) -> (bool, String) {
    configtest(&plan(config).lay_out())
}

fn name_of(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

/// The lines that may stand in all of these places, each followed by a line end.
fn lines_for(places: &[Where]) -> String {
    let wanted = DIRECTIVES.iter().filter(|(_, place)| places.contains(place));
    wanted.map(|(line, _)| format!("{line}\n")).collect()
}

fn in_virtual_host(text: &str) -> String {
    format!("<VirtualHost *:81>\n{}\n</VirtualHost>", text.replace("@NEW@", "inner"))
}

fn in_section(text: &str) -> String {
    format!("<Directory /srv>\n{text}\n</Directory>")
}

#[test]
fn every_directive_may_stand_where_mod_wsgi_has_it() {
    let main = lines_for(&[Main, Servers, Sections, Htaccess, Everywhere]).replace("@NEW@", "outer");
    let host = in_virtual_host(&lines_for(&[Servers, Sections, Htaccess, Everywhere]));
    let section = in_section(&lines_for(&[Sections, Htaccess, Everywhere]));
    let (good, said) = check(&format!("{main}{host}\n{section}"));
    assert!(good, "{said}");
    for (line, place) in DIRECTIVES {
        let name = name_of(line);
        let told = said.lines().filter(|told| told.contains(&format!("{name} at "))).count();
        let due = *place == Everywhere || WITHOUT_EFFECT.contains(&name);
        assert_eq!(told, usize::from(due), "{name} has no effect, told once: {said}");
    }
}

#[test]
fn wsgictl_check_names_whatever_has_no_effect() {
    let main = lines_for(&[Main, Servers, Sections, Htaccess, Everywhere]).replace("@NEW@", "outer");
    let (_, found) = findings(&plan(&main).lay_out(), &[]);
    for (line, place) in DIRECTIVES {
        let name = name_of(line);
        let begins = |each: &&Value| each["what"].as_str().unwrap().starts_with(&format!("{name} has n"));
        let due = *place == Everywhere || WITHOUT_EFFECT.contains(&name);
        assert_eq!(found.iter().filter(begins).count(), usize::from(due), "{name}: {found:#?}");
    }
    // It says what is so anyway.
    let (_, found) = findings(&plan("WSGICaseSensitivity on").lay_out(), &[]);
    assert!(!format!("{found:?}").contains("WSGICaseSensitivity"), "{found:?}");
}

#[test]
fn no_directive_may_stand_elsewhere() {
    for (line, place) in DIRECTIVES {
        let refused = match place {
            Main => vec![in_virtual_host(line), in_section(line)],
            Servers => vec![in_section(line)],
            Sections | Htaccess | Everywhere => vec![],
        };
        for config in refused {
            let (good, said) = check(&config);
            assert!(!good, "accepted: {config}\n{said}");
            assert!(said.contains(name_of(line)), "{config}: {said}");
        }
    }
}

/// `.htaccess` is read when somebody asks for what lies beside it.
#[test]
fn htaccess_may_say_what_is_allowed_to_it() {
    let mut plan = Stack::on(Mpm::Event).bring("hello").config("WSGIDaemonProcess site");
    for (number, (line, _)) in DIRECTIVES.iter().enumerate() {
        plan =
            plan.file(&format!("htdocs/{number}/.htaccess"), line).file(&format!("htdocs/{number}/page"), "");
        plan = plan.file(&format!("htdocs/none/{number}/.htaccess"), line);
        plan = plan.file(&format!("htdocs/none/{number}/page"), "");
    }
    let overrides = |path: &str, what: &str| {
        format!("<Directory @ROOT@/htdocs{path}>\nAllowOverride {what}\nAllowOverrideList None\n</Directory>")
    };
    let stack = plan.config(&overrides("", "FileInfo")).config(&overrides("/none", "Limit")).run();
    for (number, (line, place)) in DIRECTIVES.iter().enumerate() {
        let allowed = matches!(place, Htaccess | Everywhere);
        let status = stack.get(&format!("/{number}/page")).status;
        assert_eq!(status, if allowed { 200 } else { 500 }, "{line} under AllowOverride FileInfo");
        let status = stack.get(&format!("/none/{number}/page")).status;
        assert_eq!(status, if *place == Everywhere { 200 } else { 500 }, "{line} under AllowOverride Limit");
    }
}

#[test]
fn what_a_directive_can_not_mean_is_refused_at_its_line() {
    for (config, told) in [
        ("WSGIImportScript", "WSGIImportScript takes"),
        ("WSGIImportScript @APPS@/hello.wsgi process-group=%{GLOBAL}", "application group required"),
        ("WSGIImportScript @APPS@/hello.wsgi application-group=%{GLOBAL}", "process group required"),
        ("WSGIImportScript @APPS@/hello.wsgi application-group=x process-group=late", "not yet configured"),
        (
            "WSGIImportScript @APPS@/hello.wsgi application-group=%{HOST} process-group=%{GLOBAL}",
            "no request",
        ),
        ("WSGIImportScript @APPS@/hello.wsgi callable-object=x", "callable-object"),
        ("WSGIHandlerScript name", "WSGIHandlerScript takes"),
        ("WSGIHandlerScript name @APPS@/hello.wsgi callable-object=x", "callable-object"),
        ("WSGIHandlerScript name @APPS@/hello.wsgi pass-authorization=maybe", "On or Off"),
        ("WSGIScriptAlias /x @APPS@/hello.wsgi application-group=", "must not be empty"),
        ("WSGIRestrictSignal perhaps", "On or Off"),
        ("WSGIPythonWarnings", "WSGIPythonWarnings takes one argument"),
        ("WSGISwitchInterval 0", "a positive number"),
        ("WSGIPassApacheRequest On", "Python runs outside of httpd"),
        ("WSGIMapHEADToGET perhaps", "Off | On | Auto"),
        ("WSGICPUScheduling fifo", "batch | inherit"),
        ("WSGIAcceptMutex spinlock", "default, flock, fcntl, sysvsem, posixsem, pthread"),
        ("WSGIAcceptMutex flock fcntl", "must be one of"),
        ("WSGICaseSensitivity perhaps", "On, Off"),
        ("WSGISocketRotation", "On, Off"),
        ("WSGISocketPrefix", "takes one argument"),
        ("WSGITelemetryService tcp:host", "unix:"),
        ("WSGITelemetryService unix:/tmp/x interval=often", "interval="),
        ("WSGITelemetryService unix:/tmp/x rate=1", "interval="),
        ("WSGITelemetryOptions +CaptureUserAgent +Everything", "CaptureUserAgent"),
        ("WSGISlowRequests soon", "a number of seconds"),
        ("<Location />\nWSGIGroupAuthoritative perhaps\n</Location>", "On, Off"),
        ("WSGITrustedProxies nowhere", "nowhere"),
    ] {
        let (good, said) = check(config);
        assert!(!good && said.contains(told), "{config}: {said}");
        assert!(said.contains("Syntax error on line"), "{config}: {said}");
    }
}

/// Two sites, of which the first declares a group; the second has this line.
fn two_sites(name: &str, line: &str) -> String {
    format!(
        "<VirtualHost *:81>\nServerName one.example\nWSGIDaemonProcess site\n</VirtualHost>\n\
         <VirtualHost *:82>\n{name}\n{line}\n</VirtualHost>"
    )
}

#[test]
fn what_is_imported_ahead_of_requests_names_a_group_that_it_may_use() {
    for line in [
        "WSGIImportScript @APPS@/hello.wsgi process-group=site application-group=x",
        "WSGIScriptAlias / @APPS@/hello.wsgi process-group=site application-group=x",
    ] {
        let (good, said) = check(&two_sites("ServerName two.example", line));
        assert!(!good && said.contains("not accessible"), "{line}: {said}");
        let (good, said) = check(&two_sites("ServerName ONE.example", line));
        assert!(good, "{line}: {said}");
    }
}

fn in_group(stack: &Stack, target: &str) -> Value {
    stack.get(target).expect(200).json()
}

#[test]
fn what_the_main_server_says_of_interpreters_holds_for_groups_that_do_not() {
    let stack = Stack::on(Mpm::Event)
        .bring("interpreter")
        .config("WSGIPythonOptimize 1\nWSGIPythonHashSeed 7\nWSGIDontWriteBytecode On")
        .config("WSGIPythonWarnings error\nWSGIPythonWarnings ignore::DeprecationWarning")
        .config("WSGISwitchInterval 0.25")
        .config("WSGIDaemonProcess plain")
        .config("WSGIDaemonProcess own python-optimize=2 python-hash-seed=random python-warnings=default")
        .config("WSGIDaemonProcess off dont-write-bytecode=Off python-optimize=0")
        .config("WSGIScriptAlias /implicit @APPS@/interpreter.wsgi")
        .config("WSGIScriptAlias /plain @APPS@/interpreter.wsgi process-group=plain")
        .config("WSGIScriptAlias /own @APPS@/interpreter.wsgi process-group=own")
        .config("WSGIScriptAlias /off @APPS@/interpreter.wsgi process-group=off")
        .run();
    let [implicit, plain, own, off] = ["/implicit", "/plain", "/own", "/off"].map(|at| in_group(&stack, at));
    for group in [&implicit, &plain] {
        assert_eq!(group["optimize"], 1);
        assert_eq!(group["warnings"], json!(["error", "ignore::DeprecationWarning"]));
        assert_eq!((&group["bytecode"], &group["seed"]), (&json!(false), &json!("7")));
    }
    assert_eq!(implicit["hash"], plain["hash"]);
    assert_eq!((&own["optimize"], &own["warnings"]), (&json!(2), &json!(["default"])));
    // mod_wsgi 6 takes `random` for 0, which is no randomization.
    assert_eq!(own["hash_randomization"], 1);
    assert_ne!(own["hash"], plain["hash"]);
    assert_eq!((&off["optimize"], &off["bytecode"]), (&json!(0), &json!(true)));
    assert_eq!((&implicit["switch_interval"], &plain["switch_interval"]), (&json!(0.25), &json!(0.005)));
}

/// More specific sections weigh more, later ones as well, and directories add up.
#[test]
fn sections_set_options_of_single_application_groups() {
    let mut stack = Stack::on(Mpm::Event)
        .bring("interpreter")
        .config("WSGIDaemonProcess site python-path=/srv/base switch-interval=0.5")
        .config("<WSGIInterpreterOptions process-group=site application-group=x>\nWSGISwitchInterval 0.125")
        .config("WSGIPythonPath /srv/x\n</WSGIInterpreterOptions>")
        .config("<WSGIInterpreterOptions>\nWSGISwitchInterval 0.0625\nWSGIPythonPath /srv/all")
        .config("WSGIPerInterpreterGIL On\n</WSGIInterpreterOptions>")
        .config("<WSGIInterpreterOptions process-group=site>\nWSGIPythonPath /srv/site\n</WSGIInterpreterOptions>")
        .config("<WSGIInterpreterOptions process-group=other>\nWSGISwitchInterval 9\n</WSGIInterpreterOptions>")
        .config("WSGIScriptAlias /x @APPS@/interpreter.wsgi process-group=site application-group=x")
        .config("WSGIScriptAlias /y @APPS@/interpreter.wsgi process-group=site application-group=y")
        .config("WSGIScriptAlias /implicit @APPS@/interpreter.wsgi")
        .run();
    for directory in ["base", "x", "all", "site"] {
        assert!(!std::path::Path::new("/srv").join(directory).exists(), "addsitedir takes what is there");
    }
    let [x, y, implicit] = ["/x", "/y", "/implicit"].map(|at| in_group(&stack, at));
    let intervals = [&x, &y, &implicit].map(|group| group["switch_interval"].as_f64().unwrap());
    assert_eq!(intervals, [0.125, 0.0625, 0.0625]);
    let path = |group: &Value| {
        let path: Vec<String> = serde_json::from_value(group["path"].clone()).unwrap();
        path.into_iter().filter(|entry| entry.starts_with("/srv/")).collect::<Vec<_>>()
    };
    assert_eq!(path(&x), ["/srv/x", "/srv/site", "/srv/all", "/srv/base"]);
    assert_eq!(path(&y), ["/srv/site", "/srv/all", "/srv/base"]);
    assert_eq!(path(&implicit), ["/srv/all"]);
    stack.logged("error", &["<WSGIInterpreterOptions process-group=other>", "no effect"]);
    // A change for x concerns nobody else.
    stack.reconfigure("WSGISwitchInterval 0.125", "WSGISwitchInterval 0.25");
    until("x has its new interval", || in_group(&stack, "/x")["switch_interval"] == json!(0.25));
    assert_eq!(in_group(&stack, "/y")["pid"], y["pid"]);
}

#[test]
fn a_section_holds_only_what_application_groups_can_have() {
    for (config, told) in [
        ("<WSGIInterpreterOptions>\nWSGIPythonHome /usr\n</WSGIInterpreterOptions>", "python-home"),
        ("<WSGIInterpreterOptions>\nWSGISwitchInterval x\n</WSGIInterpreterOptions>", "a positive number"),
        ("<WSGIInterpreterOptions nonsense=x>\n</WSGIInterpreterOptions>", "nonsense"),
        (
            "<WSGIInterpreterOptions process-group=a Process-Group=b>\n</WSGIInterpreterOptions>",
            "more than once",
        ),
        (&in_virtual_host("<WSGIInterpreterOptions>\n</WSGIInterpreterOptions>"), "WSGIInterpreterOptions"),
    ] {
        let (good, said) = check(config);
        assert!(!good && said.contains(told), "{config}: {said}");
    }
}
