"""What applications of the table share: telling the runner what they saw, and waiting for it.

Most tell it in the body, as JSON. What happens after the body, or without one, they tell by a marker
file, in the directory that the configuration names (`SetEnv conformance.markers`), under the token
that the request brings. The runner leaves markers in the same way.
"""

import json
import os
import time
from pathlib import Path

# An application that waits for its client longer than this has failed.
PATIENCE = 10.0
PAUSE = 0.002


def text(start_response, *blocks, status="200 OK", headers=()):
    """A plain response."""
    start_response(status, [("Content-Type", "text/plain"), *headers])
    return list(blocks)


def report(start_response, value, headers=()):
    """A JSON response."""
    body = json.dumps(value, sort_keys=True).encode()
    start_response("200 OK", [("Content-Type", "application/json"), *headers])
    return [body]


def raised(function, *arguments):
    """The name of the exception's type and its text, or None with the result's repr."""
    try:
        result = function(*arguments)
    except BaseException as error:  # SystemExit is an answer as well.
        return [type(error).__name__, str(error)]
    return [None, repr(result)]


def marker(environ, name):
    """The path of a marker of this request."""
    return Path(environ["conformance.markers"]) / f"{environ['HTTP_X_TOKEN']}.{name}"


def mark(environ, name, content="yes"):
    """Leaves a marker, whole or not at all."""
    path = marker(environ, name)
    new = path.with_suffix(".new")
    new.write_text(str(content), encoding="utf-8")
    os.rename(new, path)


def await_mark(environ, name):
    """Waits until the runner has left a marker."""
    path, end = marker(environ, name), time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"the runner never left the marker {name}")
        time.sleep(PAUSE)
