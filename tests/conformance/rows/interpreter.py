"""The interpreter around an application: compat 4.6, and what of 4.7 tells applications where they run."""

import importlib.util
import os
import pickle
import re
import signal
import sys

from ..ask import get
from ..expect import Expect
from ..table import row
from ..within import report

PLACE = "compat 4.7"


@row(
    "mod_wsgi names the version, the groups and their size",
    PLACE,
    (get(), Expect(json=[True, "site", True, 1, 5])),
)
def module_place(environ, start_response):
    import mod_wsgi

    return report(
        start_response,
        [
            mod_wsgi.version == environ["mod_wsgi.version"] and mod_wsgi.version >= (6, 0),
            mod_wsgi.process_group,
            mod_wsgi.application_group == environ["mod_wsgi.application_group"],
            mod_wsgi.maximum_processes,
            mod_wsgi.threads_per_process,
        ],
    )


@row("mod_wsgi has the file wrapper and the log handler", PLACE, (get(), Expect(json=[True, "LogHandler"])))
def module_types(environ, start_response):
    import mod_wsgi

    return report(
        start_response,
        [mod_wsgi.FileWrapper is environ["wsgi.file_wrapper"], mod_wsgi.LogHandler.__name__],
    )


@row(
    "apache can be imported and describes the web server",
    "compat 4.6",
    (get(), Expect(json=[True, True, True, True, True, True])),
)
def module_apache(environ, start_response):
    import apache

    number = ".".join(map(str, apache.version))
    return report(
        start_response,
        [
            apache.version == environ["apache.version"] and apache.version[:2] == (2, 4),
            apache.description.startswith(f"Apache/{number} ") and "mod_wsgi" in apache.description,
            apache.mpm_name in ("event", "worker", "prefork"),
            re.match(r"\d{4}-\d\d-\d\d|[A-Z][a-z]{2} +\d+ \d{4}", apache.build_date) is not None,
            type(apache.maximum_processes) is int and apache.maximum_processes >= 1,
            (apache.threads_per_process == 1) == (apache.mpm_name == "prefork"),
        ],
    )


FUNCTIONS = ["request_data", "subscribe_events", "subscribe_shutdown", "subscribe_signals"] + [
    "start_recording_metrics",
    "request_metrics",
    "process_metrics",
    "server_metrics",
]


@row("mod_wsgi has its functions and lists", PLACE, (get(), Expect(json=[[], ["list"] * 3, "dict"])))
def module_functions(environ, start_response):
    import mod_wsgi

    lists = [mod_wsgi.event_callbacks, mod_wsgi.shutdown_callbacks, mod_wsgi.signal_callbacks]
    return report(
        start_response,
        [
            [name for name in FUNCTIONS if not callable(getattr(mod_wsgi, name, None))],
            [type(each).__name__ for each in lists],
            type(mod_wsgi.active_requests).__name__,
        ],
    )


@row(
    "the types have the names that logs and traces show",
    PLACE,
    (get(), Expect(json=["mod_wsgi.Input", "mod_wsgi.Log", "mod_wsgi.FileWrapper"])),
)
def type_names(environ, start_response):
    types = [type(environ["wsgi.input"]), type(environ["wsgi.errors"].buffer), environ["wsgi.file_wrapper"]]
    return report(start_response, [f"{kind.__module__}.{kind.__qualname__}" for kind in types])


@row(
    "RequestTimeout passes by every `except Exception`, and is found by its name",
    PLACE,
    (get(), Expect(json=["mod_wsgi", True, True])),
)
def request_timeout(environ, start_response):
    import mod_wsgi

    kind = mod_wsgi.RequestTimeout
    again = pickle.loads(pickle.dumps(kind))
    return report(
        start_response,
        [kind.__module__, kind.__bases__ == (BaseException,), again is mod_wsgi.RequestTimeout],
    )


@row("importlib finds mod_wsgi", PLACE, (get(), Expect(json="mod_wsgi")))
def module_spec(environ, start_response):
    return report(start_response, importlib.util.find_spec("mod_wsgi").name)


@row(
    "a script's module has its file and the time of it in microseconds",
    "compat 3",
    (get(), Expect(json=[True, "int", True])),
)
def module_file(environ, start_response):
    names = [name for name in sys.modules if name.startswith("_mod_wsgi_")]
    scripts = [sys.modules[name] for name in names]
    own = [script for script in scripts if script.__file__ == environ["SCRIPT_FILENAME"]][0]
    moment, written = own.__mtime__, os.stat(own.__file__).st_mtime_ns // 1000
    return report(start_response, [own.__name__ in names, type(moment).__name__, moment == written])


@row(
    "signal.signal() in an application gives the handler back and changes nothing",
    "compat 4.6",
    (get(), Expect(json=[True, False])),
)
def signals(environ, start_response):
    def handler(number, frame):
        raise AssertionError("it is never called")

    given = signal.signal(signal.SIGUSR2, handler)
    return report(start_response, [given is handler, signal.getsignal(signal.SIGUSR2) is handler])


@row("standard input can be asked for", "compat 4.6", (get(), Expect(json=True)))
def standard_input(environ, start_response):
    return report(start_response, hasattr(sys.stdin, "read"))
