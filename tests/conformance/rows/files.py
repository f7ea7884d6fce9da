"""wsgi.file_wrapper: PEP 3333, "Optional Platform-Specific File Handling"; compat 4.4."""

import io
import os
import tempfile
from pathlib import Path

from ..ask import get, head
from ..expect import Expect, failed
from ..table import row
from ..within import mark, report, text

FILES = "PEP 3333, Optional Platform-Specific File Handling; compat 4.4"
RANGES = "RFC 9110, 14"
CONTENT = bytes(range(256)) * 400
SIZE = str(len(CONTENT))


def file_with(content=CONTENT, mode="w+b"):
    """An unnamed file, at its start."""
    file = tempfile.TemporaryFile(mode)
    file.write(content)
    file.flush()
    file.seek(0)
    return file


def served(environ, start_response, filelike, *size, headers=()):
    """The response of the rows here."""
    start_response("200 OK", [("Content-Type", "application/x-test"), *headers])
    return environ["wsgi.file_wrapper"](filelike, *size)


WHOLE = Expect(200, headers={"Content-Length": SIZE}, body=CONTENT)


@row(
    "a file is sent whole, with its length",
    FILES,
    (get(), WHOLE),
    (get(), WHOLE),
    (head(), Expect(200, headers={"Content-Length": SIZE}, body=b"")),
)
def file_whole(environ, start_response):
    return served(environ, start_response, file_with())


@row("a block size changes nothing", FILES, (get(), WHOLE))
def file_block_size(environ, start_response):
    return served(environ, start_response, file_with(), 17)


@row("an empty file is an empty body", FILES, (get(), Expect(200, headers={"Content-Length": "0"}, body=b"")))
def file_empty(environ, start_response):
    return served(environ, start_response, file_with(b""))


@row(
    "a file is sent from where it stands",
    FILES,
    (get(), Expect(200, headers={"Content-Length": str(len(CONTENT) - 1000)}, body=CONTENT[1000:])),
)
def file_offset(environ, start_response):
    file = file_with()
    file.seek(1000)
    return served(environ, start_response, file)


@row("also where it has been read to", FILES, (get(), Expect(200, body=CONTENT[10:])))
def file_read_before(environ, start_response):
    file = file_with()
    file.read(10)
    return served(environ, start_response, file)


@row(
    "a file at its end is an empty body",
    FILES,
    (get(), Expect(200, headers={"Content-Length": "0"}, body=b"")),
)
def file_at_end(environ, start_response):
    file = file_with()
    file.seek(0, os.SEEK_END)
    return served(environ, start_response, file)


@row(
    "a smaller Content-Length sends so much",
    FILES,
    (get(), Expect(200, headers={"Content-Length": "5000"}, body=CONTENT[:5000])),
    (get(), Expect(200, body=CONTENT[:5000])),
)
def file_length_smaller(environ, start_response):
    return served(environ, start_response, file_with(), headers=[("Content-Length", "5000")])


@row(
    "offset and Content-Length go together",
    FILES,
    (get(), Expect(200, headers={"Content-Length": "5000"}, body=CONTENT[100:5100])),
)
def file_offset_length(environ, start_response):
    file = file_with()
    file.seek(100)
    return served(environ, start_response, file, headers=[("Content-Length", "5000")])


@row("a larger Content-Length is visibly cut off", FILES, (get(), Expect(200, body=CONTENT, whole=False)))
def file_length_larger(environ, start_response):
    return served(environ, start_response, file_with(), headers=[("Content-Length", str(len(CONTENT) + 10))])


@row("what has read() and no descriptor is iterated", FILES, (get(), Expect(200, body=CONTENT)), valid=False)
def file_object(environ, start_response):
    return served(environ, start_response, io.BytesIO(CONTENT))


@row("what has read() alone is iterated", FILES, (get(), Expect(200, body=b"0123456789")))
def file_reader(environ, start_response):
    class Reader:
        left = b"0123456789"

        def read(self, size):
            part, self.left = self.left[:3], self.left[3:]
            return part

    return served(environ, start_response, Reader())


@row("a pipe is read to its end", FILES, (get(), Expect(200, body=b"through a pipe")))
def file_pipe(environ, start_response):
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    return served(environ, start_response, open(reader, "rb"))


@row("a text file is sent as its bytes", FILES, (get(), Expect(200, body="caf\xe9\r\n".encode())))
def file_text(environ, start_response):
    handle, name = tempfile.mkstemp()
    os.write(handle, "caf\xe9\r\n".encode())
    os.close(handle)
    file = open(name, encoding="utf-8", newline="")
    os.unlink(name)
    return served(environ, start_response, file)


@row("a closed file is a 500", FILES, (get(), failed("ValueError", note="WSGI0174")))
def file_closed(environ, start_response):
    file = file_with()
    file.close()
    return served(environ, start_response, file)


