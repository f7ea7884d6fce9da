"""What an application answers with: iterables, write(), close(), lengths. PEP 3333, "Specification Details"."""

import re
import sys

from ..ask import get, head
from ..expect import Expect, failed
from ..table import row
from ..within import await_mark, mark, text

DETAILS = "PEP 3333, Specification Details"
LENGTH = "PEP 3333, Handling the Content-Length Header"
BUFFERING = "PEP 3333, Buffering and Streaming"
WRITE = "PEP 3333, The write() Callable"
PLAIN = [("Content-Type", "text/plain")]


def bad_result(slug, sentence, told, note="WSGI0174"):
    """A row for an application that errs: a 500 with the reason in the log."""
    return row(sentence, DETAILS, (get(), failed(told, note=note)), slug=slug)


@bad_result("result-str", "a str in the iterable is refused", "TypeError")
def result_str(environ, start_response):
    return text(start_response, "text", headers=[("X-Leaked", "yes")])


@bad_result("result-is-str", "a str as the iterable is refused", "TypeError")
def result_is_str(environ, start_response):
    start_response("200 OK", PLAIN)
    return "text"


@bad_result("result-int-block", "a number in the iterable is refused", "TypeError")
def result_int_block(environ, start_response):
    return text(start_response, 7)


@bad_result("result-int", "a number as the result is refused", "TypeError")
def result_int(environ, start_response):
    start_response("200 OK", PLAIN)
    return 7


@bad_result("result-none", "None as the result is refused", "TypeError")
def result_none(environ, start_response):
    start_response("200 OK", PLAIN)


@bad_result("start-never", "an application that never calls start_response is refused", "start_response")
def start_never(environ, start_response):
    return [b"leaked"]


@bad_result(
    "start-never-empty", "so is one that answers nothing at all without start_response", "start_response"
)
def start_never_empty(environ, start_response):
    return []


@bad_result("start-late", "start_response after the first block is too late", "start_response")
def start_late(environ, start_response):
    yield b"leaked"
    start_response("200 OK", PLAIN)


