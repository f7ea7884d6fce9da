//! Process groups, application groups and callables: which worker serves, and what is called in it.

use serde_json::{Value, json};
use wsgid_tests::{Mpm, Request, Stack, each_mpm};

each_mpm! {
    fn no_process_group_need_be_declared(mpm) {
        let stack = Stack::on(mpm).app("whoami").run();
        let who = stack.get("/").expect(200).json();
        assert_eq!(who["process_group"], "");
        let user = nix::unistd::User::from_name(wsgid_tests::httpd::web_user()).unwrap().unwrap();
        if nix::unistd::getuid().is_root() {
            assert_eq!((&who["uid"], &who["gid"]), (&json!(user.uid.as_raw()), &json!(user.gid.as_raw())));
        }
        assert_eq!(who["argv"], json!(["mod_wsgi"]));
        assert_eq!(who["file"], json!(stack.place.path("apps/whoami.wsgi")));
        let name = who["name"].as_str().unwrap();
        assert!(name.len() == 42 && name.starts_with("_mod_wsgi_"), "{name}");
    }

    fn application_groups_are_expanded_and_each_has_its_process(mpm) {
        let stack = expansions(mpm);
        let port = stack.port;
        let ask = |target: &str, host: &str| -> Value {
            stack.ask(&Request::get(target).host(host).header("X-Colour", "blue")).expect(200).json()
        };
        let mut pids = Vec::new();
        for (target, host, expected) in [
            ("/global", "localhost", String::new()),
            ("/server", "localhost", format!("localhost:{port}")),
            ("/host", "a.example", "a.example".into()),
            ("/resource", "localhost", format!("localhost:{port}|/resource")),
            ("/default", "localhost", format!("localhost:{port}|/default")),
            ("/env", "localhost", "blue".into()),
            ("/plain", "localhost", "plain".into()),
        ] {
            // Apache takes the port that is shown from the Host header where there is one.
            let host = format!("{host}:{port}");
            let expected = if target == "/host" { format!("{expected}:{port}") } else { expected };
            let who = ask(target, &host);
            assert_eq!(who["application_group"], json!(expected), "{target}");
            assert_eq!(ask(target, &host)["pid"], who["pid"], "{target}: another process the second time");
            assert!(!pids.contains(&who["pid"]), "{target} shares a process");
            pids.push(who["pid"].clone());
        }
    }

    /// DirectoryIndex finds the script by a request of its own, whose outcome httpd takes over.
    fn an_alias_keeps_its_groups_through_a_directory_index(mpm) {
        let stack = Stack::on(mpm)
            .module("dir")
            .bring("whoami")
            .file("htdocs/page", "")
            .config("<Directory @ROOT@/htdocs>\nRequire all granted\nDirectoryIndex /app\n</Directory>")
            .config("WSGIDaemonProcess site\nWSGIScriptAlias /app @APPS@/whoami.wsgi process-group=site")
            .run();
        assert_eq!(stack.get("/").expect(200).json()["process_group"], "site");
    }

    /// Or else each port that a client makes up would start a process.
    fn a_port_that_the_client_made_up_is_no_group_of_its_own(mpm) {
        let stack = Stack::on(mpm).app("whoami").run();
        let ask = |port: u16| {
            stack.ask(&Request::get("/").host(&format!("localhost:{port}"))).expect(200).json()["pid"].clone()
        };
        let pid = ask(stack.port);
        assert_eq!((ask(1001), ask(1002)), (pid.clone(), pid));
    }

    fn the_callable_is_chosen(mpm) {
        let stack = Stack::on(mpm)
            .bring("no_callable")
            .config("WSGIScriptAlias /option @APPS@/no_callable.wsgi callable-object=other")
            .config("WSGIScriptAlias /directive @APPS@/no_callable.wsgi")
            .config("WSGIScriptAlias /env @APPS@/no_callable.wsgi")
            .config("<Location /directive>\nWSGICallableObject other\n</Location>")
            .config("<Location /env>\nSetEnv CALLABLE other\nWSGICallableObject %{ENV:CALLABLE}\n</Location>")
            .run();
        for target in ["/option", "/directive", "/env"] {
            assert_eq!(stack.get(target).expect(200).text(), "the other callable\n", "{target}");
        }
    }
}

fn expansions(mpm: Mpm) -> Stack {
    let mut plan = Stack::on(mpm).bring("whoami").config("SetEnvIf X-Colour (.+) COLOUR=$1");
    for (path, group) in [
        ("global", "%{GLOBAL}"),
        ("server", "%{SERVER}"),
        ("host", "%{HOST}"),
        ("resource", "%{RESOURCE}"),
        ("env", "%{ENV:COLOUR}"),
        ("plain", "plain"),
    ] {
        plan = plan.config(&format!("<Location /{path}>\nWSGIApplicationGroup {group}\n</Location>"));
        plan = plan.mount(&format!("/{path}"), "whoami");
    }
    plan.mount("/default", "whoami").run()
}

