"""wsgi.file_wrapper, and which of its files Apache may send by itself."""

import codecs
import io
import os
import stat


class FileWrapper:
    """An iterable over a file, which the server may send as a file where that comes to the same."""

    def __init__(self, filelike, blksize=8192):
        self.filelike = filelike
        self.blksize = blksize

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.blksize)
        if data:
            return data
        raise StopIteration

    def close(self):
        close = getattr(self.filelike, 'close', None)
        if close is not None:
            close()


FileWrapper.__module__ = 'mod_wsgi'


def on_disk(wrapper):
    """(descriptor, position, bytes from there) of a regular file, or None: then it is iterated."""
    filelike = wrapper.filelike
    if not reads_as_stored(filelike):
        return None
    try:
        descriptor = filelike.fileno()
        if type(descriptor) is not int or descriptor < 0:
            return None
        state = os.fstat(descriptor)
        position = filelike.tell()
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    if not stat.S_ISREG(state.st_mode) or type(position) is not int or position < 0:
        return None
    return descriptor, position, max(state.st_size - position, 0)


def reads_as_stored(filelike):
    """Does reading it give the bytes of the file behind its descriptor?

    gzip and its like have the descriptor of what they unpack, text files decode. Of the classes that
    are not Python's own, one that has a descriptor is believed, as in mod_wsgi.
    """
    if isinstance(filelike, (io.BufferedReader, io.BufferedRandom)):
        filelike = filelike.raw
    if isinstance(filelike, io.IOBase):
        return isinstance(filelike, io.FileIO)
    if isinstance(filelike, (codecs.StreamReaderWriter, codecs.StreamRecoder)):
        return False
    inner = getattr(filelike, 'file', None)
    if inner is None or inner is filelike:
        return True
    return reads_as_stored(inner)
