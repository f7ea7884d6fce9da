"""A status of its own and headers of every kind."""


def application(environ, start_response):
    headers = [
        ("Content-Type", "text/PLAIN; charset=UTF-8"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Latin", "caf\u00e9"),
        ("X-Empty", ""),
        ("ETag", '"tag"'),
        ("WWW-Authenticate", 'Basic realm="a"'),
        ("WWW-Authenticate", 'Bearer realm="b"'),
    ]
    start_response("418 I am a teapot", headers)
    return [b"short ", b"and ", b"stout\n"]
