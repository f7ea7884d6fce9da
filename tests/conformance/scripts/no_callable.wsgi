"""Has no callable of the usual name."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Leaked", "yes")])
    return [b"by another name"]
