//! A configuration of `tests/field` with everything it speaks of, and what its applications say.

use nix::unistd::{User, getuid};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use wsgid_tests::check::findings;
use wsgid_tests::stage::repository;
use wsgid_tests::venv::venv;
use wsgid_tests::wait::PATIENCE;
use wsgid_tests::{Mpm, Plan, Request, Stack, eventually, tls};

/// Where configurations are.
pub fn directory() -> PathBuf {
    repository().join("tests/field")
}

/// The files below a directory, by the names they have from there.
fn files_below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            let below = files_below(&path).into_iter();
            found.extend(below.map(|(rest, content)| (format!("{name}/{rest}"), content)));
        } else {
            found.push((name, fs::read(path).unwrap()));
        }
    }
    found
}

/// A configuration, and whatever stands at the paths it speaks of.
pub struct Field {
    text: String,
    plan: Plan,
}

impl Field {
    /// `tests/field/NAME.conf`, unchanged but for where /srv is and which ports are free.
    pub fn new(name: &str) -> Self {
        let text = fs::read_to_string(directory().join(format!("{name}.conf"))).unwrap();
        let moved = text
            .replace("/srv", "@ROOT@/srv")
            .replace("/run/httpd", "@ROOT@/run")
            .replace("*:80>", "127.0.0.1:@PORT@>")
            .replace("*:443>", "127.0.0.1:@TLS_PORT@>")
            .replace("Listen 443", "Listen 127.0.0.1:@TLS_PORT@");
        let mut plan = Stack::on(Mpm::Event).config(&moved).without_daemon();
        for (file, content) in files_below(&directory().join(name)) {
            plan = plan.file(&file, content);
        }
        Self { text, plan }
    }

    /// The application that tells stands here, below the root.
    pub fn script(mut self, path: &str) -> Self {
        self.plan = self.plan.file(path, fs::read(directory().join("told.py")).unwrap());
        self
    }

    pub fn modules(mut self, names: &[&'static str]) -> Self {
        self.plan = names.iter().fold(self.plan, |plan, name| plan.module(name));
        self
    }

    pub fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.plan = self.plan.file(name, content);
        self
    }

    /// Starts it, with a virtual environment where the configuration has one.
    pub fn run(self) -> Site {
        let mut stack = self.plan.run();
        stack.place.make_public_dir("markers");
        if self.text.contains("/srv/venv") {
            stack.place.make_dir("srv");
            symlink(venv("plain", &[]), stack.place.path("srv/venv")).unwrap();
        }
        stack.start_daemon();
        let site = Site { stack };
        site.passes_the_check();
        site
    }
}

/// A field that is served.
pub struct Site {
    pub stack: Stack,
}

impl Site {
    /// `wsgictl check` finds no error in what is served, but for hosts that name another's group to be refused.
    #[track_caller]
    fn passes_the_check(&self) {
        let (_, mut findings) = findings(&self.stack.place, &[]);
        findings.retain(|each| each["grade"] == "error");
        findings.retain(|each| !each["what"].as_str().unwrap().contains("belongs to the virtual hosts of"));
        assert!(findings.is_empty(), "{findings:#?}");
    }

    /// What the application says. An httpd that met no daemon when it started may have to be asked again.
    #[track_caller]
    pub fn told(&self, request: &Request) -> Value {
        let answer = eventually(PATIENCE, "an answer", || match self.stack.ask(request) {
            reply if reply.status == 503 => Err(reply.head),
            reply => Ok(reply),
        });
        answer.expect(200).json()
    }

    #[track_caller]
    pub fn from(&self, host: &str, target: &str) -> Value {
        self.told(&Request::get(target).host(host))
    }

    #[track_caller]
    pub fn status(&self, request: &Request) -> u16 {
        self.stack.ask(request).status
    }

    /// A path below the root, as applications see it.
    pub fn path(&self, name: &str) -> Value {
        json!(self.stack.place.path(name))
    }

    /// A page over TLS.
    #[track_caller]
    pub fn encrypted(&self, host: &str, target: &str) -> Value {
        let (head, body) = tls::get(self.stack.tls_port, host, target);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// These members of what was told.
#[track_caller]
pub fn has(told: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name} of {told:#}");
    }
}

/// The user number that a group of this user has, where users can be switched.
pub fn number(user: &str) -> Value {
    let uid = if getuid().is_root() { User::from_name(user).unwrap().unwrap().uid } else { getuid() };
    json!(uid.as_raw())
}

/// The `Authorization` of a name and a password (RFC 7617).
pub fn basic(words: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("Basic ");
    for three in words.as_bytes().chunks(3) {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | usize::from(*three.get(n).unwrap_or(&0)));
        let digit = |n: usize| if n > three.len() { b'=' } else { DIGITS[bits >> (18 - 6 * n) & 63] };
        text.extend((0..4).map(|n| char::from(digit(n))));
    }
    text
}
