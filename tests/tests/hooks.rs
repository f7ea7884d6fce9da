//! Scripts of access control and dispatch: what each answer of theirs comes to, and that whatever is no
//! answer lets nobody in.

use serde_json::{Value, json};
use std::process::Command;
use wsgid_tests::httpd::configtest;
use wsgid_tests::venv::certificate;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Plan, Reply, Request, Stack, each_mpm};

const ACCESS: &str = "<Location />\nWSGIAccessScript @APPS@/deciding.wsgi\n</Location>";
const BASIC: &str = "<Location />\nAuthType Basic\nAuthName site\nAuthBasicProvider wsgi
WSGIAuthUserScript @APPS@/deciding.wsgi\nRequire valid-user\n</Location>";
const DIGEST: &str = "<Location />\nAuthType Digest\nAuthName site\nAuthDigestProvider wsgi
WSGIAuthUserScript @APPS@/deciding.wsgi\nRequire valid-user\n</Location>";
const GROUPS: &str = "<Location />\nAuthType Basic\nAuthName site\nAuthBasicProvider wsgi
WSGIAuthUserScript @APPS@/deciding.wsgi\nWSGIAuthGroupScript @APPS@/deciding.wsgi
Require wsgi-group admin \"the staff\"\n</Location>";
/// user:secret
const USER: &str = "Basic dXNlcjpzZWNyZXQ=";

/// A site whose application says who asked, and which notes what it logs of each request.
fn site(mpm: Mpm, config: &str) -> Plan {
    let mut plan = Stack::on(mpm).bring("deciding");
    for module in ["authn_core", "authz_user", "authz_host", "auth_basic", "auth_digest", "authn_file"] {
        plan = plan.module(module);
    }
    plan.config("LogFormat \"%{wsgi-error}n %>s %r\" notes\nCustomLog logs/notes.log notes")
        .site("one.example", &format!("WSGIScriptAlias / @APPS@/deciding.wsgi\n{config}"))
}

fn get(target: &str) -> Request {
    Request::get(target).host("one.example")
}

fn logged_in(target: &str) -> Request {
    get(target).header("Authorization", USER)
}

/// Asks with an answer for the script, and expects a status and, if it is not empty, a line in the log.
#[track_caller]
fn decided(stack: &Stack, request: Request, (name, answer): (&str, &str), status: u16, told: &str) -> Reply {
    let reply = stack.ask(&request.header(name, answer));
    assert_eq!(reply.status, status, "{name}: {answer}: {}{}", reply.head, reply.text());
    if !told.is_empty() {
        stack.logged("one.example", &["[wsgi:error]", "[client 127.0.0.1:", told]);
    }
    reply
}

