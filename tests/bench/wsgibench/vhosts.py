"""Many virtual hosts with a process group each: what they cost beside the same hosts without WSGI.

httpd answers before its groups have started: they do that in the background, and a request that comes
before its group is ready waits. So the start is timed to httpd's first answer, and the groups' own
start is told apart from it.
"""

import argparse
import contextlib
import http.client
import statistics
import subprocess
import sys
import time
from pathlib import Path

from . import proc
from .failure import Failure
from .httpd import USER
from .peers import MODULES
from .server import ENVIRONMENT, free_port

PATIENCE = 120
PAUSE = 0.002
# What is asked of this project.
RATIO, SUPERVISOR_MIB = 2.0, 40
APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["mod_wsgi.process_group"].encode()]
"""


class Hosts:
    """A directory with a configuration of so many hosts, served with WSGI or without it."""

    def __init__(self, root, given, served):
        self.root, self.stage, self.count, self.served = root, given.stage, given.hosts, served
        self.apachectl = given.apachectl
        self.port = free_port()
        self.daemon = None
        root.mkdir(mode=0o755)
        for name in ("run", "run/pending", "state", "htdocs", "apps"):
            (root / name).mkdir(mode=0o755)
        (root / "htdocs/page.txt").write_text("a page\n")
        for number in range(self.count):
            (root / f"apps/site{number}.wsgi").write_text(APP)
        (root / "httpd.conf").write_text(self.configuration())

    def configuration(self):
        """httpd's."""
        wsgi = f"""LoadModule wsgi_module {self.stage}/usr/lib/apache2/modules/mod_wsgid.so
WSGIDaemonSocket {self.root}/run/control.sock"""
        modules = "\n".join(
            f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in ("mpm_event", "authz_core", "alias")
        )
        return f"""ServerRoot {self.root}
DefaultRuntimeDir {self.root}/run
PidFile {self.root}/run/httpd.pid
ErrorLog {self.root}/error.log
ServerName localhost
Listen 127.0.0.1:{self.port}
User {USER}
Group {USER}
{modules}
{wsgi if self.served else ""}
DocumentRoot {self.root}/htdocs
{"".join(self.host(number) for number in range(self.count))}"""

    def host(self, number):
        """One of them, as a provider's template has it."""
        wsgi = f"""    WSGIDaemonProcess site{number} threads=5 display-name=%{{GROUP}}
    WSGIScriptAlias / {self.root}/apps/site{number}.wsgi process-group=site{number} application-group=%{{GLOBAL}}
"""
        return f"""<VirtualHost 127.0.0.1:{self.port}>
    ServerName site{number}.example
    ServerAlias www.site{number}.example
    DocumentRoot {self.root}/htdocs
    Alias /page.txt {self.root}/htdocs/page.txt
{wsgi if self.served else ""}    <Directory {self.root}/apps>
        Require all granted
    </Directory>
</VirtualHost>
"""

    def start_daemon(self):
        """With its output in a file."""
        runtime = ["--runtime-dir", self.root / "run", "--state-dir", self.root / "state"]
        with open(self.root / "wsgid.out", "ab") as out:
            self.daemon = subprocess.Popen(
                [str(word) for word in (self.stage / "usr/sbin/wsgid", "run", *runtime)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=ENVIRONMENT, cwd="/", process_group=0,
            )  # fmt: skip
        until("the daemon listens", (self.root / "run/control.sock").exists)

    def control(self, word):
        """apachectl, for this configuration in place of the machine's. Returns when it is done."""
        ours = {
            "APACHE_CONFDIR": self.root,
            "APACHE_ARGUMENTS": f"-f {self.root}/httpd.conf",
            "APACHE_RUN_DIR": self.root / "run",
            "APACHE_LOCK_DIR": self.root / "run/lock",
            "APACHE_RUN_USER": USER,
            # systemd is not to start another.
            "APACHE_STARTED_BY_SYSTEMD": "yes",
        }
        environment = ENVIRONMENT | {name: str(value) for name, value in ours.items()}
        with open(self.root / "apachectl.out", "w+") as out:
            # httpd keeps the file open, which a pipe would not end for.
            done = subprocess.run(
                [self.apachectl, word], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd="/"
            )
            if done.returncode:
                out.seek(0)
                raise Failure(f"apachectl {word} fails", out.read())

    def httpd(self):
        """The parent's process id, or None."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.root / "run/httpd.pid").read_text())
        return None

    def ask(self, host, path):
        """The body of a page, or None while there is nobody who answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection), contextlib.suppress(ConnectionError, http.client.HTTPException):
            connection.request("GET", path, headers={"Host": host, "Connection": "close"})
            response = connection.getresponse()
            body = response.read()
            return body if response.status == 200 else None
        return None

    def configtest(self):
        """Seconds of `apachectl configtest`."""
        begun = time.monotonic()
        self.control("configtest")
        return time.monotonic() - begun

    def start(self):
        """Seconds until httpd answers; where there are groups, it comes after their daemon."""
        if self.served:
            self.start_daemon()
        begun = time.monotonic()
        self.control("start")
        until("httpd answers", lambda: self.ask("localhost", "/page.txt"))
        return time.monotonic() - begun

    def graceful(self):
        """Seconds from `apachectl graceful` until the new generation is up."""
        before, begun = self.generations(), time.monotonic()
        self.control("graceful")
        until("httpd restarts", lambda: self.generations() > before)
        return time.monotonic() - begun

    def generations(self):
        """How many there have been."""
        return (self.root / "error.log").read_text(errors="replace").count("resuming normal operations")

    def settle(self):
        """Seconds until each group has answered."""
        begun = time.monotonic()
        for number in range(self.count):
            name = f"site{number}"
            until(f"{name} answers", lambda name=name: self.ask(f"{name}.example", "/") == name.encode())
        return time.monotonic() - begun

    def stop(self):
        """Ends what was started, httpd first."""
        table = proc.table()
        httpd, daemon = self.httpd(), self.daemon
        parents = [pid for pid in (httpd, daemon and daemon.pid) if pid]
        family = [pid for parent in parents for pid in proc.tree(table, parent)]
        if httpd:
            self.control("stop")
            until("httpd ends", lambda: not self.httpd())
        if daemon:
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(PATIENCE)
        proc.kill_survivors(table, family)
        self.daemon = None


