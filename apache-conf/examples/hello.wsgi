"""The smallest application that says who and where it is."""

import os
import sys


def application(environ, start_response):
    lines = [
        "Hello from mod_wsgid!",
        "",
        "path:          " + environ["SCRIPT_NAME"] + environ["PATH_INFO"],
        "process:       %d, user id %d" % (os.getpid(), os.getuid()),
        "process group: %s" % (environ["mod_wsgi.process_group"] or "(none declared)"),
        "Python:        %s at %s" % (sys.version.split()[0], sys.executable),
        "server:        " + environ["SERVER_SOFTWARE"],
        "",
    ]
    body = "\n".join(lines).encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
