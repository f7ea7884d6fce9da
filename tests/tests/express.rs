//! What mod_wsgi-express generates, served here with nothing changed but where the module and the daemon are, beside
//! mod_wsgi itself with the very same files: for every set of options, the same questions have the same answers.
//! `tests/run --express`.

use serde_json::{Value, json};
use std::process::{Command, Output};
use wsgid_tests::daemon::Daemon;
use wsgid_tests::place::Place;
use wsgid_tests::stack::free_ports;
use wsgid_tests::venv::certificate;
use wsgid_tests::wait::{PATIENCE, eventually, until};
use wsgid_tests::{Connection, Reply, Request, httpd, stage, theirs, tls};

/// The scripts that the options name.
const ACCESS: &str = "def allow_access(environ, host):\n    return environ['PATH_INFO'] != '/closed'\n";
const USERS: &str = "def check_password(environ, user, password):\n    return {'alice': 'wonderland', 'bob': 'builder'}.get(user) == password\n";
const GROUPS: &str = "def groups_for_user(environ, user):\n    return {'alice': ['staff']}.get(user, [])\n";
const HASHES: &str = "import hashlib\ndef get_realm_hash(environ, user, realm):\n    \
    return hashlib.md5(':'.join((user, realm, 'wonderland')).encode()).hexdigest() if user == 'alice' else None\n";
const DISPATCH: &str =
    "def application_group(environ):\n    return 'blue' if environ['REQUEST_URI'] == '/blue' else None\n";
const SERVICE: &str =
    "import os, time\nopen('@ROOT@/markers/served', 'w').close()\nwhile True:\n    time.sleep(60)\n";

/// Behind the application that tells: it tells a word of a module's, too.
const WORDED: &str = "
import imported

def tell(environ, start_response, plain=tell, **more):
    return plain(environ, start_response, word=imported.word, **more)
";

/// A generated server and what runs it.
struct Server {
    place: Place,
    port: u16,
    tls_port: u16,
    daemon: Option<Daemon>,
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Server {
    /// `mod_wsgi-express setup-server` with these options, and `apachectl start`.
    #[track_caller]
    fn start(options: &[&str], ours: bool) -> Self {
        let place = Place::new(None);
        let [port, tls_port] = free_ports();
        let scripts =
            [("access.py", ACCESS), ("users.py", USERS), ("groups.py", GROUPS), ("hashes.py", HASHES)];
        for (name, content) in scripts.into_iter().chain([("imported.py", "word = 'old'\n")]) {
            place.write(&format!("site/{name}"), content);
        }
        place.write("site/dispatch.py", DISPATCH);
        let dispatch = format!("WSGIDispatchScript {}", place.path("site/dispatch.py").display());
        place.write("site/dispatch.conf", dispatch);
        place.write("site/service.py", SERVICE.replace("@ROOT@", place.root().to_str().unwrap()));
        place.write("site/told.py", telling() + WORDED);
        place.write("site/documents/page.txt", "a page\n");
        place.write("site/static/site.css", "a style\n");
        place.make_public_dir("markers");
        for name in ["key.pem", "certificate.pem"] {
            place.write(&format!("tls/{name}"), std::fs::read(certificate().join(name)).unwrap());
        }
        let server = Self { place, port, tls_port, daemon: None };
        server.set_up(options);
        server.serve(ours)
    }

    fn set_up(&self, options: &[&str]) {
        let root = self.place.root().to_str().unwrap();
        let mut command = Command::new(theirs::environment().join("bin/mod_wsgi-express"));
        command.arg("setup-server").arg(self.place.path("site/told.py"));
        command.arg("--server-root").arg(self.place.path("server")).args(["--log-level", "info"]);
        command.args(["--port", &self.port.to_string(), "--process-group", "site"]);
        command.arg("--working-directory").arg(self.place.path("site"));
        if nix::unistd::getuid().is_root() {
            command.args(["--user", httpd::web_user(), "--group", httpd::web_user()]);
        }
        let fill =
            |word: &&str| word.replace("@ROOT@", root).replace("@TLS_PORT@", &self.tls_port.to_string());
        let output = command.args(options.iter().map(fill)).output().unwrap();
        assert!(output.status.success(), "{options:?}: {}", said(&output));
    }

    #[track_caller]
    fn serve(mut self, ours: bool) -> Self {
        if ours {
            let path = self.place.path("server/httpd.conf");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, self.with_our_module(&text)).unwrap();
            self.daemon = Some(Daemon::start(&self.place, None));
        }
        let output = self.control("start");
        assert!(output.status.success(), "{}{}", said(&output), self.log());
        eventually(PATIENCE, "it answers", || match Connection::open(self.port) {
            Ok(_) => Ok(()),
            Err(e) => Err(format!("{e}: {}", self.log())),
        });
        self
    }

