"""Reads a request's body in blocks of 64 KiB and answers how many bytes they were."""


def application(environ, start_response):
    body = environ["wsgi.input"]
    count = 0
    while block := body.read(64 << 10):
        count += len(block)
    answer = b"%d\n" % count
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
