"""For clients that are slow, and for bodies that are large.

/ping answers at once. /big?N yields N MiB in blocks, whose lengths it does not tell; /sum answers how many bytes the
request's body had, and their SHA-256."""

import hashlib
import itertools

BLOCK = 64 * 1024


def blocks(mebibytes):
    """Blocks that are all different, and the same each time."""
    for number in range(mebibytes * 16):
        yield number.to_bytes(4, "big") * (BLOCK // 4)


def total(body):
    digest, length = hashlib.sha256(), 0
    for part in iter(lambda: body.read(BLOCK), b""):
        digest.update(part)
        length += len(part)
    return "%d %s\n" % (length, digest.hexdigest())


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/big":
        # Without a length that anybody could ask for.
        return itertools.chain(blocks(int(environ["QUERY_STRING"])))
    if path == "/sum":
        return [total(environ["wsgi.input"]).encode()]
    return [b"pong\n"]
