"""`import mod_wsgi` and `import apache` in an application."""

import sys
import types
from importlib.machinery import ModuleSpec, PathFinder

import _wsgid
import _wsgid_events as events
import _wsgid_metrics as metrics

# The release of mod_wsgi whose interface this is.
VERSION = (6, 0, 5)
FUNCTIONS = (
    events.subscribe_events,
    events.subscribe_shutdown,
    events.subscribe_signals,
    metrics.start_recording_metrics,
    metrics.request_metrics,
    metrics.process_metrics,
    metrics.server_metrics,
)


class RequestTimeout(BaseException):
    """Raised in a request that has taken longer than request-timeout. No `except Exception` catches it."""


RequestTimeout.__module__ = 'mod_wsgi'


def new(name, description):
    module = types.ModuleType(name, description)
    # Without, importlib.util.find_spec() raises where applications ask whether the module is there.
    module.__spec__ = ModuleSpec(name, None, origin='mod_wsgid')
    sys.modules[name] = module
    return module


def install(plan, file_wrapper):
    module = new('mod_wsgi', 'What mod_wsgi tells its applications.')
    module.version = VERSION
    module.process_group = plan['process_group']
    module.application_group = plan['application_group']
    module.maximum_processes = plan['processes']
    module.threads_per_process = plan['threads']
    module.FileWrapper = file_wrapper
    module.RequestTimeout = RequestTimeout
    module.request_data = _wsgid.request_data
    for function in FUNCTIONS:
        function.__module__ = 'mod_wsgi'
        setattr(module, function.__name__, function)
    for name in ('event_callbacks', 'shutdown_callbacks', 'signal_callbacks', 'active_requests'):
        setattr(module, name, getattr(events, name))
    module.__getattr__ = late_attribute
    install_apache(plan['server'])


def install_apache(server):
    version, description, mpm, built, processes, threads = server
    apache = new('apache', 'What mod_wsgi tells of its Apache.')
    # An httpd that has not introduced itself is at least this one.
    apache.version = tuple(version) or (2, 4, 0)
    apache.maximum_processes = processes or 1
    apache.threads_per_process = threads or 1
    apache.description = description
    apache.mpm_name = mpm
    apache.build_date = built


def late_attribute(name):
    """What the module mod_wsgi has only once an application asks for it (PEP 562)."""
    if name == 'LogHandler':
        return sys.modules['mod_wsgi'].__dict__.setdefault(name, _wsgid.log_handler())
    raise AttributeError("module 'mod_wsgi' has no attribute %r" % name)


def borrow_path():
    """Lets `import mod_wsgi.express` find the package from PyPI, where that is installed; runs nothing of it."""
    spec = PathFinder.find_spec('mod_wsgi')
    if spec is not None and spec.submodule_search_locations:
        from pkgutil import extend_path

        sys.modules['mod_wsgi'].__path__ = extend_path(list(spec.submodule_search_locations), 'mod_wsgi')
