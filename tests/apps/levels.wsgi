"""Logs by mod_wsgi.LogHandler, in the way that the path names; the query is in every record."""

import logging
import os
import threading
import time

import mod_wsgi

LEVELS = (50, 45, 40, 35, 30, 25, 20, 15, 10, 5)
log = logging.getLogger(__name__)
log.setLevel(1)
log.propagate = False
log.addHandler(mod_wsgi.LogHandler())
log.warning("imported at startup")


def levels(token):
    for level in LEVELS:
        log.log(level, "%s of level %d.", token, level)  # this line


def several(token):
    log.info("%s first\n%s second\n", token, token)
    try:
        raise RuntimeError(token + " on purpose")
    except RuntimeError:
        log.exception("%s with a traceback", token)
    log.warning("%s from here", token, stack_info=True)


def broken(token):
    log.error("%d is no number", token)


def odd(token):
    log.error("%s surrogate \udcff, NUL \0, escape \x1b, umlaut \xfc", token)
    log.error("%s %s", token, "x" * 20000)


def later(token):
    """Once the file QUERY.go is there, which is when the request has ended."""
    while not os.path.exists(token + ".go"):
        time.sleep(0.005)
    log.error("%s after the request", token)


def forked(token):
    child = os.fork()
    if child == 0:
        log.error("%s in a child", token)
        os._exit(0)
    os.waitpid(child, 0)


def application(environ, start_response):
    how, token = environ["PATH_INFO"], environ["QUERY_STRING"]
    environ["wsgi.errors"].write(token + " begun, ")
    if how == "/later":
        threading.Thread(target=later, args=(token,), daemon=True).start()
    else:
        {"/levels": levels, "/several": several, "/broken": broken, "/odd": odd, "/forked": forked}[how](token)
    environ["wsgi.errors"].write("ended\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"logged\n"]
