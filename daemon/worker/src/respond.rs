//! From what the application returned to the frames of a response.
//!
//! One rule for each shape of result: a list of one leaves in one piece with the end, a file goes over
//! as a descriptor, everything else is sent chunk by chunk as it comes.

use crate::start::{Fault, StartResponse, chunk};
use crate::talk::SMALL_CHUNK;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::fs::File;

/// Sends the result of an application. Closing it is the caller's.
pub(crate) fn respond(start: &Bound<'_, StartResponse>, result: &Bound<'_, PyAny>) -> Result<(), Fault> {
    let answer = start.get();
    let py = start.py();
    if let Some(only) = only_item(result)? {
        send_only(answer, &only)?;
    } else if !send_as_file(answer, result)? {
        iterate(answer, result)?;
    }
    if !answer.is_sent() {
        answer.put(py, b"", None)?;
    }
    Ok(())
}

/// The item of a list or tuple that has one.
fn only_item<'py>(result: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(list) = result.cast_exact::<PyList>() {
        return if list.len() == 1 { list.get_item(0).map(Some) } else { Ok(None) };
    }
    match result.cast_exact::<PyTuple>() {
        Ok(tuple) if tuple.len() == 1 => tuple.get_item(0).map(Some),
        _ => Ok(None),
    }
}

/// Sends all there is. Few bytes wait for the end of the request, which is near.
fn send_only(answer: &StartResponse, item: &Bound<'_, PyAny>) -> Result<(), Fault> {
    let data = chunk(item)?.as_bytes();
    // Bytes that went out through write() came before: then this is not all.
    let whole = (!answer.is_sent()).then_some(data.len() as u64);
    if data.len() <= SMALL_CHUNK {
        answer.put(item.py(), data, whole)
    } else {
        answer.send(item.py(), data, whole)
    }
}

/// True if the result was a file wrapper around a file on disk, and is sent.
fn send_as_file(answer: &StartResponse, result: &Bound<'_, PyAny>) -> Result<bool, Fault> {
    let py = result.py();
    let files = crate::python::files(py)?;
    if answer.is_sent() || !result.is_instance(&files.getattr(intern!(py, "FileWrapper"))?)? {
        return Ok(false);
    }
    let on_disk: Option<(i32, u64, u64)> =
        files.call_method1(intern!(py, "on_disk"), (result,))?.extract()?;
    let Some((descriptor, offset, length)) = on_disk else { return Ok(false) };
    let Ok(file) = py.detach(|| opened_again(descriptor)) else { return Ok(false) };
    answer.send_file(py, &file, offset, length)?;
    Ok(true)
}

/// The same file, with a position of its own: httpd moves that, while the application may be reading, or
/// have given the file to another request. Fails where the file could not be opened anew, or without /proc.
fn opened_again(descriptor: i32) -> std::io::Result<File> {
    File::open(format!("/proc/self/fd/{descriptor}"))
}

fn iterate(answer: &StartResponse, result: &Bound<'_, PyAny>) -> Result<(), Fault> {
    let single = has_one_item(result)?;
    for item in result.try_iter()? {
        let item = item?;
        let data = chunk(&item)?.as_bytes();
        if !data.is_empty() {
            let whole = (single && !answer.is_sent()).then_some(data.len() as u64);
            answer.send(item.py(), data, whole)?;
        }
    }
    Ok(())
}

/// Does an object that is no list say that it has one item? Then its length is the response's.
fn has_one_item(result: &Bound<'_, PyAny>) -> PyResult<bool> {
    if result.is_exact_instance_of::<PyList>() || result.is_exact_instance_of::<PyTuple>() {
        return Ok(false);
    }
    let sized = result.get_type().getattr_opt(intern!(result.py(), "__len__"))?.is_some();
    Ok(sized && result.len()? == 1)
}

/// Calls the result's `close`, if it has one.
pub(crate) fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    if result.is_exact_instance_of::<PyList>() || result.is_exact_instance_of::<PyTuple>() {
        return Ok(());
    }
    match result.getattr_opt(intern!(result.py(), "close"))? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}