each_mpm! {
    fn access_is_what_the_script_says(mpm) {
        let stack = site(mpm, ACCESS).run();
        for (answer, status, told) in [
            ("True", 200, ""),
            ("None", 200, ""),
            ("False", 403, "WSGI0057: Client denied by server configuration: '"),
            ("1", 403, "WSGI0055: Result returned from 'allow_access' in '"),
            ("'yes'", 403, "WSGI0055"),
            ("[True]", 403, "WSGI0055"),
            ("1/0", 403, "ZeroDivisionError: division by zero"),
            ("exit()", 403, "WSGI0175: "),
            ("nonsense", 403, "WSGI0174: "),
            ("host == '127.0.0.1' and environ['REMOTE_ADDR'] == host", 200, ""),
            ("environ['wsgi.errors'].write('t0k3n\\n') and None", 200, "t0k3n"),
        ] {
            decided(&stack, get("/"), ("X-Access", answer), status, told);
        }
        assert!(!stack.log("error").contains("t0k3n"));
    }

    fn a_password_is_right_if_the_script_says_so(mpm) {
        let stack = site(mpm, BASIC).run();
        stack.ask(&get("/").header("X-Password", "True")).expect(401);
        for (answer, status, user, told) in [
            ("True", 200, "user", ""),
            ("(user, password) == ('user', 'secret')", 200, "user", ""),
            ("False", 401, "", ""),
            ("None", 401, "", ""),
            ("'ann'", 200, "ann", ""),
            ("'\\u00e4nn'", 200, "\u{c3}\u{a4}nn", ""),
            ("''", 500, "", "WSGI0176"),
            ("'a\\0nn'", 500, "", "WSGI0177"),
            ("b'ann'", 500, "", "WSGI0177"),
            ("1", 500, "", "WSGI0177"),
            ("'\\ud800'", 500, "", "UnicodeEncodeError"),
            ("1/0", 500, "", "WSGI0174"),
        ] {
            let reply = decided(&stack, logged_in("/"), ("X-Password", answer), status, told);
            if status == 200 {
                let shown = reply.json();
                assert_eq!((&shown["REMOTE_USER"], &shown["AUTH_TYPE"]), (&json!(user), &json!("Basic")));
            }
            assert_eq!(reply.header("WWW-Authenticate").is_some(), status == 401, "{answer}");
        }
    }

    fn a_digest_is_compared_with_the_scripts_hash(mpm) {
        let stack = site(mpm, DIGEST).run();
        const HASH: &str = "__import__('hashlib').md5(':'.join((user, realm, 'secret')).encode()).hexdigest()";
        for (answer, status, told) in [
            (HASH, 200, ""),
            (&format!("{HASH}.encode()"), 200, ""),
            ("'0' * 32", 401, ""),
            ("None", 401, ""),
            ("''", 500, "WSGI0178"),
            ("b''", 500, "WSGI0178"),
            ("'\\u20ac'", 500, "WSGI0179"),
            ("True", 500, "WSGI0179"),
            ("1/0", 500, "WSGI0174"),
        ] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--digest", "--user", "user:secret", "--write-out", "%{stderr}%{http_code}"]);
            curl.args(["--header", "Host: one.example", "--header", &format!("X-Hash: {answer}")]);
            let output = curl.arg(format!("http://127.0.0.1:{}/", stack.port)).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), status.to_string(), "{answer}");
            if status == 200 {
                let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!((&shown["REMOTE_USER"], &shown["AUTH_TYPE"]), (&json!("user"), &json!("Digest")));
            }
            if !told.is_empty() {
                stack.logged("one.example", &[told, "[client 127.0.0.1:"]);
            }
        }
    }

    fn one_of_the_groups_is_enough(mpm) {
        let stack = site(mpm, GROUPS).run();
        for (answer, status, told) in [
            ("['admin']", 200, ""),
            ("(b'guests', 'the staff')", 200, ""),
            ("{'admin': 1}", 200, ""),
            ("(name for name in [user, 'admin'])", 200, ""),
            ("[]", 401, "WSGI0059: Authorization of user 'user' to access '/' failed."),
            ("['Admin', 'staff', 'the']", 401, "WSGI0060"),
            ("None", 401, "WSGI0051"),
            ("1", 401, "WSGI0051"),
            ("['admin', 1]", 401, "WSGI0050"),
            ("b'admin'", 401, "WSGI0050"),
            ("['admin', '\\u20ac']", 401, "WSGI0050"),
            ("['admin\\0']", 401, "WSGI0050"),
            ("endless()", 401, "WSGI0050"),
            ("['admin', *torn()]", 401, "the list fails midway"),
            ("torn()", 401, "WSGI0174"),
            ("['x' * 100000] * 20", 401, "WSGI0051"),
            ("1/0", 401, "WSGI0174"),
        ] {
            decided(&stack, logged_in("/"), ("X-Groups", answer), status, told);
        }
    }

    fn a_request_goes_where_the_dispatch_script_says(mpm) {
        let config = "WSGIDispatchScript @APPS@/deciding.wsgi\nSetEnv PLACE site\nSetEnv WHAT %{SERVER}\nSetEnv CALL other";
        let stack = site(mpm, config).config("WSGIDaemonProcess site").run();
        let (own, server) = ("one.example|", "one.example");
        for (header, answer, process, application, callable) in [
            ("X-Process", "None", "", own, "application"),
            ("X-Process", "'site'", "site", own, "application"),
            ("X-Process", "b'site'", "site", own, "application"),
            ("X-Process", "'%{GLOBAL}'", "", own, "application"),
            ("X-Process", "'%{ENV:PLACE}'", "site", own, "application"),
            ("X-Application", "'blue'", "", "blue", "application"),
            ("X-Application", "'%{GLOBAL}'", "", "", "application"),
            ("X-Application", "'%{SERVER}'", "", server, "application"),
            ("X-Application", "'%{ENV:WHAT}'", "", server, "application"),
            ("X-Callable", "'other'", "", own, "other"),
            ("X-Callable", "'%{ENV:CALL}'", "", own, "other"),
        ] {
            let shown = decided(&stack, get("/"), (header, answer), 200, "").json();
            assert_eq!(shown["mod_wsgi.process_group"], process, "{header}: {answer}");
            assert_eq!(shown["mod_wsgi.application_group"], application, "{header}: {answer}");
            assert_eq!(shown["callable"], callable, "{header}: {answer}");
        }
        for (answer, told) in [
            ("1", "WSGI8021: Result returned from 'process_group' in '"),
            ("'\\u20ac'", "WSGI8021"),
            ("'site\\0'", "WSGI8021"),
            ("1/0", "WSGI0174"),
            ("'nosuch'", "WSGI0151"),
        ] {
            decided(&stack, get("/"), ("X-Process", answer), 500, told);
        }
    }
}

