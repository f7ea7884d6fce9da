//! One request, from its head to the ending of its response: the part that holds the GIL.

use crate::environ::{self, Drawer, Particulars};
use crate::input::Input;
use crate::respond::{close, respond};
use crate::scripts::Script;
use crate::serving::Serving;
use crate::start::{Fault, StartResponse};
use crate::talk::{Ending, Talk};
use crate::watch::Watch;
use crate::worker::{self, Worker};
use crate::{hooks, journal, python};
use pyo3::exceptions::{PyOSError, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::sync::Arc;
use wsgid_proto::request::RequestHead;
use wsgid_proto::response::AbortCause;

/// A request that has arrived.
pub(crate) struct Request {
    pub(crate) talk: Arc<Talk>,
    pub(crate) head: RequestHead,
    /// When its head was complete, in microseconds since the epoch.
    pub(crate) daemon_start: u64,
}

/// Serves a request. The conversation is left to be settled without the GIL.
pub(crate) fn serve(py: Python<'_>, worker: &Worker, drawer: &mut Drawer, request: Request) -> Ending {
    let serving = Serving::begin(py, &request.talk);
    if let Some(hook) = request.head.hook {
        return hooks::judge(py, drawer, hook, &request);
    }
    let talk = request.talk.clone();
    let script = match worker.scripts.load(py, request.head.script()) {
        Ok(script) => script,
        Err(error) => {
            let path = String::from_utf8_lossy(request.head.script());
            log_exception(py, &talk, &error, &path);
            return Ending::Aborted(AbortCause::Script, format!("the script {path} could not be loaded"));
        }
    };
    match script.application(py, request.head.callable()) {
        Ok(Some(application)) => call(drawer, request, &script, &application, serving),
        Ok(None) => {
            let (path, name) = (&script.path, request.head.callable());
            let line = format!("Target WSGI script '{path}' does not contain WSGI application '{name}'.");
            log_text(py, &talk, format!("{line}\n").as_bytes());
            Ending::Aborted(AbortCause::Callable, line)
        }
        Err(error) => failed(py, &talk, &error, &script, None),
    }
}

/// Calls the application and sends what comes of it.
fn call<'py>(
    drawer: &mut Drawer,
    request: Request,
    script: &Script,
    application: &Bound<'py, PyAny>,
    mut serving: Serving<'py>,
) -> Ending {
    let py = application.py();
    let talk = request.talk.clone();
    let scene = match set_up(drawer, request, script, application, &mut serving) {
        Ok(Some(scene)) => scene,
        Ok(None) => return Ending::Aborted(AbortCause::Stale, "the script wants to be loaded anew".into()),
        Err(error) => {
            log_exception(py, &talk, &error, &script.path);
            return Ending::Aborted(AbortCause::Internal, "the environ could not be built".into());
        }
    };
    let mut ending = perform(&talk, script, &scene);
    if let (Ending::Whole, Some((promised, sent))) = (&ending, scene.start.get().shortfall()) {
        let detail = format!("the application promised {promised} bytes and sent {sent}");
        ending = Ending::Aborted(AbortCause::Short, detail);
    }
    if let Some(watch) = &scene.watch {
        if let Err(error) = watch.finished(py, status(&ending, scene.start.get())) {
            log_exception(py, &talk, &error, &script.path);
        }
    }
    ending
}

/// What the client is answered with, as far as that is the application's.
fn status(ending: &Ending, start: &StartResponse) -> u16 {
    match ending {
        Ending::Aborted(AbortCause::Timeout, _) if !start.is_sent() => 504,
        _ => start.status(),
    }
}

/// From the call to the result's `close`.
fn perform(talk: &Arc<Talk>, script: &Script, scene: &Scene<'_>) -> Ending {
    let py = scene.environ.py();
    let result = match scene.application.call1((&scene.environ, &scene.start)) {
        Ok(result) => result,
        Err(error) => return failed(py, talk, &error, script, Some(scene)),
    };
    let ending = match respond(&scene.start, &result) {
        Ok(()) | Err(Fault::Lost) => Ending::Whole,
        Err(Fault::Python(error)) => failed(py, talk, &error, script, Some(scene)),
    };
    if let Some(error) = close(&result).err().filter(|error| !is_timeout(py, error)) {
        log_exception(py, talk, &error, &script.path);
        tell(py, talk, &error, script, Some(scene));
    }
    ending
}

/// An application, and what it is called with.
struct Scene<'py> {
    application: Bound<'py, PyAny>,
    environ: Bound<'py, PyDict>,
    start: Bound<'py, StartResponse>,
    input: Bound<'py, Input>,
    /// If anybody looks.
    watch: Option<Watch>,
}

