"""Is as it should be."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Leaked", "yes")])
    return [b"good"]
