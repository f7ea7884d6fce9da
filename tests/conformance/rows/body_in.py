"""wsgi.input: PEP 3333, "Input and Error Streams"; compat 4.3."""

import gzip

from ..ask import Ask, get, post, unannounced
from ..expect import Expect, failed, logged
from ..protocols import CHUNKED, FRAMED, HTTP_1_0, HTTP_1_1
from ..table import row
from ..within import await_mark, mark, raised, report, text

STREAMS = "PEP 3333, Input and Error Streams; compat 4.3"
CHUNKS = "WSGIChunkedRequest On"
LINES = b"one\ntwo two\n\nlast without end"
# Larger than any buffer on the way, with lines that cross every border.
LONG = b"".join(b"%05d %s\n" % (n, b"x" * (n % 500)) for n in range(2000))


def until_empty(call):
    """What a call gives, up to and including the empty bytes at the end."""
    given = [call()]
    while given[-1]:
        given.append(call())
    return given


def reading(slug, sentence, read, given, valid=False):
    """A row for a way to read; the body comes with a length and without."""
    told = Expect(json=[part.decode("latin-1") for part in given])

    @row(
        sentence,
        STREAMS,
        (post(LINES), told),
        (unannounced(LINES), told),
        slug=slug,
        config=CHUNKS,
        valid=valid,
    )
    def application(environ, start_response):
        return report(start_response, [part.decode("latin-1") for part in read(environ["wsgi.input"])])


SPLIT = LINES.splitlines(keepends=True)
reading("read-all", "read() gives all, then nothing", lambda body: [body.read(), body.read()], [LINES, b""])
reading(
    "read-minus-one",
    "read(-1) gives all",
    lambda body: [body.read(-1), body.read(-1)],
    [LINES, b""],
    valid=True,
)
reading("read-none", "read(None) gives all", lambda body: [body.read(None)], [LINES], valid=True)
reading(
    "read-sized",
    "read(7) gives seven bytes, then fewer",
    lambda body: until_empty(lambda: body.read(7)),
    [LINES[n : n + 7] for n in range(0, len(LINES), 7)] + [b""],
    valid=True,
)
reading(
    "read-five-then-all",
    "read(5), then read() gives the rest",
    lambda body: [body.read(5), body.read()],
    [LINES[:5], LINES[5:]],
)
reading(
    "read-exactly",
    "read(n) of the whole length gives it",
    lambda body: [body.read(len(LINES)), body.read(1)],
    [LINES, b""],
    valid=True,
)
reading(
    "read-too-much",
    "read(n) beyond the end gives what there is",
    lambda body: [body.read(10**6), body.read(10**6)],
    [LINES, b""],
    valid=True,
)
reading(
    "read-nothing",
    "read(0) gives nothing and loses nothing",
    lambda body: [body.read(0), body.read()],
    [b"", LINES],
)
reading(
    "readline", "readline() gives lines", lambda body: until_empty(body.readline), [*SPLIT, b""], valid=True
)
reading(
    "readline-sized",
    "readline(3) splits long lines and loses nothing",
    lambda body: [b"|".join(until_empty(lambda: body.readline(3)))],
    [b"one|\n|two| tw|o\n|\n|las|t w|ith|out| en|d|"],
    valid=True,
)
reading(
    "readline-zero",
    "readline(0) gives nothing and loses nothing",
    lambda body: [body.readline(0), body.readline()],
    [b"", b"one\n"],
)
reading("readline-minus-one", "readline(-1) gives a whole line", lambda body: [body.readline(-1)], [b"one\n"])
reading(
    "readline-then-read",
    "read() gives what readline() left",
    lambda body: [body.readline(), body.read(3), body.readline(), body.read()],
    [b"one\n", b"two", b" two\n", LINES[12:]],
)
reading("readlines", "readlines() gives all lines", lambda body: body.readlines(), SPLIT, valid=True)
reading(
    "readlines-hint",
    "readlines(hint) stops after that many bytes, on a whole line",
    lambda body: [b"".join(body.readlines(5)), body.read()],
    [b"one\ntwo two\n", LINES[12:]],
)
reading("iteration", "iteration gives lines", lambda body: list(body), SPLIT, valid=True)
reading(
    "iteration-then-read",
    "read() goes on where iteration stopped",
    lambda body: [next(iter(body)), body.read()],
    [b"one\n", LINES[4:]],
)
reading("close-input", "close() does nothing", lambda body: [body.close() or b"", body.read()], [b"", LINES])


