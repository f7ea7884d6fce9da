//! The status line of an application: `200 OK`, or a bare `200` as mod_wsgi takes it since 6.0.

use wsgid_proto::response::valid_reason;

/// Code and reason phrase, or `None` if the line is no status.
pub(crate) fn parse(line: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    let code = code.parse().ok().filter(|code| *code >= 100)?;
    let reason = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
    valid_reason(reason).then_some((code, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits_and_a_reason() {
        assert_eq!(parse(b"200 OK"), Some((200, &b"OK"[..])));
        assert_eq!(parse(b"404 Nicht da \xe4"), Some((404, &b"Nicht da \xe4"[..])));
        assert_eq!(parse(b"204"), Some((204, &b""[..])));
        assert_eq!(parse(b"204 "), Some((204, &b""[..])));
    }

    #[test]
    fn anything_else_is_none() {
        for line in
            ["", "20", "20 OK", "2000", "200OK", "099 x", "+20 x", "200 O\nK", "200 \u{7f}", "200\tOK", "two"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
    }
}
