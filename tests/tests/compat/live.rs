//! The lists and a real worker: what its modules and types have, and what requests that bring everything are given.

use crate::lists::{names, same};
use serde_json::Value;
use std::collections::BTreeSet;
use wsgid_tests::venv::certificate;
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Request, Stack, tls};

/// Everything that adds a key is on; `/landing` alone has no user of its own.
const SITE: &str = "
HostnameLookups On
WSGIScriptAlias / @APPS@/inventory.wsgi
WSGIApplicationGroup %{GLOBAL}
WSGIPassAuthorization On
WSGITrustedProxyHeaders X-Script-Name
WSGIDispatchScript @APPS@/inventory.wsgi
SSLOptions +StdEnvVars
<Location /all>
PassEnv PATH LD_LIBRARY_PATH
</Location>
<LocationMatch \"^/(?!landing)\">
WSGIAccessScript @APPS@/inventory.wsgi
AuthType Basic
AuthName site
AuthBasicProvider wsgi
WSGIAuthUserScript @APPS@/inventory.wsgi
Require valid-user
</LocationMatch>";
const ENCRYPTED: &str = "SSLEngine on\nSSLCertificateFile @ROOT@/tls/certificate.pem
SSLCertificateKeyFile @ROOT@/tls/key.pem";
/// user:secret
const USER: &str = "Basic dXNlcjpzZWNyZXQ=";

fn stack() -> Stack {
    let mut plan = Stack::on(Mpm::Event).bring("inventory");
    for module in ["authn_core", "authz_user", "auth_basic", "unique_id", "ssl"] {
        plan = plan.module(module);
    }
    for name in ["key.pem", "certificate.pem"] {
        plan = plan.file(&format!("tls/{name}"), std::fs::read(certificate().join(name)).unwrap());
    }
    plan.config("WSGIServerMetrics On\nExtendedStatus On\nWSGIRestrictStdin On")
        .config(&format!("<VirtualHost 127.0.0.1:@PORT@>\n{SITE}\n</VirtualHost>"))
        .config(&format!(
            "Listen 127.0.0.1:@TLS_PORT@\n<VirtualHost 127.0.0.1:@TLS_PORT@>\n{ENCRYPTED}\n{SITE}"
        ))
        .config("</VirtualHost>")
        .run()
}

/// A request with whatever a client can bring.
fn request(target: &str) -> Request {
    Request::post(target, "name=value")
        .header("Authorization", USER)
        .header("Proxy-Authorization", USER)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Proxy", "http://attacker.example")
        .header("X-Script-Name", "/mounted")
        .header("X-Forwarded-For", "192.0.2.1")
}

/// What it tells of itself once everything has happened to it.
fn inventory(stack: &Stack) -> Value {
    stack.ask(&request("/raise?a=b")).expect(500);
    stack.ask(&request("/redirect?a=b")).expect(200);
    tls::get(stack.tls_port, "localhost", "/landing");
    stack.ask(&request("/all?a=b")).expect(200).json()
}

fn strings(value: &Value) -> BTreeSet<String> {
    let items = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    assert!(!items.is_empty());
    items.iter().map(|item| item.as_str().unwrap().to_string()).collect()
}

/// `module.name`, `mod_wsgi.Type.member`, `event:` and `key:` of events, `metric:` of metrics.
fn interface(all: &Value) -> BTreeSet<String> {
    let mut names = strings(&all["script"]);
    names.extend(strings(&all["sys"]).iter().map(|name| format!("sys.{name}")));
    for (module, members) in all["modules"].as_object().unwrap() {
        names.extend(strings(members).iter().map(|name| format!("{module}.{name}")));
    }
    for (kind, members) in all["types"].as_object().unwrap() {
        names.insert(format!("mod_wsgi.{kind}"));
        let members = members.as_array().unwrap();
        names.extend(members.iter().map(|name| format!("mod_wsgi.{kind}.{}", name.as_str().unwrap())));
    }
    for (event, keys) in all["events"].as_object().unwrap() {
        names.insert(format!("event:{event}"));
        names.extend(strings(keys).iter().map(|key| format!("key:{key}")));
    }
    names.extend(strings(&all["metrics"]).iter().map(|key| format!("metric:{key}")));
    names
}

/// Of the event that comes when nobody can be asked any more.
fn last_event(stack: &mut Stack) -> BTreeSet<String> {
    stack.stop_daemon();
    let told = || {
        stack
            .log("wsgid")
            .lines()
            .find_map(|line| Some(line.split_once("events at the end: ")?.1.to_string()))
    };
    until("the last event", || told().is_some());
    let pairs = told().unwrap();
    let pairs = pairs.split_whitespace().map(|pair| pair.split_once('.').unwrap());
    pairs.flat_map(|(event, key)| [format!("event:{event}"), format!("key:{key}")]).collect()
}

#[test]
fn everything_that_an_application_meets_is_listed() {
    let mut stack = stack();
    let all = inventory(&stack);
    let absent = names("absent");
    environ(&all["environs"], &absent);
    let found = &interface(&all) | &last_event(&mut stack);
    let wrong: Vec<_> = found.intersection(&absent).collect();
    assert!(wrong.is_empty(), "in tests/compat/absent.list, and there: {wrong:?}");
    // Why a worker stops is one of many reasons.
    let listed = names("api").into_iter().filter(|name| !name.starts_with("reason:"));
    same("api", &listed.collect(), &found);
}

/// A name, or a pattern that ends in `*`.
fn covers(listed: &str, name: &str) -> bool {
    listed.strip_suffix('*').map_or(listed == name, |start| name.starts_with(start))
}

fn environ(environs: &Value, absent: &BTreeSet<String>) {
    let given: Vec<_> =
        ["application", "access", "dispatch"].iter().map(|who| strings(&environs[who])).collect();
    let wrong: Vec<_> = given[0].intersection(absent).collect();
    assert!(wrong.is_empty(), "in tests/compat/absent.list, and in environ: {wrong:?}");
    let listed: BTreeSet<String> =
        names("environ").into_iter().filter(|name| !name.starts_with("X-")).collect();
    let found: BTreeSet<String> = given.into_iter().flatten().collect();
    let unlisted: Vec<_> =
        found.iter().filter(|name| !listed.iter().any(|known| covers(known, name))).collect();
    let gone: Vec<_> = listed.iter().filter(|known| !found.iter().any(|name| covers(known, name))).collect();
    assert!(unlisted.is_empty(), "not in tests/compat/environ.list: {unlisted:?}");
    assert!(gone.is_empty(), "in tests/compat/environ.list, and in no environ: {gone:?}");
}
