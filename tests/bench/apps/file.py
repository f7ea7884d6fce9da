"""A file through wsgi.file_wrapper, or in blocks of 64 KiB where a server has none."""

from pathlib import Path
from wsgiref.util import FileWrapper

FILE = Path(__file__).parent.parent / "htdocs" / "100m"
SIZE = FILE.stat().st_size


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(SIZE))])
    wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
    return wrapper(FILE.open("rb"), 64 << 10)