@row("the wrapper may be subclassed", FILES, (get(), Expect(200, body=CONTENT, marks={"closed": "yes"})))
def file_subclass(environ, start_response):
    class Telling(environ["wsgi.file_wrapper"]):
        def close(self):
            super().close()
            mark(environ, "closed")

    start_response("200 OK", [("Content-Type", "application/x-test")])
    return Telling(file_with())


@row(
    "the wrapper closes the file once it is sent",
    FILES,
    (get(), Expect(200, body=CONTENT, marks={"closed": "1"})),
)
def file_close(environ, start_response):
    class Closing:
        def __init__(self):
            self.file, self.times = file_with(), 0

        def read(self, size=-1):
            return self.file.read(size)

        def fileno(self):
            return self.file.fileno()

        def tell(self):
            return self.file.tell()

        def close(self):
            self.times += 1
            self.file.close()
            mark(environ, "closed", self.times)

    return served(environ, start_response, Closing())


@row("the wrapper can be iterated by Python as well", FILES, (get(), Expect(200, body=CONTENT)))
def file_iterated(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/x-test")])
    return [b"".join(environ["wsgi.file_wrapper"](file_with(), 1000))]


@row("the wrapper shows what it wraps", "compat 4.4", (get(), Expect(json=[True, 8192, True, 512])))
def file_attributes(environ, start_response):
    file = file_with()
    one, other = environ["wsgi.file_wrapper"](file), environ["wsgi.file_wrapper"](file, 512)
    return report(start_response, [one.filelike is file, one.blksize, callable(one.close), other.blksize])


@row(
    "a wrapper that middleware passes on block by block is a body", FILES, (get(), Expect(200, body=CONTENT))
)
def file_passed_on(environ, start_response):
    yield from served(environ, start_response, file_with())


@row("write() before a file keeps the order", FILES, (get(), Expect(200, body=b"before " + CONTENT)))
def file_after_write(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/x-test")])(b"before ")
    return environ["wsgi.file_wrapper"](file_with())


# --- Ranges ----------------------------------------------------------------------------------------


def ranged(slug, sentence, asked, expect, headers=(), more=()):
    """A row for a part of a file."""

    @row(sentence, RANGES, (get("", ("Range", asked), *more), expect), slug=f"range-{slug}")
    def application(environ, start_response):
        return served(environ, start_response, file_with(), headers=headers)


def part(first, last):
    """206 with these bytes."""
    return Expect(
        206,
        headers={"Content-Range": f"bytes {first}-{last}/{SIZE}", "Content-Length": str(last - first + 1)},
        body=CONTENT[first : last + 1],
    )


END = len(CONTENT) - 1
TAG = [("ETag", '"v1"')]
ranged("first", "a range of a file is a 206", "bytes=0-99", part(0, 99))
ranged("middle", "from its middle", "bytes=5000-5999", part(5000, 5999))
ranged("open", "to its end", "bytes=102000-", part(102000, END))
ranged("suffix", "or its last bytes", "bytes=-100", part(END - 99, END))
ranged("beyond", "a range beyond the end is a 416", f"bytes={len(CONTENT)}-", Expect(416))
ranged("unknown", "a unit nobody knows is not a range", "lines=1-2", WHOLE)
ranged(
    "if-same",
    "If-Range with the same tag keeps the range",
    "bytes=0-9",
    part(0, 9),
    headers=TAG,
    more=[("If-Range", '"v1"')],
)
ranged(
    "if-other",
    "with another it is the whole file",
    "bytes=0-9",
    WHOLE,
    headers=TAG,
    more=[("If-Range", '"v0"')],
)


@row(
    "a range of what is no file is not cut out",
    RANGES,
    (get("", ("Range", "bytes=0-1")), Expect(200, body=b"0123456789")),
)
def range_of_blocks(environ, start_response):
    return text(start_response, b"0123456789")


@row(
    "an application that answers 206 itself is left alone",
    RANGES,
    (get("", ("Range", "bytes=2-4")), Expect(206, headers={"Content-Range": "bytes 2-4/10"}, body=b"234")),
)
def range_by_application(environ, start_response):
    return text(
        start_response,
        b"234",
        status="206 Partial Content",
        headers=[("Content-Range", "bytes 2-4/10"), ("Content-Length", "3")],
    )


# --- Whose file ------------------------------------------------------------------------------------


def owned(scene):
    """A file that one user alone may read."""
    path = scene.setting.root / "markers" / "for-games"
    path.write_bytes(CONTENT)
    os.chown(path, *GAMES)
    path.chmod(0o600)
    scene.exchange()


GAMES = (5, 60)


@row(
    "a file that only the application's user may read is sent",
    FILES,
    (get(), WHOLE),
    play=owned,
    group="games",
    root=True,
)
def file_of_another(environ, start_response):
    return served(environ, start_response, Path(environ["conformance.markers"], "for-games").open("rb"))
