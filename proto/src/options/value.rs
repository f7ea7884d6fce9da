//! What the values of options may be, and what they are worth.

use super::{Complaint, OptionRule};
use bytes::Bytes;

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// An absolute path.
    Path,
    /// Paths separated by colons; as in mod_wsgi, nobody asks where they begin.
    Paths,
    /// Names separated by commas.
    Names,
    /// A whole number within bounds.
    Number(u64, u64),
    /// So many bytes at least; 0 is whatever it is without the option.
    Size(u64),
    /// A signed whole number within bounds.
    Signed(i64, i64),
    /// Whole seconds.
    Seconds,
    /// Octal file mode.
    Octal,
    /// A positive decimal number.
    Decimal,
    /// NAME=VALUE, as in an environment.
    Variable,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// On or Off.
    Switch,
    /// `random`, or a whole number of 32 bits.
    Seed,
}

use Shape::*;

/// The directories of a list.
pub(super) fn split_paths(value: &[u8]) -> Vec<Bytes> {
    value.split(|&b| b == b':').filter(|part| !part.is_empty()).map(Bytes::copy_from_slice).collect()
}

/// Name and value of a variable.
pub(super) fn split_variable(value: &[u8]) -> (String, Bytes) {
    let end = value.iter().position(|&b| b == b'=').unwrap_or(value.len());
    let name = String::from_utf8_lossy(&value[..end]).into_owned();
    (name, Bytes::copy_from_slice(value.get(end + 1..).unwrap_or_default()))
}

/// As shells have it: what else execve(2) would take, no program would find.
fn is_variable(value: &[u8]) -> bool {
    let name = value.split(|&b| b == b'=').next().unwrap_or_default();
    let letter = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
    value.contains(&b'=')
        && name.first().is_some_and(letter)
        && name.iter().all(|b| letter(b) || b.is_ascii_digit())
}

/// A value that fits its shape, as whichever number it is.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) number: u64,
    pub(super) signed: i64,
    pub(super) decimal: f64,
    pub(super) on: bool,
}

/// Looks whether a value fits its option.
pub(super) fn check(rule: &OptionRule, value: &[u8]) -> Result<Checked, Complaint> {
    let fault = |expected: &str| Complaint::Value {
        name: rule.name.into(),
        value: String::from_utf8_lossy(value).into_owned(),
        expected: expected.into(),
    };
    if value.contains(&0) {
        return Err(fault("free of NUL bytes"));
    }
    let text = std::str::from_utf8(value).unwrap_or("\u{fffd}");
    let number = |low: u64, high: u64| match text.parse::<u64>() {
        Ok(n) if (low..=high).contains(&n) => Ok(Checked { number: n, ..Default::default() }),
        _ if high == u64::MAX => Err(fault(&format!("a whole number of at least {low}"))),
        _ => Err(fault(&format!("a whole number from {low} to {high}"))),
    };
    match rule.shape {
        Text | Names if value.is_empty() => Err(fault("a name")),
        Text | Names => Ok(Checked::default()),
        Path if value.first() == Some(&b'/') => Ok(Checked::default()),
        Path => Err(fault("an absolute path")),
        Paths => Ok(Checked::default()),
        Number(low, high) => number(low, high),
        Size(_) if text == "0" => Ok(Checked::default()),
        Size(least) => {
            number(least, u64::MAX).map_err(|_| fault(&format!("0, or a whole number of at least {least}")))
        }
        Seconds => number(0, i32::MAX as u64).map_err(|_| fault("a number of seconds")),
        Signed(low, high) => match text.parse::<i64>() {
            Ok(n) if (low..=high).contains(&n) => Ok(Checked { signed: n, ..Default::default() }),
            _ => Err(fault(&format!("a whole number from {low} to {high}"))),
        },
        Octal => match u64::from_str_radix(text, 8) {
            Ok(n) if n <= 0o777 => Ok(Checked { number: n, ..Default::default() }),
            _ => Err(fault("an octal mode from 0 to 0777")),
        },
        Decimal => match text.parse::<f64>() {
            Ok(n) if n.is_finite() && n > 0.0 => Ok(Checked { decimal: n, ..Default::default() }),
            _ => Err(fault("a positive number")),
        },
        Choice(words) if words.contains(&text) => Ok(Checked::default()),
        Choice(words) => Err(fault(&format!("one of: {}", words.join(", ")))),
        Variable if is_variable(value) => Ok(Checked::default()),
        Variable => Err(fault("of the form NAME=VALUE, with letters, digits and underscores in the name")),
        Switch if text.eq_ignore_ascii_case("on") => Ok(Checked { on: true, ..Default::default() }),
        Switch if text.eq_ignore_ascii_case("off") => Ok(Checked::default()),
        Switch => Err(fault("On or Off")),
        Seed if text == "random" => Ok(Checked::default()),
        Seed => {
            number(0, u32::MAX.into()).map_err(|_| fault("\"random\" or a whole number from 0 to 4294967295"))
        }
    }
}
