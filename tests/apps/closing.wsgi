"""An iterable whose close() leaves a file that the query names. /whole ends, /raises raises midway,
/endless goes on until the client is gone."""

import os

CHUNK = b"x" * 65536


class Answer:
    def __init__(self, how, marker):
        self.how, self.marker, self.sent = how, marker, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.sent += 1
        if self.how == "/endless":
            return CHUNK
        if self.sent == 1:
            return b"a part\n"
        if self.how == "/raises":
            raise RuntimeError("raised midway on purpose")
        raise StopIteration

    def close(self):
        with open(self.marker + ".new", "w") as file:
            file.write("closed after %d" % self.sent)
        os.rename(self.marker + ".new", self.marker)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Answer(environ["PATH_INFO"], environ["QUERY_STRING"])
