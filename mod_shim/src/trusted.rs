//! Headers of trusted proxies (`WSGITrustedProxyHeaders`, `WSGITrustedProxies`): what they say of the
//! client goes over what httpd knows of the proxy, and what nobody vouches for is kept from the
//! application. mod_wsgi's rules, to the letter.

/// What a header tells of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Client,
    Host,
    Server,
    Port,
    Script,
    Scheme,
}

/// Headers that say the same are of one category.
const KNOWN: &[(&str, Category)] = &[
    ("X-Forwarded-For", Category::Client),
    ("X-Client-IP", Category::Client),
    ("X-Real-IP", Category::Client),
    ("X-Forwarded-Host", Category::Host),
    ("X-Host", Category::Host),
    ("X-Forwarded-Server", Category::Server),
    ("X-Forwarded-Port", Category::Port),
    ("X-Script-Name", Category::Script),
    ("X-Forwarded-Script-Name", Category::Script),
    ("X-Forwarded-Proto", Category::Scheme),
    ("X-Forwarded-Scheme", Category::Scheme),
    ("X-Scheme", Category::Scheme),
    ("X-Forwarded-HTTPS", Category::Scheme),
    ("X-Forwarded-SSL", Category::Scheme),
    ("X-HTTPS", Category::Scheme),
];

fn category(header: &[u8]) -> Option<Category> {
    KNOWN.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(header)).map(|(_, category)| *category)
}

/// Says of an address in a header whether it is a trusted proxy's; `None` if it is no address.
pub type Judge<'a> = &'a dyn Fn(&[u8]) -> Option<bool>;

/// What the configuration says, and of whom the request came.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    /// `WSGITrustedProxyHeaders`, in their order.
    pub headers: &'a [&'a [u8]],
    /// May the peer be believed?
    pub peer: bool,
    /// Who is asked about the proxies before the peer; `None` without `WSGITrustedProxies`.
    pub judge: Option<Judge<'a>>,
}

/// What becomes of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Categories that the configuration speaks of, with the header that is left of each.
    spoken_for: Vec<(Category, Option<Vec<u8>>)>,
    /// Variables that go over httpd's own.
    pub variables: Vec<(&'static str, Vec<u8>)>,
    /// What `X-Forwarded-For` is to be.
    pub forwarded_for: Option<Vec<u8>>,
    /// Whether the client came over https, if a header says.
    pub https: Option<bool>,
}

impl Verdict {
    /// Of a request with these headers.
    pub fn of(trust: &Trust<'_>, headers: &[(&[u8], &[u8])]) -> Self {
        let mut verdict = Self::default();
        for name in trust.headers {
            let Some(category) = category(name) else { continue };
            verdict.speak_for(category, None);
            let found = headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
            if let Some((given, value)) = found.filter(|_| trust.peer) {
                verdict.apply(given, category, value, trust.judge);
                verdict.speak_for(category, Some(given.to_ascii_lowercase()));
            }
        }
        verdict
    }

    fn speak_for(&mut self, category: Category, left: Option<Vec<u8>>) {
        match self.spoken_for.iter_mut().find(|(known, _)| *known == category) {
            Some((_, header)) => *header = left.or(header.take()),
            None => self.spoken_for.push((category, left)),
        }
    }

    /// Is this header kept from the application? Of each category that the configuration speaks of, only
    /// the one that was believed is left.
    pub fn hides(&self, header: &[u8]) -> bool {
        let Some(category) = category(header) else { return false };
        self.spoken_for.iter().any(|(known, left)| {
            *known == category && left.as_ref().is_none_or(|left| !left.eq_ignore_ascii_case(header))
        })
    }

    fn set(&mut self, variable: &'static str, value: &[u8]) {
        self.variables.push((variable, value.to_vec()));
    }

    fn apply(&mut self, header: &[u8], category: Category, value: &[u8], judge: Option<Judge<'_>>) {
        match category {
            Category::Client if header.eq_ignore_ascii_case(b"X-Forwarded-For") => self.walk(value, judge),
            Category::Client => self.set("REMOTE_ADDR", value),
            Category::Host => self.set("HTTP_HOST", value),
            Category::Server => self.set("SERVER_NAME", value),
            Category::Port => self.set("SERVER_PORT", value),
            Category::Script => {
                self.set("mod_wsgi.mount_point", value);
                self.set("SCRIPT_NAME", value);
            }
            Category::Scheme => self.https = scheme(header, value).or(self.https),
        }
    }

    /// The client is the first of the list; or, if the proxies are known, whoever the first of those that
    /// are trusted without a gap up to the peer has named.
    fn walk(&mut self, value: &[u8], judge: Option<Judge<'_>>) {
        let entries: Vec<&[u8]> =
            value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()).collect();
        let Some(first) = entries.first() else { return };
        let Some(judge) = judge else { return self.set("REMOTE_ADDR", first) };
        let trusted = entries.iter().rev().take_while(|entry| judge(entry) == Some(true)).count();
        let client = entries.len().saturating_sub(trusted + 1);
        self.set("REMOTE_ADDR", entries[client]);
        self.forwarded_for = Some(entries[client..].join(&b", "[..]));
    }
}

