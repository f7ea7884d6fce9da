"""Reads once, and answers whatever there is behind that."""


def application(environ, start_response):
    answer = b"%d bytes\n" % len(environ["wsgi.input"].read(1 << 18))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer]
