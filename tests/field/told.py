"""Says which application was reached, for whom and as whom, as JSON."""

import hashlib
import json
import os
import sys


def received(stream):
    """The length of a body and its digest."""
    digest, length = hashlib.sha256(), 0
    for block in iter(lambda: stream.read(65536), b""):
        digest.update(block)
        length += len(block)
    return [length, digest.hexdigest()]


def tell(environ, start_response, **more):
    """What all of them answer."""
    answer = {
        "group": environ["mod_wsgi.process_group"],
        "application": environ["mod_wsgi.application_group"],
        "callable": environ["mod_wsgi.callable_object"],
        "script": __file__,
        "mount": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "scheme": environ["wsgi.url_scheme"],
        "host": environ["HTTP_HOST"],
        "client": environ["REMOTE_ADDR"],
        "user": environ.get("REMOTE_USER"),
        "authorization": environ.get("HTTP_AUTHORIZATION"),
        "multiprocess": environ["wsgi.multiprocess"],
        "multithread": environ["wsgi.multithread"],
        "body": received(environ["wsgi.input"]),
        "pid": os.getpid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "cwd": os.getcwd(),
        "lang": os.environ.get("LANG"),
        "prefix": sys.prefix,
        "search": sys.path,
        **more,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def application(environ, start_response):
    """For every mount that names no other."""
    return tell(environ, start_response)


def handle_request(environ, start_response):
    """For handler scripts."""
    return tell(environ, start_response, handler=environ["mod_wsgi.request_handler"])


def blue(environ, start_response):
    """A callable of another name."""
    return tell(environ, start_response, colour="blue")
