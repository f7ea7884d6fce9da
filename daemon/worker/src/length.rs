//! What a response promised and what it delivers: Content-Length against the bytes that came.

/// The application's Content-Length makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadLength {
    /// Not a decimal number that fits.
    #[error("Content-Length header value {0:?} is not a number")]
    NotANumber(String),
    /// Two that differ.
    #[error("there are two Content-Length headers that differ")]
    Ambiguous,
}

/// Counts the bytes of one response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Length {
    promised: Option<u64>,
    sent: u64,
    bodiless: bool,
    head_only: bool,
}

impl Length {
    /// For a request by HEAD, whose answer may promise what it does not send.
    pub(crate) fn new(head_only: bool) -> Self {
        Self { head_only, ..Self::default() }
    }

    /// Begins with a response's status and the values of its Content-Length headers.
    pub(crate) fn begin<'a>(
        &mut self,
        status: u16,
        values: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), BadLength> {
        let mut promised = None;
        for value in values {
            let number = parse(value).ok_or_else(|| BadLength::NotANumber(lossy(value)))?;
            if promised.is_some_and(|other| other != number) {
                return Err(BadLength::Ambiguous);
            }
            promised = Some(number);
        }
        *self = Self { promised, sent: 0, bodiless: bodiless(status), head_only: self.head_only };
        Ok(())
    }

    /// May a Content-Length be added, because the application set none and the status allows a body?
    pub(crate) fn is_open(&self) -> bool {
        self.promised.is_none() && !self.bodiless
    }

    /// How many of `bytes` more bytes are to be sent; what is over the promise is dropped.
    pub(crate) fn admit(&mut self, bytes: u64) -> u64 {
        let rest = match self.promised {
            _ if self.bodiless => 0,
            Some(promised) => promised.saturating_sub(self.sent),
            None => u64::MAX,
        };
        let admitted = bytes.min(rest);
        self.sent += admitted;
        admitted
    }

    /// What is missing at the end: `(promised, sent)` if the response came out short.
    pub(crate) fn shortfall(&self) -> Option<(u64, u64)> {
        let promised = self.promised.filter(|_| !self.bodiless && !self.head_only)?;
        (self.sent < promised).then_some((promised, self.sent))
    }
}

/// Statuses whose responses end with their head (RFC 9110, 6.4.1).
fn bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

fn parse(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(status: u16, values: &[&str]) -> Length {
        let mut length = Length::new(false);
        length.begin(status, values.iter().map(|v| v.as_bytes())).unwrap();
        length
    }

    #[test]
    fn what_is_over_the_promise_is_dropped() {
        let mut length = length(200, &["5"]);
        assert_eq!((length.admit(3), length.admit(3), length.admit(3)), (3, 2, 0));
        assert_eq!(length.shortfall(), None);
    }

    #[test]
    fn what_is_under_the_promise_is_noticed() {
        let mut short = length(200, &["5", " 5 "]);
        short.admit(4);
        assert_eq!(short.shortfall(), Some((5, 4)));
        assert_eq!(length(304, &["5"]).shortfall(), None);
        let mut head = Length::new(true);
        head.begin(200, [&b"5"[..]].into_iter()).unwrap();
        assert_eq!(head.shortfall(), None);
    }

    #[test]
    fn without_a_promise_all_is_sent() {
        let mut length = length(200, &[]);
        assert!(length.is_open());
        assert_eq!(length.admit(u64::MAX / 2), u64::MAX / 2);
        assert_eq!(length.shortfall(), None);
    }

    #[test]
    fn some_statuses_have_no_body() {
        for status in [101, 204, 304] {
            let mut length = length(status, &[]);
            assert!(!length.is_open());
            assert_eq!(length.admit(10), 0);
        }
    }

    #[test]
    fn odd_lengths_are_refused() {
        for value in ["", "-1", "+1", "0x10", "1 2", "99999999999999999999"] {
            let mut length = Length::new(false);
            assert!(length.begin(200, [value.as_bytes()].into_iter()).is_err(), "{value}");
        }
        let mut length = Length::new(false);
        assert_eq!(length.begin(200, [&b"1"[..], b"2"].into_iter()), Err(BadLength::Ambiguous));
    }
}
