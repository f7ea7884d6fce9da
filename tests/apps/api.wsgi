"""What mod_wsgi and apache tell and do, by path; what it is told of the process it writes to its log."""

import json
import os
import signal
import sys
import time
import traceback

import apache
import mod_wsgi

alarms = []


@mod_wsgi.subscribe_shutdown
def stopping(name, **payload):
    print("the application hears %s %s" % (name, json.dumps(payload)), file=sys.stderr)


def ring(number, frame):
    alarms.append(number)


# As a library would, while the main thread imports it.
given = signal.signal(signal.SIGALRM, ring)


def describe_apache(environ):
    names = ("version", "description", "mpm_name", "build_date", "maximum_processes", "threads_per_process")
    return {name: getattr(apache, name) for name in names}


def signals(environ):
    return {
        "returned": given is ring,
        "installed": signal.getsignal(signal.SIGALRM) is ring,
        "alarms": alarms,
        "function": type(signal.signal).__name__,
    }


def forked(environ):
    """What a forked child makes of signal.signal(), by its exit status."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGUSR2, ring)
        os._exit(0 if signal.getsignal(signal.SIGUSR2) is ring else 1)
    return os.waitpid(pid, 0)[1]


def measured(environ):
    """Are there metrics? And what a forked child makes of them, by its exit status."""
    mod_wsgi.start_recording_metrics()
    pid = os.fork()
    if pid == 0:
        mod_wsgi.start_recording_metrics()
        told = [mod_wsgi.request_metrics(), mod_wsgi.process_metrics()]
        os._exit(0 if told == [None, None] else 1)
    return [mod_wsgi.request_metrics() is not None, os.waitpid(pid, 0)[1]]


def touch_stream(name):
    stream = getattr(sys, name)
    kind = type(stream)
    try:
        seen = repr(stream.read() if name == "stdin" else stream.writable())
    except OSError as error:
        seen = str(error)
    return [kind.__module__ + "." + kind.__qualname__, seen]


def streams(environ):
    return [touch_stream("stdin"), touch_stream("stdout")]


def companion(environ):
    import mod_wsgi.express

    return [mod_wsgi.express.WHERE, mod_wsgi.version >= (6, 0), "mod_wsgi.server" in sys.modules]


def kill(environ):
    os.kill(os.getpid(), int(environ["QUERY_STRING"]))
    return os.getpid()


ROUTES = {
    "/apache": describe_apache,
    "/signals": signals,
    "/forked": forked,
    "/measured": measured,
    "/streams": streams,
    "/companion": companion,
    "/kill": kill,
    "/sleep": lambda environ: time.sleep(600),
    "/pid": lambda environ: os.getpid(),
}


def application(environ, start_response):
    try:
        answer = ROUTES[environ["PATH_INFO"]](environ)
    except Exception:
        answer = traceback.format_exc()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
