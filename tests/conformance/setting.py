"""Where the rows are tried: httpd's configuration, written from the table, and what the runner knows of it.

The text is the same for mod_wsgid and for mod_wsgi, except for options that mod_wsgi does not have.
`@ROOT@`, `@SITE@` (where this package's copy stands), `@PORT@` and `@TLS_PORT@` are filled in by the test that
starts httpd.
"""

from dataclasses import dataclass
from pathlib import Path

from .table import load

# Process groups, with what mod_wsgid alone understands at the end.
GROUPS = {
    "site": ("threads=5", ""),
    "unbuffered": ("threads=2", "request-buffer-size=0"),
    # One thread, so that whoever holds it holds the group.
    "single": ("processes=1 threads=1", ""),
    # For those that end their worker, so that nobody else meets the gap.
    "mortal": ("threads=1", ""),
    # Who may read what the web server's user may not.
    "games": ("user=games threads=1", ""),
    "impatient": ("threads=1 queue-timeout=1", ""),
    "narrow": ("threads=1 queue-timeout=5", "queue-size=0"),
    "silent": ("threads=1 socket-timeout=1", ""),
    # Where somebody is subscribed to events, and where requests are measured.
    "told": ("threads=2", ""),
    "measured": ("threads=2", ""),
}
# Markers wait in a directory of the place; the token of a request names its lines in the access log.
COMMON = """
SetEnv conformance.markers @ROOT@/markers
SetEnv conformance.root @ROOT@
LogFormat "%{X-Token}i %>s %{wsgi-error}n" traces
CustomLog logs/traces.log traces
Protocols h2 h2c http/1.1
WSGIPythonWarnings ignore:conformance
<WSGIInterpreterOptions process-group=narrow application-group=%{GLOBAL}>
WSGISwitchInterval 0.125
</WSGIInterpreterOptions>
<WSGIInterpreterOptions process-group=narrow>
WSGISwitchInterval 0.25
</WSGIInterpreterOptions>
ErrorDocument 409 "Apache speaks of a conflict."
<Directory @SITE@>
Require all granted
</Directory>
"""


@dataclass(frozen=True)
class Setting:
    """A running httpd and how to look at it."""

    root: Path
    port: int
    tls_port: int
    protocol: str
    # Seconds to wait for a reply, and for what it leaves behind.
    patience: float
    trace_patience: float

    @property
    def encrypted(self):
        """Under TLS?"""
        return self.protocol.startswith("tls")

    @property
    def own_port(self):
        """The port that this protocol is spoken on."""
        return self.tls_port if self.encrypted else self.port

    @property
    def error_log(self):
        """The virtual host's own."""
        return self.root / "logs" / ("tls.log" if self.encrypted else "plain.log")

    @property
    def trace_log(self):
        """Of every request its token, status and note."""
        return self.root / "logs/traces.log"


def configuration(theirs=False):
    """All of it, for mod_wsgi if `theirs`."""
    table = load().values()
    mounts = "\n".join(row.server for row in table if row.server)
    locations = "\n".join(location(row) for row in table if row.config or row.group != "site")
    inside = f"""{mounts}
WSGIScriptAlias /row @SITE@/conformance/script.wsgi
WSGIScriptAlias /valid @SITE@/conformance/script.wsgi
WSGIProcessGroup site
WSGIApplicationGroup %{{GLOBAL}}
{locations}"""
    return f"""WSGISocketPrefix @ROOT@/run/wsgi
{groups(theirs)}{COMMON}
<VirtualHost 127.0.0.1:@PORT@>
ErrorLog logs/plain.log
AllowEncodedSlashes NoDecode
{inside}
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
ServerName hasty.example
ErrorLog logs/plain.log
Timeout 1
{inside}
</VirtualHost>
Listen 127.0.0.1:@TLS_PORT@
<VirtualHost 127.0.0.1:@TLS_PORT@>
ErrorLog logs/tls.log
AllowEncodedSlashes NoDecode
SSLEngine on
SSLCertificateFile @ROOT@/tls/certificate.pem
SSLCertificateKeyFile @ROOT@/tls/key.pem
{inside}
</VirtualHost>
"""


def groups(theirs):
    """The lines that declare them."""
    lines = []
    for name, (shared, own) in GROUPS.items():
        lines.append(f"WSGIDaemonProcess {name} {shared} {'' if theirs else own}".rstrip())
    return "\n".join(lines)


def location(row):
    """What holds for one row alone, and for its twin."""
    group = "" if row.group == "site" else f"WSGIProcessGroup {row.group}\n"
    return f'<LocationMatch "^/(row|valid)/{row.slug}(/|$)">\n{group}{row.config}\n</LocationMatch>'
