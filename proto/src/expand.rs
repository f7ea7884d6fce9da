//! The `%{…}` values of `WSGIProcessGroup`, `WSGIApplicationGroup` and `WSGICallableObject`.
//!
//! As in mod_wsgi a value is expanded only when it is one whole `%{…}`; anything else, an unknown
//! name included, stands for itself.

/// What a request knows that a value may ask for. Strings are bytes: none of them need be UTF-8.
pub trait Request {
    /// `ServerName` of the virtual host that serves the request.
    fn server_name(&self) -> Vec<u8>;
    /// Port as `ap_get_server_port` has it.
    fn port(&self) -> u16;
    /// The request's `Host`, without a port, or the server's name where there is none.
    fn host(&self) -> Vec<u8>;
    /// SCRIPT_NAME with runs of slashes collapsed.
    fn script_name(&self) -> Vec<u8>;
    /// Request note, then subprocess environment, then httpd's own environment.
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>>;
}

/// Expands the name of a process group: `""` is the implicit group. Unset variables leave the value
/// as it stands, which then names no group and is refused with that very text.
pub fn process_group(value: &[u8], request: &dyn Request) -> Vec<u8> {
    expand(value, request, true).unwrap_or_else(|| value.to_vec())
}

/// Expands the name of an application group: `""` is the main interpreter of mod_wsgi.
pub fn application_group(value: &[u8], request: &dyn Request) -> Vec<u8> {
    process_group(value, request)
}

/// Expands the name of the application group of a hook, which knows neither `%{RESOURCE}` nor variables: it
/// is asked before either is settled.
pub fn hook_group(value: &[u8], request: &dyn Request) -> Vec<u8> {
    match inner(value) {
        Some(b"GLOBAL" | b"SERVER" | b"HOST") => application_group(value, request),
        _ => value.to_vec(),
    }
}

/// Expands the name of a callable, which knows only `%{ENV:…}`; `application` where that is unset.
pub fn callable(value: &[u8], request: &dyn Request) -> Vec<u8> {
    match env_name(value) {
        Some(name) => request.variable(name).unwrap_or_else(|| b"application".to_vec()),
        None => value.to_vec(),
    }
}

/// Does this need a request to be known? `%{GLOBAL}` does not.
pub fn is_dynamic(value: &[u8]) -> bool {
    inner(value).is_some_and(|name| name != b"GLOBAL")
}

fn inner(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"%{")?.strip_suffix(b"}")
}

fn env_name(value: &[u8]) -> Option<&[u8]> {
    inner(value)?.strip_prefix(b"ENV:")
}

fn expand(value: &[u8], request: &dyn Request, once_more: bool) -> Option<Vec<u8>> {
    match inner(value)? {
        b"GLOBAL" => Some(Vec::new()),
        b"SERVER" => Some(with_port(request.server_name(), request.port())),
        b"HOST" => Some(with_port(request.host(), request.port())),
        b"RESOURCE" => {
            let mut name = with_port(request.server_name(), request.port());
            name.push(b'|');
            name.extend(request.script_name());
            Some(name)
        }
        name => {
            let found = request.variable(name.strip_prefix(b"ENV:")?)?;
            // A variable may itself hold a value to expand, but not a chain of variables.
            let again = once_more && env_name(&found).is_none();
            let further = if again { expand(&found, request, false) } else { None };
            Some(further.unwrap_or(found))
        }
    }
}

/// The ports of http and https are not shown: virtual hosts of the same name on both share a group.
fn with_port(mut name: Vec<u8>, port: u16) -> Vec<u8> {
    if port != 80 && port != 443 {
        name.extend(format!(":{port}").bytes());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Example(u16);

    impl Request for Example {
        fn server_name(&self) -> Vec<u8> {
            b"example.org".to_vec()
        }
        fn port(&self) -> u16 {
            self.0
        }
        fn host(&self) -> Vec<u8> {
            b"www.example.org".to_vec()
        }
        fn script_name(&self) -> Vec<u8> {
            b"/app".to_vec()
        }
        fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
            match name {
                b"PLAIN" => Some(b"blue".to_vec()),
                b"NESTED" => Some(b"%{SERVER}".to_vec()),
                b"CHAIN" => Some(b"%{ENV:PLAIN}".to_vec()),
                _ => None,
            }
        }
    }

    #[test]
    fn values_expand_as_in_mod_wsgi() {
        for (port, value, expected) in [
            (80, "%{GLOBAL}", ""),
            (80, "%{SERVER}", "example.org"),
            (443, "%{SERVER}", "example.org"),
            (8080, "%{SERVER}", "example.org:8080"),
            (8080, "%{HOST}", "www.example.org:8080"),
            (80, "%{RESOURCE}", "example.org|/app"),
            (81, "%{RESOURCE}", "example.org:81|/app"),
            (80, "%{ENV:PLAIN}", "blue"),
            (81, "%{ENV:NESTED}", "example.org:81"),
            (80, "%{ENV:CHAIN}", "%{ENV:PLAIN}"),
            (80, "%{ENV:NONE}", "%{ENV:NONE}"),
            (80, "%{OTHER}", "%{OTHER}"),
            (80, "a-%{SERVER}", "a-%{SERVER}"),
            (80, "plain", "plain"),
            (80, "", ""),
        ] {
            let got = process_group(value.as_bytes(), &Example(port));
            assert_eq!(String::from_utf8_lossy(&got), expected, "{value}");
        }
    }

    #[test]
    fn a_callable_knows_only_variables() {
        let got = |value: &str| String::from_utf8(callable(value.as_bytes(), &Example(80))).unwrap();
        assert_eq!(got("app"), "app");
        assert_eq!(got("%{ENV:PLAIN}"), "blue");
        assert_eq!(got("%{ENV:NONE}"), "application");
        assert_eq!(got("%{SERVER}"), "%{SERVER}");
    }

    #[test]
    fn a_hooks_group_knows_neither_scripts_nor_variables() {
        let got = |value: &str| String::from_utf8(hook_group(value.as_bytes(), &Example(80))).unwrap();
        assert_eq!(
            ["", "%{GLOBAL}", "%{SERVER}", "%{HOST}", "%{RESOURCE}", "%{ENV:PLAIN}", "auth"].map(got),
            ["", "", "example.org", "www.example.org", "%{RESOURCE}", "%{ENV:PLAIN}", "auth"]
        );
    }

    #[test]
    fn only_global_is_known_without_a_request() {
        assert!(!is_dynamic(b"%{GLOBAL}"));
        assert!(!is_dynamic(b"site"));
        assert!(is_dynamic(b"%{RESOURCE}"));
        assert!(is_dynamic(b"%{ENV:X}"));
    }
}