#[test]
fn process_groups_are_chosen_by_option_directive_and_environment() {
    let stack = Stack::on(Mpm::Event)
        .bring("whoami")
        .config("WSGIDaemonProcess blue\nWSGIDaemonProcess green processes=1 threads=1")
        .config("SetEnvIf X-Colour (.+) COLOUR=$1")
        .config("WSGIScriptAlias /option @APPS@/whoami.wsgi process-group=blue")
        .config("<Location /directive>\nWSGIProcessGroup blue\n</Location>")
        .mount("/directive", "whoami")
        .config("<Location /both>\nWSGIProcessGroup blue\n</Location>")
        .config("WSGIScriptAlias /both @APPS@/whoami.wsgi process-group=green")
        .config("<Location /env>\nWSGIProcessGroup %{ENV:COLOUR}\n</Location>")
        .mount("/env", "whoami")
        .run();
    let ask = |target: &str| stack.ask(&Request::get(target).header("X-Colour", "green")).expect(200).json();
    let (option, directive, both, env) = (ask("/option"), ask("/directive"), ask("/both"), ask("/env"));
    assert_eq!(option["process_group"], "blue");
    assert_eq!(directive["process_group"], "blue");
    assert_eq!((&both["process_group"], &env["process_group"]), (&json!("green"), &json!("green")));
    // `processes` makes it multiprocess by being written down; one thread is not multithreaded.
    assert_eq!((&blue(&option)[..], &blue(&both)[..]), (&[false, true][..], &[true, false][..]));
    // Unset, the variable is no name of a group.
    stack.get("/env").expect(500);
}

fn blue(who: &Value) -> [bool; 2] {
    [who["multiprocess"].as_bool().unwrap(), who["multithread"].as_bool().unwrap()]
}

#[test]
fn a_regular_expression_mounts_scripts() {
    let stack = Stack::on(Mpm::Event)
        .bring("environ")
        .bring("hello")
        .config("WSGIScriptAliasMatch ^/user/([a-z]+) @APPS@/$1.wsgi")
        .run();
    let environ = stack.get("/user/environ/and/more?q").expect(200).json();
    assert_eq!(environ["SCRIPT_NAME"][1], "/user/environ");
    assert_eq!(environ["PATH_INFO"][1], "/and/more");
    assert_eq!(stack.get("/user/hello").expect(200).text(), "Hello, world!\n");
    stack.get("/user/nobody").expect(404);
}

#[test]
fn a_directory_of_scripts_is_mounted() {
    let stack =
        Stack::on(Mpm::Event).bring("environ").bring("hello").config("WSGIScriptAlias /apps/ @APPS@/").run();
    let environ = stack.get("/apps/environ.wsgi/info").expect(200).json();
    assert_eq!(
        (&environ["SCRIPT_NAME"][1], &environ["PATH_INFO"][1]),
        (&json!("/apps/environ.wsgi"), &json!("/info"))
    );
    assert_eq!(stack.get("/apps/hello.wsgi").expect(200).text(), "Hello, world!\n");
    stack.get("/apps/missing.wsgi").expect(404);
}

#[test]
fn a_handler_by_file_ending_needs_exec_cgi() {
    let app = std::fs::read(wsgid_tests::stage::repository().join("tests/apps/hello.wsgi")).unwrap();
    let stack = Stack::on(Mpm::Event)
        .file("htdocs/yes/hello.wsgi", &app)
        .file("htdocs/no/hello.wsgi", &app)
        .config("AddHandler wsgi-script .wsgi")
        .config("<Directory @ROOT@/htdocs/yes>\nOptions +ExecCGI\n</Directory>")
        .run();
    assert_eq!(stack.get("/yes/hello.wsgi/info").expect(200).text(), "Hello, world!\n");
    stack.get("/no/hello.wsgi").expect(403);
    stack.logged("error", &["ExecCGI"]);
    stack.get("/yes/missing.wsgi").expect(404);
}

/// A client that names application groups opens so many and no more.
#[test]
fn the_groups_that_clients_can_name_are_limited() {
    let long = "h".repeat(600);
    let stack = Stack::on(Mpm::Event).config("WSGIApplicationGroup %{HOST}").app("whoami").run();
    stack.get_from("a.example", "/").expect(200);
    let reply = stack.ask(&Request::get("/").host(&long));
    assert!(reply.status >= 400, "{}", reply.head);
    stack.get_from("a.example", "/").expect(200);
}
