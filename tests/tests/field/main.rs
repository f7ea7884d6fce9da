//! Configurations as administrators have them, loaded by the real httpd and asked for pages: which group,
//! application, user and path answers. `tests/field` has the files, each one a whole site in the words of its
//! kind; a directory of the same name holds what belongs to it beside applications.

mod site;

use nix::sys::signal::Signal;
use serde_json::json;
use site::{Field, Site, basic, directory, has, number};
use std::fs;
use wsgid_tests::family::Process;
use wsgid_tests::venv::certificate;
use wsgid_tests::wait::{PATIENCE, until};
use wsgid_tests::{Request, eventually};

#[test]
fn framework_minimal() {
    let site = Field::new("framework-minimal")
        .script("srv/mysite/mysite/wsgi.py")
        .file("srv/mysite/static/site.css", "a style\n")
        .run();
    let told = site.from("localhost", "/polls/1/");
    has(
        &told,
        json!({"group": "", "application": "localhost|", "mount": "", "path": "/polls/1/",
               "script": site.path("srv/mysite/mysite/wsgi.py"), "prefix": site.path("srv/venv")}),
    );
    assert!(told["search"].as_array().unwrap().contains(&site.path("srv/mysite")), "{told:#}");
    assert_eq!(site.stack.get("/static/site.css").expect(200).text(), "a style\n");
}

#[test]
fn recommended_daemon() {
    let site = Field::new("recommended-daemon").script("srv/mysite/mysite/wsgi.py").run();
    for host in ["www.mysite.example", "mysite.example"] {
        let told = site.from(host, "/a%20b?c=d");
        has(
            &told,
            json!({"group": "mysite.example", "application": "", "mount": "", "path": "/a b", "lang": "C.UTF-8",
                   "prefix": site.path("srv/venv"), "multiprocess": true, "multithread": true}),
        );
        let added = [site.path("srv/mysite"), site.path("srv/library")];
        assert!(told["search"].as_array().unwrap().starts_with(&added[..1]), "{told:#}");
    }
}

#[test]
fn plain_and_tls() {
    let own = |name: &str| fs::read(certificate().join(name)).unwrap();
    let site = Field::new("plain-and-tls")
        .modules(&["ssl"])
        .script("srv/shop/app.wsgi")
        .file("srv/tls/certificate.pem", own("certificate.pem"))
        .file("srv/tls/key.pem", own("key.pem"))
        .run();
    let plain = site.from("shop.example", "/cart");
    let encrypted = site.encrypted("shop.example", "/cart");
    has(&plain, json!({"group": "shop", "application": "", "scheme": "http", "path": "/cart"}));
    has(&encrypted, json!({"group": "shop", "application": "", "scheme": "https", "path": "/cart"}));
    assert_eq!(plain["pid"], encrypted["pid"], "one worker for both");
    assert_eq!(site.status(&Request::get("/").host("stranger.example")), 500);
    site.stack.logged("error", &["WSGI0152", "shop"]);
}

#[test]
fn shared_hosting() {
    let mut field = Field::new("shared-hosting");
    for name in ["one", "two", "three"] {
        field = field.script(&format!("srv/customers/{name}/site.wsgi"));
    }
    let site = field.run();
    for (name, user) in [("one", "games"), ("two", "daemon")] {
        let told = site.from(&format!("{name}.example"), "/");
        let home = site.path(&format!("srv/customers/{name}"));
        has(
            &told,
            json!({"group": format!("{name}.example"), "application": "", "uid": number(user), "cwd": home}),
        );
        assert_eq!(told["search"][0], home);
    }
    assert_eq!(site.status(&Request::get("/").host("three.example")), 500);
}

