"""Responses that httpd acts upon: Location, error documents, HEAD. Compat 1.2 and 4.4."""

from ..ask import get, head, post
from ..expect import Expect
from ..table import row
from ..within import report, text
from .environ import AUTH

LOCAL = "RFC 3875, 6.2.2; compat 4.4"
CREDENTIALS = ("Authorization", "Basic dXNlcjpzZWNyZXQ=")


def qualified(setting):
    """The first request's address."""
    return f"{'https' if setting.encrypted else 'http'}://localhost:8123/row/qualified-redirect"


@row("what others lead to", LOCAL, (get(), Expect(json=["GET", None, ""])))
def landing(environ, start_response):
    seen = [environ["REQUEST_METHOD"], environ.get("REDIRECT_URL"), environ["QUERY_STRING"]]
    return report(start_response, seen)


LANDED = Expect(200, json=["GET", "/row/local-redirect", "x=1"], absent=("Location", "X-Before"))


@row("a 200 with a local Location is answered by what is there", LOCAL, (get(), LANDED))
def local_redirect(environ, start_response):
    return text(start_response, b"not this", headers=[("Location", "/row/landing?x=1"), ("X-Before", "yes")])


@row(
    "after a POST that is a GET",
    LOCAL,
    (post(b"body"), Expect(200, json=["GET", "/row/local-redirect-post", ""])),
)
def local_redirect_post(environ, start_response):
    environ["wsgi.input"].read()
    return text(start_response, headers=[("Location", "/row/landing")])


@row("what others lead to, and by whom", "compat 4.1", (get(), Expect(json=[None, None])))
def landing_of_user(environ, start_response):
    query = environ.get("REDIRECT_QUERY_STRING") or None
    return report(start_response, [environ.get("REDIRECT_REMOTE_USER"), query])


@row(
    "where it leads, the first request's user and query are REDIRECT_ variables",
    "compat 4.1",
    (get("", CREDENTIALS, query="a=b"), Expect(200, json=["user", "a=b"])),
    config=AUTH,
)
def local_redirect_of_user(environ, start_response):
    return text(start_response, headers=[("Location", "/row/landing-of-user")])


@row(
    "where it leads, a user that is known there is REMOTE_USER alone",
    "compat 4.1",
    (get("", CREDENTIALS), Expect(200, json=["user", None])),
    config=AUTH,
)
def landing_with_user(environ, start_response):
    return report(start_response, [environ.get("REMOTE_USER"), environ.get("REDIRECT_REMOTE_USER")])


@row(
    "a redirect through several requests finds the user of the last that had one",
    "compat 4.1",
    (get("", CREDENTIALS), Expect(200, json=["user", None])),
    config=AUTH,
)
def local_redirect_twice(environ, start_response):
    return text(start_response, headers=[("Location", "/row/local-redirect-between")])


@row("on the way", "compat 4.1", (get(), Expect(200, json=[None, None])))
def local_redirect_between(environ, start_response):
    return text(start_response, headers=[("Location", "/row/landing-of-user")])


@row(
    "QualifyRedirectURL makes REDIRECT_URL a whole one",
    "compat 4.1",
    (get("", ("Host", "localhost:8123")), Expect(200, json=qualified)),
)
def qualified_redirect(environ, start_response):
    return text(start_response, headers=[("Location", "/row/landing-qualified")])


@row(
    "what others lead to, with QualifyRedirectURL",
    "compat 4.1",
    (get(), Expect(json=None)),
    config="QualifyRedirectURL On",
)
def landing_qualified(environ, start_response):
    return report(start_response, environ.get("REDIRECT_URL"))


@row(
    "CGIVar makes REQUEST_URI the present one",
    "compat 4.1",
    (get(query="x"), Expect(200, json="/row/landing-uri")),
)
def redirect_uri(environ, start_response):
    return text(start_response, headers=[("Location", "/row/landing-uri?y")])


@row(
    "what others lead to, with CGIVar",
    "compat 4.1",
    (get(query="x"), Expect(json="/row/landing-uri")),
    config="CGIVar REQUEST_URI current-uri",
)
def landing_uri(environ, start_response):
    return report(start_response, environ["REQUEST_URI"])


@row(
    "a body that is not read does not get in the way",
    LOCAL,
    (post(b"x" * 50_000), Expect(200, json=["GET", "/row/local-redirect-unread", ""])),
    (get(), Expect(200, json=["GET", "/row/local-redirect-unread", ""])),
)
def local_redirect_unread(environ, start_response):
    return text(start_response, headers=[("Location", "/row/landing")])


