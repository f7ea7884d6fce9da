"""/away sends httpd to /there; /missing is a 404; everything else says how it was asked, and what came along."""


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/away":
        start_response("200 OK", [("Location", "/there")])
        return [b"unseen\n"]
    status = "404 Not Found" if path == "/missing" else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    body = environ["wsgi.input"].read()
    return [("%s %s %d\n" % (environ["REQUEST_METHOD"], path, len(body))).encode()]
