//! `%{…}` values, which name groups and callables by what a client sent: what is no such value stands
//! for itself, and a variable is followed once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsgid_fuzz::input::Input;
use wsgid_proto::expand::{Request, application_group, callable, is_dynamic, process_group};

struct Facts<'a> {
    server: &'a [u8],
    host: &'a [u8],
    script_name: &'a [u8],
    port: u16,
    variables: [(&'a [u8], &'a [u8]); 2],
}

impl Request for Facts<'_> {
    fn server_name(&self) -> Vec<u8> {
        self.server.to_vec()
    }
    fn port(&self) -> u16 {
        self.port
    }
    fn host(&self) -> Vec<u8> {
        self.host.to_vec()
    }
    fn script_name(&self) -> Vec<u8> {
        self.script_name.to_vec()
    }
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_vec())
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::of(data);
    let facts = Facts {
        server: input.bytes(),
        host: input.bytes(),
        script_name: input.bytes(),
        port: input.large_number(),
        variables: std::array::from_fn(|_| (input.bytes(), input.bytes())),
    };
    let value = input.rest();
    let group = process_group(value, &facts);
    assert_eq!(application_group(value, &facts), group);
    assert_eq!(group, expected(value, &facts, true));
    if !is_dynamic(value) {
        assert_eq!(group, if value == b"%{GLOBAL}" { b"" } else { value });
    }

    let name = callable(value, &facts);
    match env(value) {
        Some(asked) => assert_eq!(name, facts.variable(asked).unwrap_or(b"application".to_vec())),
        None => assert_eq!(name, value),
    }
});

fn env(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"%{ENV:")?.strip_suffix(b"}")
}

/// The manual's table, once more.
fn expected(value: &[u8], facts: &Facts<'_>, follow: bool) -> Vec<u8> {
    let port = match facts.port {
        80 | 443 => String::new(),
        other => format!(":{other}"),
    };
    let port = port.as_bytes();
    match (value, env(value).filter(|_| follow)) {
        (b"%{GLOBAL}", _) => Vec::new(),
        (b"%{SERVER}", _) => [facts.server, port].concat(),
        (b"%{HOST}", _) => [facts.host, port].concat(),
        (b"%{RESOURCE}", _) => [facts.server, port, b"|", facts.script_name].concat(),
        (_, Some(name)) => {
            facts.variable(name).map_or(value.to_vec(), |found| expected(&found, facts, false))
        }
        _ => value.to_vec(),
    }
}
