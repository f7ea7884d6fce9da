"""Everything in a worker that has a name: of its modules, types, environ, events and metrics. /all tells it as
JSON; other paths are requests that leave something to tell of. It is its own script of access and dispatch."""

import json
import logging
import os
import signal
import sys

import apache
import mod_wsgi

# Of each event, and of each environ by who was given it, the names that have been seen.
events = {}
environs = {}


@mod_wsgi.subscribe_events
def hear(name, **payload):
    events.setdefault(name, set()).update(payload)
    if name == "process_stopping":
        print("events at the end:", *["%s.%s" % (name, key) for key in payload], file=sys.stderr)


mod_wsgi.start_recording_metrics()
mod_wsgi.LogHandler  # It is made when it is asked for.


def public(names):
    return sorted(name for name in names if not name.startswith("_"))


def types_of(environ, start_response):
    """mod_wsgi's, of whatever it gives an application."""
    given = [*vars(mod_wsgi).values(), *environ.values(), start_response]
    given += [environ["wsgi.errors"].buffer, sys.stderr.buffer, signal.signal, *environs["access"][1]]
    given += [getattr(each, "__self__", None) for each in given]
    known = {each if isinstance(each, type) else type(each) for each in given} | {type(sys.stdin)}
    return {kind for kind in known if kind.__module__ == "mod_wsgi"}


def members(kind):
    """What it defines itself, and what an object of it has of its own."""
    own = set(vars(kind))
    if kind is mod_wsgi.FileWrapper:
        own |= set(vars(kind(None)))
    return public(own)


def members_of(name, kinds):
    """Of all types of this name: sys.stdout and wsgi.errors have each a Log under them."""
    return sorted(set().union(*[members(kind) for kind in kinds if kind.__name__ == name]))


def is_ours(value):
    """Is it what `sys` would not have elsewhere?"""
    if type(value).__module__ == "mod_wsgi":
        return True
    return value == ["mod_wsgi"] or type(getattr(value, "buffer", None)).__module__ == "mod_wsgi"


def keys_of(value):
    """Of dicts, and of those in them."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def everything(environ, start_response):
    for number in (signal.SIGHUP, signal.SIGUSR2):
        os.kill(os.getpid(), number)
    while "process_signal" not in events:
        pass
    kinds = types_of(environ, start_response)
    reports = (mod_wsgi.request_metrics(), mod_wsgi.process_metrics(), mod_wsgi.server_metrics())
    return {
        "modules": {module.__name__: public(vars(module)) for module in (mod_wsgi, apache)},
        "types": {name: members_of(name, kinds) for name in {kind.__name__ for kind in kinds}},
        "events": {name: sorted(keys) for name, keys in events.items()},
        "environs": {who: sorted(keys) for who, (keys, _) in environs.items()},
        "metrics": sorted(set().union(*map(keys_of, reports))),
        "sys": public(name for name, value in vars(sys).items() if is_ours(value)),
        "script": sorted(name for name in globals() if name in ("__name__", "__file__", "__mtime__")),
    }


def remember(who, environ):
    keys, values = environs.setdefault(who, (set(), []))
    keys.update(environ)
    values.extend(environ.values())


def allow_access(environ, host):
    remember("access", environ)
    return True


def check_password(environ, user, password):
    remember("access", environ)
    return True


def callable_object(environ):
    remember("dispatch", environ)


def application(environ, start_response):
    remember("application", environ)
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("on purpose")
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/redirect":
        start_response("200 OK", [("Location", "/landing?x=y")])
        return []
    answer = everything(environ, start_response) if environ["PATH_INFO"] == "/all" else None
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
