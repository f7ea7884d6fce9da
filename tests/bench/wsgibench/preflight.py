"""Before anything is measured: does every peer run the same Python?

A wheel of mod_wsgi or uWSGI that some other interpreter left in a cache brings that one's libpython
along, and the comparison would be one of Pythons.
"""

import contextlib
import json
import subprocess

from .failure import Failure
from .peers import mod_wsgi
from .rounds import say
from .server import Server

PYTHON = "/usr/bin/python3"


def same_python(settings, place):
    """Asks each peer, started for that, and looks at what compiled ones are linked to."""
    say("== every peer is asked which Python it runs")
    wanted = run(PYTHON, "-c", "import sys; print(sys.version)")
    names = {peer.name for peer in settings.peers}
    if names & {"embedded", "daemon"}:
        linked("mod_wsgi", mod_wsgi(place.venv))
    if "uwsgi" in names:
        linked("uWSGI", place.venv / "bin/uwsgi")
    for peer in (peer for peer in settings.peers if peer.python):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(Server(peer, "identity", settings, place))
            check(peer, json.loads(server.await_answer("/")), wanted, settings)


def check(peer, identity, wanted, settings):
    """One peer's answer."""
    if identity["version"].split() != wanted.split():
        raise Failure(f"{peer.name} runs Python {identity['version']}, and {PYTHON} is {wanted}; try --fresh")
    strange = [file for file in identity["mapped"] if not file.startswith(("/usr/bin/", "/usr/lib/"))]
    if strange:
        raise Failure(f"{peer.name} has another Python in its memory: {', '.join(strange)}; try --fresh")
    for key, expected in (("multithread", settings.threads > 1), ("multiprocess", settings.processes > 1)):
        if identity[key] != expected:
            say(f"   {peer.name} says wsgi.{key} is {identity[key]}")


def linked(name, file):
    """To the distribution's libpython?"""
    for line in run("ldd", file).splitlines():
        if "libpython" in line and "=> /usr/lib/" not in line and "=> /lib/" not in line:
            raise Failure(f"{name} is linked to another libpython ({line.strip()}); try --fresh")


def run(*words):
    """A program's output."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{words[0]} ended with status {done.returncode}:", done.stderr)
    return done.stdout.strip()
