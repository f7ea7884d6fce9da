"""WSGITrustedProxyHeaders and WSGITrustedProxies: compat 4.5."""

from ..ask import get
from ..expect import Expect
from ..table import row
from .environ import scheme, seen

CLAUSE = "compat 4.5"


def trusting(slug, sentence, listed, headers, expected, proxies=""):
    """A row whose location trusts these headers, from these proxies if any are named."""
    config = f"WSGITrustedProxyHeaders {listed}" + (f"\nWSGITrustedProxies {proxies}" if proxies else "")
    row(sentence, CLAUSE, (get("", *headers), Expect(json=expected)), slug=f"proxy-{slug}", config=config)(
        seen(*expected)
    )


def variable(header):
    """Its name in the environ."""
    return "HTTP_" + header.upper().replace("-", "_")


# --- Each header of each category ------------------------------------------------------------------

for header in ("X-Forwarded-For", "X-Client-IP", "X-Real-IP"):
    trusting(
        f"client-{header.lower()}",
        f"{header} becomes REMOTE_ADDR",
        header,
        [(header, "192.0.2.7")],
        {"REMOTE_ADDR": "192.0.2.7", variable(header): "192.0.2.7"},
    )
for header in ("X-Forwarded-Host", "X-Host"):
    trusting(
        f"host-{header.lower()}",
        f"{header} becomes HTTP_HOST",
        header,
        [(header, "outer.example:81")],
        {"HTTP_HOST": "outer.example:81"},
    )
trusting(
    "server",
    "X-Forwarded-Server becomes SERVER_NAME",
    "X-Forwarded-Server",
    [("X-Forwarded-Server", "outer.example")],
    {"SERVER_NAME": "outer.example"},
)
trusting(
    "port",
    "X-Forwarded-Port becomes SERVER_PORT",
    "X-Forwarded-Port",
    [("X-Forwarded-Port", "8443")],
    {"SERVER_PORT": "8443"},
)
for header in ("X-Script-Name", "X-Forwarded-Script-Name"):
    slug = f"script-{header.lower()}"
    trusting(
        slug,
        f"{header} becomes SCRIPT_NAME",
        header,
        [(header, "/outer")],
        {
            "SCRIPT_NAME": "/outer",
            "mod_wsgi.mount_point": "/outer",
            "mod_wsgi.script_name": "/row",
            "PATH_INFO": f"/proxy-{slug}",
            "mod_wsgi.path_info": f"/proxy-{slug}",
        },
    )
for header in ("X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Scheme"):
    for value in ("https", "http"):
        trusting(
            f"{header.lower()}-{value}",
            f"{header}: {value} becomes wsgi.url_scheme",
            header,
            [(header, value)],
            {"wsgi.url_scheme": value},
        )
for header in ("X-Forwarded-HTTPS", "X-Forwarded-SSL", "X-HTTPS"):
    for value, meant in (
        ("On", "https"),
        ("true", "https"),
        ("1", "https"),
        ("Off", "http"),
        ("false", "http"),
        ("0", "http"),
    ):
        trusting(
            f"{header.lower()}-{value.lower()}",
            f"{header}: {value} makes the scheme {meant}",
            header,
            [(header, value)],
            {"wsgi.url_scheme": meant},
        )

# --- Rules -----------------------------------------------------------------------------------------

