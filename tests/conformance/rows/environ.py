"""The environ: PEP 3333, "environ Variables"; compat 4.1, 4.2 and 4.5."""

import os
import re
import sys

from ..ask import Ask, get, post
from ..expect import Expect
from ..protocols import CHUNKED, ENCRYPTED, FRAMED, HTTP_1_0, TEXTUAL
from ..table import row
from ..within import report

CGI = "PEP 3333, environ Variables; compat 4.1"
KEYS = "compat 4.2"
HYGIENE = "compat 4.5"


def seen(*names):
    """An application that reports these keys, None for one that is missing."""

    def application(environ, start_response):
        return report(start_response, {name: environ.get(name) for name in names})

    return application


def shows(slug, sentence, ask, expected, clause=CGI, **more):
    """A row for what the environ has for a request."""
    row(sentence, clause, (ask, Expect(json=expected)), slug=slug, **more)(seen(*expected))


def protocol(setting):
    """SERVER_PROTOCOL."""
    return (
        "HTTP/2.0"
        if setting.protocol in FRAMED
        else "HTTP/1.0" if setting.protocol == HTTP_1_0 else "HTTP/1.1"
    )


def port(setting):
    """The listener's."""
    return str(setting.own_port)


def scheme(setting):
    """Of the connection."""
    return "https" if setting.encrypted else "http"


def under(path):
    """A path of the place."""
    return lambda setting: f"{setting.root}/{path}"


# --- The request line ------------------------------------------------------------------------------

for name in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"):
    shows(f"method-{name.lower()}", f"REQUEST_METHOD is {name}", Ask(name), {"REQUEST_METHOD": name})
shows("protocol", "SERVER_PROTOCOL is the client's", get(), {"SERVER_PROTOCOL": protocol})
shows("path-none", "PATH_INFO follows SCRIPT_NAME", get(), {"SCRIPT_NAME": "/row", "PATH_INFO": "/path-none"})
shows(
    "path-slash", "a slash at the end stays", get("/"), {"SCRIPT_NAME": "/row", "PATH_INFO": "/path-slash/"}
)
shows("path-deep", "so does what follows", get("/a/b.html"), {"PATH_INFO": "/path-deep/a/b.html"})
shows(
    "path-slashes",
    "runs of slashes are one",
    get("//a///b//"),
    {"PATH_INFO": "/path-slashes/a/b/", "REQUEST_URI": "/row/path-slashes//a///b//"},
    clause="compat 3",
)
shows(
    "path-slashes-in-front",
    "also before the script's name",
    get(target="//row//path-slashes-in-front"),
    {
        "SCRIPT_NAME": "/row",
        "PATH_INFO": "/path-slashes-in-front",
        "REQUEST_URI": "//row//path-slashes-in-front",
    },
    clause="compat 3",
)
shows(
    "path-decoded",
    "PATH_INFO is decoded, REQUEST_URI is not",
    get("/a%20b/caf%C3%A9%3F%25"),
    {
        "PATH_INFO": "/path-decoded/a b/caf\xc3\xa9?%",
        "REQUEST_URI": "/row/path-decoded/a%20b/caf%C3%A9%3F%25",
    },
)
shows(
    "path-encoded-slash",
    "an encoded slash is left where AllowEncodedSlashes says so",
    get("/a%2Fb"),
    {"PATH_INFO": "/path-encoded-slash/a%2Fb"},
    clause="compat 3",
)
shows(
    "path-dots",
    "dot segments are resolved",
    get("/a/../b/./c"),
    {"PATH_INFO": "/path-dots/b/c"},
    clause="RFC 3986, 5.2.4",
)
HIGH = "".join(f"%{code:02X}" for code in range(0x80, 0x100))
shows(
    "path-high-bytes",
    "every high byte of a path arrives as latin-1",
    get("/" + HIGH),
    {"PATH_INFO": "/path-high-bytes/" + "".join(map(chr, range(0x80, 0x100)))},
    clause="PEP 3333, Unicode Issues",
)
shows(
    "path-low-bytes",
    "so do control characters",
    get("/%01%07%0A%0D%1F%7F"),
    {"PATH_INFO": "/path-low-bytes/\x01\x07\n\r\x1f\x7f"},
    clause="PEP 3333, Unicode Issues",
)
shows("query", "QUERY_STRING is raw", get(query="a=b%20c&d=+?/&&"), {"QUERY_STRING": "a=b%20c&d=+?/&&"})
shows("query-none", "QUERY_STRING is there without a query", get(), {"QUERY_STRING": ""})
shows(
    "query-empty",
    "and with an empty one",
    get(query=""),
    {"QUERY_STRING": "", "REQUEST_URI": "/row/query-empty?"},
)
shows(
    "query-high-bytes",
    "raw high bytes of a query arrive as latin-1",
    get(query="q=\xe9\xff"),
    {"QUERY_STRING": "q=\xe9\xff"},
    protocols=TEXTUAL,
)
shows(
    "target-absolute",
    "an absolute target is taken apart",
    get(target="http://localhost/row/target-absolute?x"),
    {
        "PATH_INFO": "/target-absolute",
        "QUERY_STRING": "x",
        "REQUEST_URI": "http://localhost/row/target-absolute?x",
    },
    protocols=TEXTUAL,
)

