//! Text that arrives in pieces becomes log lines: whole ones at once, the rest is held.

/// A record of a log may not be longer; see [`wsgid_proto::bounds::LOG`]. Escapes may lengthen a
/// piece to four times its size, so a piece is cut at a quarter.
const LONGEST: usize = wsgid_proto::bounds::LOG / 4;

/// The unfinished line of one writer.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// Takes text and gives out each line that it completes, without its end.
    pub(crate) fn push(&mut self, mut text: &[u8], mut emit: impl FnMut(&[u8])) {
        while let Some(end) = text.iter().position(|&b| b == b'\n') {
            self.hold(&text[..end], &mut emit);
            self.finish(&mut emit, true);
            text = &text[end + 1..];
        }
        self.hold(text, &mut emit);
    }

    /// Gives out what is held, if anything.
    pub(crate) fn flush(&mut self, mut emit: impl FnMut(&[u8])) {
        self.finish(&mut emit, false);
    }

    /// Is no line begun?
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn hold(&mut self, mut text: &[u8], emit: &mut impl FnMut(&[u8])) {
        while self.held.len() + text.len() > LONGEST {
            let (now, later) = text.split_at(cut(text, LONGEST - self.held.len()));
            self.held.extend_from_slice(now);
            self.finish(emit, true);
            text = later;
        }
        self.held.extend_from_slice(text);
    }

    fn finish(&mut self, emit: &mut impl FnMut(&[u8]), even_empty: bool) {
        let line = self.held.strip_suffix(b"\r").unwrap_or(&self.held);
        if even_empty || !line.is_empty() {
            emit(&readable(line));
        }
        self.held.clear();
    }
}

/// Where to cut so that no UTF-8 sequence is torn, if `most` is in the middle of one.
fn cut(text: &[u8], most: usize) -> usize {
    let begins = |&at: &usize| text.get(at).is_none_or(|b| b & 0xc0 != 0x80);
    (most.saturating_sub(3)..=most).rev().find(begins).unwrap_or(most)
}

/// Logs end a record at a NUL, so it is spelled out.
fn readable(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !line.contains(&0) {
        return line.into();
    }
    let mut out = Vec::with_capacity(line.len() + 12);
    for &byte in line {
        match byte {
            0 => out.extend_from_slice(b"\\x00"),
            other => out.push(other),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]], flush: bool) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.push(piece, |line| out.push(line.to_vec()));
        }
        if flush {
            lines.flush(|line| out.push(line.to_vec()));
            assert!(lines.is_empty());
        }
        out
    }

    #[test]
    fn a_line_is_given_out_when_it_is_whole() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n\nthree"], false), [&b"one"[..], b"two", b""]);
        assert_eq!(lines(&[b"one", b"", b"\n"], true), [b"one"]);
        assert_eq!(lines(&[b"one", b"two"], true), [b"onetwo"]);
        assert!(lines(&[], true).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_nothing_is_lost() {
        for shift in 0..4 {
            let text = "a".repeat(shift) + &"é€😀".repeat(LONGEST / 4);
            let (first, second) = text.as_bytes().split_at(LONGEST / 2 + 1);
            let cut = lines(&[first, second], true);
            assert!(cut.len() > 1 && cut.iter().all(|l| l.len() <= LONGEST));
            assert_eq!(cut.concat(), text.as_bytes());
            assert!(cut[1..].iter().all(|l| std::str::from_utf8(l).is_ok()), "{shift}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_and_nuls_stay_readable() {
        assert_eq!(lines(&[b"a\0b\xff\n"], false), [b"a\\x00b\xff"]);
        let odd = vec![0x80; LONGEST * 2];
        assert_eq!(lines(&[&odd], true).concat(), odd);
    }
}
