//! A hook: a head that names a function of a script, to be asked before httpd serves the request or lets
//! anybody in. The script is loaded, and loaded again when its file has changed, in place: no other worker
//! takes over for it. What functions may answer is decided in `python/hooks.py`.

use crate::environ::{self, Drawer};
use crate::lookup::Lookup;
use crate::request::{Request, log_exception};
use crate::talk::Ending;
use crate::{python, sys};
use bytes::Bytes;
use pyo3::exceptions::PySystemExit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use wsgid_proto::hook::{Hook, Route, Verdict};
use wsgid_proto::request::RequestHead;
use wsgid_proto::response::AbortCause;
use wsgid_proto::{Message, bounds};

/// Asks the script. The conversation is left to be settled without the GIL.
pub(crate) fn judge(py: Python<'_>, drawer: &mut Drawer, hook: Hook, request: &Request) -> Ending {
    let head = &request.head;
    let path = String::from_utf8_lossy(head.script());
    let failed = |error: &PyErr, cause| {
        log_exception(py, &request.talk, error, &path);
        let kind = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
        Ending::Aborted(cause, format!("{path} raised {kind}"))
    };
    let name = OsStr::from_bytes(head.script());
    let script = python::scripts(py)
        .and_then(|scripts| scripts.call_method1(intern!(py, "current"), (name, head.reloading)));
    let script = match script {
        Ok(script) => script,
        Err(error) => {
            log_exception(py, &request.talk, &error, &path);
            return Ending::Aborted(AbortCause::Script, format!("the script {path} could not be loaded"));
        }
    };
    match ask(drawer, hook, request, &script, &path) {
        Ok(ending) => ending,
        Err(error) if error.is_instance_of::<PySystemExit>(py) => failed(&error, AbortCause::Exit),
        Err(error) => failed(&error, AbortCause::Application),
    }
}

fn ask(
    drawer: &mut Drawer,
    hook: Hook,
    request: &Request,
    script: &Bound<'_, PyAny>,
    path: &str,
) -> PyResult<Ending> {
    let py = script.py();
    let arguments = PyList::empty(py);
    for argument in request.head.arguments() {
        arguments.append(sys::latin1(py, argument)?)?;
    }
    let names = script.getattr(intern!(py, "__dict__"))?;
    let environ = environ_of(py, hook, request)?;
    environ.set_item("wsgi.errors", drawer.errors.of(py, &request.talk)?)?;
    let answer = python::hooks(py)?
        .call_method1(intern!(py, "judge"), (hook as u32, path, names, environ, arguments))?;
    let (what, texts): (String, Vec<Option<Vec<u8>>>) = answer.extract()?;
    Ok(ending(&what, texts.into_iter().map(|text| text.map(Bytes::from)).collect()))
}

/// What the pair of `python/hooks.py` is.
fn ending(what: &str, mut texts: Vec<Option<Bytes>>) -> Ending {
    let mut text = |place: usize| texts.get_mut(place).and_then(Option::take);
    let cause = match what {
        "granted" => return judged(Verdict::Granted),
        "denied" => return judged(Verdict::Denied),
        "undecided" => return judged(Verdict::Undecided),
        "user" => return judged(Verdict::User(text(0).unwrap_or_default())),
        "hash" => return judged(Verdict::Hash(text(0).unwrap_or_default())),
        "groups" => return judged(Verdict::Groups(texts.into_iter().flatten().collect())),
        "route" => {
            let (process_group, application_group, callable) = (text(0), text(1), text(2));
            return judged(Verdict::Route(Route { process_group, application_group, callable }));
        }
        "missing" => AbortCause::Callable,
        "verdict" => AbortCause::Verdict,
        "item" => AbortCause::Item,
        "empty" => AbortCause::Empty,
        _ => AbortCause::Internal,
    };
    Ending::Aborted(cause, String::from_utf8_lossy(&text(0).unwrap_or_default()).into_owned())
}

fn judged(verdict: Verdict) -> Ending {
    if verdict.encode().len() > bounds::VERDICT {
        return Ending::Aborted(AbortCause::Verdict, "a script answered more than can be told".into());
    }
    Ending::Judged(verdict)
}

/// What the function is called with: less than an application's environ.
fn environ_of<'py>(py: Python<'py>, hook: Hook, request: &Request) -> PyResult<Bound<'py, PyDict>> {
    let Request { talk, head, .. } = request;
    let environ = PyDict::new(py);
    for (name, value) in head.environ().filter(|(name, _)| !name.starts_with(b"mod_wsgi.x-")) {
        environ.set_item(sys::latin1(py, name)?, environ::string(py, name, value)?)?;
    }
    environ.set_item("apache.version", py.import("apache")?.getattr("version")?)?;
    environ.set_item("mod_wsgi.version", py.import("mod_wsgi")?.getattr("version")?)?;
    environ.set_item("mod_wsgi.process_group", sys::latin1(py, head.process_group())?)?;
    environ.set_item("mod_wsgi.application_group", sys::latin1(py, head.application_group())?)?;
    match hook {
        Hook::Dispatch => set_route(&environ, head)?,
        _ => {
            let lookup = Bound::new(py, Lookup::new(talk.clone()))?;
            environ.set_item("mod_ssl.is_https", lookup.getattr("is_https")?)?;
            environ.set_item("mod_ssl.var_lookup", lookup.getattr("var_lookup")?)?;
        }
    }
    Ok(environ)
}

/// What a dispatch script sees beside the others: the request is nearly the application's.
fn set_route(environ: &Bound<'_, PyDict>, head: &RequestHead) -> PyResult<()> {
    environ.set_item("mod_wsgi.request_handler", head.handler())?;
    if head.https {
        environ.set_item("HTTPS", "1")?;
    }
    Ok(())
}
