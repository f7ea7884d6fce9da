"""HTTP/2 (RFC 9113), with prior knowledge or chosen by ALPN, on the library h2."""

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from .reply import Reply

HOST = "localhost"
# Named in HTTP/1 alone: RFC 9113, 8.2.2.
FRAME_HEADER = 9
CONNECTION_SPECIFIC = {"connection", "keep-alive", "transfer-encoding", "upgrade", "host"}


class Connection:
    """One connection; its exchanges are streams."""

    def __init__(self, wire, scheme):
        self.wire, self.scheme, self.streams = wire, scheme, {}
        self.kept = b""
        # What we send may be wrong on purpose, and what comes is judged by the rows.
        config = h2.config.H2Configuration(
            header_encoding="latin-1",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            normalize_inbound_headers=False,
        )
        self.state = h2.connection.H2Connection(config)
        self.state.initiate_connection()
        self.flush()

    def begin(self, ask, target, headers):
        """Sends a head and, where the ask brings one, its body."""
        given = dict((name.lower(), value) for name, value in headers)
        head = [(":method", ask.method), (":scheme", self.scheme), (":authority", given.get("host", HOST))]
        head += [(":path", target)]
        head += [(n.lower(), v) for n, v in headers if n.lower() not in CONNECTION_SPECIFIC]
        if ask.body is not None and ask.announced and "content-length" not in given:
            head.append(("content-length", str(len(ask.body))))
        number = self.state.get_next_available_stream_id()
        encoded = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in head]
        self.state.send_headers(number, encoded, end_stream=ask.body is None)
        self.flush()
        stream = self.streams[number] = Stream(self, number)
        if ask.body is not None and "expect" not in given:
            stream.send(ask.body)
            stream.end()
        return stream

    def nudge(self):
        """A ping: mod_http2 logs a stream when it is next awake."""
        try:
            self.state.ping(b"awake?!?")
        except h2.exceptions.ProtocolError:
            return  # The connection has ended, which wakes it as well.
        self.flush()

    def flush(self):
        """Sends what the state machine has to say."""
        self.wire.send(self.state.data_to_send())

    def more(self):
        """Reads on and hands out what came; false at the end."""
        data = self.wire.receive()
        if not data:
            return False
        self.kept += data
        while len(self.kept) >= FRAME_HEADER:
            size = FRAME_HEADER + int.from_bytes(self.kept[:3], "big")
            if len(self.kept) < size:
                break
            # Frame by frame: what came before a frame that is wrong has come all the same.
            frame, self.kept = self.kept[:size], self.kept[size:]
            if not self.hear(frame):
                return False
        self.flush()
        return True

    def hear(self, frame):
        """One frame; false if it ends everything."""
        try:
            events = self.state.receive_data(frame)
        except h2.exceptions.InvalidBodyLengthError:
            # Fewer or more bytes than Content-Length says, or any for HEAD: malformed, RFC 9113, 8.1.1.
            for stream in self.streams.values():
                stream.finish(False, "other than its length")
            return False
        for event in events:
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.DataReceived):
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, h2.events.ConnectionTerminated):
                for other in self.streams.values():
                    other.terminated(event)
            if stream is not None:
                stream.take(event)
        return True


class Stream:
    """One exchange."""

    def __init__(self, connection, number):
        self.connection, self.number, self.answer = connection, number, Reply()
        self.headed = self.over = False

    def send(self, data):
        """A part of the body, as fast as the peer's windows allow; none of it once the reply is over."""
        state = self.connection.state
        while data and not self.over:
            room = min(state.local_flow_control_window(self.number), state.max_outbound_frame_size, len(data))
            if room:
                state.send_data(self.number, data[:room])
                self.connection.flush()
                data = data[room:]
            elif not self.connection.more():
                return

    def end(self):
        """The body's end."""
        if not self.over:
            self.connection.state.end_stream(self.number)
            self.connection.flush()

    def cancel(self):
        """Gives the exchange up."""
        self.connection.state.reset_stream(self.number, 8)
        self.connection.flush()

    def await_interim(self):
        """Reads until a head has come, interim or final."""
        before = len(self.answer.interim)
        return self.until(lambda: self.headed or len(self.answer.interim) > before)

    def await_head(self):
        """Reads until the final head has come."""
        return self.until(lambda: self.headed)

    def receive(self, size):
        """Reads until the body has this many bytes, or its end."""
        return self.until(lambda: len(self.answer.body) >= size).body

    def reply(self):
        """Reads to the end."""
        return self.until(lambda: False)

    def until(self, enough):
        """Reads until that holds or it is over."""
        while not self.over and not enough():
            if not self.connection.more():
                self.finish(False, self.connection.wire.ended)
        return self.answer

    def take(self, event):
        """What the connection heard for this stream."""
        if isinstance(event, h2.events.InformationalResponseReceived):
            self.answer.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            self.headed = True
            self.answer.status = int(dict(event.headers)[":status"])
            self.answer.headers = [(n, v) for n, v in event.headers if not n.startswith(":")]
        elif isinstance(event, h2.events.DataReceived):
            self.answer.body += event.data
        elif isinstance(event, h2.events.StreamEnded):
            self.finish(True, "")
        elif isinstance(event, h2.events.StreamReset):
            # A reset without error after a whole response says that the rest of the request is not wanted.
            if not self.over:
                self.finish(False, f"stream reset, error {int(event.error_code)}")

    def terminated(self, event):
        """The peer takes no further streams; an error ends those that run."""
        if event.error_code and not self.over:
            self.finish(False, f"connection error {int(event.error_code)}")

    def finish(self, whole, ended):
        """It is over."""
        if not self.over:
            self.over, self.answer.whole, self.answer.ended = True, whole, ended