#[test]
fn identity_service() {
    let site = Field::new("identity-service").script("srv/identity/bin/identity-wsgi-public").run();
    let token = Request::get("/v3/auth/tokens").header("Authorization", "Bearer abc");
    let public = json!({"group": "identity-public", "application": "", "authorization": "Bearer abc",
        "uid": number("games"), "multiprocess": true, "multithread": false, "path": "/v3/auth/tokens"});
    has(&site.told(&token), public);
    let mut connection = wsgid_tests::Connection::open(site.stack.tls_port).unwrap();
    let admin = connection.ask(&token).expect(200).json();
    has(&admin, json!({"group": "identity-admin", "authorization": "Bearer abc", "mount": ""}));
    // Below the alias for the whole of the server's, mounted by its handler.
    let below = Request::get("/identity/v3").header("Authorization", "Bearer abc");
    has(&site.told(&below), json!({"group": "identity-public", "authorization": "Bearer abc"}));
    let large = Request::post("/", vec![b'x'; 114_689]);
    assert_eq!(site.status(&large), 413);
}

#[test]
fn directory_service() {
    let site = Field::new("directory-service")
        .modules(&["auth_basic", "authn_core", "authn_file", "authz_user"])
        .script("srv/directory/wsgi.py")
        .run();
    let admin = Request::get("/ipa/json").header("Authorization", &basic("admin:secret"));
    has(
        &site.told(&admin),
        json!({"group": "directory", "application": "directory", "user": "admin", "authorization": null,
               "mount": "/ipa", "path": "/json", "uid": number("games"), "multithread": false}),
    );
    let nobody = site.stack.get("/ipa/json").expect(401);
    assert_eq!(nobody.text(), "please log in\n");
    let guess = Request::get("/ipa/json").header("Authorization", &basic("admin:guess"));
    assert_eq!(site.status(&guess), 401);
    has(&site.from("localhost", "/ipa/session/login"), json!({"user": null, "path": "/session/login"}));
}

#[test]
fn repository_browser() {
    let site = Field::new("repository-browser")
        .modules(&["auth_basic", "authn_core", "authz_user"])
        .script("srv/tracker/tracker.wsgi")
        .script("srv/tracker/hgweb.wsgi")
        .run();
    let tracker = json!({"group": "tracker", "application": "", "mount": "/projects", "user": null});
    has(&site.from("localhost", "/projects/timeline"), tracker);
    let login = |words: &str| Request::get("/projects/login").header("Authorization", &basic(words));
    has(&site.told(&login("alice:wonderland")), json!({"user": "alice", "authorization": null}));
    for words in ["alice:guess", "eve:any"] {
        assert_eq!(site.status(&login(words)), 401, "{words}");
    }
    // A push: long, without a length, from somebody who may.
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", 300_000, "x".repeat(300_000));
    let push = |words: &str| {
        Request::post("/hg/repo?cmd=unbundle", body.clone())
            .header("Transfer-Encoding", "chunked")
            .header("Authorization", &basic(words))
    };
    let pushed = site.told(&push("alice:wonderland"));
    has(&pushed, json!({"user": "alice", "mount": "/hg", "path": "/repo"}));
    assert_eq!(pushed["body"][0], 300_000);
    has(&site.from("localhost", "/hg/repo"), json!({"user": null}));
    for words in ["bob:builder", "alice:guess"] {
        let mut connection = site.stack.connect();
        connection.send(push(words).header("Connection", "close").bytes());
        assert_eq!(connection.reply().unwrap().status, 401, "{words}");
    }
}

#[test]
fn generated_options() {
    let field =
        ["graphite/graphite.wsgi", "pgadmin/pgAdmin4.wsgi", "pulp/webservices.wsgi", "builds/application"]
            .iter()
            .fold(Field::new("generated-options"), |field, name| field.script(&format!("srv/{name}")));
    let site = field.run();
    let graphite = site.from("tools.example", "/graphite/render");
    has(&graphite, json!({"group": "graphite", "application": "", "path": "/render", "multiprocess": true}));
    let pgadmin = site.from("tools.example", "/pgadmin4/browser");
    has(&pgadmin, json!({"group": "pgadmin", "prefix": site.path("srv/venv"), "multithread": true}));
    let pulp = site.from("tools.example", "/pulp/api/v2/repositories");
    has(
        &pulp,
        json!({"group": "pulp", "uid": number("games"), "cwd": site.path("srv/pulp"), "lang": "C.UTF-8",
               "mount": "/pulp/api/v2"}),
    );
    // Built packages come as large as they are.
    let package: Vec<u8> = (0..12 << 20).map(|n: u32| (n % 251) as u8).collect();
    let expected = json!([package.len(), sha256(&package)]);
    let upload = Request::post("/copr/api/upload", package).host("tools.example");
    has(&site.told(&upload), json!({"group": "127.0.0.1", "path": "/api/upload", "body": expected}));
}

