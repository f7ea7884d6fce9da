//! From the arguments of `start_response` to a response head, checked as PEP 3333 and RFC 9110 ask.

use crate::hops::Hops;
use crate::length::Length;
use crate::status;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use wsgid_proto::bounds;
use wsgid_proto::response::{ResponseWriter, valid_name, valid_value};

/// A head that is ready to go out.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) writer: ResponseWriter,
    pub(crate) length: Length,
    /// What the log is told when it goes out; may be empty.
    pub(crate) complaint: Vec<u8>,
}

/// The head that the application asks for, written into `buffer`; `head_only` if it answers a HEAD.
pub(crate) fn response_head(
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    head_only: bool,
    buffer: Vec<u8>,
) -> PyResult<Head> {
    let line = text(status, "status")?;
    let Some((code, reason)) = status::parse(line.as_bytes()) else {
        return Err(PyValueError::new_err(format!(
            "status must be three digits, a space and a reason without control characters, not {}",
            status.repr()?
        )));
    };
    if code < 200 {
        return Err(PyValueError::new_err(format!(
            "status {code} is an interim one, and those are the web server's: a response has one from 200 on"
        )));
    }
    let list = headers.cast::<PyList>().map_err(|_| wrong_type("headers", "list", headers))?;
    if list.len() > bounds::PAIRS {
        return Err(PyValueError::new_err("the response has too many headers"));
    }
    let empty = |buffer| Head {
        status: code,
        writer: ResponseWriter::new(buffer, code, reason),
        length: Length::new(code, head_only),
        complaint: Vec::new(),
    };
    let mut hops = Hops::default();
    let mut head = empty(buffer);
    list.iter().try_for_each(|item| header(&mut head, &mut hops, &item))?;
    if hops.names_others() {
        head = empty(head.writer.into_buffer());
        list.iter().try_for_each(|item| header(&mut head, &mut hops, &item))?;
    }
    head.complaint = hops.complaint();
    Ok(head)
}

fn header(head: &mut Head, hops: &mut Hops, item: &Bound<'_, PyAny>) -> PyResult<()> {
    let pair = item.cast::<PyTuple>().map_err(|_| wrong_type("a header", "tuple", item))?;
    if pair.len() != 2 {
        return Err(PyValueError::new_err(format!("a header must be a tuple of 2, not of {}", pair.len())));
    }
    let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let (raw_name, raw_value) = (text(&name, "a header's name")?, text(&value, "a header's value")?);
    let (raw_name, raw_value) = (raw_name.as_bytes(), raw_value.as_bytes());
    if !valid_name(raw_name) {
        return Err(PyValueError::new_err(format!(
            "header name {} is empty, or has a control character, a colon or a space",
            name.repr()?
        )));
    }
    if !valid_value(raw_value) {
        return Err(PyValueError::new_err(format!(
            "value of header {} has a line break or NUL: {}",
            name.repr()?,
            value.repr()?
        )));
    }
    if hops.refuse(raw_name, raw_value) {
        return Ok(());
    }
    if raw_name.eq_ignore_ascii_case(b"content-length") {
        head.length.promise(raw_value).map_err(|fault| PyValueError::new_err(fault.to_string()))?;
    }
    head.writer.header(raw_name, raw_value);
    Ok(())
}

/// The bytes of a native string; anything beyond latin-1 raises `UnicodeEncodeError`.
fn text<'py>(value: &Bound<'py, PyAny>, what: &str) -> PyResult<Bound<'py, PyBytes>> {
    let native = value.cast::<PyString>().map_err(|_| wrong_type(what, "str", value))?;
    crate::sys::latin1_bytes(native)
}

fn wrong_type(what: &str, due: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let found = got.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("{what} must be {due}, not {found}"))
}
