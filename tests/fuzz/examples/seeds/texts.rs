//! Texts from configurations, clients and applications.

use crate::Named;
use wsgid_fuzz::input::Seed;
use wsgid_proto::options::RULES;

pub fn seeds() -> Vec<Named> {
    [environs(), expansions(), options(), answers(), lines()].concat()
}

fn environs() -> Vec<Named> {
    let fields = |pass| {
        let seed = Seed::default().number(pass).bytes("/srv/app.wsgi").bytes("application").bytes("site");
        let seed = seed.bytes("www").bytes("wsgi-script").bytes("a=1").number(1).number(0);
        seed.large_number(17).large_number(18).number(19)
    };
    let variables = |seed: Seed| {
        let pairs = [("REQUEST_METHOD", "GET"), ("HTTPS", "on"), ("PATH", "/bin"), ("wsgi.input", "x")];
        pairs.iter().fold(seed.number(4), |seed, (name, value)| seed.bytes(name).bytes(value))
    };
    let browser = [("Host", "example.org"), ("content-type", "text/plain"), ("X-Some-Thing", "")];
    let sly =
        [("X_User", "root"), ("Proxy", "evil"), ("Authorization", "Basic x"), ("Proxy-Authorization", "y")];
    let headers = |seed: Seed, list: &[(&str, &str)]| {
        list.iter().fold(variables(seed), |seed, (name, value)| seed.bytes(name).bytes(value)).finish()
    };
    vec![
        ("environ", "browser", headers(fields(0), &browser)),
        ("environ", "sly", headers(fields(0), &sly)),
        ("environ", "authorization", headers(fields(1), &sly)),
    ]
}

fn expansions() -> Vec<Named> {
    let facts = |port: u16, variable: &str| {
        let seed = Seed::default().bytes("example.org").bytes("www.example.org").bytes("/app");
        seed.large_number(port).bytes("NAME").bytes(variable).bytes("OTHER").bytes("red")
    };
    vec![
        ("expand", "global", facts(80, "").rest("%{GLOBAL}").finish()),
        ("expand", "server", facts(80, "").rest("%{SERVER}").finish()),
        ("expand", "host", facts(8080, "").rest("%{HOST}").finish()),
        ("expand", "resource", facts(443, "").rest("%{RESOURCE}").finish()),
        ("expand", "variable", facts(80, "blue").rest("%{ENV:NAME}").finish()),
        ("expand", "variable-of-a-value", facts(81, "%{SERVER}").rest("%{ENV:NAME}").finish()),
        ("expand", "variable-of-a-variable", facts(80, "%{ENV:OTHER}").rest("%{ENV:NAME}").finish()),
        ("expand", "plain", facts(80, "").rest("site").finish()),
    ]
}

/// One option for each rule, with a value that is good for many, and for few.
fn options() -> Vec<Named> {
    let all = |value: &str| {
        (0..RULES.len()).fold(Seed::default(), |seed, rule| seed.number(rule as u8).bytes(value)).finish()
    };
    vec![
        ("options", "numbers", all("15")),
        ("options", "paths", all("/srv/a:/srv/b")),
        ("options", "decimals", all("0.5")),
        ("options", "negative", all("-3")),
        ("options", "switches", all("On")),
        ("options", "unknown", Seed::default().number(0xff).bytes("no-such-option").bytes("1").finish()),
    ]
}

fn answers() -> Vec<Named> {
    let answer = |status: &str, length: &str| {
        let seed = Seed::default().number(0).bytes(status).number(2);
        let seed = seed.bytes("Content-Type").bytes("text/plain").bytes("Content-Length").bytes(length);
        seed.large_number(3).large_number(4).finish()
    };
    vec![
        ("start_response", "as-promised", answer("200 OK", "7")),
        ("start_response", "too-short", answer("404 Not Found", "8")),
        ("start_response", "too-long", answer("200", "5")),
        ("start_response", "no-body", answer("304 Not Modified", "100")),
        ("start_response", "no-number", answer("200 OK", "0x10")),
        ("start_response", "no-status", answer("200OK", "7")),
    ]
}

fn lines() -> Vec<Named> {
    let text = |doublings, step, text: &[u8]| {
        Seed::default().number(doublings).large_number(step).rest(text).finish()
    };
    vec![
        ("lines", "traceback", text(0, 7, b"Traceback:\r\n  File \"x\"\n\nNameError")),
        (
            "lines",
            "long-line",
            text(7, 4095, "sixty characters, of which some are long: \u{e9}\u{20ac}\u{1f600}".as_bytes()),
        ),
        ("lines", "nul-and-no-text", text(0, 1, b"a\0b\xff\xfe\n\0")),
    ]
}
