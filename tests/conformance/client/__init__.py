"""Clients that hide nothing: bytes as they are sent and as they come.

`connect(protocol, ...)` gives a connection of either kind. On both, `begin(ask)` starts an exchange
and answers a stream with `send`, `end`, `await_head`, `receive` and `reply`.
"""

from ..protocols import FRAMED
from . import http1, http2
from .wire import Wire


def connect(protocol, setting):
    """A new connection."""
    encrypted, framed = protocol.startswith("tls"), protocol in FRAMED
    port = setting.tls_port if encrypted else setting.port
    wire = Wire(port, setting.patience, encrypted, "h2" if framed else "http/1.1")
    if framed:
        return http2.Connection(wire, "https" if encrypted else "http")
    return http1.Connection(wire, "1.0" if protocol == "http-1.0" else "1.1")
