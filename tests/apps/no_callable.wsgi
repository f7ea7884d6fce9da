"""Has no `application`, but another callable."""


def other(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the other callable\n"]
