//! From the arguments of `start_response` to a response head, checked as PEP 3333 and RFC 9110 ask.

use crate::status;
use bytes::Bytes;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use wsgid_proto::bounds;
use wsgid_proto::response::{ResponseHead, valid_name, valid_value};

/// The head that the application asks for.
pub(crate) fn response_head(status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<ResponseHead> {
    let line = text(status, "status")?;
    let Some((code, reason)) = status::parse(&line) else {
        return Err(PyValueError::new_err(format!(
            "status must be three digits, a space and a reason without control characters, not {}",
            status.repr()?
        )));
    };
    let list = headers.cast::<PyList>().map_err(|_| wrong_type("headers", "list", headers))?;
    if list.len() > bounds::PAIRS {
        return Err(PyValueError::new_err("the response has too many headers"));
    }
    let headers = list.iter().map(|item| header(&item)).collect::<PyResult<_>>()?;
    Ok(ResponseHead { status: code, reason: line.slice_ref(reason), headers })
}

fn header(item: &Bound<'_, PyAny>) -> PyResult<(Bytes, Bytes)> {
    let pair = item.cast::<PyTuple>().map_err(|_| wrong_type("a header", "tuple", item))?;
    if pair.len() != 2 {
        return Err(PyValueError::new_err(format!("a header must be a tuple of 2, not of {}", pair.len())));
    }
    let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let (raw_name, raw_value) = (text(&name, "a header's name")?, text(&value, "a header's value")?);
    if !valid_name(&raw_name) {
        return Err(PyValueError::new_err(format!(
            "header name {} is empty, or has a control character, a colon or a space",
            name.repr()?
        )));
    }
    if !valid_value(&raw_value) {
        return Err(PyValueError::new_err(format!(
            "value of header {} has a line break or NUL: {}",
            name.repr()?,
            value.repr()?
        )));
    }
    Ok((raw_name, raw_value))
}

/// The bytes of a native string; anything beyond latin-1 raises `UnicodeEncodeError`.
fn text(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Bytes> {
    let native = value.cast::<PyString>().map_err(|_| wrong_type(what, "str", value))?;
    Ok(Bytes::copy_from_slice(crate::sys::latin1_bytes(native)?.as_bytes()))
}

fn wrong_type(what: &str, due: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let found = got.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("{what} must be {due}, not {found}"))
}