#[test]
fn a_script_that_can_not_answer_lets_nobody_in() {
    let scripts = [
        ("missing", None, "WSGI0109"),
        ("broken", Some("raise RuntimeError('the import fails on purpose')"), "WSGI0109"),
        ("garbled", Some("def allow_access(:"), "WSGI0109"),
        ("leaving", Some("raise SystemExit"), "WSGI0109"),
        ("empty", Some(""), ""),
    ];
    for (config, request, status, missing) in [
        (ACCESS, get("/"), 403, "WSGI0056"),
        (BASIC, logged_in("/"), 500, "WSGI0043"),
        (GROUPS, logged_in("/"), 401, "WSGI0052"),
        ("WSGIDispatchScript @APPS@/deciding.wsgi", get("/"), 500, ""),
    ] {
        let last = config.rfind("@APPS@/deciding.wsgi").unwrap();
        let (before, after) = (&config[..last], &config[last + "@APPS@/deciding.wsgi".len()..]);
        let stack = site(Mpm::Event, &format!("{before}@ROOT@/scripts/script.py{after}")).run();
        for (name, text, told) in scripts {
            match text {
                Some(text) => drop(stack.place.write("scripts/script.py", text)),
                None => assert!(!stack.place.path("scripts/script.py").exists()),
            }
            let told = if told.is_empty() { missing } else { told };
            // A dispatch script need not have any function.
            let status = if told.is_empty() { 200 } else { status };
            let reply = stack.ask(&request);
            assert_eq!(reply.status, status, "{name} in {config}: {}", reply.head);
            if !told.is_empty() {
                stack.logged("one.example", &[told]);
                until("the note", || stack.log("notes").contains(&format!("{told} {status} ")));
            }
        }
    }
}

#[test]
fn a_script_that_takes_too_long_lets_nobody_in() {
    let hasty = |config: &str| site(Mpm::Event, &format!("Timeout 1\n{config}")).run();
    let waiting = "forever.wait(10)";
    for (config, header, request, status, release) in [
        (ACCESS, "X-Access", get("/"), 403, "forever.set()"),
        (BASIC, "X-Password", logged_in("/"), 500, "forever.set() or True"),
        ("WSGIDispatchScript @APPS@/deciding.wsgi", "X-Process", get("/"), 500, "forever.set()"),
    ] {
        let stack = hasty(config);
        // The worker that is asked first takes its time to start.
        let served = || until("the request is served", || stack.ask(&request).status == 200);
        served();
        decided(&stack, request.clone(), (header, waiting), status, "no verdict within 1 seconds");
        stack.logged("one.example", &["WSGI8020"]);
        // Others are not held up.
        served();
        until("it is let go", || stack.ask(&request.clone().header(header, release)).status == 200);
    }
}

#[test]
fn a_worker_that_ends_lets_nobody_in() {
    let stack = site(Mpm::Event, ACCESS).run();
    for (answer, how) in
        [("os.kill(os.getpid(), 9)", "SIGKILL"), ("os._exit(0)", "The worker of process group ''")]
    {
        let told = "WSGI0054: The script '";
        decided(&stack, get("/"), ("X-Access", answer), 403, told);
        stack.logged("one.example", &[told, how]);
    }
    stack.ask(&get("/")).expect(200);
}

