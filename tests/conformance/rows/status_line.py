"""The status line an application gives: PEP 3333, "The start_response() Callable"."""

from ..ask import get, head
from ..expect import Expect, failed
from ..protocols import DELIMITED
from ..table import row
from ..within import raised, report, text

START = "PEP 3333, The start_response() Callable; compat 4.4"


@row("a reason phrase is kept", START, (get(), Expect(201, reason="Created", body=b"x")), valid=True)
def reason_kept(environ, start_response):
    return text(start_response, b"x", status="201 Created")


@row(
    "a reason phrase of one's own is kept",
    START,
    (get(), Expect(404, reason="Gone Fishing", body=b"x")),
    valid=True,
)
def reason_own(environ, start_response):
    return text(start_response, b"x", status="404 Gone Fishing")


@row("a status code that no RFC knows is kept", START, (get(), Expect(299, reason="Odd", body=b"x")))
def status_unregistered(environ, start_response):
    return text(start_response, b"x", status="299 Odd")


@row("a status without a reason phrase is taken", START, (get(), Expect(200, reason="OK", body=b"bare")))
def status_bare(environ, start_response):
    return text(start_response, b"bare", status="200")


@row(
    "a reason phrase may have latin-1 characters",
    START,
    (get(), Expect(200, reason="Tr\xe8s bien", body=b"x")),
)
def reason_latin(environ, start_response):
    return text(start_response, b"x", status="200 Tr\xe8s bien")


def bad_status(slug, status, told, note="WSGI0174"):
    """A row for a status that is none: a 500, and nothing of the status reaches the client."""

    @row(
        f"the status {status!r} is refused",
        START,
        (get(), failed(told, reason="Internal Server Error", note=note)),
        slug=slug,
    )
    def application(environ, start_response):
        return text(start_response, b"leaked", status=status, headers=[("X-Leaked", "yes")])


bad_status("status-no-digits", "OK", "ValueError")
bad_status("status-two-digits", "20 OK", "ValueError")
bad_status("status-four-digits", "2000 OK", "ValueError")
bad_status("status-empty", "", "ValueError")
bad_status("status-line-break", "200 OK\r\nX-Leaked: yes", "ValueError")
bad_status("status-control", "200 O\x07K", "ValueError")
bad_status("status-nul", "200 O\0K", "ValueError")
bad_status("status-interim", "100 Continue", "ValueError")
bad_status("status-below-200", "199 Early", "ValueError")
bad_status("status-bytes", b"200 OK", "TypeError")
bad_status("status-int", 200, "TypeError")
bad_status("status-not-latin", "200 \u20ac", "UnicodeEncodeError")


@row(
    "204 has no body and no length",
    "RFC 9110, 15.3.5",
    (get(), Expect(204, body=b"", absent=("Content-Length", "Transfer-Encoding"))),
    (get(), Expect(204)),
)
def no_content(environ, start_response):
    return text(start_response, b"not to be sent", status="204 No Content")


@row(
    "304 has no body",
    "RFC 9110, 15.4.5",
    (get(), Expect(304, body=b"", headers={"ETag": '"1"'})),
    (get(), Expect(304)),
)
def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return [b"not to be sent"]


@row(
    "a second start_response without exc_info replaces the first until headers are sent",
    "compat 4.4",
    (get(), Expect(202, reason="Accepted", headers={"X-Second": "2"}, absent=("X-First",), body=b"second")),
)
def start_twice(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    start_response("202 Accepted", [("X-Second", "2"), ("Content-Type", "text/plain")])
    return [b"second"]


@row(
    "a second start_response after headers were sent is a RuntimeError",
    START,
    (get(), Expect(200, body=b"one,RuntimeError")),
    protocols=DELIMITED,
)
def start_twice_late(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one,")
    return [raised(start_response, "202 Accepted", [])[0].encode()]


@row(
    "start_response with exc_info replaces what was said before headers are sent",
    "PEP 3333, Error Handling",
    (get(), Expect(503, reason="Sorry", headers={"X-Second": "2"}, absent=("X-First",), body=b"sorry")),
    valid=True,
)
def exc_info_replaces(environ, start_response):
    import sys

    start_response("200 OK", [("X-First", "1"), ("Content-Type", "text/plain")])
    try:
        raise KeyError("on purpose")
    except KeyError:
        start_response("503 Sorry", [("X-Second", "2"), ("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]


@row(
    "start_response with exc_info raises that exception once headers are sent",
    "PEP 3333, Error Handling",
    (get(), Expect(200, body=b"one,KeyError:'on purpose'")),
)
def exc_info_raises(environ, start_response):
    import sys

    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one,")
    try:
        raise KeyError("on purpose")
    except KeyError:
        given = raised(start_response, "500 Late", [], sys.exc_info())
    return [":".join(given).encode()]


@row(
    "exc_info may be None and must be a tuple otherwise",
    "compat 4.4",
    (get(), Expect(json=["TypeError", None])),
)
def exc_info_type(environ, start_response):
    headers = [("Content-Type", "application/json")]
    seen = [raised(start_response, "200 OK", headers, wrong)[0] for wrong in (5, None)]
    return report(start_response, seen)


@row(
    "start_response takes no keyword beyond the three it has",
    START,
    (get(), Expect(json=["TypeError", "TypeError"])),
)
def start_arguments(environ, start_response):
    return report(start_response, [raised(start_response)[0], raised(start_response, "200 OK")[0]])


@row(
    "HEAD gets the headers and no body",
    "RFC 9110, 9.3.2",
    (head(), Expect(200, headers={"Content-Length": "5"}, body=b"")),
    (head(), Expect(200, body=b"")),
    valid=True,
)
def head_has_no_body(environ, start_response):
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [body]


@row(
    "what an application sends to HEAD all the same is dropped",
    "RFC 9110, 9.3.2; compat 4.4",
    (head(), Expect(200, headers={"Content-Length": "5"}, body=b"")),
    (get(), Expect(200, body=b"hello")),
)
def head_body_dropped(environ, start_response):
    return text(start_response, b"hello", headers=[("Content-Length", "5")])
