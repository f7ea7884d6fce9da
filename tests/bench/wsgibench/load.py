"""The load generators: wrk for many small requests, curl for large transfers."""

import json
import resource
import subprocess
import time
from dataclasses import dataclass, field

from .failure import Failure
from .place import BENCH, FILE_SIZE


@dataclass
class Load:
    """What a generator counted. Latencies in seconds, if it knows them."""

    requests: int = 0
    seconds: float = 0.0
    bytes: int = 0
    p50: float = None
    p99: float = None
    errors: dict = field(default_factory=dict)
    # Seconds of CPU that the generator itself took.
    client_cpu: float = 0.0


@dataclass(frozen=True)
class Requests:
    """wrk, with one thread: on a small machine it must leave room for the servers."""

    connections: int
    keep_alive: bool = True
    stretch: float = 1.0
    timeout: int = 2

    def run(self, server, target, seconds):
        """Loads for this long."""
        seconds = max(1, round(seconds * self.stretch))  # wrk knows whole seconds
        words = ["wrk", "-t", 1, "-c", self.connections, "-d", f"{seconds}s", "--timeout", f"{self.timeout}s"]
        words += ["-s", BENCH / "load.lua"]
        if not self.keep_alive:
            words += ["-H", "Connection: close"]
        out, client_cpu = run_generator([*words, f"http://127.0.0.1:{server.port}{target}"])
        told = json.loads(out.splitlines()[-1])
        return Load(
            requests=told["requests"],
            seconds=told["duration_us"] / 1e6,
            bytes=told["bytes"],
            p50=told["p50_us"] / 1e6,
            p99=told["p99_us"] / 1e6,
            errors={kind: count for kind, count in told["errors"].items() if count},
            client_cpu=client_cpu,
        )


@dataclass(frozen=True)
class Transfers:
    """curl, one transfer after the other, each on a connection of its own; at least two."""

    upload: bool

    def run(self, server, target, seconds):
        """Transfers until so much time is over."""
        load = Load()
        end = time.monotonic() + seconds
        while load.requests < 2 or time.monotonic() < end:
            self._transfer(server, target, load)
        return load

    def _transfer(self, server, target, load):
        words = ["curl", "-sS", "--max-time", 120, "-w", "\n%{http_code} %{size_download} %{size_upload} %{time_total}"]
        if self.upload:
            # Without Expect, the body follows the head at once.
            words += ["-T", server.directory.parent / "htdocs/100m", "-H", "Expect:"]
        else:
            words += ["-o", "/dev/null"]
        out, client_cpu = run_generator([*words, f"http://127.0.0.1:{server.port}{target}"], may_fail=True)
        *body, told = out.splitlines()
        status, down, up, seconds = told.split()
        load.requests += 1
        load.client_cpu += client_cpu
        load.seconds += float(seconds)
        load.bytes += int(up if self.upload else down)
        whole = "".join(body).strip() == str(FILE_SIZE) if self.upload else int(down) == FILE_SIZE
        if status != "200":
            count(load.errors, f"status {status}")
        elif not whole:
            count(load.errors, "incomplete")


def count(errors, kind):
    """One more of that kind."""
    errors[kind] = errors.get(kind, 0) + 1


def run_generator(words, may_fail=False):
    """Its output and the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0 and not may_fail:
        raise Failure(f"{words[0]} ended with status {done.returncode}:", done.stdout + done.stderr)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, used