#[test]
fn without_a_daemon_nobody_gets_in() {
    for (config, request, status, told) in [
        (ACCESS, get("/"), 403, "WSGI0054"),
        (BASIC, logged_in("/"), 500, "WSGI0042"),
        ("WSGIDispatchScript @APPS@/deciding.wsgi", get("/"), 500, "WSGI0086"),
    ] {
        let mut stack = site(Mpm::Event, config).without_daemon().run();
        decided(&stack, request.clone(), ("X-None", ""), status, told);
        stack.start_daemon();
        wsgid_tests::eventually(wsgid_tests::wait::PATIENCE, "the daemon serves", || {
            let reply = stack.ask(&request);
            if reply.status == 200 { Ok(()) } else { Err(reply.head) }
        });
    }
}

#[test]
fn a_provider_without_a_script_lets_nobody_in() {
    let without = |config: &str, line: &str| site(Mpm::Event, &config.replace(line, "")).run();
    let script = "WSGIAuthUserScript @APPS@/deciding.wsgi";
    let stack = without(BASIC, script);
    decided(&stack, logged_in("/"), ("X-Password", "True"), 500, "WSGI0041");
    let stack = without(GROUPS, "WSGIAuthGroupScript @APPS@/deciding.wsgi");
    decided(&stack, logged_in("/"), ("X-Groups", "['admin']"), 401, "WSGI0058");
}

#[test]
fn requirements_can_be_combined() {
    let directory = |require: &str| {
        let config = GROUPS.replace("Require wsgi-group admin \"the staff\"", require);
        site(Mpm::Event, &config).run()
    };
    let stack = directory("<RequireAny>\nRequire user root\nRequire wsgi-group admin\n</RequireAny>");
    decided(&stack, logged_in("/"), ("X-Groups", "['admin']"), 200, "");
    decided(&stack, logged_in("/"), ("X-Groups", "[]"), 401, "WSGI0059");
    decided(&stack, logged_in("/"), ("X-Password", "'root'"), 200, "");
    let stack = directory("<RequireAll>\nRequire user root\nRequire wsgi-group admin\n</RequireAll>");
    decided(&stack, logged_in("/"), ("X-Groups", "['admin']"), 401, "");
    decided(&stack, logged_in("/").header("X-Password", "'root'"), ("X-Groups", "[]"), 401, "");
    decided(&stack, logged_in("/").header("X-Password", "'root'"), ("X-Groups", "['admin']"), 200, "");
    let stack = directory("Require all granted");
    decided(&stack, get("/"), ("X-Groups", "1/0"), 200, "");
    // What a Require refused is no note of a request that another let in.
    let stack = directory("<RequireAny>\nRequire wsgi-group admin\nRequire ip 127.0.0.1\n</RequireAny>");
    decided(&stack, logged_in("/t0k3n"), ("X-Groups", "['guests']"), 200, "");
    until("the access log", || stack.log("notes").contains("t0k3n"));
    assert!(stack.log("notes").contains("- 200 GET /t0k3n"), "{}", stack.log("notes"));
}

/// Where it is leave to be in none of the groups, not to know them is none.
#[test]
fn who_is_kept_out_by_a_group_is_not_let_in_by_a_failure() {
    let named = "<AuthzProviderAlias wsgi-group the-banned \"banned\">\n</AuthzProviderAlias>\n";
    for (before, require) in [
        ("", "Require not wsgi-group banned"),
        ("", "<RequireNone>\n<RequireAny>\nRequire wsgi-group banned\n</RequireAny>\n</RequireNone>"),
        (named, "Require not the-banned"),
    ] {
        let require = format!("<RequireAll>\nRequire valid-user\n{require}\n</RequireAll>");
        let config = GROUPS.replace("Require wsgi-group admin \"the staff\"", &require);
        let stack = site(Mpm::Event, "").config(&format!("{before}{config}")).run();
        decided(&stack, logged_in("/"), ("X-Groups", "['guests']"), 200, "");
        decided(&stack, logged_in("/"), ("X-Groups", "[]"), 200, "");
        decided(&stack, logged_in("/"), ("X-Groups", "['banned']"), 401, "");
        decided(&stack, logged_in("/"), ("X-Groups", "1/0"), 500, "WSGI0174");
        decided(&stack, logged_in("/"), ("X-Groups", "None"), 500, "WSGI0051");
        decided(&stack, logged_in("/"), ("X-Groups", "os._exit(0)"), 500, "WSGI0048");
    }
}