@row(
    "a 200 with an absolute Location goes out as it is",
    "compat 4.4",
    (get(), Expect(200, headers={"Location": "http://other.example/x"}, body=b"here")),
)
def absolute_redirect(environ, start_response):
    return text(start_response, b"here", headers=[("Location", "http://other.example/x")])


@row(
    "a 302 with a relative Location goes out as it is",
    "RFC 9110, 10.2.2",
    (get(), Expect(302, reason="Found", headers={"Location": "../there?x"}, body=b"moved")),
)
def relative_redirect(environ, start_response):
    return text(start_response, b"moved", status="302 Found", headers=[("Location", "../there?x")])


@row(
    "a 302 with a path as Location goes out as it is",
    "RFC 9110, 10.2.2",
    (get(), Expect(302, headers={"Location": "/there"}, body=b"moved")),
)
def path_redirect(environ, start_response):
    return text(start_response, b"moved", status="302 Found", headers=[("Location", "/there")])


@row(
    "a 201 with a Location goes out as it is",
    "RFC 9110, 10.2.2",
    (get(), Expect(201, headers={"Location": "/row/landing"}, body=b"made")),
)
def created(environ, start_response):
    return text(start_response, b"made", status="201 Created", headers=[("Location", "/row/landing")])


# --- WSGIErrorOverride -----------------------------------------------------------------------------

OVERRIDE = "compat 1.2"
CONFLICT = b"Apache speaks of a conflict."


@row(
    "without WSGIErrorOverride an error's body is the application's",
    OVERRIDE,
    (get(), Expect(409, body=b"mine")),
)
def override_off(environ, start_response):
    return text(start_response, b"mine", status="409 Conflict")


@row(
    "with it the body is the ErrorDocument",
    OVERRIDE,
    (get(), Expect(409, body=CONFLICT)),
    (get(), Expect(409, body=CONFLICT)),
    config="WSGIErrorOverride On",
)
def override_on(environ, start_response):
    return text(start_response, b"mine", status="409 Conflict", headers=[("Content-Length", "4")])


@row(
    "below 400 nothing is overridden",
    OVERRIDE,
    (get(), Expect(302, body=b"mine")),
    config="WSGIErrorOverride On",
)
def override_below(environ, start_response):
    return text(start_response, b"mine", status="302 Found", headers=[("Location", "http://x.example/")])


@row(
    "a challenge survives the error document",
    "compat 4.4",
    (
        get(),
        Expect(
            401,
            headers={"WWW-Authenticate": ["Basic", "Bearer"]},
            also=lambda r: "the application's body" if r.body == b"mine" else None,
        ),
    ),
    config="WSGIErrorOverride On",
)
def override_challenge(environ, start_response):
    headers = [("WWW-Authenticate", "Basic"), ("WWW-Authenticate", "Bearer")]
    return text(start_response, b"mine", status="401 Unauthorized", headers=headers)


# --- WSGIMapHEADToGET ------------------------------------------------------------------------------


def mapped(slug, sentence, config, method):
    """A row for what HEAD is to the application."""

    @row(
        sentence,
        "compat 1.2",
        (head(), Expect(200, headers={"X-Method": method}, body=b"")),
        (get(), Expect(200, headers={"X-Method": "GET"})),
        slug=f"head-map-{slug}",
        config=config,
    )
    def application(environ, start_response):
        return text(start_response, b"body", headers=[("X-Method", environ["REQUEST_METHOD"])])


mapped("on", "WSGIMapHEADToGET On makes HEAD a GET", "WSGIMapHEADToGET On", "GET")
mapped("off", "Off leaves it HEAD", "WSGIMapHEADToGET Off", "HEAD")
mapped("auto", "Auto leaves it HEAD where no filter looks at the content", "WSGIMapHEADToGET Auto", "HEAD")
mapped(
    "auto-filter", "Auto makes it GET where one does", "WSGIMapHEADToGET Auto\nSetOutputFilter DEFLATE", "GET"
)
mapped("unset-filter", "Auto is the default", "SetOutputFilter DEFLATE", "GET")


@row(
    "an output filter compresses what an application says",
    "compat 4.4",
    (get("", ("Accept-Encoding", "gzip")), Expect(200, headers={"Content-Encoding": "gzip"})),
    (get(), Expect(200, body=b"x" * 5000, absent=("Content-Encoding",))),
    config="SetOutputFilter DEFLATE",
)
def deflated(environ, start_response):
    return text(start_response, b"x" * 5000)


@row(
    "AddOutputFilterByType knows the application's type",
    "compat 4.4",
    (get("", ("Accept-Encoding", "gzip")), Expect(200, headers={"Content-Encoding": "gzip"})),
    config="AddOutputFilterByType DEFLATE text/plain",
)
def deflated_by_type(environ, start_response):
    return text(start_response, b"x" * 5000)