/// `None` where the request is for a worker with new code.
fn set_up<'py>(
    drawer: &mut Drawer,
    request: Request,
    script: &Script,
    application: &Bound<'py, PyAny>,
    serving: &mut Serving<'py>,
) -> PyResult<Option<Scene<'py>>> {
    let py = application.py();
    let Request { talk, head, daemon_start } = request;
    let application_start = environ::micros_now();
    let starts = [head.request_start, head.queue_start, daemon_start, application_start];
    let mut watch = Watch::begin(py, &talk, starts)?;
    let input = Bound::new(py, Input::new(talk.clone(), head.body(), head.body_complete))?;
    let errors = drawer.errors.of(py, &talk)?;
    let particulars = Particulars { input: &input, errors: &errors, daemon_start, application_start };
    let (environ, head_only) = drawer.environ(py, &head, &particulars)?;
    serving.enter(&environ)?;
    if head.reloading && wants_reload(&environ, script, &talk) && py.detach(|| leave_to_new_code(script)) {
        return Ok(None);
    }
    let start = Bound::new(py, StartResponse::new(talk, head_only))?;
    let mut application = application.clone();
    if let Some(watch) = &mut watch {
        application = watch.started(&environ, &application, head.tries)?;
        watch.facts(py).into_iter().for_each(|facts| start.get().publish(facts));
    }
    Ok(Some(Scene { application, environ, start, input, watch }))
}

/// Asks the script's `reload_required`. One that raises wants nothing.
fn wants_reload(environ: &Bound<'_, PyDict>, script: &Script, talk: &Arc<Talk>) -> bool {
    let py = environ.py();
    let resource = environ.get_item(intern!(py, "SCRIPT_FILENAME"));
    let wanted = resource.and_then(|name| match name {
        Some(name) => script.wants_reload(py, &name),
        None => Ok(false),
    });
    wanted.unwrap_or_else(|error| {
        log_exception(py, talk, &error, &script.path);
        false
    })
}

/// Asks for workers with new code. Are they to have this request already?
fn leave_to_new_code(script: &Script) -> bool {
    worker::want_reload(&format!("{} asked for it", script.path));
    let at_once = Worker::get().filter(|worker| worker.plan.reload_at_once);
    // First, so that whoever has the request back does not bring it here again.
    at_once.inspect(|worker| worker.mark_draining()).is_some()
}

/// Logs an exception and says whose it was.
fn failed(
    py: Python<'_>,
    talk: &Arc<Talk>,
    error: &PyErr,
    script: &Script,
    scene: Option<&Scene<'_>>,
) -> Ending {
    let kind = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
    let unreadable =
        error.is_instance_of::<PyOSError>(py) && scene.is_some_and(|scene| scene.input.get().has_failed());
    if is_timeout(py, error) {
        let detail = "Request interrupted by RequestTimeout; thread recovered.";
        return Ending::Aborted(AbortCause::Timeout, detail.into());
    }
    log_exception(py, talk, error, &script.path);
    tell(py, talk, error, script, scene);
    let cause = match error {
        _ if unreadable => AbortCause::Body,
        error if error.is_instance_of::<PySystemExit>(py) => AbortCause::Exit,
        _ => AbortCause::Application,
    };
    Ending::Aborted(cause, format!("{} raised {kind}", script.path))
}

/// Is it `mod_wsgi.RequestTimeout`? That ends a request, and is no failure of the application's.
fn is_timeout(py: Python<'_>, error: &PyErr) -> bool {
    python::modules(py)
        .and_then(|modules| modules.getattr(intern!(py, "RequestTimeout")))
        .is_ok_and(|class| error.matches(py, class).unwrap_or(false))
}

/// Tells the subscribers of an exception, if there are any.
fn tell(py: Python<'_>, talk: &Arc<Talk>, error: &PyErr, script: &Script, scene: Option<&Scene<'_>>) {
    let told = scene.and_then(|scene| scene.watch.as_ref()).map(|watch| watch.raised(py, error));
    if let Some(Err(other)) = told {
        log_exception(py, talk, &other, &script.path);
    }
}

/// Writes a traceback to the request's error log.
pub(crate) fn log_exception(py: Python<'_>, talk: &Arc<Talk>, error: &PyErr, path: &str) {
    match describe(py, error, path) {
        Ok(text) => log_text(py, talk, text.as_bytes()),
        Err(other) => {
            let text = format!("{path}: {error}; describing it raised {other}");
            py.detach(|| journal::note(&text));
        }
    }
}

/// The lines about an exception, as bytes.
pub(crate) fn describe<'py>(py: Python<'py>, error: &PyErr, path: &str) -> PyResult<Bound<'py, PyBytes>> {
    // Not `value()`: before Python 3.12 only this gives the exception its traceback.
    let error = error.clone_ref(py).into_value(py);
    let text = python::scripts(py)?.call_method1(intern!(py, "describe"), (error, path))?;
    Ok(text.cast_into::<PyBytes>()?)
}

fn log_text(py: Python<'_>, talk: &Arc<Talk>, text: &[u8]) {
    // Nobody else takes this request's conversation, so it is there.
    let _ = talk.io(py, |conversation| conversation.log(text));
}
