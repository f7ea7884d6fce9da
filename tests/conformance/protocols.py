"""The ways in which a client may speak, by the names that `--protocol` takes."""

HTTP_1_0 = "http-1.0"
HTTP_1_1 = "http-1.1"
HTTP_2 = "http-2"
TLS = "tls"
TLS_HTTP_2 = "tls-http-2"

ALL = (HTTP_1_0, HTTP_1_1, HTTP_2, TLS, TLS_HTTP_2)
# Those whose messages are text, with a reason phrase and connections that carry one request at a time.
TEXTUAL = (HTTP_1_0, HTTP_1_1, TLS)
# Those with chunks, interim responses and kept connections.
CHUNKED = (HTTP_1_1, TLS)
# Those with frames.
FRAMED = (HTTP_2, TLS_HTTP_2)
# Those in which an end that comes too early can be seen without a Content-Length (RFC 9112, 6.3 and 8).
DELIMITED = CHUNKED + FRAMED
ENCRYPTED = (TLS, TLS_HTTP_2)
PLAIN = (HTTP_1_0, HTTP_1_1, HTTP_2)
# One way is enough for what happens behind the protocol and takes its time.
ONE = (HTTP_1_1,)