# --- The body's headers ----------------------------------------------------------------------------

shows(
    "content",
    "CONTENT_TYPE and CONTENT_LENGTH are the body's",
    post(b"hello", ("Content-Type", "text/x; a=b")),
    {
        "CONTENT_TYPE": "text/x; a=b",
        "CONTENT_LENGTH": "5",
        "HTTP_CONTENT_TYPE": None,
        "HTTP_CONTENT_LENGTH": None,
    },
)
shows(
    "content-none", "without a body there is neither", get(), {"CONTENT_TYPE": None, "CONTENT_LENGTH": None}
)
shows("content-zero", "an empty body has the length 0", post(b""), {"CONTENT_LENGTH": "0"})
shows(
    "content-unannounced",
    "a body of unannounced length has no CONTENT_LENGTH",
    post(b"hello", announced=False),
    {"CONTENT_LENGTH": None},
    config="WSGIChunkedRequest On",
)

# --- Server and client -----------------------------------------------------------------------------

shows(
    "server",
    "the server describes itself",
    get("", ("Host", "localhost")),
    {
        "SERVER_NAME": "localhost",
        "SERVER_ADDR": "127.0.0.1",
        "SERVER_PORT": port,
        "SERVER_ADMIN": "admin@localhost",
        "SERVER_SOFTWARE": re.compile(r"Apache/2\.4\..*"),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": re.compile(r"\d+"),
        "DOCUMENT_ROOT": under("htdocs"),
        "CONTEXT_DOCUMENT_ROOT": under("htdocs"),
        "CONTEXT_PREFIX": "",
        "REQUEST_SCHEME": scheme,
        "SCRIPT_FILENAME": under("site/conformance/script.wsgi"),
    },
)
shows(
    "host-port",
    "SERVER_PORT is the client's idea of it only as far as Apache says",
    get("", ("Host", "localhost:8123")),
    {"HTTP_HOST": "localhost:8123", "SERVER_PORT": "8123"},
)
shows(
    "https",
    "HTTPS is gone; wsgi.url_scheme tells it",
    get(),
    {"HTTPS": None, "wsgi.url_scheme": scheme},
    clause=KEYS,
)
shows(
    "https-set",
    "HTTPS=1 in the environment makes the scheme https",
    get(),
    {"HTTPS": None, "wsgi.url_scheme": "https"},
    clause=KEYS,
    config="SetEnv HTTPS 1",
)
shows(
    "https-on",
    "so does HTTPS=On",
    get(),
    {"HTTPS": None, "wsgi.url_scheme": "https"},
    clause=KEYS,
    config="SetEnv HTTPS On",
)
shows(
    "cgi-dropped",
    "variables that mod_wsgi 6 dropped are not there",
    get(),
    dict.fromkeys(
        [
            "PATH_TRANSLATED",
            "GATEWAY_INTERFACE",
            "SERVER_SIGNATURE",
            "REMOTE_HOST",
            "REMOTE_IDENT",
            "PATH",
            "LD_LIBRARY_PATH",
        ]
    ),
)
shows("no-user", "without authentication there is no user", get(), {"REMOTE_USER": None, "AUTH_TYPE": None})
AUTH = "AuthType Basic\nAuthName site\nAuthUserFile @SITE@/conformance/users.htpasswd\nRequire valid-user"
shows(
    "user",
    "with it there are REMOTE_USER and AUTH_TYPE, and still no header",
    get("", ("Authorization", "Basic dXNlcjpzZWNyZXQ=")),
    {"REMOTE_USER": "user", "AUTH_TYPE": "Basic", "HTTP_AUTHORIZATION": None},
    config=AUTH,
)

