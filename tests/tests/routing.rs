//! The ways by which a request comes to an application, other than an alias for one script.

use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, symlink};
use wsgid_tests::{Mpm, Plan, Request, Stack, each_mpm};

fn json_of(stack: &Stack, target: &str) -> Value {
    stack.get(target).expect(200).json()
}

each_mpm! {
    fn a_handler_script_answers_for_whatever_has_its_handler(mpm) {
        let stack = handlers(mpm);
        let script = json!(stack.place.path("apps/handler.wsgi"));
        // (what is asked for, its SCRIPT_NAME, its PATH_INFO, the file)
        for (target, name, info, file) in [
            ("/set/page.x/more", "/set/page.x", "/more", "htdocs/set/page.x"),
            ("/any/file.own/rest", "/any/file.own", "/rest", "htdocs/any/file.own"),
            ("/rewritten/anything", "/rewritten", "/anything", "htdocs/rewritten"),
            ("/set/not-there", "/set/not-there", "", "htdocs/set/not-there"),
        ] {
            let seen = json_of(&stack, target);
            assert_eq!(seen["handler_script"], script, "{target}");
            assert_eq!(seen["SCRIPT_FILENAME"], json!(stack.place.path(file)), "{target}");
            assert_eq!((&seen["SCRIPT_NAME"], &seen["PATH_INFO"]), (&json!(name), &json!(info)), "{target}");
            assert_eq!((&seen["request_handler"], &seen["callable_object"]), (&json!("own"), &json!("handle_request")));
            assert_eq!((&seen["process_group"], &seen["application_group"]), (&json!("site"), &json!("")), "{target}");
        }
        let asked = Request::get("/set/page.x").header("Authorization", "Basic eA==");
        assert_eq!(stack.ask(&asked).expect(200).json()["HTTP_AUTHORIZATION"], "Basic eA==");
    }
}

fn handlers(mpm: Mpm) -> Stack {
    Stack::on(mpm)
        .bring("handler")
        .file("htdocs/set/page.x", "")
        .file("htdocs/any/file.own", "")
        .config("WSGIDaemonProcess site")
        .config("WSGIHandlerScript own apps/handler.wsgi process-group=site application-group=%{GLOBAL} pass-authorization=On")
        .config("<Location /set>\nSetHandler own\n</Location>")
        .config("AddHandler own .own")
        .config("RewriteEngine On\nRewriteRule ^/rewritten - [H=own]")
        .run()
}

#[test]
fn a_directory_has_handler_scripts_of_its_own() {
    let stack = Stack::on(Mpm::Event)
        .bring("handler")
        .file("apps/other.wsgi", "def handle_request(environ, start_response):\n    start_response('200 OK', [])\n    return [b'the other']\n")
        .file("htdocs/a/page", "")
        .file("htdocs/b/page", "")
        .config("WSGIHandlerScript own @APPS@/handler.wsgi application-group=outer")
        .config("SetHandler own")
        .config("<Directory @ROOT@/htdocs/a>\nWSGIHandlerScript own @APPS@/other.wsgi\n</Directory>")
        .config("<Location /none>\nSetHandler nobodys\n</Location>")
        .config("<Location /strict>\nAcceptPathInfo Off\n</Location>")
        .run();
    assert_eq!(stack.get("/a/page").expect(200).text(), "the other");
    let seen = json_of(&stack, "/b/page");
    assert_eq!((&seen["application_group"], &seen["HTTP_AUTHORIZATION"]), (&json!("outer"), &Value::Null));
    stack.get("/strict/more").expect(404);
    stack.logged("error", &["WSGI0137"]);
    assert_ne!(stack.get("/none/page").status, 200);
}

/// mod_actions sends what has a handler, or a type, to another URL.
#[test]
fn an_action_leads_to_a_handler_script() {
    let stack = Stack::on(Mpm::Event)
        .module("actions")
        .bring("handler")
        .file("htdocs/page.own", "")
        .config("WSGIHandlerScript own @APPS@/handler.wsgi application-group=%{GLOBAL}")
        .config("AddHandler for-own .own\nAction for-own /virtual virtual")
        .config("<Location /virtual>\nSetHandler own\n</Location>")
        .run();
    let seen = json_of(&stack, "/page.own");
    assert_eq!((&seen["request_handler"], &seen["PATH_INFO"]), (&json!("own"), &json!("/page.own")));
}

