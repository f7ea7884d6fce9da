"""Ends its own process at /exit, in the way that the query names, and at /half when it has begun to answer; elsewhere
says which process it is."""

import os
import signal


def half(status):
    yield b"half an answer, and "
    os._exit(status)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/exit":
        if environ["QUERY_STRING"] == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            os._exit(int(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/half":
        return half(int(environ["QUERY_STRING"]))
    return [b"%d\n" % os.getpid()]