/// Some headers name the scheme, others say yes or no; anything else says nothing.
fn scheme(header: &[u8], value: &[u8]) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    let names_it = [&b"X-Forwarded-Proto"[..], b"X-Forwarded-Scheme", b"X-Scheme"];
    let (yes, no): (&[&str], &[&str]) = match names_it.iter().any(|name| header.eq_ignore_ascii_case(name)) {
        true => (&["https"], &["http"]),
        false => (&["on", "true", "1"], &["off", "false", "0"]),
    };
    if is(yes) { Some(true) } else { is(no).then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: Judge<'static> = &|address| match address {
        b"unknown" => None,
        address => Some(address.starts_with(b"10.")),
    };

    fn verdict(listed: &[&str], peer: bool, judge: Option<Judge<'_>>, headers: &[(&str, &str)]) -> Verdict {
        let listed: Vec<&[u8]> = listed.iter().map(|name| name.as_bytes()).collect();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        Verdict::of(&Trust { headers: &listed, peer, judge }, &headers)
    }

    fn set(verdict: &Verdict) -> Vec<(&str, &str)> {
        verdict.variables.iter().map(|(name, value)| (*name, std::str::from_utf8(value).unwrap())).collect()
    }

    #[test]
    fn each_category_goes_over_its_variable() {
        for (header, variable) in [
            ("X-Client-IP", "REMOTE_ADDR"),
            ("x-real-ip", "REMOTE_ADDR"),
            ("X-Forwarded-For", "REMOTE_ADDR"),
            ("X-Forwarded-Host", "HTTP_HOST"),
            ("X-Host", "HTTP_HOST"),
            ("X-Forwarded-Server", "SERVER_NAME"),
            ("X-Forwarded-Port", "SERVER_PORT"),
        ] {
            assert_eq!(set(&verdict(&[header], true, None, &[(header, "v")])), [(variable, "v")], "{header}");
            assert!(set(&verdict(&[header], false, None, &[(header, "v")])).is_empty(), "{header}");
            assert!(set(&verdict(&[], true, None, &[(header, "v")])).is_empty(), "{header}");
        }
        let script = verdict(&["X-Script-Name"], true, None, &[("X-Script-Name", "/m")]);
        assert_eq!(set(&script), [("mod_wsgi.mount_point", "/m"), ("SCRIPT_NAME", "/m")]);
    }

    #[test]
    fn schemes_are_named_or_affirmed() {
        let https = |header: &str, value: &str| verdict(&[header], true, None, &[(header, value)]).https;
        for header in ["X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Scheme"] {
            assert_eq!(
                (https(header, "HTTPS"), https(header, "http"), https(header, "on")),
                (Some(true), Some(false), None)
            );
        }
        for header in ["X-Forwarded-HTTPS", "X-Forwarded-SSL", "X-HTTPS"] {
            for (value, expected) in [
                ("On", Some(true)),
                ("TRUE", Some(true)),
                ("1", Some(true)),
                ("off", Some(false)),
                ("0", Some(false)),
                ("https", None),
            ] {
                assert_eq!(https(header, value), expected, "{header}: {value}");
            }
        }
    }

    #[test]
    fn synonyms_of_what_is_listed_are_hidden() {
        let headers = [("X-Forwarded-For", "1.1.1.1"), ("X-Real-IP", "2.2.2.2"), ("X-Host", "h")];
        let trusted = verdict(&["X-Forwarded-For"], true, None, &headers);
        assert!(
            !trusted.hides(b"x-forwarded-for")
                && trusted.hides(b"X-Real-IP")
                && trusted.hides(b"X-Client-IP")
        );
        assert!(!trusted.hides(b"X-Host") && !trusted.hides(b"Host"));
        let untrusted = verdict(&["X-Forwarded-For"], false, None, &headers);
        assert!(untrusted.hides(b"X-Forwarded-For") && untrusted.hides(b"X-Real-IP"));
        // Of two that are listed, the later one has the last word.
        let both = verdict(&["X-Forwarded-For", "X-Real-IP"], true, None, &headers);
        assert!(both.hides(b"X-Forwarded-For") && !both.hides(b"X-Real-IP"));
        assert_eq!(set(&both).last(), Some(&("REMOTE_ADDR", "2.2.2.2")));
    }

    #[test]
    fn the_list_is_walked_from_its_end() {
        for (value, client, rest) in [
            ("1.1.1.1, 10.0.0.1", "1.1.1.1", "1.1.1.1, 10.0.0.1"),
            ("6.6.6.6, 1.1.1.1 ,10.0.0.1,, 10.0.0.2", "1.1.1.1", "1.1.1.1, 10.0.0.1, 10.0.0.2"),
            ("10.0.0.1, 10.0.0.2", "10.0.0.1", "10.0.0.1, 10.0.0.2"),
            ("6.6.6.6, 1.1.1.1", "1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, unknown, 10.0.0.1", "unknown", "unknown, 10.0.0.1"),
            ("10.0.0.1, unknown", "unknown", "unknown"),
        ] {
            let verdict = verdict(&["X-Forwarded-For"], true, Some(PROXIES), &[("X-Forwarded-For", value)]);
            assert_eq!(set(&verdict), [("REMOTE_ADDR", client)], "{value}");
            assert_eq!(verdict.forwarded_for.as_deref(), Some(rest.as_bytes()), "{value}");
        }
        let first = |value| verdict(&["X-Forwarded-For"], true, None, &[("X-Forwarded-For", value)]);
        assert_eq!(set(&first(" , 1.1.1.1 , 10.0.0.1")), [("REMOTE_ADDR", "1.1.1.1")]);
        assert!(first("1.1.1.1, 2").forwarded_for.is_none());
        assert!(set(&first(" ,, ")).is_empty());
    }
}
