//! The request's body as `wsgi.input` sees it: what is at hand, and how more is pulled.
//!
//! Nothing here does I/O: a [`Source`] brings the next part. Parts are joined once, at the end.

use bytes::Bytes;
use wsgid_proto::bounds;

/// One part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its bytes, possibly none.
    pub(crate) data: Bytes,
    /// Nothing follows.
    pub(crate) last: bool,
}

/// Brings parts of a body; the text of the error is for the application.
pub(crate) trait Source {
    /// The next part, at most `max` bytes.
    fn pull(&mut self, max: u32) -> Result<Part, String>;
}

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct Body {
    held: Bytes,
    ended: bool,
    touched: bool,
    fault: Option<String>,
}

impl Body {
    /// A body of which the first bytes came with the head.
    pub(crate) fn new(first: Bytes, complete: bool) -> Self {
        Self { held: first, ended: complete, touched: false, fault: None }
    }

    /// Did reading it fail?
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Up to `size` bytes, fewer only at the end; all of it without a size.
    pub(crate) fn read(
        &mut self,
        size: Option<usize>,
        source: &mut dyn Source,
    ) -> Result<Vec<Bytes>, String> {
        self.check()?;
        if size == Some(0) {
            // An application reads nothing to say that it will read: the client may be waiting for
            // its 100 Continue.
            if !self.touched && self.held.is_empty() {
                self.fill(bounds::FIRST_BODY, source)?;
            }
            return Ok(Vec::new());
        }
        let mut wanted = size.unwrap_or(usize::MAX);
        let mut parts = Vec::new();
        loop {
            if !self.held.is_empty() {
                let part = self.held.split_to(wanted.min(self.held.len()));
                wanted -= part.len();
                parts.push(part);
            }
            if wanted == 0 || !self.fill(bounds::CHUNK, source)? {
                return Ok(parts);
            }
        }
    }

    /// Up to the next line end, that included, or `limit` bytes, or the end.
    pub(crate) fn line(
        &mut self,
        limit: Option<usize>,
        source: &mut dyn Source,
    ) -> Result<Vec<Bytes>, String> {
        self.check()?;
        let mut wanted = limit.unwrap_or(usize::MAX);
        let mut parts = Vec::new();
        while wanted > 0 {
            if self.held.is_empty() && !self.fill(bounds::CHUNK, source)? {
                break;
            }
            let reach = wanted.min(self.held.len());
            let end = self.held[..reach].iter().position(|&b| b == b'\n');
            let part = self.held.split_to(end.map_or(reach, |at| at + 1));
            wanted -= part.len();
            parts.push(part);
            if end.is_some() {
                break;
            }
        }
        Ok(parts)
    }

    /// Can a read of `size` be answered without pulling?
    pub(crate) fn has(&self, size: Option<usize>) -> bool {
        self.fault.is_none() && (self.ended || size.is_some_and(|n| n > 0 && n <= self.held.len()))
    }

    /// Can a line be given without pulling?
    pub(crate) fn has_line(&self, limit: Option<usize>) -> bool {
        let reach = limit.unwrap_or(usize::MAX);
        self.has(limit) || (self.fault.is_none() && self.held.iter().take(reach).any(|&b| b == b'\n'))
    }

    fn check(&self) -> Result<(), String> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Pulls until something is held; false at the end.
    fn fill(&mut self, max: usize, source: &mut dyn Source) -> Result<bool, String> {
        self.touched = true;
        while self.held.is_empty() && !self.ended {
            match source.pull(max as u32) {
                Ok(part) => (self.held, self.ended) = (part.data, part.last),
                Err(fault) => {
                    self.fault = Some(fault.clone());
                    return Err(fault);
                }
            }
        }
        Ok(!self.held.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Parts(Vec<Result<Part, String>>);

    impl Source for Parts {
        fn pull(&mut self, max: u32) -> Result<Part, String> {
            assert!(max > 0 && max as usize <= bounds::CHUNK);
            self.0.remove(0)
        }
    }

    fn source(parts: &[&'static str]) -> Parts {
        let last = parts.len().saturating_sub(1);
        let part = |(at, text): (usize, &&'static str)| Ok(Part { data: (*text).into(), last: at == last });
        Parts(parts.iter().enumerate().map(part).collect())
    }

    fn text(parts: Vec<Bytes>) -> String {
        String::from_utf8(parts.concat()).unwrap()
    }

    #[test]
    fn a_sized_read_is_filled_and_the_end_is_for_ever() {
        let mut source = source(&["cd", "", "efg"]);
        let mut body = Body::new("ab".into(), false);
        assert_eq!(text(body.read(Some(5), &mut source).unwrap()), "abcde");
        assert!(body.has(Some(2)) && body.has(None));
        assert_eq!(text(body.read(Some(5), &mut source).unwrap()), "fg");
        for size in [None, Some(1), Some(0)] {
            assert_eq!(text(body.read(size, &mut source).unwrap()), "");
        }
        assert_eq!(text(body.line(None, &mut source).unwrap()), "");
    }

    #[test]
    fn a_read_without_size_reads_all() {
        let mut body = Body::new("ab".into(), false);
        assert_eq!(text(body.read(None, &mut source(&["c", "d", ""])).unwrap()), "abcd");
        let mut whole = Body::new("ab".into(), true);
        assert_eq!(text(whole.read(None, &mut Parts(vec![])).unwrap()), "ab");
    }

    #[test]
    fn a_first_read_of_nothing_asks_once_and_keeps_what_comes() {
        let mut source = source(&["abc"]);
        let mut body = Body::new(Bytes::new(), false);
        assert!(!body.has(Some(0)));
        assert_eq!(text(body.read(Some(0), &mut source).unwrap()), "");
        assert_eq!(text(body.read(Some(0), &mut source).unwrap()), "");
        assert_eq!(text(body.read(None, &mut source).unwrap()), "abc");
    }

    #[test]
    fn lines_end_at_their_end_or_limit() {
        let mut source = source(&["ne\ntw", "o\n\nthree"]);
        let mut body = Body::new("o".into(), false);
        let mut line = |limit| text(body.line(limit, &mut source).unwrap());
        assert_eq!(line(None), "one\n");
        assert_eq!(line(Some(2)), "tw");
        assert_eq!(line(Some(0)), "");
        assert_eq!(line(Some(9)), "o\n");
        assert_eq!(line(None), "\n");
        assert_eq!(line(None), "three");
        assert_eq!(line(None), "");
    }

    #[test]
    fn what_is_at_hand_needs_no_pull() {
        let body = Body::new("ab\ncd".into(), false);
        assert!(body.has_line(None) && body.has_line(Some(1)) && body.has(Some(5)));
        assert!(!body.has(Some(6)) && !body.has(None) && !body.has(Some(0)));
        assert!(!Body::new("ab".into(), false).has_line(None));
        assert!(!Body::new("ab\n".into(), false).has_line(Some(0)));
    }

    #[test]
    fn a_fault_stays() {
        let mut source = Parts(vec![Err("gone".into())]);
        let mut body = Body::new("ab".into(), false);
        assert_eq!(body.read(Some(3), &mut source), Err("gone".into()));
        assert_eq!(body.read(Some(1), &mut source), Err("gone".into()));
        assert_eq!(body.line(None, &mut source), Err("gone".into()));
        assert_eq!(body.fault(), Some("gone"));
    }
}
