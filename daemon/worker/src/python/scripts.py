"""Loads application scripts, and tells what went wrong with them in mod_wsgi's words."""

import hashlib
import io
import os
import sys
import threading
import traceback
import types

import _wsgid

# One for all scripts, as in mod_wsgi: two that import each other's packages can't meet half-way.
loading = threading.RLock()
loaded = {}

# Of Apache's log levels, which are syslog's.
INFO = 6


class LoadFailure(Exception):
    """A script could not be read, compiled or executed; the cause says why."""


def load(path):
    """The module of a script, executed once."""
    with loading:
        if path not in loaded:
            loaded[path] = execute(path)
        return loaded[path]


def current(path, reloading):
    """The module of a script that is asked for a verdict: when its file has changed, executed anew in place."""
    with loading:
        module = loaded.get(path)
        if module is not None and reloading and getattr(module, '__mtime__', None) != written(path):
            del loaded[path]
            sys.modules.pop(module.__name__, None)
        return load(path)


def written(path):
    """When a file was written, in microseconds, or None: then loading it says why."""
    try:
        return os.stat(path).st_mtime_ns // 1000
    except OSError:
        return None


def execute(path):
    _wsgid.record(INFO, "Loading WSGI script '%s'." % path, '', 0)
    module = types.ModuleType(module_name(path))
    try:
        with io.open_code(path) as file:
            moment = os.fstat(file.fileno()).st_mtime_ns
            source = file.read()
    except Exception as error:
        raise LoadFailure("Could not read source file '%s'." % path) from error
    try:
        code = compile(source, path, 'exec', dont_inherit=True)
    except Exception as error:
        raise LoadFailure("Failed to parse Python script file '%s'." % path) from error
    module.__file__ = path
    module.__mtime__ = moment // 1000
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        sys.modules.pop(module.__name__, None)
        if isinstance(error, SystemExit):
            title = "SystemExit exception raised when doing exec of Python script file '%s'." % path
        else:
            title = "Failed to exec Python script file '%s'." % path
        raise LoadFailure(title) from error
    return module


def module_name(path):
    return '_mod_wsgi_' + hashlib.md5(os.fsencode(path), usedforsecurity=False).hexdigest()


def describe(error, script):
    """The lines for the error log about an exception, as bytes."""
    if isinstance(error, LoadFailure):
        titles = [str(error)]
        error = error.__cause__
        if not isinstance(error, SystemExit):
            titles.append("Exception occurred processing WSGI script '%s'." % script)
    elif isinstance(error, SystemExit):
        titles = ["SystemExit exception raised by WSGI script '%s' ignored." % script]
    else:
        titles = ["Exception occurred processing WSGI script '%s'." % script]
    try:
        where = error.__traceback__
        while where is not None and where.tb_frame.f_code.co_filename.startswith('<wsgid '):
            where = where.tb_next
        text = ''.join(traceback.format_exception(type(error), error, where))
    except Exception:
        # A traceback that cannot be formatted, for example for lack of memory, must not hide itself.
        text = 'a %s, whose traceback cannot be shown\n' % type(error).__name__
    return ('\n'.join(titles) + '\n' + text).encode('utf-8', 'backslashreplace')