#[test]
fn packaged_applications() {
    let scripts = [
        "misp-dashboard/misp-dashboard.wsgi",
        "nav/wsgi/nav.wsgi",
        "foreman/pulp/content.wsgi",
        "web2py/wsgihandler.py",
    ];
    let field = scripts
        .iter()
        .fold(Field::new("packaged-applications"), |field, name| field.script(&format!("srv/{name}")))
        .file("srv/nav/htdocs/static/nav.css", "a style\n")
        .file("srv/nav/var/uploads/room.txt", "a picture\n")
        .file("srv/nav/wsgi/secret.txt", "")
        .file("srv/foreman/public/index.html", "a page\n")
        .file("srv/web2py/applications/welcome/static/site.css", "their style\n")
        .file("srv/web2py/applications/welcome/models/db.py", "");
    let site = field.run();
    let dashboard = site.from("misp.example", "/_logs");
    has(
        &dashboard,
        json!({"group": "misp-dashboard", "application": "", "uid": number("games"), "path": "/_logs",
               "prefix": site.path("srv/venv"), "multiprocess": false}),
    );
    let nav = site.from("nav.example", "/ipdevinfo/");
    has(
        &nav,
        json!({"group": "NAV", "application": "", "cwd": site.path("srv/nav"), "multiprocess": true,
               "prefix": site.path("srv/venv")}),
    );
    let page = |host: &str, target: &str| site.stack.get_from(host, target).expect(200).text();
    assert_eq!(page("nav.example", "/static/nav.css"), "a style\n");
    assert_eq!(page("nav.example", "/uploads/room.txt"), "a picture\n");
    let chunked = Request::post("/pulp/content/file", "5\r\nhello\r\n0\r\n\r\n")
        .host("foreman.example")
        .header("Transfer-Encoding", "chunked")
        .header("Authorization", "Bearer abc");
    has(
        &site.told(&chunked),
        json!({"group": "pulp-content", "application": "", "authorization": "Bearer abc", "multithread": false,
               "multiprocess": true, "mount": "/pulp/content", "path": "/file"}),
    );
    assert_eq!(page("foreman.example", "/index.html"), "a page\n");
    has(
        &site.from("web2py.example", "/welcome/default/index"),
        json!({"group": "web2py", "application": "web2py.example|", "mount": "", "uid": number("games")}),
    );
    assert_eq!(page("web2py.example", "/welcome/static/_2.27.1/site.css"), "their style\n");
    for target in ["/admin", "/welcome/appadmin/index"] {
        assert_eq!(site.status(&Request::get(target).host("web2py.example")), 403, "{target}");
    }
}

#[test]
fn scripts_of_one_server() {
    let field = ["xmlrpc", "config", "package_push"]
        .iter()
        .fold(Field::new("scripts-of-one-server"), |field, name| {
            field.script(&format!("srv/manager/wsgi/{name}.py"))
        })
        .file("srv/manager/common.py", "");
    let site = field.run();
    let call = site.from("manager.example", "/XMLRPC/system");
    has(
        &call,
        json!({"group": "", "application": "xmlrpc", "mount": "/XMLRPC", "path": "/system",
               "script": site.path("srv/manager/wsgi/xmlrpc.py")}),
    );
    assert!(call["search"].as_array().unwrap().contains(&site.path("srv/manager")), "{call:#}");
    let other = site.from("manager.example", "/rpc/api");
    has(&other, json!({"application": "xmlrpc", "mount": "/rpc/api"}));
    let config = site.from("manager.example", "/CONFIG-MANAGEMENT");
    has(&config, json!({"group": "", "application": "manager.example|/CONFIG-MANAGEMENT"}));
    assert_ne!(config["pid"], call["pid"], "another application, another main interpreter");
    let package = format!("{:x}\r\n{}\r\n0\r\n\r\n", 400_000, "x".repeat(400_000));
    let push = |target: &str| {
        Request::post(target, package.clone())
            .host("manager.example")
            .header("Transfer-Encoding", "chunked")
            .header("Authorization", &basic("push:secret"))
    };
    let pushed = site.told(&push("/PACKAGE-PUSH"));
    assert_eq!(pushed["body"][0], 400_000);
    has(&pushed, json!({"authorization": basic("push:secret"), "user": null}));
    let mut connection = site.stack.connect();
    connection.send(push("/CONFIG-MANAGEMENT").header("Connection", "close").bytes());
    assert_eq!(connection.reply().unwrap().status, 411, "where nobody allowed it");
}

