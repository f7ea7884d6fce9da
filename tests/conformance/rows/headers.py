"""The headers an application gives: PEP 3333, "The start_response() Callable"; compat 4.4."""

import re

from ..ask import get
from ..expect import Expect, failed, logged
from ..table import row
from ..within import text

START = "PEP 3333, The start_response() Callable; compat 4.4"


def bad_headers(slug, sentence, headers, told):
    """A row for headers that are none: a 500 with the reason in the log, and none of it reaches the client."""

    @row(sentence, START, (get(), failed(told, note="WSGI0174")), slug=slug)
    def application(environ, start_response):
        start_response("200 OK", headers)
        return [b"leaked"]


bad_headers("headers-tuple", "headers in a tuple are refused", (("Content-Type", "text/plain"),), "TypeError")
bad_headers("headers-dict", "headers in a mapping are refused", {"Content-Type": "text/plain"}, "TypeError")
bad_headers("headers-none", "no headers at all are refused", None, "TypeError")
bad_headers("headers-list-item", "a header that is no tuple is refused", [["X-Leaked", "yes"]], "TypeError")
bad_headers("headers-triple", "a header of three parts is refused", [("X-Leaked", "yes", "no")], "ValueError")
bad_headers("headers-bytes-name", "a name of bytes is refused", [(b"X-Leaked", "yes")], "TypeError")
bad_headers("headers-bytes-value", "a value of bytes is refused", [("X-Leaked", b"yes")], "TypeError")
bad_headers("headers-int-value", "a value that is a number is refused", [("X-Leaked", 1)], "TypeError")
bad_headers("headers-empty-name", "an empty name is refused", [("", "yes")], "ValueError")
bad_headers("headers-space-name", "a name with a space is refused", [("X Leaked", "yes")], "ValueError")
bad_headers("headers-colon-name", "a name with a colon is refused", [("X-Leaked: no", "yes")], "ValueError")
bad_headers("headers-cr-name", "a name with CR is refused", [("X-A\rX-Leaked", "yes")], "ValueError")
bad_headers("headers-lf-name", "a name with LF is refused", [("X-A\nX-Leaked", "yes")], "ValueError")
bad_headers("headers-nul-name", "a name with NUL is refused", [("X-A\0", "yes")], "ValueError")
bad_headers("headers-cr-value", "a value with CR is refused", [("X-A", "a\rX-Leaked: yes")], "ValueError")
bad_headers("headers-lf-value", "a value with LF is refused", [("X-A", "a\nX-Leaked: yes")], "ValueError")
bad_headers(
    "headers-crlf-value", "a value with CR LF is refused", [("X-A", "a\r\nX-Leaked: yes")], "ValueError"
)
bad_headers("headers-nul-value", "a value with NUL is refused", [("X-A", "a\0b")], "ValueError")
bad_headers(
    "headers-not-latin", "a value beyond latin-1 is refused", [("X-A", "\u20ac")], "UnicodeEncodeError"
)
bad_headers("headers-not-latin-name", "a name beyond latin-1 is refused", [("X-\u20ac", "a")], "Error")
bad_headers(
    "headers-length-word",
    "a Content-Length that is no number is refused",
    [("Content-Length", "many")],
    "ValueError",
)
bad_headers(
    "headers-length-negative",
    "a negative Content-Length is refused",
    [("Content-Length", "-1")],
    "ValueError",
)


@row(
    "headers of the same name stay separate",
    "compat 10.10",
    (get(), Expect(headers={"X-Many": ["one", "two", "three"]})),
    valid=True,
)
def duplicates_separate(environ, start_response):
    return text(start_response, b"x", headers=[("X-Many", "one"), ("X-Many", "two"), ("X-Many", "three")])


@row(
    "Set-Cookie comes twice",
    "RFC 6265, 3",
    (get(), Expect(headers={"Set-Cookie": ["a=1; Path=/", "b=2, 3"]})),
    valid=True,
)
def cookies_twice(environ, start_response):
    return text(start_response, b"x", headers=[("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2, 3")])


@row(
    "WWW-Authenticate comes twice",
    "compat 4.4",
    (get(), Expect(401, headers={"WWW-Authenticate": ['Basic realm="a"', "Bearer"]}, body=b"who?")),
    valid=True,
)
def challenges_twice(environ, start_response):
    headers = [("WWW-Authenticate", 'Basic realm="a"'), ("WWW-Authenticate", "Bearer")]
    return text(start_response, b"who?", status="401 Unauthorized", headers=headers)