# --- Header fields ---------------------------------------------------------------------------------

shows(
    "header",
    "a header is HTTP_ and its name",
    get("", ("X-Some-Thing", "value, with; signs")),
    {"HTTP_X_SOME_THING": "value, with; signs"},
)
shows(
    "header-twice",
    "one that comes twice is joined",
    get("", ("X-Twice", "one"), ("X-Twice", "two")),
    {"HTTP_X_TWICE": "one, two"},
)
shows("header-empty", "an empty one is there", get("", ("X-Empty", "")), {"HTTP_X_EMPTY": ""})
shows(
    "header-cookies",
    "one cookie line stays as it is",
    get("", ("Cookie", "a=1; b=2")),
    {"HTTP_COOKIE": "a=1; b=2"},
)
ALL_HIGH = "".join(map(chr, range(0xA0, 0x100)))
shows(
    "header-high-bytes",
    "high bytes of a value arrive as latin-1",
    get("", ("X-High", ALL_HIGH)),
    {"HTTP_X_HIGH": ALL_HIGH},
    clause="PEP 3333, Unicode Issues",
)
shows(
    "header-long",
    "a value of 7000 bytes arrives",
    get("", ("X-Long", "v" * 7000)),
    {"HTTP_X_LONG": "v" * 7000},
)
shows(
    "header-underscore",
    "X_Foo does not pass for X-Foo",
    get("", ("X_Foo", "spoofed"), ("X-Bar", "1")),
    {"HTTP_X_FOO": None, "HTTP_X_BAR": "1"},
    clause=HYGIENE,
)
shows(
    "header-underscore-both",
    "nor does it add to it",
    get("", ("X_Foo", "spoofed"), ("X-Foo", "real")),
    {"HTTP_X_FOO": "real"},
    clause=HYGIENE,
)
shows(
    "header-signs",
    "names with other signs are dropped",
    get("", ("X.Dot", "1"), ("X!Bang", "1"), ("X~T", "1")),
    {
        "HTTP_X_DOT": None,
        "HTTP_X.DOT": None,
        "HTTP_X!BANG": None,
        "HTTP_X_BANG": None,
        "HTTP_X~T": None,
        "HTTP_X_T": None,
    },
    clause=HYGIENE,
)
shows(
    "header-proxy",
    "Proxy is never handed on",
    get("", ("Proxy", "http://evil.example")),
    {"HTTP_PROXY": None},
    clause=HYGIENE,
)
BASIC = ("Authorization", "Basic dXNlcjpzZWNyZXQ=")
PROXY = ("Proxy-Authorization", "Basic eA==")
shows(
    "authorization",
    "Authorization and Proxy-Authorization are withheld",
    get("", BASIC, PROXY),
    {"HTTP_AUTHORIZATION": None, "HTTP_PROXY_AUTHORIZATION": None},
    clause=HYGIENE,
)
shows(
    "authorization-passed",
    "WSGIPassAuthorization hands on Authorization alone",
    get("", BASIC, PROXY),
    {"HTTP_AUTHORIZATION": BASIC[1], "HTTP_PROXY_AUTHORIZATION": None},
    clause="compat 1.2",
    config="WSGIPassAuthorization On",
)
shows(
    "authorization-cgi",
    "so does CGIPassAuth",
    get("", BASIC),
    {"HTTP_AUTHORIZATION": BASIC[1]},
    clause="compat 1.2",
    config="CGIPassAuth On",
)