def until(what, probe):
    """Waits for something."""
    end = time.monotonic() + PATIENCE
    while not probe():
        if time.monotonic() > end:
            raise Failure(f"not within {PATIENCE} seconds: {what}")
        time.sleep(PAUSE)


def timed(hosts, plain, rounds):
    """For each thing that is timed, the seconds with groups and without, a pair for each round."""
    times = {"configtest": [], "start": [], "graceful": []}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, seconds in times.items():
            if name == "start":
                for each in (hosts, plain):
                    each.stop()
                settled = None
            seconds.append((getattr(hosts, name)(), getattr(plain, name)()))
            if name == "start":
                # What the groups do for themselves must not be taken for httpd's restart.
                settled = hosts.settle()
    return times, settled


def idle(hosts, seconds):
    """CPU seconds of httpd, the daemon and the workers while nobody asks anything."""
    def spent():
        table = proc.table()
        daemon, httpd = hosts.daemon.pid, hosts.httpd()
        workers = [pid for pid in proc.tree(table, daemon) if pid != daemon]
        return {
            "httpd": proc.cpu(table, proc.tree(table, httpd)),
            "wsgid": proc.cpu(table, [daemon]),
            f"{len(workers)} workers": proc.cpu(table, workers),
        }

    before = spent()
    time.sleep(seconds)
    after = spent()
    return {name: after[name] - before.get(name, 0) for name in after}


class Bars:
    """What is asked, and which of it was missed."""

    def __init__(self):
        self.missed = []

    def verdict(self, what, met):
        """Of one."""
        if not met:
            self.missed.append(what)
        return "met" if met else "MISSED"


def main():
    """The exit status."""
    options = argparse.ArgumentParser(prog="tests/bench/vhosts")
    options.add_argument("--scratch", type=Path, required=True)
    options.add_argument("--stage", type=Path, required=True)
    options.add_argument("--apachectl", type=Path, required=True)
    options.add_argument("--hosts", type=int, default=300)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=10)
    given = options.parse_args()
    hosts = Hosts(given.scratch / "wsgi", given, served=True)
    plain = Hosts(given.scratch / "plain", given, served=False)
    bars = Bars()
    try:
        times, settled = timed(hosts, plain, given.rounds)
        hosts.settle()
        quiet = idle(hosts, given.seconds)
        daemon = hosts.daemon.pid
        print(f"{given.hosts} virtual hosts, each with a process group\n")
        print(f"{'':12}{'with WSGI':>12}{'without':>12}{'ratio':>8}   at most {RATIO:.0f}")
        for name, pairs in times.items():
            own, bare = (statistics.median(side) for side in zip(*pairs))
            ratio = own / bare
            print(f"{name:12}{own * 1e3:9.1f} ms{bare * 1e3:9.1f} ms{ratio:8.2f}   {bars.verdict(name, ratio <= RATIO)}")
        print(f"\nevery group has answered {settled:.1f} s after httpd")
        for name, seconds in quiet.items():
            what = f"CPU time of {name}, idle"
            print(f"{what} for {given.seconds:g} s: {seconds:.2f} s   {bars.verdict(what, seconds == 0)}")
        memory, peak = proc.status_mib(daemon, "VmRSS"), proc.status_mib(daemon, "VmHWM")
        met = bars.verdict("memory of wsgid", peak < SUPERVISOR_MIB)
        print(f"memory of wsgid: {memory:.1f} MiB, at its peak {peak:.1f}   {met}")
    except Failure as failure:
        print(f"vhosts: {failure.text()}", file=sys.stderr)
        return 1
    finally:
        for each in (hosts, plain):
            each.stop()
    if bars.missed:
        print(f"vhosts: missed: {', '.join(bars.missed)}", file=sys.stderr)
    return 1 if bars.missed else 0


if __name__ == "__main__":
    sys.exit(main())
