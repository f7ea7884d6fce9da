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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Length {
    promised: Option<u64>,
    sent: u64,
    bodiless: bool,
    head_only: bool,
}

impl Length {
    /// For a response of this status; `head_only` if it answers a HEAD, which may promise what it does
    /// not send.
    pub(crate) fn new(status: u16, head_only: bool) -> Self {
        Self { promised: None, sent: 0, bodiless: bodiless(status), head_only }
    }

    /// Takes the value of a Content-Length header into account.
    pub(crate) fn promise(&mut self, value: &[u8]) -> Result<(), BadLength> {
        let number = parse(value).ok_or_else(|| BadLength::NotANumber(lossy(value)))?;
        if self.promised.is_some_and(|other| other != number) {
            return Err(BadLength::Ambiguous);
        }
        self.promised = Some(number);
        Ok(())
    }

    /// Is it the answer to a HEAD?
    pub(crate) fn is_head_only(&self) -> bool {
        self.head_only
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
        let mut length = Length::new(status, false);
        values.iter().for_each(|value| length.promise(value.as_bytes()).unwrap());
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
        let mut head = Length::new(200, true);
        head.promise(b"5").unwrap();
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
            assert!(Length::new(200, false).promise(value.as_bytes()).is_err(), "{value}");
        }
        assert_eq!(length(200, &["1"]).promise(b"2"), Err(BadLength::Ambiguous));
    }
}