@row(
    "a long body arrives byte for byte",
    STREAMS,
    (post(LONG), Expect(body=LONG)),
    (unannounced(LONG), Expect(body=LONG)),
    config=CHUNKS,
    valid=True,
)
def long_body(environ, start_response):
    return text(start_response, environ["wsgi.input"].read(len(LONG) + 1))


@row(
    "lines cross the parts in which they arrive",
    STREAMS,
    (post(LONG), Expect(body=LONG)),
    (unannounced(LONG), Expect(body=LONG)),
    config=CHUNKS,
    valid=True,
)
def long_lines(environ, start_response):
    return text(start_response, b"".join(environ["wsgi.input"]))


EVERY = bytes(range(256)) * 3


@row(
    "a body may have every byte",
    STREAMS,
    (post(EVERY), Expect(body=EVERY)),
    (unannounced(EVERY), Expect(body=EVERY)),
    config=CHUNKS,
    valid=True,
)
def every_byte_in(environ, start_response):
    return text(start_response, environ["wsgi.input"].read(10_000))


@row("body and response may be echoed part by part", STREAMS, (post(LONG), Expect(body=LONG)))
def echo_parts(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", environ["CONTENT_LENGTH"])])
    return iter(lambda: environ["wsgi.input"].read(1000), b"")


NOTHING = Expect(json=["", "", [], [], True])


@row(
    "a request without body gives empty bytes",
    STREAMS,
    (get(), NOTHING),
    (post(b""), NOTHING),
    (Ask("DELETE"), NOTHING),
)
def no_body(environ, start_response):
    body = environ["wsgi.input"]
    seen = [body.read().decode(), body.readline().decode(), body.readlines(), list(body)]
    return report(start_response, [*seen, environ["wsgi.input_terminated"]])


# --- Filters ---------------------------------------------------------------------------------------

PACKED = gzip.compress(LONG, mtime=0)
GZIP = ("Content-Encoding", "gzip")


@row(
    "a body that an input filter inflates is read to its real end",
    "compat 4.3",
    (post(PACKED, GZIP), Expect(body=LONG)),
    (unannounced(PACKED, GZIP), Expect(body=LONG)),
    config="SetInputFilter DEFLATE\n" + CHUNKS,
)
def inflated(environ, start_response):
    return text(start_response, environ["wsgi.input"].read())


@row(
    "so it is by lines",
    "compat 4.3",
    (post(PACKED, GZIP), Expect(body=LONG)),
    config="SetInputFilter DEFLATE",
)
def inflated_lines(environ, start_response):
    return text(start_response, b"".join(environ["wsgi.input"]))


# --- What is refused -------------------------------------------------------------------------------


@row(
    "a body of unannounced length is refused with a hint",
    "compat 1.2",
    (unannounced(LINES), failed("WSGIChunkedRequest", status=411, note="WSGI0139")),
    protocols=CHUNKED,
)
def chunks_refused(environ, start_response):
    return text(start_response, environ["wsgi.input"].read(), headers=[("X-Leaked", "yes")])


def sent(*, data, expect, method="POST", finish=False):
    """A play that sends bytes and compares the reply."""

    def play(scene):
        connection = scene.connect()
        stream = scene.raw(data, method, connection)
        if finish:
            connection.wire.finish()
        scene.compare(expect, stream.reply(), method)
        scene.leaves(expect)

    return play


HEAD = b"POST {mount} HTTP/1.1\r\nHost: localhost\r\nX-Token: {token}\r\n"


def whole_body(environ, start_response):
    """The application of the rows that follow."""
    return text(start_response, environ["wsgi.input"].read(), headers=[("X-Leaked", "yes")])


def raw_row(slug, sentence, clause, data, expect, protocols=CHUNKED, config=CHUNKS, finish=False):
    """A row whose request is written byte by byte."""
    row(
        sentence,
        clause,
        slug=slug,
        play=sent(data=data, expect=expect, finish=finish),
        protocols=protocols,
        config=config,
    )(whole_body)


RFC_CHUNKS = "RFC 9112, 7.1"
raw_row(
    "coding-gzip-chunked",
    "a transfer coding besides chunked is refused",
    "RFC 9112, 6.1; compat 1.2",
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    failed(status=501, note="WSGI0138"),
)
raw_row(
    "coding-unknown",
    "an unknown transfer coding is refused",
    "RFC 9112, 6.1",
    HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    Expect(status=400, absent=("X-Leaked",)),
)
raw_row(
    "length-word",
    "a Content-Length that is no number is refused",
    "RFC 9112, 6.3",
    HEAD + b"Content-Length: many\r\n\r\n",
    Expect(status=400, absent=("X-Leaked",)),
)
raw_row(
    "length-negative",
    "a negative Content-Length is refused",
    "RFC 9112, 6.3",
    HEAD + b"Content-Length: -1\r\n\r\n",
    Expect(status=400, absent=("X-Leaked",)),
)
raw_row(
    "length-huge",
    "a Content-Length beyond all numbers is refused",
    "RFC 9112, 6.3",
    HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
    Expect(status=400, absent=("X-Leaked",)),
)
raw_row(
    "lengths-differ",
    "two lengths that differ are refused",
    "RFC 9112, 6.3",
    HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    Expect(status=400, absent=("X-Leaked",)),
)
raw_row(
    "chunk-extensions",
    "extensions of chunks and a trailer are read over",
    RFC_CHUNKS,
    HEAD
    + b'Transfer-Encoding: chunked\r\n\r\n3;a=b;c="d"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n',
    Expect(200, body=b"abc0123456789"),
)
raw_row(
    "chunk-malformed",
    "a malformed chunk is a 400",
    RFC_CHUNKS,
    HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\nzz\r\n",
    Expect(status=400, absent=("X-Leaked",)),
)
raw_row(
    "chunked-with-length",
    "chunks win over a Content-Length",
    "RFC 9112, 6.3",
    HEAD
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    Expect(200, body=b"hello"),
)
raw_row(
    "head-without-host",
    "HTTP/1.1 without Host is refused",
    "RFC 9112, 3.2",
    b"GET {mount} HTTP/1.1\r\nConnection: close\r\n\r\n",
    Expect(status=400, absent=("X-Leaked",)),
)
raw_row(
    "head-bare-space",
    "a space before a header's colon is refused",
    "RFC 9112, 5.1",
    HEAD + b"X-A : 1\r\n\r\n",
    Expect(status=400, absent=("X-Leaked",)),
)


def pipelined(scene):
    """Two requests in one write; the replies come in their order."""
    connection = scene.connect()
    one = HEAD + b"Content-Length: 3\r\n\r\none"
    first = scene.raw(one + one.replace(b"one", b"two"), "POST", connection)
    scene.compare(Expect(200, body=b"one"), first.reply())
    scene.compare(Expect(200, body=b"two"), connection.raw(b"").reply())


row(
    "pipelined requests are answered in their order",
    "RFC 9112, 9.3.2",
    slug="pipelined",
    play=pipelined,
    protocols=CHUNKED,
)(whole_body)


def in_drips(scene):
    """The whole request comes byte by byte."""
    connection = scene.connect()
    request = (HEAD + b"Content-Length: 5\r\n\r\nhello").replace(b"{mount}", scene.mount.encode())
    for byte in request.replace(b"{token}", scene.token.encode()):
        connection.wire.send(bytes([byte]))
    scene.compare(Expect(200, body=b"hello"), connection.raw(b"").reply())


row("a request may come byte by byte", "RFC 9112, 2.2", slug="in-drips", play=in_drips, protocols=CHUNKED)(
    whole_body
)


# --- Limits ----------------------------------------------------------------------------------------


def refused_unseen(scene):
    """413, and the application has not run."""
    for ask, expect in scene.row.exchanges:
        if ask.announced or scene.setting.protocol != HTTP_1_0:
            scene.compare(expect, scene.begin(ask).reply())
    scene.check("mark ran", False, scene.traces.marker("ran").exists())


@row(
    "LimitRequestBody is a 413 before the application runs",
    "compat 4.3",
    (post(b"x" * 1001), Expect(413)),
    (unannounced(b"x" * 1001), Expect(413)),
    play=refused_unseen,
    config="LimitRequestBody 1000\n" + CHUNKS,
)
def too_large(environ, start_response):
    mark(environ, "ran")
    return text(start_response, b"%d" % len(environ["wsgi.input"].read()))


@row(
    "a body of just the limit is taken",
    "compat 4.3",
    (post(b"x" * 1000), Expect(200, body=b"1000")),
    (unannounced(b"x" * 1000), Expect(200, body=b"1000")),
    config="LimitRequestBody 1000\n" + CHUNKS,
)
def just_small_enough(environ, start_response):
    return text(start_response, b"%d" % len(environ["wsgi.input"].read()))


EIGHT_MEGABYTES = bytes(8 << 20)


@row(
    "a large body that is refused unread leaves the connection usable or closed",
    "RFC 9112, 9.3",
    (post(EIGHT_MEGABYTES), Expect(403, body=b"no")),
    (get(), Expect(403, body=b"no")),
)
def refused_unread(environ, start_response):
    return text(start_response, b"no", status="403 Forbidden", headers=[("Content-Length", "2")])


@row(
    "so does one of which nothing has been read ahead",
    "RFC 9112, 9.3",
    (post(EIGHT_MEGABYTES), Expect(403, body=b"no")),
    (get(), Expect(403, body=b"no")),
    group="unbuffered",
)
def unbuffered_refused_unread(environ, start_response):
    return text(start_response, b"no", status="403 Forbidden", headers=[("Content-Length", "2")])


@row(
    "a small body that is not read leaves the connection usable",
    "RFC 9112, 9.3",
    (post(b"x" * 3000), Expect(200, body=b"unread")),
    (get(), Expect(200, body=b"unread")),
)
def small_unread(environ, start_response):
    return text(start_response, b"unread")


@row(
    "half of a body that is read leaves the connection usable",
    "RFC 9112, 9.3",
    (post(LONG), Expect(200, body=LONG[:100])),
    (post(LONG), Expect(200, body=LONG[:100])),
)
def half_read(environ, start_response):
    return text(start_response, environ["wsgi.input"].read(100))


# --- Expect: 100-continue --------------------------------------------------------------------------

CONTINUE = "RFC 9110, 10.1.1; compat 4.3"
EXPECTING = post(b"hello", ("Expect", "100-continue"))


def continued_before(scene):
    """100 comes before the application runs."""
    stream = scene.begin(EXPECTING)
    scene.check("interim", [100], stream.await_interim().interim)
    scene.check("mark ran", False, scene.traces.marker("ran").exists())
    stream.send(b"hello")
    stream.end()
    scene.compare(Expect(200, body=b"hello", interim=(100,)), stream.reply())
    scene.leaves(Expect(marks={"ran": "yes"}))


@row(
    "100 comes before the application runs, where the body is buffered",
    CONTINUE,
    play=continued_before,
    protocols=CHUNKED + FRAMED,
)
def continue_buffered(environ, start_response):
    mark(environ, "ran")
    return text(start_response, environ["wsgi.input"].read())


def continued_when_read(scene):
    """100 comes when the application reads, and not before."""
    connection = scene.connect()
    stream = scene.begin(EXPECTING, connection)
    scene.check("mark ran", True, scene.marked("ran"))
    scene.check("quiet", True, connection.wire.quiet())
    scene.mark("go")
    scene.check("interim", [100], stream.await_interim().interim)
    stream.send(b"hello")
    stream.end()
    scene.compare(Expect(200, body=b"hello", interim=(100,)), stream.reply())


@row(
    "100 comes with the first read where nothing is buffered",
    CONTINUE,
    play=continued_when_read,
    protocols=CHUNKED,
    group="unbuffered",
)
def continue_unbuffered(environ, start_response):
    mark(environ, "ran")
    await_mark(environ, "go")
    return text(start_response, environ["wsgi.input"].read())


@row(
    "read(0) asks for the body as well",
    CONTINUE,
    play=continued_when_read,
    protocols=CHUNKED,
    group="unbuffered",
)
def continue_read_zero(environ, start_response):
    mark(environ, "ran")
    await_mark(environ, "go")
    body = environ["wsgi.input"]
    return text(start_response, body.read(0), body.read())


def never_continued(scene):
    """The answer comes without a 100."""
    scene.compare(Expect(200, body=b"not needed"), scene.begin(EXPECTING).reply())


@row(
    "an application that never reads causes no 100",
    CONTINUE,
    play=never_continued,
    protocols=CHUNKED,
    group="unbuffered",
)
def continue_never(environ, start_response):
    return text(start_response, b"not needed")


# --- What goes wrong on the way --------------------------------------------------------------------


def broken_off(scene):
    """The client sends a part of its body and ends."""
    connection = scene.connect()
    version = b"1.0" if scene.setting.protocol == HTTP_1_0 else b"1.1"
    scene.raw(
        HEAD.replace(b"1.1", version) + b"Content-Length: 100000\r\n\r\n" + b"x" * 50_000, "POST", connection
    )
    connection.wire.finish()
    scene.leaves(
        Expect(marks={"first": "OSError: mod_wsgi request data read error", "second": "OSError"})
    )


@row(
    "a body that breaks off is an OSError, and later reads fail as well",
    "compat 4.3",
    play=broken_off,
    protocols=(HTTP_1_0, HTTP_1_1),
)
def broken_body(environ, start_response):
    kind, message = raised(environ["wsgi.input"].read)
    mark(environ, "first", f"{kind}: {message.partition(':')[0]}")
    mark(environ, "second", raised(environ["wsgi.input"].read)[0])
    return text(start_response, b"for nobody")


def silent_client(scene):
    """The client stops in the middle of its body."""
    data = HEAD.replace(b"localhost", b"hasty.example") + b"Content-Length: 100000\r\n\r\nhello"
    expect = Expect(408)
    scene.compare(expect, scene.raw(data, "POST").reply())


@row(
    "a client that is silent in the middle of its body is answered 408",
    "RFC 9110, 15.5.9; compat 7.2",
    play=silent_client,
    protocols=(HTTP_1_1,),
)
def silent_body(environ, start_response):
    return text(start_response, environ["wsgi.input"].read())


KEPT = {}


@row(
    "wsgi.input and wsgi.errors raise RuntimeError once the request has ended",
    "compat 4.3, 4.6",
    (post(b"hello"), Expect(200, body=b"kept")),
    (get("/again"), Expect(json=["RuntimeError"] * 5)),
)
def used_late(environ, start_response):
    if not environ["PATH_INFO"].endswith("/again"):
        KEPT.update(environ)
        return text(start_response, b"kept")
    body, errors = KEPT["wsgi.input"], KEPT["wsgi.errors"]
    calls = [
        body.read,
        body.readline,
        body.readlines,
        lambda: next(iter(body)),
        lambda: errors.write("late\n"),
    ]
    return report(start_response, [raised(call)[0] for call in calls])


UNREADABLE = logged("WSGI0126")


@row(
    "an exception for an unreadable body names it",
    "compat 7.2",
    play=lambda scene: unreadable(scene),
    protocols=(HTTP_1_1,),
)
def unreadable_body(environ, start_response):
    return text(start_response, environ["wsgi.input"].read())


def unreadable(scene):
    """The application does not catch what read() raises."""
    connection = scene.connect()
    scene.raw(HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 50_000, "POST", connection)
    connection.wire.finish()
    scene.leaves(Expect(note="WSGI0126", log=UNREADABLE))