trusting(
    "absent",
    "a listed header that does not come changes nothing",
    "X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto",
    [("Host", "localhost")],
    {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "wsgi.url_scheme": scheme},
)
trusting(
    "odd-scheme",
    "a scheme that is none changes nothing",
    "X-Forwarded-Proto",
    [("X-Forwarded-Proto", "gopher")],
    {"wsgi.url_scheme": scheme},
)
trusting(
    "synonyms",
    "other headers of a listed category are deleted",
    "X-Forwarded-For",
    [("X-Forwarded-For", "192.0.2.7"), ("X-Client-IP", "192.0.2.8"), ("X-Real-IP", "192.0.2.9")],
    {
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_X_FORWARDED_FOR": "192.0.2.7",
        "HTTP_X_CLIENT_IP": None,
        "HTTP_X_REAL_IP": None,
    },
)
trusting(
    "synonyms-scheme",
    "also those of the scheme",
    "X-Forwarded-Proto",
    [("X-Forwarded-Proto", "https"), ("X-HTTPS", "Off"), ("X-Scheme", "http")],
    {
        "wsgi.url_scheme": "https",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_HTTPS": None,
        "HTTP_X_SCHEME": None,
    },
)
trusting(
    "unlisted",
    "a category of which none is listed passes through raw",
    "X-Forwarded-For",
    [("X-Forwarded-Host", "raw.example"), ("X-Host", "raw.example"), ("Host", "localhost")],
    {"HTTP_HOST": "localhost", "HTTP_X_FORWARDED_HOST": "raw.example", "HTTP_X_HOST": "raw.example"},
)
trusting(
    "untrusted",
    "from a peer that is not trusted, the whole category is deleted",
    "X-Forwarded-For X-Forwarded-Host",
    [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Client-IP", "192.0.2.8"),
        ("X-Forwarded-Host", "a.example"),
        ("Host", "localhost"),
    ],
    {
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": None,
        "HTTP_X_CLIENT_IP": None,
        "HTTP_HOST": "localhost",
        "HTTP_X_FORWARDED_HOST": None,
    },
    proxies="192.0.2.1",
)
trusting(
    "untrusted-unlisted",
    "and another category still passes through",
    "X-Forwarded-For",
    [("X-Forwarded-Port", "1")],
    {"HTTP_X_FORWARDED_PORT": "1"},
    proxies="192.0.2.1",
)
trusting(
    "trusted-peer",
    "from a trusted peer, headers of every category count",
    "X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto",
    [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "a.example"), ("X-Forwarded-Proto", "https")],
    {"REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "a.example", "wsgi.url_scheme": "https"},
    proxies="127.0.0.1",
)
trusting(
    "network",
    "a network may be trusted",
    "X-Forwarded-Host",
    [("X-Forwarded-Host", "a.example")],
    {"HTTP_HOST": "a.example"},
    proxies="127.0.0.0/8",
)
trusting(
    "accumulate",
    "lists add up",
    "X-Forwarded-For\nWSGITrustedProxyHeaders X-Forwarded-Host",
    [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "a.example")],
    {"REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "a.example"},
)


def forwarded(slug, sentence, chain, address, left, proxies=""):
    """A row for X-Forwarded-For: who the client is, and what is left of the header."""
    trusting(
        f"for-{slug}",
        sentence,
        "X-Forwarded-For",
        [("X-Forwarded-For", chain)],
        {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": left},
        proxies,
    )


ALL = "127.0.0.1 10.0.0.0/8"
forwarded(
    "first",
    "without WSGITrustedProxies the first entry is the client, and the header is left",
    "192.0.2.7, 10.0.0.1",
    "192.0.2.7",
    "192.0.2.7, 10.0.0.1",
)
forwarded(
    "first-empty",
    "the first that is not empty",
    " , ,192.0.2.7, 10.0.0.1",
    "192.0.2.7",
    ", ,192.0.2.7, 10.0.0.1",
)
forwarded(
    "walk",
    "with it, the entry left of the leftmost trusted one is the client",
    "198.51.100.1, 192.0.2.7, 10.0.0.2, 10.0.0.1",
    "192.0.2.7",
    "192.0.2.7, 10.0.0.2, 10.0.0.1",
    ALL,
)
forwarded(
    "walk-none", "the rightmost if none is trusted", "198.51.100.1, 192.0.2.7", "192.0.2.7", "192.0.2.7", ALL
)
forwarded(
    "walk-all",
    "the leftmost if all are",
    "10.0.0.3, 10.0.0.2, 10.0.0.1",
    "10.0.0.3",
    "10.0.0.3, 10.0.0.2, 10.0.0.1",
    ALL,
)
forwarded("walk-single", "a single entry is the client", "192.0.2.7", "192.0.2.7", "192.0.2.7", ALL)
forwarded(
    "walk-empty",
    "empty members are passed over",
    "198.51.100.1, 192.0.2.7, , 10.0.0.1,",
    "192.0.2.7",
    "192.0.2.7, 10.0.0.1",
    ALL,
)
forwarded(
    "walk-word",
    "an entry that is no address stops the walk",
    "192.0.2.7, unknown, 10.0.0.1",
    "unknown",
    "unknown, 10.0.0.1",
    ALL,
)
forwarded(
    "walk-gap",
    "trust beyond an untrusted entry does not count",
    "10.0.0.9, 192.0.2.7, 10.0.0.1",
    "192.0.2.7",
    "192.0.2.7, 10.0.0.1",
    ALL,
)
forwarded(
    "walk-ipv6",
    "IPv6 addresses are entries too",
    "2001:db8::7, 10.0.0.1",
    "2001:db8::7",
    "2001:db8::7, 10.0.0.1",
    ALL,
)
