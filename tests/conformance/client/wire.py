"""A socket of the loopback, bare or under TLS, that says how it ended."""

import socket
import ssl
import struct

READ = 65536


class Wire:
    """Bytes out, bytes in. `ended` is "" until the peer ends it: then "closed", "reset", "cut" (TLS without
    its close_notify) or "silent", when it has not said anything for too long."""

    def __init__(self, port, patience, encrypted=False, alpn="http/1.1"):
        plain = socket.create_connection(("127.0.0.1", port), timeout=patience)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls(plain, alpn) if encrypted else plain
        self.ended = ""

    def send(self, data):
        """Sends all of it; a peer that has gone shows when its answer is read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def receive(self, limit=READ):
        """What is there, at least a byte; b"" at the end."""
        try:
            data = self.socket.recv(limit)
        except ssl.SSLEOFError:
            data, self.ended = b"", "cut"
        except TimeoutError:
            data, self.ended = b"", "silent"
        except ConnectionResetError:
            data, self.ended = b"", "reset"
        if not data and not self.ended:
            self.ended = "closed"
        return data

    def quiet(self):
        """Is there nothing to read at this moment? TLS may have something of its own."""
        patience = self.socket.gettimeout()
        self.socket.setblocking(False)
        try:
            self.socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(patience)
        return False

    def finish(self):
        """Nothing more will be sent; what comes can still be read (not under TLS)."""
        self.socket.shutdown(socket.SHUT_WR)

    def narrow(self, size):
        """A small receive buffer, so that a peer soon notices a client that does not read."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def abort(self):
        """Closes with a reset, as a client does that has gone away."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        """Closes."""
        self.socket.close()

    @property
    def is_open(self):
        """Has it not been closed on this side?"""
        return self.socket.fileno() >= 0


def tls(plain, alpn):
    """The test's certificate is its own; nobody vouches for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Otherwise an end without close_notify passes for a regular one.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(plain, server_hostname="localhost")