fn sha256(data: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn script_directories() {
    let mut field = Field::new("script-directories").modules(&["negotiation", "userdir"]);
    for name in ["alice", "bob", "mallory", "carol"] {
        field = field.script(&format!("srv/home/{name}/public_wsgi/index.wsgi"));
        field = field.script(&format!("srv/home/{name}/public_wsgi/notes.py"));
    }
    let site = field.script("srv/apps/first.wsgi").script("srv/apps/deeper/second.py").run();
    let first = site.from("localhost", "/apps/first.wsgi/x");
    has(
        &first,
        json!({"group": "public", "application": "localhost|/apps/first.wsgi", "mount": "/apps/first.wsgi",
               "path": "/x"}),
    );
    let second = site.from("localhost", "/apps/deeper/second.py");
    has(&second, json!({"application": "localhost|/apps/deeper/second.py", "path": ""}));
    assert_eq!(site.status(&Request::get("/apps/deeper/")), 403);
    assert_eq!(site.status(&Request::get("/apps/none.wsgi")), 404);

    let alice = site.from("localhost", "/~alice/notes.py/today");
    has(
        &alice,
        json!({"group": "alice", "uid": number("games"), "mount": "/~alice/notes.py", "path": "/today"}),
    );
    has(&site.from("localhost", "/~alice/"), json!({"group": "alice", "mount": "/~alice/index.wsgi"}));
    has(&site.from("localhost", "/~alice/notes"), json!({"script": alice["script"]}));
    let bob = site.from("localhost", "/~bob/notes.py");
    has(&bob, json!({"group": "bob", "uid": number("daemon"), "callable": "blue", "colour": "blue"}));
    // One asks for a group that is not for homes, the other for none.
    for name in ["mallory", "carol"] {
        assert_eq!(site.status(&Request::get(&format!("/~{name}/notes.py"))), 500, "{name}");
    }
}

#[test]
fn chosen_by_rewriting() {
    let site = Field::new("chosen-by-rewriting").script("srv/tenants/app.wsgi").run();
    for (host, group) in [
        ("a.tenants.example", "tenant-a"),
        ("b.tenants.example", "tenant-b"),
        ("c.tenants.example", "everybody"),
        ("default.example", "everybody"),
    ] {
        has(&site.from(host, "/x"), json!({"group": group, "application": host, "path": "/x"}));
    }
    let coloured = Request::get("/").host("coloured.example");
    has(&site.told(&coloured), json!({"group": "site-green", "application": "", "callable": "application"}));
    let blue = site.told(&coloured.header("Cookie", "colour=blue"));
    has(&blue, json!({"group": "site-blue", "application": "", "callable": "blue", "colour": "blue"}));
}

#[test]
fn mounts_by_pattern() {
    let mut field = Field::new("mounts-by-pattern").script("srv/projects/never/main.wsgi");
    for script in ["projects/apollo/wiki", "projects/apollo/main", "people/eve/app", "people/ken/app"] {
        field = field.script(&format!("srv/{script}.wsgi"));
    }
    let site = field.run();
    let wiki = site.from("localhost", "/projects/apollo/wiki/Start");
    has(
        &wiki,
        json!({"group": "projects", "application": "", "script": site.path("srv/projects/apollo/wiki.wsgi"),
               "mount": "/projects/apollo/wiki", "path": "/Start"}),
    );
    let main = site.from("localhost", "/projects/apollo/tickets");
    has(
        &main,
        json!({"group": "projects", "application": "localhost|/projects/apollo", "callable": "blue",
               "mount": "/projects/apollo", "path": "/tickets"}),
    );
    // What stands first was asked first, and it has no script there.
    assert_eq!(site.status(&Request::get("/projects/special")), 404);
    let eve = site.from("localhost", "/people/eve/");
    let ken = site.from("localhost", "/people/ken/");
    has(&eve, json!({"group": "people", "application": "localhost|/people/eve", "path": "/"}));
    has(&ken, json!({"group": "people", "application": "localhost|/people/ken"}));
    assert_ne!(eve["pid"], ken["pid"], "two applications, two interpreters");
}

#[test]
fn handler_scripts() {
    let mut field = Field::new("handler-scripts").modules(&["actions"]);
    for name in ["markdown.py", "router.py", "reports.py", "thumbnails.wsgi"] {
        field = field.script(&format!("srv/handlers/{name}"));
    }
    let site = field.run();
    let page = site.from("localhost", "/page.md");
    has(
        &page,
        json!({"group": "handlers", "application": "", "handler": "markdown", "mount": "/page.md", "path": "",
               "script": site.path("srv/handlers/markdown.py"), "callable": "handle_request"}),
    );
    assert_eq!(site.stack.get("/plain.txt").expect(200).text(), "a file\n");
    let routed = Request::get("/no/such/file").header("Authorization", "Bearer abc");
    has(
        &site.told(&routed),
        json!({"handler": "everything-else", "script": site.path("srv/handlers/router.py"),
               "authorization": "Bearer abc"}),
    );
    let report = site.told(&Request::get("/reports/2026").header("Authorization", "Bearer abc"));
    has(&report, json!({"handler": "reports", "application": "reports", "authorization": null}));
    let picture = site.from("localhost", "/pictures/cat.jpg");
    has(&picture, json!({"mount": "/thumbnailer", "path": "/pictures/cat.jpg"}));
}

/// What a proxy adds.
fn forwarded(host: &str) -> Request {
    Request::get("/page")
        .host(host)
        .header("X-Forwarded-For", "198.51.100.7, 10.1.2.3")
        .header("X-Forwarded-Host", "www.public.example")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Port", "443")
        .header("X-Script-Name", "/outside")
}

#[test]
fn behind_a_proxy() {
    let site =
        Field::new("behind-a-proxy").modules(&["headers", "remoteip"]).script("srv/proxied/app.wsgi").run();
    has(
        &site.told(&forwarded("trusting.example")),
        json!({"client": "198.51.100.7", "host": "www.public.example", "scheme": "https", "mount": "/outside",
               "path": "/page", "application": "proxied"}),
    );
    has(
        &site.told(&forwarded("wary.example")),
        json!({"client": "127.0.0.1", "host": "wary.example", "scheme": "http", "mount": ""}),
    );
    let remoteip = Request::get("/").header("X-Forwarded-For", "198.51.100.7").host("remoteip.example");
    has(
        &site.told(&remoteip.clone().header("X-Forwarded-Proto", "https")),
        json!({"client": "198.51.100.7", "host": "remoteip.example", "scheme": "https"}),
    );
    has(&site.told(&remoteip), json!({"scheme": "http"}));
}

/// The side-cars that have said they work, by process number.
fn tickers(site: &Site) -> Vec<i32> {
    let entries = fs::read_dir(site.stack.place.path("markers")).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("ticking-")?.parse().ok()).collect()
}

#[test]
fn sidecar() {
    let site = Field::new("sidecar").script("srv/site/site.wsgi").run();
    has(&site.from("localhost", "/"), json!({"group": "site", "path": "/"}));
    let one = eventually(PATIENCE, "it ticks", || tickers(&site).first().copied().ok_or("not yet".into()));
    // Its own signal handler has it return, and another takes its place.
    Process::find(one).expect("it lives").signal(Signal::SIGUSR2);
    until("another ticks", || tickers(&site).len() > 1);
    until("the first has ended", || Process::find(one).is_none());
    has(&site.from("localhost", "/"), json!({"group": "site"}));
}

/// No file is left untried.
#[test]
fn every_field_has_a_test() {
    let source = include_str!("main.rs");
    let mut tried = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = file.strip_suffix(".conf") {
            assert!(source.contains(&format!("Field::new(\"{name}\")")), "{file} is not tried");
            tried += 1;
        }
    }
    assert!(tried >= 15, "{tried}");
}