@row(
    "Link keeps what each line says",
    "compat 10.10",
    (get(), Expect(headers={"Link": ["<a>; rel=x", "<b>; rel=y"]})),
)
def links_twice(environ, start_response):
    return text(start_response, b"x", headers=[("Link", "<a>; rel=x"), ("Link", "<b>; rel=y")])


EVERY = "".join(chr(code) for code in range(0xA0, 0x100))


@row(
    "every printable character of latin-1 survives in a value",
    "PEP 3333, Unicode Issues",
    (get(), Expect(headers={"X-Latin": EVERY})),
)
def latin_value(environ, start_response):
    return text(start_response, b"x", headers=[("X-Latin", EVERY)])


@row("a tab inside of a value survives", "RFC 9110, 5.5", (get(), Expect(headers={"X-Tab": "a\tb"})))
def tab_value(environ, start_response):
    return text(start_response, b"x", headers=[("X-Tab", "a\tb")])


@row("an empty value is a header", "RFC 9110, 5.5", (get(), Expect(headers={"X-Empty": ""})))
def empty_value(environ, start_response):
    return text(start_response, b"x", headers=[("X-Empty", "")])


@row("a value of 20000 bytes arrives", "compat 9.4", (get(), Expect(headers={"X-Long": "v" * 20000})))
def long_value(environ, start_response):
    return text(start_response, b"x", headers=[("X-Long", "v" * 20000)])


@row("a response of 150 headers arrives", "compat 9.4", (get(), Expect(headers={"X-0": "0", "X-149": "149"})))
def many_headers(environ, start_response):
    return text(start_response, b"x", headers=[(f"X-{n}", str(n)) for n in range(150)])


# RFC 9110, 7.6.1 and PEP 3333, Other HTTP Features: not the application's to say.
HOP_BY_HOP = [
    ("Connection", "X-Secret"),
    ("Keep-Alive", "timeout=99"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authorization", "Basic eA=="),
    ("Proxy-Connection", "close"),
    ("TE", "trailers"),
    ("Trailer", "X-Sum"),
    ("Transfer-Encoding", "identity"),
    ("Upgrade", "websocket"),
]


def hop_by_hop(name, value):
    """A row for one of these: dropped, with a warning that names it; httpd's own header of the name stays."""

    def foreign(reply):
        return f"{name}: {value} reached the client" if value in reply.all(name) else None

    @row(
        f"the application's {name} does not reach the client",
        "PEP 3333, Other HTTP Features; RFC 9110, 7.6.1",
        (get(), Expect(200, body=b"x", log=logged(name, level="wsgi:warn"), also=foreign)),
        slug=f"hop-{name.lower()}",
    )
    def application(environ, start_response):
        return text(start_response, b"x", headers=[(name, value)])


for pair in HOP_BY_HOP:
    hop_by_hop(*pair)


@row(
    "the type in Content-Type is lower-cased, its parameters are left",
    "compat 4.4",
    (get(), Expect(headers={"Content-Type": "text/html; Charset=UTF-8"})),
)
def type_lowered(environ, start_response):
    start_response("200 OK", [("Content-Type", "TEXT/Html; Charset=UTF-8")])
    return [b"x"]


@row(
    "a response without Content-Type gets none",
    "PEP 3333, The start_response() Callable",
    (get(), Expect(absent=("Content-Type",), body=b"x")),
)
def type_missing(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]


DATE = "Tue, 01 Jan 2030 00:00:00 GMT"
GMT = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")


@row(
    "a Last-Modified of the past is kept",
    "compat 4.4",
    (get(), Expect(headers={"Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT"})),
)
def modified_past(environ, start_response):
    return text(start_response, b"x", headers=[("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")])


@row(
    "a Last-Modified in the future is brought back to the present",
    "RFC 9110, 8.8.2.1; compat 4.4",
    (
        get(),
        Expect(
            headers={"Last-Modified": GMT},
            also=lambda r: "in the future" if "2999" in str(r.all("Last-Modified")) else None,
        ),
    ),
)
def modified_future(environ, start_response):
    return text(start_response, b"x", headers=[("Last-Modified", "Tue, 01 Jan 2999 00:00:00 GMT")])


@row("there is one Date, whoever sets it", "RFC 9110, 6.6.1", (get(), Expect(headers={"Date": GMT})))
def date_set(environ, start_response):
    return text(start_response, b"x", headers=[("Date", DATE)])


@row(
    "there is one Server, which is httpd's",
    "RFC 9110, 10.2.4",
    (get(), Expect(headers={"Server": re.compile("Apache/2.*")})),
)
def server_set(environ, start_response):
    return text(start_response, b"x", headers=[("Server", "elsewhere")])
