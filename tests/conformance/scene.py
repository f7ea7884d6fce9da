"""What a row's `play` works with: connections, the request's token, markers and comparisons."""

from . import client
from .compare import Mismatch, replies
from .protocols import HTTP_1_0
from .traces import Traces, eventually


class Scene:
    """One row on one protocol."""

    def __init__(self, row, setting, token, mount):
        self.row, self.setting, self.token, self.mount = row, setting, token, mount
        self.traces = Traces(setting, token)
        self.found = []
        self.connections = []

    def connect(self):
        """A new connection, closed when the row has ended."""
        self.connections.append(client.connect(self.setting.protocol, self.setting))
        return self.connections[-1]

    def begin(self, ask, connection=None, token=None):
        """Sends a request on a connection, by default a new one."""
        headers = [("X-Token", token or self.token), *ask.headers]
        return (connection or self.connect()).begin(ask, self.target(ask), headers)

    def target(self, ask):
        """The request's target."""
        query = "" if ask.query is None else f"?{ask.query}"
        return ask.target if ask.target is not None else f"{self.mount}{ask.path}{query}"

    def raw(self, data, method="GET", connection=None):
        """Sends bytes, in which `{mount}` and `{token}` are filled in."""
        data = data.replace(b"{mount}", self.mount.encode()).replace(b"{token}", self.token.encode())
        return (connection or self.connect()).raw(data, method)

    def compare(self, expect, reply, method="GET"):
        """Notes what a reply lacks."""
        self.found += replies(expect, reply, method, self.setting)

    def check(self, aspect, expected, got):
        """Notes a value that is not as expected."""
        if expected != got:
            self.found.append(Mismatch(aspect, repr(expected), repr(got)))

    def watch(self, token):
        """What another request of this row leaves behind from now on."""
        return Traces(self.setting, token)

    def leaves(self, expect, traces=None):
        """Notes what a request does not leave behind, by default the row's own."""
        self.nudge()
        self.found += (traces or self.traces).mismatches(expect, self.nudge)

    def nudge(self):
        """Wakes httpd on every connection that is open."""
        for connection in self.connections:
            if connection.wire.is_open:
                connection.nudge()

    def mark(self, name):
        """Leaves a marker for the application."""
        self.traces.marker(name).touch(mode=0o666)

    def marked(self, name):
        """Has the application left this marker, by and by?"""
        return bool(eventually(self.setting.trace_patience, self.traces.marker(name).exists))

    def exchange(self):
        """The row's exchanges, on one connection as far as it stays open."""
        connection = self.connect()
        for ask, expect in self.row.exchanges:
            if not ask.announced and self.setting.protocol == HTTP_1_0:
                continue  # HTTP/1.0 has no body without a length.
            if connection is None:
                connection = self.connect()
            traces = Traces(self.setting, self.token)
            reply = self.begin(ask, connection).reply()
            self.compare(expect, reply, ask.method)
            self.leaves(expect, traces)
            if reply.ended or self.setting.protocol == HTTP_1_0 or reply.header("Connection") == "close":
                connection = None

    def close(self):
        """Closes what is open."""
        for connection in self.connections:
            connection.wire.close()
