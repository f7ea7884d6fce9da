"""start_response a second time: with the error's exc_info before anything is sent, and, at /late,
after."""

import sys


def failing():
    raise ValueError("on purpose")


def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    if environ["PATH_INFO"] == "/late":
        write(b"already sent\n")
    try:
        failing()
    except ValueError:
        start_response("503 Sorry", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"the error page\n"]