#[test]
fn a_user_whom_one_provider_does_not_know_is_anothers() {
    let config =
        BASIC.replace("AuthBasicProvider wsgi", "AuthBasicProvider wsgi file\nAuthUserFile @ROOT@/users");
    let users = include_str!("../conformance/users.htpasswd");
    let stack = site(Mpm::Event, &config).file("users", users).run();
    decided(&stack, logged_in("/"), ("X-Password", "None"), 200, "");
    decided(&stack, logged_in("/"), ("X-Password", "False"), 401, "");
    decided(&stack, logged_in("/"), ("X-Password", "1/0"), 500, "");
}

#[test]
fn satisfy_any_takes_a_refusal_lightly() {
    let config =
        BASIC.replace("</Location>", "WSGIAccessScript @APPS@/deciding.wsgi\nSatisfy any\n</Location>");
    let stack = site(Mpm::Event, &config).module("access_compat").run();
    decided(&stack, get("/"), ("X-Access", "True"), 200, "");
    decided(&stack, get("/"), ("X-Access", "False"), 401, "");
    decided(&stack, logged_in("/"), ("X-Access", "False"), 200, "");
    assert!(!stack.log("one.example").contains("WSGI0057"), "{}", stack.log("one.example"));
    decided(&stack, get("/"), ("X-Access", "1/0"), 401, "ZeroDivisionError");
}

#[test]
fn a_directory_may_have_its_own_script_if_it_is_let() {
    let htaccess = "WSGIAccessScript @APPS@/deciding.wsgi application-group=blue\n";
    let config = "Alias /open @ROOT@/open\nAlias /closed @ROOT@/closed
<Directory @ROOT@/open>\nAllowOverride AuthConfig\nRequire all granted\n</Directory>
<Directory @ROOT@/closed>\nAllowOverride FileInfo\nRequire all granted\n</Directory>";
    let stack = Stack::on(Mpm::Event)
        .module("authn_core")
        .bring("deciding")
        .file("open/.htaccess", htaccess)
        .file("open/page", "a page\n")
        .file("closed/.htaccess", htaccess)
        .file("closed/page", "a page\n")
        .site("one.example", config)
        .run();
    assert_eq!(stack.ask(&get("/open/page")).expect(200).text(), "a page\n");
    let group = "environ['mod_wsgi.application_group'] == 'blue' and environ['mod_wsgi.process_group'] == ''";
    decided(&stack, get("/open/page"), ("X-Access", group), 200, "");
    decided(&stack, get("/open/page"), ("X-Access", "False"), 403, "WSGI0057");
    // Not allowed there: httpd refuses the directory.
    stack.ask(&get("/closed/page")).expect(500);
    stack.logged("one.example", &["WSGIAccessScript not allowed here"]);
}

#[test]
fn every_uri_is_asked_for() {
    let stack = Stack::on(Mpm::Event)
        .module("authn_core")
        .bring("deciding")
        .file("htdocs/a/index.html", "the index\n")
        .file("htdocs/b.html", "b\n")
        .site("one.example", &format!("DirectoryIndex index.html\nErrorDocument 404 /b.html\n{ACCESS}"))
        .run();
    assert_eq!(stack.ask(&get("/a/")).expect(200).text(), "the index\n");
    let answer = "not environ['SCRIPT_NAME'].endswith('/index.html')";
    stack.ask(&get("/a/").header("X-Access", answer)).expect(403);
    assert_eq!(stack.ask(&get("/missing")).expect(404).text(), "b\n");
    let refused = stack.ask(&get("/missing").header("X-Access", "environ['SCRIPT_NAME'] != '/b.html'"));
    assert_eq!(refused.status, 404);
    assert!(!refused.text().contains("b\n"), "the document was to be refused");
}

