"""Waits 50 ms, as for a database: with N threads, N / 0.05 s requests a second are ideal."""

import time

BODY = b"rested\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def application(environ, start_response):
    time.sleep(0.05)
    start_response("200 OK", HEADERS)
    return [BODY]
