"""Options, and the run from preflight to report."""

import argparse
import fnmatch
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from . import machine, preflight, report, rounds
from .failure import Failure
from .peers import PEERS
from .place import Place
from .results import Results
from .scenarios import SCENARIOS

# Below this, a crowd of 1,000 connections can't be held by the generator or by one httpd child.
DESCRIPTORS = 4096


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long."""

    scenarios: list
    peers: list
    rounds: int
    seconds: float
    processes: int
    threads: int
    output: Path


def main():
    """Answers the exit status: 0 whether bars are met or not, 1 when something did not run."""
    options = parser().parse_args()
    if options.list:
        listing()
        return 0
    try:
        settings = settings_of(options)
        if options.check:
            return 0
        signal.signal(signal.SIGTERM, end)
        results = measure(settings, Place(options.scratch, options.peers_venv))
    except Failure as failure:
        print(f"bench: {failure.text()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if results.unserved() else 0


def end(*_):
    """Once is enough: a second signal would get in the way of ending what was started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def parser():
    """The options; tests/bench/run --help explains them."""
    options = argparse.ArgumentParser(
        prog="tests/bench/run", usage="see tests/bench/run --help", add_help=False, allow_abbrev=False
    )
    options.add_argument("--only", default="*")
    options.add_argument("--peers", default="*")
    options.add_argument("--rounds", type=at_least(1, int), default=5)
    options.add_argument("--seconds", type=at_least(0.1, float), default=4)
    options.add_argument("--processes", type=at_least(1, int), default=2)
    options.add_argument("--threads", type=at_least(1, int), default=15)
    options.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "results")
    options.add_argument("--list", action="store_true")
    # From tests/bench/run.
    options.add_argument("--check", action="store_true")
    options.add_argument("--scratch", type=Path)
    options.add_argument("--peers-venv", type=Path)
    return options


def at_least(least, kind):
    """A number with a lower bound."""

    def number(text):
        value = kind(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"has to be at least {least}")
        return value

    return number


def settings_of(options):
    """Complains about names that nothing has."""
    return Settings(
        scenarios=chosen(SCENARIOS, options.only, "scenario"),
        peers=chosen(PEERS, options.peers, "peer"),
        rounds=options.rounds,
        seconds=options.seconds,
        processes=options.processes,
        threads=options.threads,
        output=options.output,
    )


def chosen(known, patterns, what):
    """Those whose name fits one of the patterns, in their own order."""
    patterns = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(one.name, pattern) for one in known):
            names = ", ".join(one.name for one in known)
            raise Failure(f"no {what} is called '{pattern}'; there are {names}")
    return [one for one in known if any(fnmatch.fnmatch(one.name, p) for p in patterns)]


def listing():
    """--list."""
    for heading, known in (("Scenarios", SCENARIOS), ("Peers", PEERS)):
        print(f"{heading}:")
        for one in known:
            print(f"  {one.name:<16} {one.title}")


def measure(settings, place):
    """The whole run. A report is written after each scenario, so that a long run may be ended early."""
    raise_descriptor_limit()
    place.lay_out()
    preflight.same_python(settings, place)
    results = Results(settings, machine.describe(place))
    for scenario in settings.scenarios:
        results.add(scenario, rounds.run(scenario, settings, place))
        report.write(results, settings.output)
    print(report.terminal(results), flush=True)
    rounds.say(f"report.md, results.json and plots are in {settings.output}")
    return results


def raise_descriptor_limit():
    """As far as the machine lets us; servers and generators inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        raise Failure(f"`ulimit -Hn` is {hard}; {DESCRIPTORS} are needed for 1,000 connections")
    # Some programs walk through all possible descriptors when they start: no more than of use.
    enough = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