#[test]
fn what_mod_ssl_knows_can_be_looked_up_while_the_script_is_asked() {
    let tls = format!(
        "Listen 127.0.0.1:@TLS_PORT@\n<VirtualHost 127.0.0.1:@TLS_PORT@>\nServerName tls.example
ErrorLog logs/one.example.log\nSSLEngine on\nSSLCertificateFile @ROOT@/tls/certificate.pem
SSLCertificateKeyFile @ROOT@/tls/key.pem\nWSGIScriptAlias / @APPS@/deciding.wsgi\n{ACCESS}\n</VirtualHost>"
    );
    let mut plan = site(Mpm::Event, ACCESS).module("ssl").config(&tls);
    for name in ["key.pem", "certificate.pem"] {
        plan = plan.file(&format!("tls/{name}"), std::fs::read(certificate().join(name)).unwrap());
    }
    let stack = plan.run();
    let over_tls = |answer: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        curl.args(["--header", &format!("X-Access: {answer}")]);
        let output = curl.arg(format!("https://127.0.0.1:{}/", stack.tls_port)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for answer in [
        "environ['mod_ssl.is_https']() == 1",
        "environ['mod_ssl.var_lookup']('SSL_PROTOCOL').startswith('TLSv1')",
        "environ['mod_ssl.var_lookup'](b'SSL_SERVER_S_DN_CN') == 'localhost'",
        "not environ['mod_ssl.var_lookup']('SSL_CLIENT_S_DN')",
    ] {
        assert_eq!(over_tls(answer), "200", "{answer}\n{}", stack.log("one.example"));
    }
    for answer in ["environ['mod_ssl.var_lookup']('\\u20ac')", "environ['mod_ssl.var_lookup'](1)"] {
        assert_eq!(over_tls(answer), "403", "{answer}");
        stack.logged("one.example", &["TypeError"]);
    }
    decided(&stack, get("/"), ("X-Access", "environ['mod_ssl.is_https']() == 0"), 200, "");
}

#[test]
fn what_a_script_has_kept_of_a_request_is_over_with_it() {
    let stack = site(Mpm::Event, ACCESS).run();
    let keep = "keep((environ['mod_ssl.is_https'], environ['mod_ssl.var_lookup'], environ['wsgi.errors'], os.getpid()))";
    stack.ask(&get("/").header("X-Access", keep)).expect(200);
    for (place, call, told) in [
        (0, "()", "RuntimeError: mod_ssl.is_https() after its request has ended"),
        (1, "('SSL_PROTOCOL')", "RuntimeError: mod_ssl.var_lookup() after its request has ended"),
        (2, ".write('late')", "RuntimeError: wsgi.errors: write() after the request has ended"),
    ] {
        // Another worker has kept nothing, and says so.
        wsgid_tests::eventually(wsgid_tests::wait::PATIENCE, "the worker that has kept it", || {
            let answer = format!("None if not kept else kept[0][{place}]{call}");
            match stack.ask(&get("/").header("X-Access", &answer)).status {
                403 => Ok(()),
                status => Err(format!("{status}")),
            }
        });
        stack.logged("one.example", &[told]);
    }
}

#[test]
fn a_host_has_a_name_where_names_are_looked_up() {
    let stack = site(Mpm::Event, &format!("HostnameLookups On\n{ACCESS}")).run();
    let named = "host == environ['REMOTE_HOST'] and host != environ['REMOTE_ADDR']";
    decided(&stack, get("/"), ("X-Access", named), 200, "");
}

#[test]
fn a_script_that_has_changed_is_loaded_again_in_place() {
    let config = "<Location />\nWSGIAccessScript @ROOT@/scripts/guard.py\n</Location>
<Location /old>\nWSGIScriptReloading Off\n</Location>";
    let guard = |verdict: &str| {
        format!(
            "import os, sys\nsys.guarded = os.getpid()\ndef allow_access(environ, host):\n    environ['wsgi.errors'].write('asked in %d\\n' % os.getpid())\n    return {verdict}\n"
        )
    };
    // One worker, so that it is known who has loaded what.
    let stack = site(Mpm::Prefork, config).file("scripts/guard.py", guard("True")).run();
    let pids = || {
        let log = stack.log("one.example");
        log.lines().filter_map(|line| line.split("asked in ").nth(1).map(String::from)).collect::<Vec<_>>()
    };
    stack.ask(&get("/")).expect(200);
    stack.place.write("scripts/guard.py", guard("False"));
    stack.ask(&get("/old")).expect(200);
    stack.ask(&get("/")).expect(403);
    stack.place.write("scripts/guard.py", "nonsense");
    stack.ask(&get("/")).expect(403);
    stack.place.write("scripts/guard.py", guard("True"));
    stack.ask(&get("/")).expect(200);
    std::fs::remove_file(stack.place.path("scripts/guard.py")).unwrap();
    stack.ask(&get("/")).expect(403);
    let asked = pids();
    assert!(asked.len() == 4 && asked.iter().all(|pid| *pid == asked[0]), "{asked:?}");
}

/// New workers of the pool are to import the application before they take over, though the script that
/// guards it was there first.
#[test]
fn an_application_whose_pool_a_script_has_opened_is_replaced_with_care() {
    let config = format!(
        "WSGIApplicationGroup %{{GLOBAL}}\nWSGIScriptAlias / @ROOT@/code/app.wsgi\n{ACCESS}
<Directory @ROOT@/code>\nRequire all granted\n</Directory>"
    );
    let saying = |word: &str| {
        format!(
            "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{word}']\n"
        )
    };
    let stack = Stack::on(Mpm::Event)
        .module("authn_core")
        .bring("deciding")
        .file("code/app.wsgi", saying("old"))
        .site("one.example", &config)
        .run();
    let said = || stack.ask(&get("/")).expect(200).text();
    assert_eq!(said(), "old");
    stack.place.write("code/app.wsgi", "raise RuntimeError('broken on purpose')\n");
    until("the traceback is in the daemon's log", || {
        assert_eq!(said(), "old");
        stack.log("wsgid").contains("RuntimeError: broken on purpose")
    });
    (0..20).for_each(|_| assert_eq!(said(), "old"));
    stack.place.write("code/app.wsgi", saying("mended"));
    until("the mended code", || said() == "mended");
}

#[test]
fn embedded_code_may_be_forbidden_and_scripts_are_asked_all_the_same() {
    let config = format!("WSGIProcessGroup site\n{ACCESS}");
    let stack = site(Mpm::Event, &config).config("WSGIDaemonProcess site\nWSGIRestrictEmbedded On").run();
    decided(&stack, get("/"), ("X-Access", "environ['mod_wsgi.process_group'] == ''"), 200, "");
    decided(&stack, get("/"), ("X-Access", "False"), 403, "WSGI0057");
}

#[test]
fn a_script_is_told_of_the_client_and_the_server_and_not_of_credentials() {
    let stack = site(Mpm::Event, &format!("SetEnv A b\nServerSignature On\n{BASIC}")).run();
    let told = "__import__('json').dumps({k: repr(v) for k, v in environ.items()}).encode().hex()";
    let answer = format!("environ['wsgi.errors'].write('environ ' + {told}) and True");
    let request = Request::post("/there//more?x=1", "body").host("one.example");
    let request =
        request.header("Authorization", USER).header("Proxy-Authorization", "x").header("X_Odd", "y");
    decided(&stack, request, ("X-Password", &answer), 200, "");
    let environ = environ_in(&stack.logged("one.example", &["] environ "]));
    for (name, value) in [
        ("REQUEST_METHOD", "'POST'"),
        ("SCRIPT_NAME", "''"),
        ("PATH_INFO", "'/there/more'"),
        ("QUERY_STRING", "'x=1'"),
        ("REQUEST_URI", "'/there//more?x=1'"),
        ("HTTP_HOST", "'one.example'"),
        ("CONTENT_LENGTH", "'4'"),
        ("SERVER_NAME", "'one.example'"),
        ("SERVER_PROTOCOL", "'HTTP/1.1'"),
        ("SERVER_ADMIN", "'admin@localhost'"),
        ("REMOTE_ADDR", "'127.0.0.1'"),
        ("mod_wsgi.process_group", "''"),
        ("mod_wsgi.application_group", "''"),
        ("mod_wsgi.version", "(6, 0, 5)"),
    ] {
        assert_eq!(environ[name], value, "{name}: {environ:#}");
    }
    assert!(environ["SERVER_SIGNATURE"].as_str().unwrap().contains("<address>"), "{environ:#}");
    for name in
        ["HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION", "HTTP_X_ODD", "A", "wsgi.input", "REMOTE_USER"]
    {
        assert_eq!(environ[name], Value::Null, "{name}: {environ:#}");
    }
}

/// What a line of the log ends with: an environ as JSON, in hexadecimal digits.
fn environ_in(line: &str) -> Value {
    let digits = line.rsplit(' ').next().unwrap();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    serde_json::from_slice(&bytes).unwrap()
}

const METRICS: &str = "
import json, mod_wsgi
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(mod_wsgi.server_metrics()).encode()]
";

