"""The interpreter around an application: compat 4.6, and what of 4.7 tells applications where they run."""

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


@row("apache can be imported and has its version", "compat 4.6", (get(), Expect(json=[True, 2])))
def module_apache(environ, start_response):
    import apache

    return report(start_response, [apache.version == environ["apache.version"], apache.version[0]])


@row(
    "a script's module has its file and the time of it in microseconds",
    "compat 3",
    (get(), Expect(json=[True, "int", True])),
)
def module_file(environ, start_response):
    names = [name for name in sys.modules if name.startswith("_mod_wsgi_")]
    scripts = [sys.modules[name] for name in names]
    own = [script for script in scripts if script.__file__ == environ["SCRIPT_FILENAME"]][0]
    moment = own.__mtime__
    return report(start_response, [own.__name__ in names, type(moment).__name__, moment > 10**15])


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
