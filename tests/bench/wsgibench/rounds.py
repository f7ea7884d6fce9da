"""A scenario's rounds: every peer is started, then each is loaded in turn while the others stand idle."""

import contextlib
import sys
import time

from . import proc, weigh
from .failure import Failure
from .scenarios import UPLOADS
from .server import Server

# How long processes rest before they are weighed.
REST = 1.5
# How long to look whether a server rests, and how long to wait for that.
GLIMPSE = 0.25
PATIENCE = 10


def say(text):
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def run(scenario, settings, place):
    """Samples by peer."""
    say(f"== {scenario.name}: {scenario.title}")
    with contextlib.ExitStack() as stack:
        servers = start(scenario, settings, place, stack)
        samples = {server.peer.name: [] for server in servers}
        growths = {server: weigh.Growth(server) for server in servers if scenario.growth}
        for server in servers:
            warm_up(scenario, server, settings)
            await_rest(server)
        for number in range(1 if scenario.rest else settings.rounds):
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                sample = measure(scenario, server, servers, settings, growths.get(server))
                samples[server.peer.name].append(sample)
                await_rest(server)
                say(f"   round {number + 1}  {server.peer.name:<9} {glance(sample)}")
    return samples


def start(scenario, settings, place, stack):
    """The peers' servers, all of which give the same answer."""
    peers = [peer for peer in settings.peers if peer.python or scenario.static]
    servers = {}
    answer = None
    # The file that httpd serves by itself is what the others answer, so its peer comes last.
    for peer in sorted(peers, key=lambda peer: not peer.python):
        if not peer.python:
            lay_down(place, scenario, answer)
        server = Server(
            peer, scenario.app, settings, place,
            threads=scenario.httpd_threads, directives=scenario.directives,
        )  # fmt: skip
        stack.enter_context(server)
        body = server.await_answer(scenario.target)
        if answer is not None and body != answer:
            raise Failure(f"{peer.name} answers otherwise than the peers before it: {body[:200]!r}")
        answer = body
        servers[peer] = server
    return [servers[peer] for peer in peers]


def lay_down(place, scenario, answer):
    """The answer as a file."""
    path = place.htdocs / scenario.target.lstrip("/")
    if answer is not None:
        path.write_bytes(answer)
    elif not path.exists():
        raise Failure("the peer 'static' serves what the others answer; name at least one more")


def warm_up(scenario, server, settings):
    """Until code is loaded and connections stand. An upload would hide the growth that is looked for."""
    if scenario.load is not UPLOADS:
        scenario.load.run(server, scenario.target, min(1, settings.seconds / 2))


def await_rest(server):
    """Until it has nothing to do: requests whose client has gone would else take from the next peer's CPU."""
    deadline = time.monotonic() + PATIENCE
    before = proc.table()
    while time.monotonic() < deadline:
        time.sleep(GLIMPSE)
        after = proc.table()
        if idle_cpu(server, before, after) <= GLIMPSE / 20:
            return
        before = after


def measure(scenario, server, servers, settings, growth):
    """One round of one peer."""
    before, busy, clock = proc.table(), proc.busy(), time.monotonic()
    if growth:
        growth.begin()
    load = scenario.load.run(server, scenario.target, settings.seconds)
    after, busy, clock = proc.table(), proc.busy() - busy, time.monotonic() - clock
    if load.bytes == 0:
        # The others go on; the exit status will tell.
        load.requests = 0
        say(Failure(f"{server.peer.name} served nothing ({load.errors}). Its logs:", server.logs()).text())

    pids = server.pids(before), server.pids(after)
    cpu = proc.cpu(after, pids[1]) - proc.cpu(before, pids[0])
    sample = {
        "requests": load.requests,
        "seconds": load.seconds,
        "bytes": load.bytes,
        "cpu_seconds": round(cpu, 2),
        "errors": sum(load.errors.values()),
        "kinds": load.errors,
        # What else may have bent the numbers, in CPUs: the generator at its limit, others at work.
        "client": load.client_cpu / clock,
        "others": max(0, busy - cpu - load.client_cpu) / clock,
        "idle": max((idle_cpu(s, before, after) for s in servers if s is not server), default=0) / clock,
        "processes_changed": set(pids[0]) != set(pids[1]),
    }
    if load.requests:
        sample |= speed(scenario, load, cpu, settings)
    if growth:
        sample |= growth.end()
    if scenario.rest:
        time.sleep(REST)
        sample |= weigh.at_rest(server)
    return sample


def speed(scenario, load, cpu, settings):
    """What a load says of a peer that served."""
    if scenario.transfers:
        megabytes = load.bytes / 1e6
        return {"throughput": megabytes / load.seconds, "cpu_mb": cpu / megabytes}
    rate = load.requests / load.seconds
    sample = {"rate": rate, "p50": load.p50, "p99": load.p99, "cpu": cpu / load.requests}
    if scenario.nap:
        sample["ideal"] = rate / (settings.processes * settings.threads / scenario.nap)
    return sample


def idle_cpu(server, before, after):
    """Seconds that a server took which was asked for nothing."""
    return proc.cpu(after, server.pids(after)) - proc.cpu(before, server.pids(before))


def glance(sample):
    """A sample for somebody who watches."""
    if "throughput" in sample:
        what = f"{sample['throughput']:,.0f} MB/s"
    else:
        what = f"{sample.get('rate', 0):,.0f} requests/s"
    if "p99" in sample:
        what += f", p99 {sample['p99'] * 1000:.2f} ms"
    if sample["errors"]:
        what += f", errors: {sample['kinds']}"
    if sample["processes_changed"]:
        what += ", processes came or went"
    return what