# --- Types and owners ------------------------------------------------------------------------------


@row(
    "every CGI variable is a str of latin-1 characters",
    "PEP 3333, environ Variables",
    (get(), Expect(json=["dict", []])),
)
def all_strings(environ, start_response):
    ours = ("wsgi.", "apache.", "mod_wsgi.")
    strange = [
        name for name, value in environ.items() if not name.startswith(ours) and type(value) is not str
    ]
    strange += [
        name
        for name, value in environ.items()
        if type(value) is str and max(map(ord, value), default=0) > 255
    ]
    return report(start_response, [type(environ).__name__, strange])


@row(
    "what PEP 3333 wants is there",
    "PEP 3333, environ Variables; compat 4.2",
    (get(), Expect(json=[[1, 0], True, False, False, True, True])),
    valid=True,
)
def wsgi_keys(environ, start_response):
    names = ("version", "multithread", "multiprocess", "run_once", "input_terminated")
    seen_keys = [environ[f"wsgi.{name}"] for name in names]
    return report(start_response, [*seen_keys, callable(environ["wsgi.file_wrapper"])])


@row(
    "processes= and threads=1 show in wsgi.multiprocess and wsgi.multithread",
    "compat 2",
    (get(), Expect(json=[False, True])),
    group="single",
)
def multi(environ, start_response):
    return report(start_response, [environ["wsgi.multithread"], environ["wsgi.multiprocess"]])


TYPES = {
    "mod_wsgi.version": "tuple",
    "apache.version": "tuple",
    "mod_wsgi.process_group": "str",
    "mod_wsgi.application_group": "str",
    "mod_wsgi.callable_object": "str",
    "mod_wsgi.request_handler": "str",
    "mod_wsgi.handler_script": "str",
    "mod_wsgi.script_name": "str",
    "mod_wsgi.path_info": "str",
    "mod_wsgi.listener_host": "str",
    "mod_wsgi.listener_port": "str",
    "mod_wsgi.server_pid": "str",
    "mod_wsgi.request_id": "str",
    "mod_wsgi.thread_id": "int",
    "mod_wsgi.request_start": "float",
    "mod_wsgi.queue_start": "float",
    "mod_wsgi.daemon_start": "float",
    "mod_wsgi.application_start": "float",
}


@row("the keys of mod_wsgi have their types", KEYS, (get(), Expect(json=TYPES)))
def own_types(environ, start_response):
    return report(start_response, {name: type(environ.get(name)).__name__ for name in TYPES})


shows(
    "own-values",
    "and their values",
    get("/x"),
    {
        "mod_wsgi.process_group": "site",
        "mod_wsgi.application_group": "",
        "mod_wsgi.callable_object": "application",
        "mod_wsgi.request_handler": "wsgi-script",
        "mod_wsgi.handler_script": "",
        "mod_wsgi.script_name": "/row",
        "mod_wsgi.path_info": "/own-values/x",
        "mod_wsgi.listener_host": "127.0.0.1",
        "mod_wsgi.listener_port": port,
    },
    clause=KEYS,
)


IDS = []


@row(
    "each request has an id of its own, and those of one connection have one in common",
    KEYS,
    (get(), Expect()),
    (get(), Expect(json=[True, True])),
    # httpd gives each stream of HTTP/2 a connection of its own.
    protocols=CHUNKED,
    group="single",
)
def request_ids(environ, start_response):
    IDS.append([environ["mod_wsgi.request_id"], environ["mod_wsgi.connection_id"]])
    (request, connection), (before, its_connection) = IDS[-1], IDS[-2] if IDS[1:] else (None, None)
    return report(start_response, [request != before, connection == its_connection])


@row("threads are counted from 1", KEYS, (get(), Expect(json=True)))
def thread_id(environ, start_response):
    return report(start_response, 1 <= environ["mod_wsgi.thread_id"] <= 5)