#[test]
fn who_may_sees_the_scoreboard() {
    let stack = Stack::on(Mpm::Event)
        .file("apps/metrics.wsgi", METRICS)
        .config("ExtendedStatus On\nWSGIServerMetrics On\nWSGIDaemonProcess seeing server-metrics=On\nWSGIDaemonProcess blind")
        .config("WSGIScriptAlias /seeing @APPS@/metrics.wsgi process-group=seeing")
        .config("WSGIScriptAlias /blind @APPS@/metrics.wsgi process-group=blind")
        .config("WSGIScriptAlias / @APPS@/metrics.wsgi")
        .run();
    assert_eq!(stack.get("/blind").expect(200).json(), json!(null));
    for target in ["/seeing?t0k3n", "/?t0k3n"] {
        let now = &stack.get(target).expect(200).json();
        for name in ["restart_time", "current_time"] {
            assert!(now[name].as_f64().unwrap() > 1.7e9, "{name}: {now}");
        }
        assert!(now["running_time"].is_u64() && now["running_generation"] == 0, "{now}");
        let processes = now["processes"].as_array().unwrap();
        assert_eq!(json!(processes.len()), now["server_limit"]);
        let children: Vec<Value> = stack.httpd().children().into_iter().map(Value::from).collect();
        let serving: Vec<&Value> =
            processes.iter().filter(|process| children.contains(&process["pid"])).collect();
        assert!(!serving.is_empty(), "{now}");
        let workers: Vec<&Value> = serving.iter().flat_map(|p| p["workers"].as_array().unwrap()).collect();
        assert!(
            processes.iter().all(|p| json!(p["workers"].as_array().unwrap().len()) == now["thread_limit"])
        );
        let own =
            workers.iter().find(|worker| worker["request"] == format!("GET {target} HTTP/1.1")).unwrap();
        assert_eq!((&own["status"], &own["client"]), (&json!("W"), &json!("127.0.0.1")), "{own}");
        for name in [
            "thread_num",
            "generation",
            "access_count",
            "bytes_served",
            "start_time",
            "stop_time",
            "last_used",
            "vhost",
        ] {
            assert!(own.get(name).is_some(), "{name}: {own}");
        }
    }
}

