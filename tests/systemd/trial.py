#!/usr/bin/python3
"""Runs in a booted system, as root: puts load on Apache and does to the units what administrators do.

Writes what each deed cost, and at the end how many checks passed and failed, to the file of its argument.
"""

import contextlib
import http.client
import pathlib
import subprocess
import sys
import threading
import time

SITE = """ServerName localhost
WSGIDaemonProcess site processes=2 threads=10 %s
WSGIScriptAlias / /srv/app.wsgi process-group=site application-group=%%{GLOBAL}
<Directory /srv>
    Require all granted
</Directory>
"""

APP = """import os, time
def application(environ, start_response):
    if environ['QUERY_STRING']:
        time.sleep(float(environ['QUERY_STRING']))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(os.getpid()).encode()]
"""

PATIENCE = 30
report = open(sys.argv[1], "w", buffering=1)
checks = []


def check(what, good, more=""):
    checks.append(bool(good))
    more = str(more).strip()
    print("%s  %s" % ("ok    " if good else "FAILED", what + (more and ": " + more)), file=report)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def until(condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def get(target="/"):
    """Status and body; a status of 0 where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=PATIENCE)
    with contextlib.closing(connection):
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError as error:
            return 0, repr(error)


def workers():
    """Process ids of Python's processes, by what the launcher makes of them."""
    found = run("pgrep", "-f", "sys.modules..?_wsgid").stdout.split()
    return {int(pid) for pid in found}


def ready():
    """Process ids of workers that the daemon says are ready."""
    lines = run("wsgictl", "status").stdout.splitlines()
    return {int(line.split()[0]) for line in lines if " ready " in line}


def main_pid():
    return int(run("systemctl", "show", "-P", "MainPID", "wsgid").stdout)


class Load:
    """Clients that ask and ask again over kept connections, and one that waits for something long."""

    def __init__(self):
        self.done, self.served, self.lost, self.longest = False, 0, [], 0.0
        self.lock = threading.Lock()
        targets = ["/"] * 8 + ["/?3"]
        self.threads = [threading.Thread(target=self.ask, args=(target,)) for target in targets]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        until(lambda: self.served > 50)
        return self

    def __exit__(self, *exception):
        self.done = True
        for thread in self.threads:
            thread.join()

    def ask(self, target):
        connection = None
        while not self.done:
            begun = time.monotonic()
            connection = self.exchange(connection, target)
            if target == "/":
                with self.lock:
                    self.longest = max(self.longest, time.monotonic() - begun)

    def exchange(self, connection, target):
        while True:
            kept, response = connection is not None, None
            connection = connection or http.client.HTTPConnection("127.0.0.1", 80, timeout=PATIENCE)
            try:
                connection.request("GET", target)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                # A kept connection that closes before it says a word is no lost request: RFC 9112, 9.3.1.
                if kept and response is None and isinstance(error, ConnectionError):
                    connection = None
                    continue
                with self.lock:
                    self.lost.append(repr(error))
                return None
            with self.lock:
                if response.status == 200:
                    self.served += 1
                else:
                    self.lost.append("%d %r" % (response.status, body[:200]))
            return None if response.getheader("Connection") == "close" else connection

    def through(self, title, times, deed):
        with self.lock:
            served, lost, self.longest = self.served, len(self.lost), 0.0
        for _ in range(times):
            deed()
            before = self.served
            until(lambda: self.served > before + 100)
        with self.lock:
            figures = "%d served, %d lost, longest %d ms" % (
                self.served - served, len(self.lost) - lost, self.longest * 1000)
            check("%s, %d times" % (title, times), len(self.lost) == lost, figures)
            for what in self.lost[lost:lost + 3]:
                print("        " + what, file=report)


def killed():
    old = main_pid()
    run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "wsgid")
    until(lambda: main_pid() not in (0, old) and run("wsgictl", "status").returncode == 0)


def try_all(options):
    others = workers()
    pathlib.Path("/etc/apache2/conf-enabled/site.conf").write_text(SITE % options)
    run("systemctl", "restart", "apache2")
    check("nobody of another configuration is left", until(lambda: not workers() & others), workers() & others or "")
    check("it serves with [%s]" % options, until(lambda: get()[0] == 200), get())
    check("both workers are ready", until(lambda: len(ready()) == 2), ready())
    before = ready()
    with Load() as load:
        load.through("systemctl restart wsgid", 10, lambda: run("systemctl", "restart", "wsgid"))
        load.through("systemctl reload wsgid", 10, lambda: run("systemctl", "reload", "wsgid"))
        load.through("wsgid is killed", 5, killed)
        load.through("systemctl reload apache2", 5, lambda: run("systemctl", "reload", "apache2"))
    check("the same workers are ready", ready() == before, "%s, before %s" % (ready(), before))

    waiting = []
    request = threading.Thread(target=lambda: waiting.append(get("/?2")))
    request.start()
    until(lambda: " 1  " in run("wsgictl", "status").stdout)
    run("systemctl", "stop", "wsgid")
    request.join()
    check("a stop lets requests finish", waiting[0][0] == 200, waiting[0])
    check("after a stop nobody is left", until(lambda: not workers()), workers() or "")
    check("nor the runtime directory", not pathlib.Path("/run/wsgid").exists())
    run("systemctl", "start", "wsgid")
    check("after a start it serves", until(lambda: get()[0] == 200), get())


def main():
    pathlib.Path("/srv/app.wsgi").write_text(APP)
    run("systemd-tmpfiles", "--create", "wsgid.conf")
    started = run("systemctl", "enable", "--now", "wsgid")
    check("the unit starts", started.returncode == 0, started.stderr)
    run("a2enmod", "wsgid")
    for options in "", "preload=on":
        try_all(options)
    state = run("systemctl", "show", "-P", "ActiveState", "wsgid").stdout.strip()
    check("the unit is active at the end", state == "active", state)


try:
    main()
except Exception as error:
    check("the trial itself", False, repr(error))
print("%d passed, %d failed" % (sum(checks), len(checks) - sum(checks)), file=report)
