"""An event stream with headers that only a server may set, as many an application has them."""


def application(environ, start_response):
    headers = [
        ("Content-Type", "text/event-stream"),
        ("X-Hop", "1"),
        ("Connection", "keep-alive, x-hop"),
        ("Keep-Alive", "timeout=86400"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "websocket"),
        ("X-Stays", "yes"),
    ]
    start_response("500 Taken back", headers)
    try:
        raise RuntimeError
    except RuntimeError as error:
        start_response("200 OK", headers, (RuntimeError, error, None))
    return iter([b"data: 1\n\n", b"data: 2\n\n"])