@bad_result("write-str", "write() refuses a str", "TypeError")
def write_str(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Leaked", "yes")])("text")
    return []


@row(
    "start_response may be called as late as before the first block",
    DETAILS,
    (get(), Expect(200, body=b"ab")),
    valid=True,
)
def start_in_generator(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"a"
    yield b"b"


@row(
    "a bytes result is iterated as numbers, which are refused",
    DETAILS,
    (get(), failed("TypeError", note="WSGI0174")),
)
def result_bytes(environ, start_response):
    start_response("200 OK", PLAIN)
    return b"text"


@row("bytearray and memoryview are no byte strings", DETAILS, (get(), failed("TypeError", note="WSGI0174")))
def result_bytearray(environ, start_response):
    return text(start_response, bytearray(b"text"))


@row(
    "a list of one block gets a Content-Length",
    LENGTH,
    (get(), Expect(headers={"Content-Length": "5"}, body=b"hello")),
)
def length_of_one(environ, start_response):
    return text(start_response, b"hello")


@row("so does a tuple of one block", LENGTH, (get(), Expect(headers={"Content-Length": "5"}, body=b"hello")))
def length_of_tuple(environ, start_response):
    return tuple(text(start_response, b"hello"))


@row(
    "an empty list is an empty body", DETAILS, (get(), Expect(200, headers={"Content-Length": "0"}, body=b""))
)
def empty_list(environ, start_response):
    return text(start_response)


@row(
    "a list of one empty block is an empty body",
    DETAILS,
    (get(), Expect(200, headers={"Content-Length": "0"}, body=b"")),
    valid=True,
)
def empty_block(environ, start_response):
    return text(start_response, b"")


@row("a generator that yields nothing is an empty body", DETAILS, (get(), Expect(200, body=b"")), valid=True)
def empty_generator(environ, start_response):
    start_response("200 OK", PLAIN)
    return iter(())


@row("empty blocks between others change nothing", DETAILS, (get(), Expect(200, body=b"abc")))
def empty_between(environ, start_response):
    return text(start_response, b"", b"a", b"", b"b", b"", b"c", b"")


@row("blocks of a list follow one another", DETAILS, (get(), Expect(200, body=b"one two three")), valid=True)
def list_of_three(environ, start_response):
    return text(start_response, b"one ", b"two ", b"three")


@row("an iterator without a length is served", DETAILS, (get(), Expect(200, body=b"0123456789")), valid=True)
def iterator(environ, start_response):
    start_response("200 OK", PLAIN)
    return map(lambda n: b"%d" % n, range(10))


class Counted:
    """An iterable that says how long it is, and what happens to it."""

    def __init__(self, blocks, closed=None):
        self.blocks, self.closed = blocks, closed

    def __iter__(self):
        yield from self.blocks

    def __len__(self):
        return len(self.blocks)

    def close(self):
        if self.closed:
            self.closed()


@row("an object with __iter__ and __len__ is served", DETAILS, (get(), Expect(200, body=b"ab")), valid=True)
def counted(environ, start_response):
    start_response("200 OK", PLAIN)
    return Counted([b"a", b"b"])


class OldSequence:
    """Iterable by __getitem__ alone, as any Python takes."""

    def __getitem__(self, index):
        return [b"x", b"y", b"z"][index]


@row("a sequence with __getitem__ alone is served", DETAILS, (get(), Expect(200, body=b"xyz")))
def old_sequence(environ, start_response):
    start_response("200 OK", PLAIN)
    return OldSequence()


class Every:
    """A response with every byte, of a length that no buffer divides."""

    BODY = bytes(range(256)) * 301


@row("a body may have every byte", DETAILS, (get(), Expect(200, body=Every.BODY)), valid=True)
def every_byte(environ, start_response):
    return text(start_response, Every.BODY)


@row(
    "a megabyte in one block arrives",
    DETAILS,
    (get(), Expect(200, headers={"Content-Length": "1048576"}, body=bytes(range(256)) * 4096)),
)
def one_megabyte(environ, start_response):
    return text(start_response, bytes(range(256)) * 4096)


@row(
    "ten thousand small blocks arrive in order",
    DETAILS,
    (get(), Expect(200, body=b"".join(b"%d," % n for n in range(10000)))),
)
def small_blocks(environ, start_response):
    start_response("200 OK", PLAIN)
    return (b"%d," % n for n in range(10000))


@row(
    "more bytes than Content-Length says are cut",
    LENGTH,
    (get(), Expect(200, headers={"Content-Length": "4"}, body=b"four")),
    (get(), Expect(200, body=b"four")),
)
def length_exceeded(environ, start_response):
    return text(start_response, b"four and more", headers=[("Content-Length", "4")])


@row(
    "so are further blocks",
    LENGTH,
    (get(), Expect(200, headers={"Content-Length": "4"}, body=b"four")),
    (get(), Expect(200, body=b"four")),
)
def length_exceeded_later(environ, start_response):
    return text(start_response, b"fo", b"ur and", b" more", headers=[("Content-Length", "4")])


@row(
    "fewer bytes than Content-Length says make a response that is visibly cut off",
    LENGTH,
    (get(), Expect(200, body=b"short", whole=False)),
)
def length_missed(environ, start_response):
    return text(start_response, b"short", headers=[("Content-Length", "100")])


@row(
    "no byte where Content-Length promises some is visibly cut off, or a 500",
    LENGTH,
    (get(), Expect(200, body=b"", whole=False)),
)
def length_missed_entirely(environ, start_response):
    return text(start_response, headers=[("Content-Length", "100")])


@row(
    "an exact Content-Length keeps the connection",
    LENGTH,
    (get(), Expect(200, headers={"Content-Length": "6"}, body=b"sixsix")),
    (get(), Expect(200, body=b"sixsix")),
    valid=True,
)
def length_exact(environ, start_response):
    return text(start_response, b"six", b"six", headers=[("Content-Length", "6")])


# --- write() ---------------------------------------------------------------------------------------


@row(
    "write() sends before the iterable does",
    WRITE,
    (get(), Expect(200, body=b"written, iterated")),
    valid=True,
)
def write_first(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"written, ")
    return [b"iterated"]


@row("write() alone is a response", WRITE, (get(), Expect(200, body=b"onetwo")), valid=True)
def write_alone(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"one")
    write(b"two")
    return []


@row("write() inside of the iteration keeps the order", WRITE, (get(), Expect(200, body=b"1a2b")))
def write_between(environ, start_response):
    write = start_response("200 OK", PLAIN)

    def blocks():
        write(b"1")
        yield b"a"
        write(b"2")
        yield b"b"

    return blocks()


@row("write() returns None", WRITE, (get(), Expect(200, body=b"xNone")))
def write_returns(environ, start_response):
    write = start_response("200 OK", PLAIN)
    return [repr(write(b"x")).encode()]


@row(
    "an exact length that was written keeps the connection",
    WRITE,
    (get(), Expect(200, headers={"Content-Length": "3"}, body=b"abc")),
    (get(), Expect(200, body=b"abc")),
)
def write_length(environ, start_response):
    write = start_response("200 OK", [*PLAIN, ("Content-Length", "3")])
    write(b"a")
    return [b"bc"]


# --- One block after the other ---------------------------------------------------------------------


def each_block(scene):
    """The second block is made only when the client has the first."""
    stream = scene.begin(get())
    for count in range(1, 4):
        scene.check("body", b"block " * count, stream.receive(6 * count))
        scene.mark(f"got{count}")
    scene.compare(Expect(200, body=b"block " * 3), stream.reply())


@row("a block is on its way before the next is asked for", BUFFERING, play=each_block)
def blocks_flushed(environ, start_response):
    start_response("200 OK", PLAIN)
    for count in range(1, 4):
        yield b"block "
        await_mark(environ, f"got{count}")


@row("what is written is on its way when write() returns", WRITE, play=each_block)
def writes_flushed(environ, start_response):
    write = start_response("200 OK", PLAIN)
    for count in range(1, 4):
        write(b"block ")
        await_mark(environ, f"got{count}")
    return []


@row("a list is flushed block by block as well", BUFFERING, play=each_block)
def iterable_flushed(environ, start_response):
    start_response("200 OK", [*PLAIN, ("Content-Length", "18")])

    class Blocks:
        def __init__(self):
            self.count = 0

        def __iter__(self):
            return self

        def __next__(self):
            if self.count:
                await_mark(environ, f"got{self.count}")
            self.count += 1
            if self.count > 3:
                raise StopIteration
            return b"block "

    return Blocks()


def events(scene):
    """Each event is read before the next is let go."""
    stream = scene.begin(get("", ("Accept", "text/event-stream")))
    whole = b""
    for count in range(1, 4):
        whole += b"data: %d\n\n" % count
        scene.check("body", whole, stream.receive(len(whole)))
        scene.mark(f"got{count}")
    scene.compare(Expect(200, headers={"Content-Type": "text/event-stream"}, body=whole), stream.reply())


@row("server-sent events arrive one by one", BUFFERING, play=events)
def server_sent_events(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")])
    for count in range(1, 4):
        yield b"data: %d\n\n" % count
        await_mark(environ, f"got{count}")


# --- close() ---------------------------------------------------------------------------------------


class Closing:
    """Tells how often it was closed, and what it was told to do before."""

    def __init__(self, environ, blocks, error=None):
        self.environ, self.blocks, self.error, self.times = environ, blocks, error, 0

    def __iter__(self):
        yield from self.blocks
        if self.error:
            raise self.error

    def close(self):
        self.times += 1
        mark(self.environ, "closed", self.times)


CLOSED = {"closed": "1"}


@row("close() is called once at the end", DETAILS, (get(), Expect(200, body=b"ab", marks=CLOSED)), valid=True)
def close_called(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing(environ, [b"a", b"b"])


@row(
    "close() is called after an exception before the first block",
    DETAILS,
    (get(), failed("on purpose", note="WSGI0174", marks=CLOSED)),
)
def close_after_early_error(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing(environ, [], RuntimeError("on purpose"))


@row(
    "close() is called after an exception midway",
    DETAILS,
    (get(), Expect(200, body=b"a", whole=False, marks=CLOSED)),
)
def close_after_late_error(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing(environ, [b"a"], RuntimeError("on purpose"))


@row(
    "close() is called after a bad block",
    DETAILS,
    (get(), failed("TypeError", note="WSGI0174", marks=CLOSED)),
)
def close_after_bad_block(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing(environ, ["text"])


@row("close() is called for HEAD", DETAILS, (head(), Expect(200, body=b"", marks=CLOSED)))
def close_for_head(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing(environ, [b"a", b"b"])


@row(
    "an exception in close() is logged and harms nobody",
    DETAILS,
    (get(), Expect(200, body=b"x", log=failed("close fails on purpose").log)),
)
def close_fails(environ, start_response):
    class Failing(Closing):
        def close(self):
            raise RuntimeError("close fails on purpose")

    start_response("200 OK", [*PLAIN, ("Content-Length", "1")])
    return Failing(environ, [b"x"])


def gone(scene):
    """The client goes away in the middle of an endless response."""
    connection = scene.connect()
    stream = scene.begin(get(), connection)
    stream.receive(1000)
    connection.wire.abort()
    scene.check("mark closed", True, scene.marked("closed"))


@row("close() is called when the client has gone", DETAILS, play=gone)
def close_for_nobody(environ, start_response):
    start_response("200 OK", PLAIN)

    def endless():
        for _ in range(1_000_000):
            yield b"x" * 10_000

    return Closing(environ, endless())


@row(
    "write() raises OSError when the client has gone",
    "compat 4.4",
    play=lambda scene: written_to_nobody(scene),
)
def write_to_nobody(environ, start_response):
    write = start_response("200 OK", PLAIN)
    try:
        for _ in range(1_000_000):
            write(b"x" * 10_000)
    except OSError:
        mark(environ, "refused")
    return []


def written_to_nobody(scene):
    """The client goes away; the application is told."""
    connection = scene.connect()
    scene.begin(get(), connection).receive(1000)
    connection.wire.abort()
    scene.check("mark refused", True, scene.marked("refused"))


# --- SystemExit and the like -----------------------------------------------------------------------


@row(
    "sys.exit ends that request alone",
    "compat 7.2",
    (get(), failed("SystemExit", note="WSGI0175")),
    (get("/again"), Expect(200, body=b"the same worker")),
)
def system_exit(environ, start_response):
    if environ["PATH_INFO"].endswith("/again"):
        return text(start_response, b"the same worker")
    sys.exit(3)


@row(
    "KeyboardInterrupt ends that request alone",
    "compat 7.2",
    (get(), failed("KeyboardInterrupt", note="WSGI0174")),
    (get("/again"), Expect(200, body=b"the same worker")),
)
def keyboard_interrupt(environ, start_response):
    if environ["PATH_INFO"].endswith("/again"):
        return text(start_response, b"the same worker")
    raise KeyboardInterrupt


@row(
    "an exception is a 500 with a traceback that names the line",
    "compat 7.2",
    (
        get(),
        failed(
            "RuntimeError: on purpose",
            note="WSGI0174",
            reason="Internal Server Error",
            body=re.compile("(?s).*Internal Server Error.*"),
        ),
    ),
)
def exception(environ, start_response):
    raise RuntimeError("on purpose")


@row(
    "an exception after start_response is a 500 as well",
    "compat 7.2",
    (get(), failed("RuntimeError: on purpose", note="WSGI0174")),
)
def exception_after_start(environ, start_response):
    start_response("200 OK", [("X-Leaked", "yes")])
    raise RuntimeError("on purpose")


# --- Truncation ------------------------------------------------------------------------------------

CUT = "RFC 9112, 8; RFC 9113, 8.1.1; design 4"


@row(
    "an exception midway is visible: no last chunk, a stream reset",
    CUT,
    (get(), Expect(200, body=b"a part", whole=False, log=failed("on purpose").log)),
)
def midway(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"a part"
    raise RuntimeError("on purpose")


@row(
    "an exception midway leaves fewer bytes than announced",
    CUT,
    (get(), Expect(200, headers={"Content-Length": "100"}, body=b"a part", whole=False)),
)
def midway_of_length(environ, start_response):
    start_response("200 OK", [*PLAIN, ("Content-Length", "100")])
    yield b"a part"
    raise RuntimeError("on purpose")


@row(
    "a worker killed midway is visible",
    CUT,
    (get(), Expect(200, body=b"a part", whole=False)),
    group="mortal",
)
def killed_midway(environ, start_response):
    import os

    start_response("200 OK", PLAIN)
    yield b"a part"
    os.kill(os.getpid(), 9)


@row(
    "a worker killed midway leaves fewer bytes than announced",
    CUT,
    (get(), Expect(200, body=b"a part", whole=False)),
    group="mortal",
)
def killed_midway_of_length(environ, start_response):
    import os

    start_response("200 OK", [*PLAIN, ("Content-Length", "100")])
    yield b"a part"
    os.kill(os.getpid(), 9)