@row(
    "SSLOptions +StdEnvVars tells of the encryption",
    "compat 4.1",
    (get(), Expect(json=["localhost", True, "https"])),
    config="SSLOptions +StdEnvVars",
    protocols=ENCRYPTED,
)
def tls_variables(environ, start_response):
    known = environ["SSL_PROTOCOL"].startswith("TLSv1.")
    return report(start_response, [environ["SSL_SERVER_S_DN_CN"], known, environ["wsgi.url_scheme"]])


@row("request, queue, daemon and application start in this order", KEYS, (get(), Expect(json=True)))
def times_in_order(environ, start_response):
    times = [environ[f"mod_wsgi.{name}_start"] for name in ("request", "queue", "daemon", "application")]
    return report(start_response, times == sorted(times) and times[0] > 1.7e9)


@row("no private key of the module's is visible", KEYS, (get(), Expect(json=[])))
def private_keys(environ, start_response):
    return report(start_response, [name for name in environ if name.startswith(("mod_wsgi.x-", "wsgid."))])


@row(
    "SetEnv reaches environ and never os.environ",
    "compat 4.1",
    (get(), Expect(json=["seen", None])),
    config="SetEnv CONFORMANCE_SET seen",
)
def set_env(environ, start_response):
    return report(start_response, [environ.get("CONFORMANCE_SET"), os.environ.get("CONFORMANCE_SET")])


@row("os.environ never reaches environ", "compat 4.1", (get(), Expect(json=[])))
def os_environ(environ, start_response):
    os.environ["CONFORMANCE_OS"] = "leaked"
    return report(start_response, sorted(set(os.environ) & set(environ)))


@row(
    "what one request puts into its environ is not seen by the next",
    "PEP 3333, environ Variables",
    (get(), Expect(json=[None, None])),
    (get(), Expect(json=[None, None])),
)
def environ_kept(environ, start_response):
    before = [environ.get("mine"), environ.get("HTTP_X_MINE")]
    environ["mine"] = environ["HTTP_X_MINE"] = "put"
    return report(start_response, before)


@row(
    "SetEnvIf sees what the request brought",
    "compat 4.1",
    (get("", ("X-Kind", "red")), Expect(json="red")),
    (get(), Expect(json=None)),
    config='SetEnvIf X-Kind "(.+)" kind=$1',
)
def set_env_if(environ, start_response):
    return report(start_response, environ.get("kind"))


@row(
    "SetEnv can't forge what the server says",
    "compat 4.1",
    (get(), Expect(json=["GET", "Input"])),
    config="SetEnv wsgi.input forged\nSetEnv REQUEST_METHOD forged",
)
def forged(environ, start_response):
    return report(start_response, [environ["REQUEST_METHOD"], type(environ["wsgi.input"]).__name__])


@row(
    "WSGI tests like this one run under __name__ == _mod_wsgi_ and a hash",
    "compat 3",
    (get(), Expect(json=re.compile("_mod_wsgi_[0-9a-f]{32}"))),
)
def module_name(environ, start_response):
    names = [
        name
        for name, module in sys.modules.items()
        if getattr(module, "__file__", "") and str(module.__file__).endswith("conformance/script.wsgi")
    ]
    return report(start_response, names[0])


@row("sys.argv is what mod_wsgi makes it", "compat 4.6", (get(), Expect(json=["mod_wsgi"])))
def argv(environ, start_response):
    return report(start_response, sys.argv)


@row(
    "sys.stdout and sys.stderr are no terminals and have no descriptor",
    "compat 4.6",
    (get(), Expect(json=[False, False, True, True])),
)
def streams(environ, start_response):
    return report(
        start_response,
        [sys.stdout.isatty(), sys.stderr.isatty(), *map(lacks_number, (sys.stdout, sys.stderr))],
    )


def lacks_number(stream):
    """Does fileno() raise OSError (or what derives from it)?"""
    try:
        stream.fileno()
    except OSError:
        return True
    return False
