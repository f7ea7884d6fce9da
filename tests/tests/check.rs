//! `wsgictl check` on real configurations, read by the real httpd: each finding at its line, and none where
//! there is nothing to find.

use nix::unistd::getuid;
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use wsgid_tests::check::{findings, wsgictl};
use wsgid_tests::place::Place;
use wsgid_tests::stage::{module, staged};
use wsgid_tests::venv::venv;
use wsgid_tests::{Mpm, Plan, Stack};

/// A configuration whose author has thought of everything.
fn plan(text: &str) -> Plan {
    Stack::on(Mpm::Event).bring("hello").without_daemon().config("WSGIPassAuthorization Off").config(text)
}

struct Checked {
    place: Place,
    status: Option<i32>,
    findings: Vec<Value>,
}

impl Checked {
    fn in_place(place: Place, arguments: &[&str]) -> Self {
        let (status, findings) = findings(&place, arguments);
        Self { place, status, findings }
    }

    /// The first line of the configuration that contains this.
    fn line_of(&self, part: &str) -> Value {
        let text = self.place.read("httpd.conf");
        (text.lines().position(|line| line.contains(part)).expect(part) + 1).into()
    }

    /// Takes the finding out that is of this grade, at the line with `line`, and contains the words.
    #[track_caller]
    fn expect(mut self, grade: &str, line: &str, words: &str) -> Self {
        let (number, file) = (self.line_of(line), self.place.path("httpd.conf").display().to_string());
        let is_it = |each: &Value| {
            each["grade"] == grade
                && each["line"] == number
                && each["file"] == file.as_str()
                && each["what"].as_str().unwrap().contains(words)
                && each["mend"].as_str().unwrap().ends_with(['.', '>'])
        };
        let at = self.findings.iter().position(is_it);
        let at = at.unwrap_or_else(|| panic!("no {grade} with {words:?} at {number}: {:#?}", self.findings));
        self.findings.remove(at);
        self
    }

    /// Nothing else was found, but that no daemon runs.
    #[track_caller]
    fn and_nothing_else(self, status: i32) {
        let silent = self.expect("note", "WSGIDaemonSocket", "does not listen");
        assert!(silent.findings.is_empty(), "{:#?}", silent.findings);
        assert_eq!(silent.status, Some(status));
    }
}

#[track_caller]
fn check(text: &str) -> Checked {
    Checked::in_place(plan(text).lay_out(), &[])
}

const GOOD: &str = "WSGIDaemonProcess site\n\
    WSGIScriptAlias / @APPS@/hello.wsgi process-group=site application-group=%{GLOBAL}";

#[test]
fn a_good_configuration_has_no_findings() {
    check(GOOD).and_nothing_else(0);
    check("WSGIScriptAlias / @APPS@/hello.wsgi").and_nothing_else(0);
}

