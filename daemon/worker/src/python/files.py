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
    if iterates_itself(type(wrapper)) or not reads_as_stored(wrapper.filelike):
        return None
    try:
        descriptor = wrapper.filelike.fileno()
        # Before the size: a file that is written as text is only now all on disk.
        position = wrapper.filelike.tell()
        if type(descriptor) is not int or descriptor < 0 or not is_place(position):
            return None
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or is_made_up(descriptor):
            return None
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    return descriptor, position, max(state.st_size - position, 0)


def is_made_up(descriptor):
    """Is it a file of /proc, /sys or the like, whose size says nothing of what is read there?"""
    return os.fstatvfs(descriptor).f_blocks == 0


def iterates_itself(kind):
    """Has a class derived from FileWrapper a mind of its own about what is sent?"""
    return kind.__iter__ is not FileWrapper.__iter__ or kind.__next__ is not FileWrapper.__next__


def is_place(position):
    """Is it a number of bytes? Amidst some encodings, tell() of a text file gives a larger riddle."""
    return type(position) is int and 0 <= position < 1 << 63


def reads_as_stored(filelike):
    """Are the bytes of the file behind its descriptor what is to be sent?

    Not those of gzip and its like, which have the descriptor of what they unpack. A text file is sent
    as it is stored, as in mod_wsgi, and of the classes that are not Python's own, one that has a
    descriptor is believed.
    """
    if isinstance(filelike, io.TextIOWrapper):
        filelike = filelike.buffer
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
