"""The machine and the versions, in words that fit any machine of its kind."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from .httpd import HTTPD
from .place import REPO


def describe(place):
    """For the report's head."""
    return {"machine": machine(), "versions": versions(place)}


def machine():
    """One sentence: CPUs, memory, kernel, distribution."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    model = " ".join(model[1].split()) if model else platform.machine()
    kind = "virtual machine" if " hypervisor " in cpuinfo else "machine"
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = re.match(r"[0-9.]*[0-9]", platform.release())[0]
    distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "an unknown distribution")
    plural = "core" if cores == 1 else "cores"
    return f"{kind}, {cores} {plural} of {model}, {memory:.0f} GiB of memory, Linux {kernel}, {distribution}"


def versions(place):
    """By name, as each program says it."""
    site_packages = [str(path) for path in place.venv.glob("lib/python3*/site-packages")]
    installed = {
        normal(found.metadata["Name"]): found.version for found in importlib.metadata.distributions(path=site_packages)
    }
    known = {
        "mod_wsgid": f"{last_word(place.staged('usr/sbin/wsgid'), '--version')} ({commit()})",
        "Apache httpd": first(r"Apache/(\S+)", HTTPD, "-v"),
        "Python": first(r"Python (\S+)", "/usr/bin/python3", "--version"),
    }
    for name in ("mod_wsgi", "gunicorn", "granian", "uWSGI", "Flask"):
        known[name] = installed.get(normal(name), "?")
    known["wrk"] = first(r"wrk (?:debian/)?([0-9.]*[0-9])", "wrk", "--version")
    known["curl"] = first(r"curl (\S+)", "curl", "--version")
    return known


def normal(name):
    """As package names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def commit():
    """What was measured, and whether it was changed since."""
    if not output("git", "-C", REPO, "rev-parse", "--git-dir"):
        return "not from a clone"
    changed = output("git", "-C", REPO, "status", "--porcelain", "--untracked-files=no")
    return output("git", "-C", REPO, "rev-parse", "--short", "HEAD").strip() + (" with changes" if changed else "")


def first(pattern, *words):
    """What a program's version text has there."""
    found = re.search(pattern, output(*words))
    return found[1] if found else "?"


def last_word(*words):
    """Of a program's output."""
    return (output(*words).split() or ["?"])[-1]


def output(*words):
    """Of a program, on both streams, or nothing where it does not run."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode in (0, 1) else ""