#[test]
fn a_virtual_host_has_what_the_main_server_has_unless_it_says_otherwise() {
    let script = |text: &str| {
        format!(
            "def handle_request(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{text}']\n"
        )
    };
    let stack = Stack::on(Mpm::Event)
        .file("apps/main.wsgi", script("main"))
        .file("apps/own.wsgi", script("own"))
        .config("WSGIDaemonProcess one\nWSGIDaemonProcess two")
        .config("WSGIHandlerScript a @APPS@/main.wsgi\nWSGIHandlerScript b @APPS@/main.wsgi")
        .config("WSGIRestrictProcess one\nWSGIProcessGroup one")
        .config("<Location /a>\nSetHandler a\n</Location>\n<Location /b>\nSetHandler b\n</Location>")
        .site("same.example", "")
        .site("own.example", "WSGIHandlerScript b @APPS@/own.wsgi process-group=two\nWSGIRestrictProcess two")
        .run();
    let text = |host: &str, target: &str| stack.get_from(host, target).expect(200).text();
    assert_eq!((text("same.example", "/a"), text("same.example", "/b")), ("main".into(), "main".into()));
    assert_eq!(text("own.example", "/b"), "own");
    stack.get_from("own.example", "/a").expect(500);
    stack.logged("own.example", &["WSGI0149", "'one'"]);
}

#[test]
fn a_handler_script_needs_its_function() {
    let stack = Stack::on(Mpm::Event)
        .bring("hello")
        .config("WSGIHandlerScript own @APPS@/hello.wsgi\nSetHandler own")
        .run();
    stack.get("/x").expect(500);
    stack.logged("error", &["hello.wsgi", "'handle_request'"]);
}

#[test]
fn scripts_are_found_by_their_suffix_where_they_may_run() {
    let script = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [environ['SCRIPT_NAME'].encode()]\n";
    let stack = Stack::on(Mpm::Event)
        .file("htdocs/on/app.wsgi", script)
        .file("htdocs/off/app.wsgi", script)
        .file("htdocs/old/app.py", script)
        .file("htdocs/on/plain", script)
        .config("AddHandler wsgi-script .wsgi\nAddType application/x-httpd-wsgi .py")
        .config("<Directory @ROOT@/htdocs>\nOptions +ExecCGI\n</Directory>")
        .config("<Directory @ROOT@/htdocs/off>\nOptions -ExecCGI\n</Directory>")
        .config("RewriteEngine On\nRewriteRule ^/on/plain - [H=wsgi-script]")
        .config("<Location /on/strict.wsgi>\nAcceptPathInfo Off\n</Location>")
        .run();
    assert_eq!(stack.get("/on/app.wsgi/more").expect(200).text(), "/on/app.wsgi");
    assert_eq!(stack.get("/old/app.py").expect(200).text(), "/old/app.py");
    assert_eq!(stack.get("/on/plain").expect(200).text(), "/on/plain");
    stack.get("/off/app.wsgi").expect(403);
    stack.logged("error", &["WSGI0134"]);
}

#[test]
fn a_directory_as_target_has_its_scripts_by_name() {
    let stack = Stack::on(Mpm::Event)
        .bring("whoami")
        .bring("hello")
        .config("WSGIScriptAlias /apps/ @APPS@/")
        .config("WSGIScriptAliasMatch ^/user/([a-z]+) @APPS@/$1.wsgi")
        .config("<Location /user/whoami>\nAcceptPathInfo Off\n</Location>")
        .run();
    assert_eq!(stack.get("/apps/hello.wsgi").expect(200).text(), "Hello, world!\n");
    stack.get("/apps/nobody.wsgi").expect(404);
    stack.get("/apps/").expect(403);
    stack.logged("error", &["WSGI0136"]);
    assert_eq!(json_of(&stack, "/user/whoami")["file"], json!(stack.place.path("apps/whoami.wsgi")));
    assert_eq!(stack.get("/user/hello/more").expect(200).text(), "Hello, world!\n");
    stack.get("/user/whoami/more").expect(404);
    stack.get("/user/nobody").expect(404);
}