/// A service: it never has a request to ask with.
const MONITOR: &str = "\
import os, time, mod_wsgi
while (now := mod_wsgi.server_metrics()) is None:
    time.sleep(0.05)
pids = [process['pid'] for process in now['processes'] if process['pid']]
print('monitor', mod_wsgi.process_group, 'sees', len(pids), 'children of', set(map(parent, pids)))
time.sleep(3600)
";

#[test]
fn who_may_sees_the_scoreboard_without_a_request_too() {
    let parent =
        "def parent(pid):\n    return open('/proc/%d/stat' % pid).read().rsplit(') ')[1].split()[1]\n";
    let stack = Stack::on(Mpm::Event)
        .file("apps/monitor.py", format!("{parent}{MONITOR}"))
        .config("WSGIDaemonProcess seeing threads=0 server-metrics=On\nWSGIDaemonProcess blind threads=0")
        .config("WSGIImportScript @APPS@/monitor.py process-group=seeing application-group=%{GLOBAL}")
        .config("WSGIImportScript @APPS@/monitor.py process-group=blind application-group=%{GLOBAL}")
        .run();
    // httpd's maintenance comes round every ten seconds.
    stack.logged("wsgid", &["monitor seeing sees", &format!("children of {{'{}'}}", stack.httpd().pid())]);
    assert!(!stack.log("wsgid").contains("monitor blind"));
}

#[test]
fn a_directive_that_can_not_be_meant_stops_the_configuration() {
    for (config, told) in [
        ("<Location />\nWSGIAccessScript\n</Location>", "takes the path of a script"),
        ("<Location />\nWSGIAccessScript /x y\n</Location>", "Invalid option"),
        ("<Location />\nWSGIAuthUserScript /x process-group=y\n</Location>", "no option 'process-group'"),
        ("<Location />\nWSGIAuthGroupScript /x application-group=\n</Location>", "Invalid name"),
        ("WSGIDispatchScript /x application-group=a application-group", "Invalid option"),
        ("WSGIServerMetrics maybe", "is not On or Off"),
        ("<VirtualHost *:81>\nWSGIServerMetrics On\n</VirtualHost>", "WSGIServerMetrics"),
    ] {
        let place = Stack::on(Mpm::Event).config(config).without_daemon().lay_out();
        let (good, said) = configtest(&place);
        assert!(!good && said.contains(told), "{config}\n{said}");
    }
}
