"""Which Python is this? Asked of every peer before anything is measured."""

import json
import sys


def mapped():
    """The Python programs and libraries in this process's memory."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        files = {line.split(None, 5)[5].strip() for line in maps if line.count("/")}
    names = {file: file.rsplit("/", 1)[-1] for file in files}
    return sorted(file for file, name in names.items() if name.startswith(("python3", "libpython3")))


def application(environ, start_response):
    answer = {
        "version": sys.version,
        "mapped": mapped(),
        "multithread": bool(environ["wsgi.multithread"]),
        "multiprocess": bool(environ["wsgi.multiprocess"]),
        "file_wrapper": "wsgi.file_wrapper" in environ,
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
