//! Hop-by-hop headers: they speak of one connection, and the connection to the client is httpd's. PEP 3333,
//! "Other HTTP Features", forbids them to applications, of which many set them all the same.

/// RFC 9110, 7.6.1, and the list of Python's own `wsgiref.util.is_hop_by_hop`.
const HOP_BY_HOP: [&str; 10] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Trailers",
    "Transfer-Encoding",
    "Upgrade",
];

/// Those of one response, and what its Connection headers make of others.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    nominated: Vec<Vec<u8>>,
    refused: Vec<Vec<u8>>,
}

impl Hops {
    /// Is this header to be left out? Then it is remembered.
    pub(crate) fn refuse(&mut self, name: &[u8], value: &[u8]) -> bool {
        if name.eq_ignore_ascii_case(b"connection") {
            self.nominate(value);
        }
        let refused = is_hop_by_hop(name) || contains(&self.nominated, name);
        if refused && !contains(&self.refused, name) {
            self.refused.push(name.to_vec());
        }
        refused
    }

    /// Has a Connection header named others? They may stand before it.
    pub(crate) fn names_others(&self) -> bool {
        !self.nominated.is_empty()
    }

    /// The sentence for the log; empty if nothing was left out.
    pub(crate) fn complaint(&self) -> Vec<u8> {
        if self.refused.is_empty() {
            return Vec::new();
        }
        let title = b"Hop-by-hop headers of the application are left out of the response: ";
        [&title[..], &self.refused.join(&b", "[..])].concat()
    }

    fn nominate(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            // "close" is a wish and no header (RFC 9112, 9.6).
            let names_header = !option.is_empty() && !option.eq_ignore_ascii_case(b"close");
            if names_header && !is_hop_by_hop(option) && !contains(&self.nominated, option) {
                self.nominated.push(option.to_vec());
            }
        }
    }
}

fn is_hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

fn contains(names: &[Vec<u8>], name: &[u8]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(headers: &[(&str, &str)]) -> (Hops, Vec<String>) {
        let mut hops = Hops::default();
        let mut refused = |(name, value): &&(&str, &str)| hops.refuse(name.as_bytes(), value.as_bytes());
        let out = headers.iter().filter(&mut refused).map(|(name, _)| name.to_string()).collect();
        (hops, out)
    }

    #[test]
    fn what_speaks_of_the_connection_is_left_out() {
        let (hops, out) = left_out(&[
            ("Content-Type", "text/plain"),
            ("connection", "keep-alive, close"),
            ("Keep-Alive", "timeout=5"),
            ("TRANSFER-ENCODING", "chunked"),
            ("Trailer", "X"),
            ("Connection", "close"),
            ("Teapot", "1"),
        ]);
        assert_eq!(out, ["connection", "Keep-Alive", "TRANSFER-ENCODING", "Trailer", "Connection"]);
        assert!(!hops.names_others());
        let complaint = String::from_utf8(hops.complaint()).unwrap();
        assert!(complaint.ends_with(": connection, Keep-Alive, TRANSFER-ENCODING, Trailer"), "{complaint}");
    }

    #[test]
    fn a_connection_header_makes_others_hop_by_hop() {
        let headers = [("X-Hop", "1"), ("Connection", "close, , x-hop"), ("x-HOP", "2"), ("X-Other", "3")];
        let (mut hops, out) = left_out(&headers);
        assert_eq!(out, ["Connection", "x-HOP"]);
        assert!(hops.names_others() && hops.refuse(b"X-Hop", b"1") && !hops.refuse(b"X-Other", b"3"));
    }

    #[test]
    fn there_is_nothing_to_say_of_others() {
        assert!(left_out(&[("A", "b")]).0.complaint().is_empty());
    }
}