#[test]
fn nothing_is_found_of_a_server_that_runs() {
    let stack = Stack::on(Mpm::Event).bring("hello").config("WSGIPassAuthorization Off").config(GOOD).run();
    let output = wsgictl(&stack.place, &[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "nothing found\n");
    assert!(output.status.success());
    stack.get("/").expect(200);
}

#[test]
fn groups_that_are_not_declared_foreign_or_never_named() {
    let text = "
        WSGIDaemonProcess idle
        WSGIScriptAlias /a @APPS@/hello.wsgi process-group=nowhere
        <VirtualHost 127.0.0.1:@PORT@>
        ServerName one.example
        WSGIDaemonProcess one
        WSGIScriptAlias / @APPS@/hello.wsgi process-group=one
        </VirtualHost>
        <VirtualHost 127.0.0.1:@PORT@>
        ServerName two.example
        WSGIProcessGroup one
        WSGIScriptAlias / @APPS@/hello.wsgi
        </VirtualHost>";
    check(text)
        .expect("warning", "WSGIDaemonProcess idle", "nothing names it")
        .expect(
            "error",
            "process-group=nowhere",
            "No process group 'nowhere' is declared (declared are: idle, one)",
        )
        .expect("error", "WSGIProcessGroup one", "belongs to the virtual hosts of ServerName one.example")
        .and_nothing_else(1);
}

/// An ordinary user is told, too, that httpd may have been denied something.
#[test]
fn httpds_own_complaint_has_its_line_and_advice() {
    for (text, line, complaint) in [
        (
            "WSGIDaemonProcess site\n<VirtualHost *:443>\nWSGIDaemonProcess site threads=5\n</VirtualHost>",
            "WSGIDaemonProcess site threads=5",
            "Name duplicates previous WSGI daemon",
        ),
        ("WSGIDaemonProcess site user=nosuchuser", "user=nosuchuser", "There is no user 'nosuchuser'"),
    ] {
        let checked = check(text).expect("error", line, complaint);
        assert_eq!(checked.status, Some(1));
        assert_eq!(checked.findings.len(), usize::from(!getuid().is_root()), "{:#?}", checked.findings);
    }
}

#[test]
fn requests_that_go_astray() {
    let text = "
        WSGIDaemonProcess site
        WSGIDaemonProcess script threads=0
        WSGIScriptAlias /app @APPS@/hello.wsgi process-group=site application-group=%{HOST}
        WSGIScriptAlias /app/longer @APPS@/hello.wsgi process-group=site
        WSGIScriptAlias /service @APPS@/hello.wsgi process-group=script
        WSGIScriptAlias /stray @APPS@/hello.wsgi
        <Directory @ROOT@/htdocs>
        AddHandler wsgi-script .wsgi
        </Directory>";
    let checked = check(text)
        .expect("warning", "application-group=%{HOST}", "by the Host header")
        .expect("error", "/app/longer", "is never reached")
        .expect("error", "/service", "go to process group 'script'")
        .expect("warning", "/stray", "in the implicit process group")
        .expect("error", "AddHandler", "ExecCGI is on nowhere");
    // Whether threads=0 is in force is another matter.
    assert!(checked.findings.iter().all(|each| each["grade"] != "error"), "{:#?}", checked.findings);
    check("WSGIDaemonProcess site\nWSGIRestrictProcess site\nWSGIScriptAlias / @APPS@/hello.wsgi process-group=%{GLOBAL}")
        .expect("error", "WSGIScriptAlias /", "which WSGIRestrictProcess at")
        .expect("warning", "WSGIDaemonProcess site", "nothing names it")
        .and_nothing_else(1);
    check("WSGIRestrictEmbedded On\nWSGIScriptAlias / @APPS@/hello.wsgi")
        .expect("error", "WSGIScriptAlias /", "WSGIRestrictEmbedded at")
        .and_nothing_else(1);
}

#[test]
fn scripts_that_nobody_gets() {
    let text = "
        WSGIScriptAlias /missing @ROOT@/apps/missing.wsgi
        WSGIScriptAlias /denied @ROOT@/elsewhere/app.wsgi
        WSGIScriptAlias /granted @ROOT@/granted/app.wsgi
        <Directory @ROOT@/granted>
        <Files app.wsgi>
        <RequireAny>
        Require ip 127.0.0.1
        Require all granted
        </RequireAny>
        </Files>
        </Directory>";
    let plan = plan(text).module("authz_host").file("elsewhere/app.wsgi", "").file("granted/app.wsgi", "");
    Checked::in_place(plan.lay_out(), &[])
        .expect("error", "/missing", "apps/missing.wsgi")
        .expect("error", "/denied", "client denied by server configuration")
        .and_nothing_else(1);
}

#[test]
fn scripts_that_no_url_leads_to() {
    let text = "
        WSGIDaemonProcess site
        WSGIImportScript @ROOT@/apps/missing.wsgi process-group=site application-group=%{GLOBAL}
        WSGIImportScript @APPS@/hello.wsgi process-group=site application-group=%{GLOBAL}
        WSGIHandlerScript here @APPS@/hello.wsgi process-group=site
        WSGIHandlerScript there @APPS@/other.wsgi process-group=site";
    check(text)
        .expect("error", "missing.wsgi", "WSGIImportScript can't be loaded from")
        .expect("error", "other.wsgi", "WSGIHandlerScript can't be loaded from")
        .and_nothing_else(1);
}

#[test]
fn questions_that_no_script_answers() {
    let text = "
        WSGIScriptAlias / @APPS@/hello.wsgi
        <Location />
        AuthType Basic
        AuthName here
        AuthBasicProvider wsgi
        Require wsgi-group staff
        </Location>";
    let plan = ["auth_basic", "authn_core"].into_iter().fold(plan(text), Plan::module);
    Checked::in_place(plan.lay_out(), &[])
        .expect("error", "AuthBasicProvider", "no WSGIAuthUserScript names one")
        .expect("error", "Require wsgi-group", "no WSGIAuthGroupScript names one")
        .and_nothing_else(1);
}

#[test]
fn scripts_that_belong_to_somebody_else() {
    check("WSGIDaemonProcess site script-user=games\nWSGIScriptAlias / @APPS@/hello.wsgi process-group=site")
        .expect("error", "WSGIScriptAlias", "process group 'site' has script-user=games, and")
        .and_nothing_else(1);
}

/// What `check` says of the client that is denied is what happens.
#[test]
fn who_is_denied_is_denied() {
    let text = "
        WSGIScriptAlias /denied @ROOT@/elsewhere/app.wsgi
        WSGIScriptAlias /granted @ROOT@/granted/app.wsgi
        <Directory @ROOT@/granted>\nRequire all granted\n</Directory>";
    let app = std::fs::read(wsgid_tests::stage::repository().join("tests/apps/hello.wsgi")).unwrap();
    let stack = Stack::on(Mpm::Event)
        .config(text)
        .file("elsewhere/app.wsgi", &app)
        .file("granted/app.wsgi", &app)
        .run();
    stack.get("/denied").expect(403);
    stack.get("/granted").expect(200);
}

#[test]
fn directories_that_are_closed_to_a_user() {
    if !getuid().is_root() {
        eprintln!("not run: switching users needs root");
        return;
    }
    let text = "
        WSGIDaemonProcess site user=games
        WSGIScriptAlias / @ROOT@/home/me/site/app.wsgi process-group=site
        <Directory @ROOT@/home>\nRequire all granted\n</Directory>";
    let closed = |path: &str, mode| {
        let place = plan(text).file("home/me/site/app.wsgi", "").lay_out();
        std::fs::set_permissions(place.path(path), Permissions::from_mode(mode)).unwrap();
        Checked::in_place(place, &[])
    };
    let checked = closed("home/me", 0o700);
    let denying = format!("is denied at {} (mode 0700)", checked.place.path("home/me").display());
    checked
        .expect("error", "WSGIScriptAlias", &format!("user {} {denying}", wsgid_tests::httpd::web_user()))
        .expect("error", "WSGIScriptAlias", &format!("user games {denying}"))
        .and_nothing_else(1);
    // The web server need not read the script.
    closed("home/me/site/app.wsgi", 0o600)
        .expect("error", "WSGIScriptAlias", "The application does not get to")
        .and_nothing_else(1);
    closed("home/me", 0o711).and_nothing_else(0);
}

#[test]
fn homes_of_python() {
    let place = plan(
        "
        WSGIDaemonProcess good python-home=@VENV@
        WSGIDaemonProcess empty python-home=@ROOT@/empty
        WSGIDaemonProcess gone python-home=@ROOT@/gone
        WSGIDaemonProcess old python-home=@ROOT@/old home=@ROOT@/nowhere
        WSGIProcessGroup %{ENV:GROUP}",
    )
    .with("VENV", venv("plain", &[]))
    .file("old/pyvenv.cfg", "home = /usr/bin\nversion = 3.8.20\n")
    .file("empty/bin/notes", "")
    .lay_out();
    let link = |to: &Path, name: &str| {
        place.make_dir(Path::new(name).parent().unwrap().to_str().unwrap());
        symlink(to, place.path(name)).unwrap();
    };
    link(Path::new("/usr/bin/python3.1"), "gone/bin/python");
    link(Path::new("/usr/bin/env"), "old/bin/python");
    Checked::in_place(place, &[])
        .expect("error", "WSGIDaemonProcess empty", "is no Python environment")
        .expect("error", "WSGIDaemonProcess gone", "leads to /usr/bin/python3.1, which is not there")
        .expect("error", "WSGIDaemonProcess old", "is of Python 3.8")
        .expect("error", "WSGIDaemonProcess old", "its home")
        .and_nothing_else(1);
}

#[test]
fn what_has_no_effect_is_named() {
    check("WSGISocketPrefix /var/run/wsgi\nWSGILazyInitialization On\nWSGIDaemonProcess site socket-user=root\nWSGIProcessGroup site")
        .expect("warning", "WSGISocketPrefix", "WSGISocketPrefix has nothing to do here")
        .expect("warning", "WSGILazyInitialization", "removed from mod_wsgi")
        .expect("warning", "socket-user", "Option 'socket-user' of WSGI daemon process 'site'")
        .and_nothing_else(0);
}

#[test]
fn a_header_that_applications_will_miss() {
    let place = Stack::on(Mpm::Event).bring("hello").without_daemon().config(GOOD).lay_out();
    let checked = Checked::in_place(place, &[]);
    checked.expect("note", "WSGIScriptAlias /", "Authorization header").and_nothing_else(0);
}

/// A host that has not been switched yet: its configuration loads another `wsgi_module`, or none.
#[test]
fn before_the_switch_the_configuration_is_checked_as_it_will_be() {
    let place = plan("WSGIScriptAlias / @APPS@/missing.wsgi").lay_out();
    let text = place.read("httpd.conf");
    let without = text.lines().filter(|line| !line.starts_with("LoadModule wsgi_module"));
    let other = text.replace(module().to_str().unwrap(), "/no/such/mod_wsgi.so");
    for config in [without.collect::<Vec<_>>().join("\n"), other] {
        place.write("httpd.conf", config);
        let checked = Checked::in_place(copy(&place), &[]);
        let note = checked.findings.last().unwrap();
        assert!(note["line"].is_null() && note["grade"] == "note", "{note}");
        assert!(note["what"].as_str().unwrap().contains("does not load mod_wsgid"), "{note}");
        let mut checked = checked;
        checked.findings.pop();
        checked.expect("error", "WSGIScriptAlias", "missing.wsgi").and_nothing_else(1);
    }
}

/// A place with the same configuration.
fn copy(place: &Place) -> Place {
    let copy = Place::new(None);
    let text =
        place.read("httpd.conf").replace(place.root().to_str().unwrap(), copy.root().to_str().unwrap());
    copy.write("httpd.conf", text);
    copy
}

#[test]
fn conditions_includes_and_defines_are_httpds() {
    let text = "<IfDefine Other>\nInclude @ROOT@/other.conf\n</IfDefine>";
    let plan = plan(text).file("other.conf", "\nWSGIProcessGroup nowhere\n");
    Checked::in_place(plan.lay_out(), &[]).and_nothing_else(0);
    let checked = Checked::in_place(plan.lay_out(), &["-D", "Other"]);
    let file = checked.place.path("other.conf").display().to_string();
    let found = checked.findings.iter().find(|each| each["file"] == file.as_str()).expect("no finding");
    assert_eq!(found["line"], 2);
    assert_eq!(checked.status, Some(1));
}

#[test]
fn what_can_not_be_checked_is_told() {
    let place = plan("").lay_out();
    std::fs::remove_file(place.path("httpd.conf")).unwrap();
    let output = wsgictl(&place, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Could not open configuration file"));
    let output = Command::new(staged("usr/bin/wsgictl"))
        .args(["check", "--httpd", "/no/such/httpd"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/httpd can't be run"));
    let output = wsgictl(&plan(GOOD).lay_out(), &["--socket", "/run/other.sock"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("leave --socket and --runtime-dir out"));
}

#[test]
fn what_a_handler_answers_for_is_looked_at() {
    let text = "
        WSGIDaemonProcess site
        WSGIHandlerScript mine @APPS@/hello.wsgi
        <Directory @ROOT@/denied>
        Options +ExecCGI
        AddHandler wsgi-script .py
        </Directory>
        <Directory @ROOT@/htdocs>
        SetHandler mine
        </Directory>
        <WSGIInterpreterOptions process-group=nowhere>
        WSGIRestrictStdin On
        </WSGIInterpreterOptions>";
    let place = Stack::on(Mpm::Event).bring("hello").without_daemon().config(text).lay_out();
    Checked::in_place(place, &[])
        .expect("warning", "WSGIDaemonProcess site", "nothing names it")
        .expect("note", "WSGIHandlerScript", "Authorization header")
        .expect("warning", "WSGIHandlerScript", "(handler mine) runs in the implicit process group")
        .expect("error", "AddHandler", "(handler wsgi-script) will be answered 403")
        .expect("warning", "AddHandler", "(handler wsgi-script) runs in the implicit process group")
        .expect("warning", "process-group=nowhere", "The section has no effect")
        .and_nothing_else(1);
}
