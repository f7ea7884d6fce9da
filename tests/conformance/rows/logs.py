"""What applications say to the log: PEP 3333, "Input and Error Streams"; compat 4.6."""

import io
import logging
import sys
import warnings

from ..ask import get
from ..expect import Expect, Line
from ..table import row
from ..within import text

STREAMS = "PEP 3333, Input and Error Streams; compat 4.6"


def tells(slug, sentence, *lines, level="wsgi:error", **more):
    """A row whose application leaves these lines in the virtual host's log, each with the client."""
    log = tuple(Line((line, " 127.0.0.1:"), level) for line in lines)
    return row(sentence, STREAMS, (get(), Expect(200, body=b"told", log=log)), slug=slug, **more)


def told(start_response):
    """The response of all of them."""
    return text(start_response, b"told")


@tells(
    "log-errors",
    "wsgi.errors ends in the log of the virtual host",
    "written to errors",
    "first line",
    "second line",
    "third of writelines",
    valid=True,
)
def errors(environ, start_response):
    stream = environ["wsgi.errors"]
    stream.write("written to errors\n")
    stream.write("first line\nsecond line\n")
    stream.writelines(["third of ", "writelines\n"])
    stream.flush()
    return told(start_response)


@tells("log-buffer", "under wsgi.errors lies a stream of bytes, as under sys.stderr", "written as bytes")
def buffer(environ, start_response):
    assert type(environ["wsgi.errors"]) is io.TextIOWrapper
    environ["wsgi.errors"].buffer.write(b"written as bytes\n")
    return told(start_response)


@tells("log-print", "print() does", "printed for the log")
def printed(environ, start_response):
    print("printed for the log")
    return told(start_response)


@tells("log-stderr", "sys.stderr does", "said to stderr")
def stderr(environ, start_response):
    print("said to stderr", file=sys.stderr)
    return told(start_response)


@tells("log-warning", "warnings.warn does", "UserWarning: warned of something")
def warned(environ, start_response):
    warnings.warn("warned of something", UserWarning, stacklevel=1)
    warnings.resetwarnings()
    return told(start_response)


@tells("log-handler-stream", "logging.StreamHandler does", "ERROR:conformance:handled by a stream")
def stream_handler(environ, start_response):
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    record = logging.makeLogRecord(
        {"name": "conformance", "levelname": "ERROR", "msg": "handled by a stream"}
    )
    handler.handle(record)
    return told(start_response)


def log_handler(python_level, level):
    """A row for one level of mod_wsgi.LogHandler."""

    @tells(
        f"log-handler-{logging.getLevelName(python_level).lower()}",
        f"mod_wsgi.LogHandler tells level {python_level} as {level}",
        "handled as a level",
        level=level,
    )
    def application(environ, start_response):
        import mod_wsgi

        logger = logging.Logger("conformance")
        logger.addHandler(mod_wsgi.LogHandler())
        logger.log(python_level, "handled as a level")
        return told(start_response)


log_handler(logging.INFO, "wsgi:info")
log_handler(logging.WARNING, "wsgi:warn")
log_handler(logging.ERROR, "wsgi:error")
log_handler(logging.CRITICAL, "wsgi:crit")


@tells("log-unfinished", "a line without an end is told when the request ends", "has no end")
def unfinished(environ, start_response):
    environ["wsgi.errors"].write("has no end")
    return told(start_response)


@tells("log-flushed", "a part of a line is told when it is flushed", "flushed part")
def flushed(environ, start_response):
    environ["wsgi.errors"].write("flushed part")
    environ["wsgi.errors"].flush()
    return told(start_response)


@tells("log-joined", "parts of a line are one line", "in two parts")
def joined(environ, start_response):
    environ["wsgi.errors"].write("in two")
    environ["wsgi.errors"].write(" parts\n")
    return told(start_response)


@tells("log-long", "a line of 20000 characters is told to its end", "begin ", " end of the long line")
def long_line(environ, start_response):
    environ["wsgi.errors"].write("begin " + "x" * 20_000 + " end of the long line\n")
    return told(start_response)


@tells("log-nul", "a NUL ends no line", "after the nul")
def nul(environ, start_response):
    environ["wsgi.errors"].write("before\0after the nul\n")
    return told(start_response)


@tells(
    "log-control",
    "control characters and bytes are shown, not sent to a terminal",
    "bell \\x07 escape \\x1b[31m end",
)
def control(environ, start_response):
    environ["wsgi.errors"].write("bell \x07 escape \x1b[31m end\n")
    return told(start_response)


@tells("log-unicode", "what is beyond ASCII is told as UTF-8", "caf\\xc3\\xa9 \\xe2\\x82\\xac")
def unicode(environ, start_response):
    environ["wsgi.errors"].write("caf\xe9 \u20ac\n")
    return told(start_response)


@tells("log-surrogate", "what is no text at all does not fail", "broken ")
def surrogate(environ, start_response):
    environ["wsgi.errors"].write("broken \udcff\n")
    return told(start_response)


@tells("log-thread", "a request's log is its own when the response has begun, too", "told midway")
def midway(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"to"
    print("told midway", file=environ["wsgi.errors"])
    yield b"ld"