    /// The one line that is another's.
    fn with_our_module(&self, text: &str) -> String {
        let theirs =
            text.lines().find(|line| line.starts_with("LoadModule wsgi_module ")).expect("no module");
        let socket = self.place.path("run/control.sock");
        let ours = format!(
            "LoadModule wsgi_module {}\nWSGIDaemonSocket {}",
            stage::module().display(),
            socket.display()
        );
        text.replacen(theirs, &ours, 1)
    }

    fn control(&self, word: &str) -> Output {
        Command::new(self.place.path("server/apachectl")).arg(word).output().unwrap()
    }

    fn log(&self) -> String {
        self.place.read("server/error_log") + &self.place.read("logs/wsgid.log")
    }

    /// What two servers of the same options must agree on.
    #[track_caller]
    fn answer(&self, request: &Request) -> String {
        let reply = Connection::open(self.port).unwrap().ask(request);
        let names = ["Content-Type", "Content-Encoding", "Location", "WWW-Authenticate", "Vary"];
        let shown: Vec<String> =
            names.iter().map(|name| format!("{name}: {:?}", reply.header(name))).collect();
        let text = format!("{} {}\n{}\n{}", reply.status, reply.reason, shown.join("\n"), self.body(&reply));
        text.replace(self.place.root().to_str().unwrap(), "@ROOT@")
            .replace(&self.port.to_string(), "@PORT@")
            .replace(&self.tls_port.to_string(), "@TLS_PORT@")
    }

    /// Without what no two processes have in common.
    fn body(&self, reply: &Reply) -> String {
        if reply.header("Content-Encoding").is_some() {
            return "(compressed)".into();
        }
        told(&reply.text())
    }

    /// What somebody with this name and password is answered, who does as the challenge says.
    fn digested(&self, words: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--digest", "--user", words, "--write-out", "\n%{http_code}"]);
        let output = curl.arg(format!("http://127.0.0.1:{}/", self.port)).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let (body, status) = answer.rsplit_once('\n').unwrap();
        // What the server and curl have made up for this once is another each time.
        let text = told(body)
            .lines()
            .map(|line| line.split(", nonce=").next().unwrap())
            .collect::<Vec<_>>()
            .join("\n");
        let text = format!("{status} {text}");
        text.replace(self.place.root().to_str().unwrap(), "@ROOT@").replace(&self.port.to_string(), "@PORT@")
    }

    /// The word that the application tells.
    fn word(&self) -> String {
        let told = Connection::open(self.port).unwrap().ask(&get("/")).expect(200).json();
        told["word"].as_str().unwrap().into()
    }

    fn encrypted(&self, target: &str) -> String {
        let (head, body) = tls::get(self.tls_port, "localhost", target);
        format!("{}\n{}", head.lines().next().unwrap(), told(&body))
            .replace(self.place.root().to_str().unwrap(), "@ROOT@")
            .replace(&self.tls_port.to_string(), "@TLS_PORT@")
    }
}

fn telling() -> String {
    std::fs::read_to_string(stage::repository().join("tests/field/told.py")).unwrap()
}

