"""Gives wsgi.file_wrapper what the path names, made of the file that the query names."""

import gzip
import io
import json
import os
import tempfile

import mod_wsgi

shared = []


class Plain(mod_wsgi.FileWrapper):
    """Nothing of its own."""


class Shouting(mod_wsgi.FileWrapper):
    def __iter__(self):
        return iter([self.filelike.read().upper()])


class Stepping(mod_wsgi.FileWrapper):
    def __next__(self):
        data = self.filelike.read(4)
        if not data:
            raise StopIteration
        return data + b"|"


class OnlyRead:
    def __init__(self, file):
        self.read = file.read


def at(file, offset):
    file.seek(offset)
    return file


def closed(file):
    file.close()
    return file


def line_read(file):
    file.readline()
    return file


def pipe(content):
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(content)
    return os.fdopen(reading, "rb")


def temporary(content):
    file = tempfile.NamedTemporaryFile()
    file.write(content)
    return at(file, 0)


def zipped(content):
    file = tempfile.TemporaryFile()
    with gzip.GzipFile(fileobj=file, mode="wb") as packed:
        packed.write(content)
    return gzip.GzipFile(fileobj=at(file, 0), mode="rb")


def kept(path):
    """Stays open at offset 5; what is wrapped shares its descriptor."""
    if not shared:
        shared.append(at(open(path, "rb", buffering=0), 5))
    return os.fdopen(os.dup(shared[0].fileno()), "rb")


def content(path):
    with open(path, "rb") as file:
        return file.read()


FILES = {
    "text": lambda path: open(path, encoding="utf-8"),
    "text-line": lambda path: line_read(open(path, encoding="utf-8")),
    "seek": lambda path: at(open(path, "rb"), 3),
    "closed": lambda path: closed(open(path, "rb")),
    "only-read": lambda path: OnlyRead(open(path, "rb")),
    "string": lambda path: io.StringIO("text"),
    "pipe": lambda path: pipe(content(path)),
    "temporary": lambda path: temporary(content(path)),
    "zipped": lambda path: zipped(content(path)),
    "kept": kept,
}
WRAPPERS = {"plain": Plain, "shouting": Shouting, "stepping": Stepping}


def attributes(wrapper, path):
    file = open(path, "rb")
    default, given = wrapper(file), wrapper(file, 7)
    given.close()
    return [default.filelike is file, default.blksize, given.blksize, file.closed]


def application(environ, start_response):
    how, path = environ["PATH_INFO"].lstrip("/"), environ["QUERY_STRING"]
    wrapper = environ["wsgi.file_wrapper"]
    status = how + " As Asked" if how.isdigit() else "200 OK"
    write = start_response(status, [("Content-Type", "application/octet-stream")])
    if how == "attributes":
        return [json.dumps(attributes(wrapper, path)).encode()]
    if how == "position":
        return [b"%d" % shared[0].tell()]
    if how == "written":
        write(b"written, ")
    file = FILES.get(how, lambda path: open(path, "rb"))(path)
    return WRAPPERS.get(how, wrapper)(file)
