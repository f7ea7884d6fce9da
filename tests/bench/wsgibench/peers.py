"""The peers: what each adds to httpd's configuration, and the program behind it.

All have the same numbers of Python processes and threads and the same httpd around them (httpd.py),
which differs in what one needs to be reached, and in the threads of an httpd that is itself the
Python process. Everything else is each one's default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .failure import Failure

MODULES = Path("/usr/lib/apache2/modules")
# Connections that wait for a thread: as many as the largest crowd, for everyone who can be told.
BACKLOG = 2048


@dataclass(frozen=True)
class Site:
    """What a peer is started for."""

    directory: Path
    place: object
    app: str
    processes: int
    threads: int

    @property
    def script(self):
        """The application's file."""
        return self.place.apps / f"{self.app}.py"

    @property
    def socket(self):
        """Where a program behind httpd listens."""
        return self.directory / "backend.sock"

    def python(self, *words):
        """A command line of the peers' virtual environment."""
        return [str(self.place.venv / "bin/python"), "-m", *map(str, words)]


@dataclass(frozen=True)
class Program:
    """What runs beside httpd: its command line, and whether root runs it."""

    argv: list
    as_root: bool = False


@dataclass(frozen=True)
class Peer:
    """One way to serve."""

    name: str
    title: str
    configuration: Callable[[Site], str]
    program: Callable[[Site], Program | None] = lambda site: None
    # Does it run applications, behind a proxy, in httpd's own children?
    python: bool = True
    proxied: bool = False
    embedded: bool = False


# --- mod_wsgid -------------------------------------------------------------------------------------


def wsgid_configuration(site):
    return f"""
LoadModule wsgi_module {site.place.staged("usr/lib/apache2/modules/mod_wsgid.so")}
WSGIDaemonSocket {site.directory}/run/control.sock
{process_group(site)}
"""


def wsgid_program(site):
    for name in ("run", "run/pending", "state"):
        (site.directory / name).mkdir(mode=0o755)
    directories = ["--runtime-dir", site.directory / "run", "--state-dir", site.directory / "state"]
    return Program([site.place.staged("usr/sbin/wsgid"), "run", *directories], as_root=True)


def process_group(site, more=""):
    """What mod_wsgid and mod_wsgi's daemon mode are told in the same words."""
    return f"""
WSGIDaemonProcess bench processes={site.processes} threads={site.threads} listen-backlog={BACKLOG} \\
    python-home={site.place.venv} {more}
WSGIScriptAlias / {site.script} process-group=bench application-group=%{{GLOBAL}}
"""


# --- mod_wsgi --------------------------------------------------------------------------------------


def mod_wsgi(venv):
    """The module's file."""
    found = list(venv.glob("lib/python3*/site-packages/mod_wsgi/server/mod_wsgi-*.so"))
    if len(found) != 1:
        raise Failure("mod_wsgi is not in the peers' environment; try --fresh")
    return found[0]


def embedded_configuration(site):
    # Both groups said: the script is loaded when a child starts, not with a request.
    return f"""
LoadModule wsgi_module {mod_wsgi(site.place.venv)}
WSGIPythonHome {site.place.venv}
WSGIScriptAlias / {site.script} process-group=%{{GLOBAL}} application-group=%{{GLOBAL}}
"""


def daemon_configuration(site):
    return f"""
LoadModule wsgi_module {mod_wsgi(site.place.venv)}
WSGISocketPrefix {site.directory}/wsgi
WSGIRestrictEmbedded On
{process_group(site, "display-name=%{GROUP}")}
"""


# --- Behind a proxy --------------------------------------------------------------------------------


def http_proxy(site):
    # Kept-alive connections, which the proxy gives up well before the other side does.
    return f"""
LoadModule proxy_module {MODULES}/mod_proxy.so
LoadModule proxy_http_module {MODULES}/mod_proxy_http.so
ProxyPass / unix:{site.socket}|http://localhost/ enablereuse=on ttl=60
"""


def uwsgi_proxy(site):
    return f"""
LoadModule proxy_module {MODULES}/mod_proxy.so
LoadModule proxy_uwsgi_module {MODULES}/mod_proxy_uwsgi.so
ProxyPass / unix:{site.socket}|uwsgi://localhost/
"""


def gunicorn_program(site):
    words = ["-k", "gthread", "-w", site.processes, "--threads", site.threads, "--keep-alive", 600]
    words += ["--no-control-socket", "--chdir", site.place.apps, "--bind", f"unix:{site.socket}"]
    return Program(site.python("gunicorn", *words, f"{site.app}:application"))


def granian_program(site):
    words = ["--interface", "wsgi", "--workers", site.processes, "--blocking-threads", site.threads]
    words += ["--working-dir", site.place.apps, "--backlog", BACKLOG, "--uds", site.socket, "--no-ws"]
    return Program(site.python("granian", *words, f"{site.app}:application"))


def uwsgi_program(site):
    words = ["--master", "--processes", site.processes, "--threads", site.threads, "--enable-threads"]
    words += ["--socket", site.socket, "--listen", BACKLOG, "--wsgi-file", site.script]
    words += ["--home", site.place.venv, "--need-app", "--die-on-term", "--disable-logging"]
    return Program([site.place.venv / "bin/uwsgi", *words])


# --- httpd alone -----------------------------------------------------------------------------------


def static_configuration(site):
    return f"""
DocumentRoot {site.place.htdocs}
ForceType text/plain
"""


PEERS = [
    Peer("wsgid", "mod_wsgid", wsgid_configuration, wsgid_program),
    Peer("embedded", "mod_wsgi, embedded mode", embedded_configuration, embedded=True),
    Peer("daemon", "mod_wsgi, daemon mode", daemon_configuration),
    Peer("gunicorn", "gunicorn (gthread) behind mod_proxy_http", http_proxy, gunicorn_program, proxied=True),
    Peer("granian", "granian behind mod_proxy_http", http_proxy, granian_program, proxied=True),
    Peer("uwsgi", "uWSGI behind mod_proxy_uwsgi", uwsgi_proxy, uwsgi_program, proxied=True),
    Peer("static", "a file served by httpd itself", static_configuration, python=False),
]
OURS = PEERS[0]