/// What the application tells, so far as it has to be the same.
fn told(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut told)) => {
            told.remove("pid");
            // Python's own directories differ for an embedded interpreter.
            told.remove("search");
            format!("{:#}", Value::Object(told))
        }
        _ => text.into(),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.place.read("server/httpd.pid").trim().parse::<i32>().ok();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.control("stop");
        let parent = pid.and_then(wsgid_tests::family::Process::find);
        eventually(PATIENCE, "httpd ends", || match parent.as_ref().filter(|process| process.lives()) {
            Some(_) => Err("it lives".into()),
            None => Ok(()),
        });
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }
}

/// Asks both.
#[track_caller]
fn compare(options: &[&str], requests: &[Request]) -> [Server; 2] {
    let both = [Server::start(options, false), Server::start(options, true)];
    for request in requests {
        let [theirs, ours] = both.each_ref().map(|server| server.answer(request));
        assert_eq!(ours, theirs, "left ours, right mod_wsgi's, for {request:?}");
    }
    both
}

macro_rules! express {
    ($($(#[$doc:meta])* $name:ident [$($option:expr),*] [$($request:expr),+] $(and $more:expr)?;)+) => {$(
        $(#[$doc])*
        #[test]
        #[ignore = "builds mod_wsgi from PyPI: tests/run --express"]
        fn $name() {
            let _both = compare(&[$($option),*], &[$($request),+]);
            $(_both.iter().for_each($more);)?
        }
    )+};
}

fn get(target: &str) -> Request {
    Request::get(target)
}

/// A request of somebody with this name and password, in base64.
fn login(target: &str, words: &str) -> Request {
    get(target).header("Authorization", &format!("Basic {words}"))
}

const ALICE: &str = "YWxpY2U6d29uZGVybGFuZA==";
const BOB: &str = "Ym9iOmJ1aWxkZXI=";
const EVE: &str = "ZXZlOmd1ZXNz";

express! {
    plain [] [get("/"), get("/a/b%20c?d=e"), Request::post("/form", "x=y"), login("/", EVE)];
    processes_and_threads ["--processes", "2", "--threads", "1"] [get("/"), get("/x")];
    mounted ["--mount-point", "/below"] [get("/below"), get("/below/x"), get("/elsewhere")];
    files ["--document-root", "@ROOT@/site/documents", "--url-alias", "/static", "@ROOT@/site/static"]
        [get("/page.txt"), get("/static/site.css"), get("/static/none"), get("/other")];
    chunks ["--chunked-request"]
        [Request::post("/", "5\r\nhello\r\n0\r\n\r\n").header("Transfer-Encoding", "chunked")];
    proxies ["--trust-proxy-header", "X-Forwarded-For", "--trust-proxy-header", "X-Forwarded-Proto",
             "--trust-proxy-header", "X-Script-Name", "--trust-proxy", "127.0.0.1"]
        [get("/x").header("X-Forwarded-For", "198.51.100.7").header("X-Forwarded-Proto", "https")
            .header("X-Script-Name", "/outside"), get("/x")];
    access ["--host-access-script", "@ROOT@/site/access.py"] [get("/open"), get("/closed")];
    users ["--auth-user-script", "@ROOT@/site/users.py"] [get("/"), login("/", ALICE), login("/", EVE)];
    groups ["--auth-user-script", "@ROOT@/site/users.py", "--auth-group-script", "@ROOT@/site/groups.py",
            "--auth-group", "staff"]
        [login("/", ALICE), login("/", BOB)];
    compressed ["--compress-responses"] [get("/").header("Accept-Encoding", "gzip"), get("/")];
    error_documents ["--error-override", "--error-document", "404", "/missing.html"] [get("/"), get("/none")];
    head_as_get ["--map-head-to-get", "On"] [Request::new("HEAD", "/"), get("/")];
    variables ["--setenv", "PLACE", "here", "--locale", "C.UTF-8", "--lang", "C.UTF-8"] [get("/")];
    times ["--request-timeout", "30", "--queue-timeout", "20", "--socket-timeout", "40", "--maximum-requests", "1000",
           "--restart-interval", "3600", "--inactivity-timeout", "600", "--ignore-activity", "/ping"]
        [get("/"), get("/ping")];
    limits ["--limit-request-body", "10"] [Request::post("/", "123456789"), Request::post("/", "12345678901")];
    own_callable ["--callable-object", "blue"] [get("/")];
    /// A program of its own beside the application.
    service ["--service-script", "watch", "@ROOT@/site/service.py"] [get("/")]
        and |server: &Server| until("the service runs", || server.place.path("markers/served").exists());
}

/// It has no option of its own for that, and includes what one writes.
#[test]
#[ignore = "builds mod_wsgi from PyPI: tests/run --express"]
fn dispatch() {
    let requests = ["/", "/blue"].map(get);
    let both = compare(&["--include-file", "@ROOT@/site/dispatch.conf"], &requests);
    let told = Connection::open(both[1].port).unwrap().ask(&get("/blue")).expect(200).json();
    assert_eq!(told["application"], "blue", "{told}");
}

#[test]
#[ignore = "builds mod_wsgi from PyPI: tests/run --express"]
fn digests() {
    let both = compare(&["--auth-type", "Digest", "--auth-user-script", "@ROOT@/site/hashes.py"], &[]);
    for (words, status) in [("alice:wonderland", "200 "), ("alice:guess", "401 "), ("eve:wonderland", "401 ")]
    {
        let [theirs, ours] = both.each_ref().map(|server| server.digested(words));
        assert!(theirs.starts_with(status), "{words}: {theirs}");
        assert_eq!(ours, theirs, "left ours, right mod_wsgi's, for {words}");
    }
}

/// A change of the entry point is seen with a request, that of a module without one; and with reloading disabled
/// neither is.
#[test]
#[ignore = "builds mod_wsgi from PyPI: tests/run --express"]
fn reloads() {
    let new_entry = telling() + &WORDED.replace("imported.word", "'new'");
    for (options, name, content, reloads) in [
        (&[][..], "told.py", new_entry.as_str(), true),
        (&["--reload-on-changes"], "told.py", &new_entry, true),
        (&["--reload-on-changes"], "imported.py", "word = 'new'\n", true),
        (&["--disable-reloading"], "told.py", &new_entry, false),
        (&[], "imported.py", "word = 'new'\n", false),
    ] {
        for server in compare(options, &[get("/")]) {
            assert_eq!(server.word(), "old");
            server.place.write(&format!("site/{name}"), content);
            if reloads {
                until("the new code answers", || server.word() == "new");
            } else {
                assert!((0..50).all(|_| server.word() == "old"), "{options:?} {name}");
            }
        }
    }
}

#[test]
#[ignore = "builds mod_wsgi from PyPI: tests/run --express"]
fn encrypted() {
    let options = [
        "--https-port",
        "@TLS_PORT@",
        "--server-name",
        "localhost",
        "--ssl-certificate-file",
        "@ROOT@/tls/certificate.pem",
        "--ssl-certificate-key-file",
        "@ROOT@/tls/key.pem",
    ];
    let both = compare(&options, &[get("/")]);
    let [theirs, ours] = both.each_ref().map(|server| server.encrypted("/secret"));
    assert!(theirs.contains("https"), "{theirs}");
    assert_eq!(ours, theirs, "left ours, right mod_wsgi's");
}

/// Here it is a process group like any other, whose workers are of the daemon's making: `wsgi.multiprocess` and the
/// locale are not those of httpd.
#[test]
#[ignore = "builds mod_wsgi from PyPI: tests/run --express"]
fn embedded() {
    let server = Server::start(&["--embedded-mode"], true);
    let told = Connection::open(server.port).unwrap().ask(&get("/x")).expect(200).json();
    assert_eq!((&told["group"], &told["application"], &told["path"]), (&json!(""), &json!(""), &json!("/x")));
}
