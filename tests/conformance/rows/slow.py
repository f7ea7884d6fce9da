"""Slow clients hold no Python: design 4."""

from ..ask import get, post
from ..expect import Expect
from ..protocols import CHUNKED, FRAMED, HTTP_1_0, HTTP_1_1
from ..table import row
from ..within import text

BODY = b"0123456789" * 5
LARGE = bytes(range(256)) * 32768


def meanwhile(scene):
    """A second request to the same group of one thread."""
    token = f"{scene.token}.second"
    scene.compare(Expect(200, body=b"quick"), scene.begin(get("/quick"), token=token).reply())


def slow_body(scene):
    """A body in drips, with another request served between two of them."""
    stream = scene.begin(post(BODY, ("Expect", "100-continue")))
    stream.await_interim()
    stream.send(BODY[:5])
    meanwhile(scene)
    for at in range(5, len(BODY)):
        stream.send(BODY[at : at + 1])
    stream.end()
    scene.compare(Expect(200, body=BODY, interim=(100,)), stream.reply())


@row(
    "a client that sends its body in drips holds no thread of its group",
    "design 4",
    play=slow_body,
    protocols=CHUNKED + FRAMED,
    group="single",
)
def dripping_in(environ, start_response):
    if environ["PATH_INFO"].endswith("/quick"):
        return text(start_response, b"quick")
    return text(start_response, environ["wsgi.input"].read())


def slow_reader(scene):
    """A response that is read in drips, with another request served before it has been read."""
    connection = scene.connect()
    connection.wire.narrow(65536)
    stream = scene.begin(get(), connection)
    stream.receive(10)
    meanwhile(scene)
    scene.compare(Expect(200, body=LARGE), stream.reply())


@row(
    "a client that reads its response in drips holds no thread of its group",
    "design 4",
    play=slow_reader,
    protocols=(HTTP_1_0, HTTP_1_1, *FRAMED),
    group="single",
)
def dripping_out(environ, start_response):
    if environ["PATH_INFO"].endswith("/quick"):
        return text(start_response, b"quick")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(LARGE)))])
    return (LARGE[at : at + 65536] for at in range(0, len(LARGE), 65536))
