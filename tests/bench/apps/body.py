"""Answers of one block, by the path: 100 KiB and 1 MiB."""

BODIES = {"/100k": b"x" * (100 << 10), "/1m": b"x" * (1 << 20)}


def application(environ, start_response):
    body = BODIES[environ["PATH_INFO"]]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
