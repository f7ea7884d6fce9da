"""Reads the body and answers 200 even where that fails."""


def application(environ, start_response):
    try:
        answer = b"%d bytes\n" % len(environ["wsgi.input"].read())
    except OSError:
        answer = b"never mind\n"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer]
