"""HTTP/1.0 and 1.1, byte by byte (RFC 9112)."""

from .reply import Reply, bodiless

HOST = "localhost"


class Malformed(Exception):
    """What came is not HTTP."""


class Connection:
    """One connection, which carries exchanges one after the other."""

    def __init__(self, wire, version):
        self.wire, self.version, self.kept = wire, version, b""

    def begin(self, ask, target, headers):
        """Sends a head and, where the ask brings one, its body."""
        given = {name.lower() for name, _ in headers}
        lines = [f"{ask.method} {target} HTTP/{self.version}"]
        if "host" not in given:
            lines.append(f"Host: {HOST}")
        framing = [] if {"content-length", "transfer-encoding"} & given else ask.framing
        lines += [f"{name}: {value}" for name, value in [*headers, *framing]]
        stream = self.raw("\r\n".join([*lines, "", ""]).encode("latin-1"), ask.method)
        stream.chunked = bool(framing) and not ask.announced
        if ask.body is not None and "expect" not in given:
            stream.send(ask.body)
            stream.end()
        return stream

    def raw(self, data, method="GET"):
        """Sends bytes as they are; what comes is read as the reply to this method."""
        self.wire.send(data)
        return Stream(self, method)

    def nudge(self):
        """Nothing: HTTP/1 logs a request when it has ended."""

    def more(self):
        """Reads on; false at the end."""
        data = self.wire.receive()
        self.kept += data
        return bool(data)

    def take(self, size):
        """Takes what has been read."""
        taken, self.kept = self.kept[:size], self.kept[size:]
        return taken

    def at_end(self):
        """Has the peer closed, with nothing more to read?"""
        return not self.kept and not self.more()


class Stream:
    """One exchange."""

    def __init__(self, connection, method):
        self.connection, self.method, self.chunked = connection, method, False
        self.answer = Reply()
        self.left = None  # Bytes of the body or chunk that are to come; None where nobody knows.
        self.headed = self.over = False

    # --- The request's body -----------------------------------------------------------------------

    def send(self, data):
        """A part of the body."""
        if self.chunked and data:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.connection.wire.send(data)

    def end(self):
        """The body's end."""
        if self.chunked:
            self.connection.wire.send(b"0\r\n\r\n")

    # --- The response -----------------------------------------------------------------------------

    def await_interim(self):
        """Reads heads until one has been read, interim or final."""
        before = len(self.answer.interim)
        while not self.headed and not self.over and len(self.answer.interim) == before:
            self.read_head()
        return self.answer

    def await_head(self):
        """Reads heads until the final one."""
        while not self.headed and not self.over:
            self.read_head()
        return self.answer

    def receive(self, size):
        """Reads until the body has this many bytes, or its end."""
        self.await_head()
        while len(self.answer.body) < size and not self.over:
            self.read_body()
        return self.answer.body

    def reply(self):
        """Reads to the end."""
        self.await_head()
        while not self.over:
            self.read_body()
        return self.answer

    def read_head(self):
        """One head, interim or final."""
        connection = self.connection
        while b"\r\n\r\n" not in connection.kept:
            if not connection.more():
                self.finish(whole=False)
                return
        block = connection.take(connection.kept.index(b"\r\n\r\n") + 4).decode("latin-1")
        status_line, *fields = block[:-4].split("\r\n")
        version, _, rest = status_line.partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not code.isdigit():
            raise Malformed(block)
        if int(code) < 200:
            self.answer.interim.append(int(code))
            return
        self.answer.status, self.answer.reason = int(code), reason
        self.answer.headers = [split(field) for field in fields]
        self.headed = True
        self.frame()

    def frame(self):
        """How the body's end is known: RFC 9112, 6.3."""
        length = self.answer.header("Content-Length")
        self.coded = self.answer.header("Transfer-Encoding") is not None
        if bodiless(self.method, self.answer.status) or (length == "0" and not self.coded):
            self.finish(whole=True)
        elif not self.coded:
            self.left = None if length is None else int(length)

    def read_body(self):
        """Some of the body."""
        if self.coded:
            self.read_chunk()
        elif not self.connection.kept and not self.connection.more():
            ended = self.connection.wire.ended
            self.finish(whole=self.left is None and ended == "closed")
        else:
            self.take_body()

    def take_body(self):
        """What has been read of a body without chunks, no further than its length."""
        part = self.connection.take(self.left if self.left is not None else len(self.connection.kept))
        self.answer.body += part
        if self.left is not None:
            self.left -= len(part)
            if not self.left:
                self.finish(whole=True)

    def read_chunk(self):
        """One chunk of RFC 9112, 7.1, with the trailer after the last."""
        line = self.line()
        if line is None:
            return
        size = int(line.split(b";")[0], 16)
        data = self.exactly(size + 2) if size else b""
        self.answer.body += data[:size]
        if size and len(data) < size + 2:
            self.finish(whole=False)
        while not size and not self.over:
            line = self.line()
            if line == b"":
                self.finish(whole=True)

    def line(self):
        """A line, or None at the end of everything."""
        connection = self.connection
        while b"\r\n" not in connection.kept:
            if not connection.more():
                self.finish(whole=False)
                return None
        return connection.take(connection.kept.index(b"\r\n") + 2)[:-2]

    def exactly(self, size):
        """So many bytes, or those that come before the end."""
        connection = self.connection
        while len(connection.kept) < size and connection.more():
            pass
        return connection.take(size)

    def finish(self, whole):
        """It is over."""
        self.over, self.answer.whole, self.answer.ended = True, whole, self.connection.wire.ended


def split(field):
    """A header's name and value."""
    name, colon, value = field.partition(":")
    if not colon:
        raise Malformed(field)
    return name, value.strip(" \t")
