"""Gives the request's body back, read in the way that the path names.

/read, /read/N, /readline, /readline/N, /readlines, /readlines/N and /iterate answer a JSON list of
what each call gave, up to and including the empty bytes at the end. /stream answers the body
itself, each part as soon as it is read; /whole answers it after reading all of it.
"""

import json

PART = 64 * 1024


def calls(method, *size):
    given = []
    while True:
        part = method(*size)
        given.append(part)
        if not part:
            return given


def read_by(how, size, body):
    if how == "read":
        return calls(body.read, *size)
    if how == "readline":
        return calls(body.readline, *size)
    if how == "readlines":
        return body.readlines(*size) + calls(body.read, PART)
    if how == "iterate":
        return [line for line in body] + calls(body.read, PART)
    raise ValueError(how)


def stream(body):
    while True:
        part = body.read(PART)
        if not part:
            return
        yield part


def application(environ, start_response):
    _, how, *size = environ["PATH_INFO"].split("/")
    body = environ["wsgi.input"]
    if how in ("stream", "whole"):
        length = environ.get("CONTENT_LENGTH")
        headers = [("Content-Type", "application/octet-stream")]
        if length:
            headers.append(("Content-Length", length))
        start_response("200 OK", headers)
        return stream(body) if how == "stream" else [body.read()]
    given = [part.decode("latin-1") for part in read_by(how, [int(n) for n in size], body)]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(given).encode()]
