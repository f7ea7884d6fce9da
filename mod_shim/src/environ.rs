//! The variables of a request: which of httpd's an application sees, and how headers are spelled.
//! Order matters: the worker lets what comes later win, so headers and CGI variables beat `SetEnv`.

use crate::trusted::Verdict;
use wsgid_proto::request::HeadWriter;

/// Is this a header an application may see under `HTTP_…`? Any other character than these could be
/// folded into an underscore and pass for another header (`X_User` for `X-User`).
fn plain_name(name: &[u8]) -> bool {
    name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Writes httpd's variables; returns whether the request came over https.
pub fn write_variables<'a>(
    writer: &mut HeadWriter,
    variables: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> bool {
    let mut https = false;
    for (name, value) in variables {
        match name {
            // Becomes wsgi.url_scheme; SetEnvIf may set it behind a proxy.
            b"HTTPS" => https = value.eq_ignore_ascii_case(b"on") || value == b"1",
            // httpd's own search path is nobody's business.
            b"PATH" => {}
            // Ours: not to be set from outside.
            _ if name.starts_with(b"wsgi.") || name.starts_with(b"mod_wsgi.x-") => {}
            _ => writer.variable(name, value),
        }
    }
    https
}

/// Writes the request's headers, but those that a verdict on proxies hides.
pub fn write_headers<'a>(
    writer: &mut HeadWriter,
    headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    pass_authorization: bool,
    verdict: Option<&Verdict>,
) {
    for (name, value) in headers {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if !plain_name(name) || is("Proxy") || is("Proxy-Authorization") {
            continue;
        }
        if is("Authorization") && !pass_authorization {
            continue;
        }
        if verdict.is_some_and(|verdict| verdict.hides(name)) {
            continue;
        }
        let rewritten = verdict.and_then(|verdict| verdict.forwarded_for.as_deref());
        if is("Content-Type") {
            writer.variable(b"CONTENT_TYPE", value);
        } else if is("Content-Length") {
            writer.variable(b"CONTENT_LENGTH", value);
        } else if let Some(value) = rewritten.filter(|_| is("X-Forwarded-For")) {
            writer.header(name, value);
        } else {
            writer.header(name, value);
        }
    }
}

/// Writes what trusted proxies said over what httpd says. The script's name as it was goes along: it is
/// `mod_wsgi.script_name`.
pub fn write_verdict(writer: &mut HeadWriter, verdict: &Verdict, script_name: &[u8]) {
    for (name, value) in &verdict.variables {
        writer.variable(name.as_bytes(), value);
        if *name == "SCRIPT_NAME" {
            writer.variable(b"mod_wsgi.x-script_name", script_name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use wsgid_proto::frame;
    use wsgid_proto::request::{HeadFields, RequestHead};

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn written(variables: Pairs, headers: Pairs, pass: bool) -> (Vec<(String, String)>, bool) {
        let bytes = |list: Pairs<'static>| list.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let (variables, headers): (Pairs<'static>, Pairs<'static>) = (leak(variables), leak(headers));
        let mut writer = HeadWriter::new(Vec::new());
        let https = write_variables(&mut writer, bytes(variables));
        write_headers(&mut writer, bytes(headers), pass, None);
        let frame = writer.finish(&HeadFields { script: b"/s", ..Default::default() }).unwrap();
        let head = RequestHead::decode(Bytes::from(frame).slice(frame::HEADER..)).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (head.environ().map(|(n, v)| (text(n), text(v))).collect(), https)
    }

    fn leak(pairs: Pairs) -> Pairs<'static> {
        let owned: Vec<(&'static str, &'static str)> = pairs
            .iter()
            .map(|(n, v)| (&*String::leak(n.to_string()), &*String::leak(v.to_string())))
            .collect();
        Vec::leak(owned)
    }

    fn names(headers: Pairs, pass: bool) -> Vec<String> {
        written(&[], headers, pass).0.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn headers_are_spelled_as_cgi_does() {
        let (pairs, _) = written(&[], &[("Host", "a"), ("x-Some-thing", "b"), ("content-type", "t")], false);
        let expected = [("HTTP_HOST", "a"), ("HTTP_X_SOME_THING", "b"), ("CONTENT_TYPE", "t")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_string(), v.to_string())));
    }

    #[test]
    fn a_header_can_not_pass_for_another() {
        assert!(names(&[("X_User", "root"), ("X.User", "root"), ("X User", "r")], false).is_empty());
    }

    #[test]
    fn proxy_and_credentials_stay_outside() {
        assert!(
            names(&[("PROXY", "evil"), ("Proxy-Authorization", "x"), ("authorization", "x")], false)
                .is_empty()
        );
        assert_eq!(
            names(&[("Proxy-Authorization", "x"), ("Authorization", "x")], true),
            ["HTTP_AUTHORIZATION"]
        );
    }

    #[test]
    fn https_is_a_flag_and_the_search_path_is_hidden() {
        for (value, expected) in [("on", true), ("On", true), ("1", true), ("off", false), ("", false)] {
            let (pairs, https) = written(&[("HTTPS", value), ("PATH", "/bin"), ("A", "b")], &[], false);
            assert_eq!(https, expected, "{value}");
            assert_eq!(pairs, [("A".to_string(), "b".to_string())]);
        }
    }
}