fn restricted() -> Plan {
    Stack::on(Mpm::Event)
        .bring("whoami")
        .config("SetEnvIf X-Group (.+) GROUP=$1")
        .config("WSGIDaemonProcess one\nWSGIDaemonProcess two")
        .config("WSGIProcessGroup %{ENV:GROUP}\nWSGIScriptAlias / @APPS@/whoami.wsgi")
        .config("WSGIRestrictProcess one")
        .config("<Location /both>\nWSGIRestrictProcess one two\n</Location>")
        .config("<Location /implicit>\nWSGIRestrictProcess %{GLOBAL}\n</Location>")
        .config("<Location /none>\nWSGIRestrictProcess \"\"\n</Location>")
}

#[test]
fn only_the_groups_that_are_allowed_can_be_chosen() {
    let stack = restricted().run();
    let status = |target: &str, group: &str| stack.ask(&Request::get(target).header("X-Group", group)).status;
    for (target, allowed) in
        [("/", &["one"][..]), ("/both", &["one", "two"]), ("/implicit", &["%{GLOBAL}"]), ("/none", &[])]
    {
        for group in ["one", "two", "%{GLOBAL}", "unknown"] {
            let expected = if allowed.contains(&group) { 200 } else { 500 };
            assert_eq!(status(target, group), expected, "{group} at {target}");
        }
    }
    stack.logged("error", &["WSGI0149", "'two'"]);
}

#[test]
fn names_of_groups_come_from_notes_and_variables_of_the_request_and_of_httpd() {
    let stack = Stack::on(Mpm::Event)
        .bring("whoami")
        .config("SetEnvIf X-Colour (.+) COLOUR=$1")
        .config("<Location /variable>\nWSGIApplicationGroup %{ENV:COLOUR}\n</Location>")
        .config("<Location /rule>\nWSGIApplicationGroup %{ENV:RULE}\n</Location>")
        .config("<Location /httpd>\nWSGIApplicationGroup %{ENV:LANG}\n</Location>")
        .config("<Location /unset>\nWSGIApplicationGroup %{ENV:NOBODY}\n</Location>")
        .config("RewriteEngine On\nRewriteRule ^/rule - [E=RULE:%{REQUEST_METHOD}]")
        .app("whoami")
        .run();
    let group = |target: &str| {
        let request = Request::get(target).header("X-Colour", "blue");
        stack.ask(&request).expect(200).json()["application_group"].clone()
    };
    assert_eq!(group("/variable"), "blue");
    assert_eq!(group("/rule"), "GET");
    assert_eq!(group("/httpd"), "C");
    assert_eq!(group("/unset"), "%{ENV:NOBODY}");
}

#[test]
fn a_link_is_followed_as_httpd_follows_it() {
    let stack = Stack::on(Mpm::Event)
        .bring("whoami")
        .config("WSGIScriptAlias /apps/ @APPS@/")
        .config("<Directory @APPS@>\nOptions -FollowSymLinks\n</Directory>")
        .run();
    symlink(stack.place.path("apps/whoami.wsgi"), stack.place.path("apps/link.wsgi")).unwrap();
    stack.get("/apps/whoami.wsgi").expect(200);
    stack.get("/apps/link.wsgi").expect(403);
}

#[test]
fn a_group_runs_scripts_of_its_owner_alone() {
    let own = nix::unistd::geteuid().to_string();
    let stack = Stack::on(Mpm::Event)
        .bring("hello")
        .bring("handler")
        .config(&format!("WSGIDaemonProcess mine script-user=#{own}"))
        .config("WSGIDaemonProcess other script-user=#54321\nWSGIDaemonProcess others script-group=#54321")
        .config("WSGIScriptAlias /mine @APPS@/hello.wsgi process-group=mine")
        .config("WSGIScriptAlias /other @APPS@/hello.wsgi process-group=other")
        .config("WSGIScriptAlias /group @APPS@/hello.wsgi process-group=others")
        .config("WSGIHandlerScript own @APPS@/handler.wsgi process-group=other")
        .config("<Location /handled>\nSetHandler own\n</Location>")
        .run();
    assert_eq!(stack.get("/mine").expect(200).text(), "Hello, world!\n");
    stack.get("/other").expect(403);
    stack.logged("error", &["WSGI0171", "apps", "#54321"]);
    stack.get("/group").expect(403);
    stack.logged("error", &["WSGI0160"]);
    stack.get("/handled").expect(403);
    let script = stack.place.path("apps/hello.wsgi");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o664)).unwrap();
    stack.get("/mine").expect(403);
    stack.logged("error", &["WSGI0166", "hello.wsgi"]);
}
