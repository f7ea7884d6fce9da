//! The files of `env-file`: variables of a process group, one on each line. They are read with the configuration, like
//! a file that it includes, and by whoever reads that: so may hold what nobody but root may read.
//!
//! ```text
//! # a comment
//! NAME=value
//! export OTHER="a value with spaces"
//! ```

use bytes::Bytes;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Larger than any environment that execve(2) takes.
const LARGEST: u64 = 2 << 20;

/// The values of `env` that a file amounts to, in its order, or what is wrong with it.
pub fn read(path: &[u8]) -> Result<Vec<Bytes>, String> {
    let shown = String::from_utf8_lossy(path);
    let fault =
        |what: &dyn std::fmt::Display| format!("Option 'env-file' of WSGI daemon process: {shown}: {what}.");
    let path = OsStr::from_bytes(path);
    let length = std::fs::metadata(path).map_err(|e| fault(&e))?;
    if !length.is_file() || length.len() > LARGEST {
        return Err(fault(&"it is no file, or larger than an environment may be"));
    }
    let content = std::fs::read(path).map_err(|e| fault(&e))?;
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(content.split(|&b| b == b'\n')) {
        match parse(line) {
            Ok(variable) => variables.extend(variable),
            Err(what) => return Err(fault(&format!("line {number} {what}"))),
        }
    }
    Ok(variables)
}

/// A line's variable, if it has one.
fn parse(line: &[u8]) -> Result<Option<Bytes>, &'static str> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let line = line.strip_prefix(b"export ").unwrap_or(line).trim_ascii_start();
    let end = line.iter().position(|&b| b == b'=').ok_or("is not of the form NAME=value")?;
    let (name, value) = (&line[..end], &line[end + 1..]);
    Ok(Some([name, b"=", unquoted(value)?].concat().into()))
}

/// Without the quotation marks around it, if there are any. Nothing is expanded in between.
fn unquoted(value: &[u8]) -> Result<&[u8], &'static str> {
    match value {
        [first @ (b'"' | b'\''), inner @ .., last] if first == last => Ok(inner),
        [b'"' | b'\'', ..] => Err("has a quotation mark that is not closed"),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &str) -> Result<Vec<String>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let read = read(file.path().as_os_str().as_bytes())?;
        Ok(read.into_iter().map(|variable| String::from_utf8(variable.to_vec()).unwrap()).collect())
    }

    #[test]
    fn lines_are_variables() {
        let content = "# first\n\nA=1\n  export B = x\r\nC=\"two words\"\nD='#'\nE=a=b # c\nF=";
        let expected = ["A=1", "B = x", "C=two words", "D=#", "E=a=b # c", "F="];
        assert_eq!(file(content).unwrap(), expected);
    }

    #[test]
    fn what_is_none_is_named_with_its_line() {
        assert!(file("A=1\nnonsense").unwrap_err().contains("line 2 is not of the form"));
        assert!(file("A=\"1").unwrap_err().contains("line 1 has a quotation mark"));
        assert!(read(b"/nonexistent/file").unwrap_err().contains("/nonexistent/file: No such file"));
        assert!(read(b"/dev/zero").unwrap_err().contains("no file"));
    }
}
