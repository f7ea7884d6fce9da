"""A peer's running servers: start, readiness, end. Ends what it started, by process id."""

import http.client
import random
import socket
import subprocess
import time

from . import httpd, proc
from .failure import Failure
from .peers import Site

PATIENCE = 30
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Server:
    """httpd, and the program behind it where there is one."""

    def __init__(self, peer, app, settings, place, *, threads=64, directives=""):
        self.peer = peer
        self.directory = place.server_directory(peer.name)
        self.port = free_port()
        self._site = Site(self.directory, place, app, settings.processes, settings.threads)
        self._threads = threads
        self._directives = directives
        self._processes = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def _start(self):
        conf = self.directory / "httpd.conf"
        conf.write_text(httpd.configuration(self.peer, self._site, self.port, self._threads, self._directives))
        program = self.peer.program(self._site)
        if program:
            if not program.as_root:
                # Its socket is made by www-data.
                self.directory.chmod(0o777)
            self._spawn("program", program.argv, None if program.as_root else httpd.USER)
        self._spawn("httpd", [httpd.HTTPD, "-f", conf, "-DFOREGROUND"], None)

    def _spawn(self, name, argv, user):
        with open(self.directory / f"{name}.out", "wb") as out:
            process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=ENVIRONMENT, cwd="/", process_group=0,
                user=user, group=user, extra_groups=[] if user else None,
            )  # fmt: skip
        self._processes.append(process)

    @property
    def httpd(self):
        """The parent's process id."""
        return self._processes[-1].pid

    @property
    def program(self):
        """The process id of the program behind, or nothing."""
        return self._processes[0].pid if len(self._processes) > 1 else None

    def pids(self, table):
        """All its processes."""
        return [pid for process in self._processes for pid in proc.tree(table, process.pid)]

    def await_answer(self, target):
        """Waits until it serves the target with 200, and answers the body."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                status, body = self.ask(target)
                if status == 200:
                    return body
                said = f"answers {status}"
            except (OSError, http.client.HTTPException) as error:
                said = f"does not answer ({error})"
            ended = next((p for p in self._processes if p.poll() is not None), None)
            if ended:
                said = f"ended with status {ended.returncode}"
            if ended or time.monotonic() > deadline:
                raise Failure(f"{self.peer.name} {said}. Its logs:", self.logs())
            time.sleep(0.05)

    def ask(self, target):
        """One GET: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", target, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def logs(self):
        """The ends of everything it wrote."""
        parts = []
        for path in (self.directory / name for name in ("program.out", "httpd.out", "error.log")):
            if path.exists():
                parts.append("\n".join(path.read_text(errors="replace").splitlines()[-8:]))
        return "\n".join(parts)

    def _stop(self):
        table = proc.table()
        family = self.pids(table)
        # httpd first: what is behind it has nothing to do then.
        for process in reversed(self._processes):
            process.terminate()
        deadline = time.monotonic() + 10
        for process in self._processes:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        proc.kill_survivors(table, family)


def free_port():
    """Below the ports that the kernel gives to clients, which a load uses up by the thousand."""
    for port in random.sample(range(18000, 32000), 1000):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failure("no free port")
