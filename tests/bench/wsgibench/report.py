"""The report: for the terminal, as Markdown with plots, as JSON."""

import json

from . import plot
from .tables import bars_table, scenario_table


def write(results, output):
    """All files, as far as the run has come."""
    output.mkdir(parents=True, exist_ok=True)
    plot.scenario(results, results.scenarios[-1], output)
    (output / "results.json").write_text(json.dumps(results.data(), indent=1) + "\n")
    (output / "report.md").write_text(markdown(results))


def terminal(results):
    """Every table."""
    parts = []
    for scenario in results.scenarios:
        parts += [f"\n{scenario.name}: {scenario.title}", scenario_table(results, scenario).terminal()]
    bars = bars_table(results)
    if bars.rows:
        parts += ["\nBars", bars.terminal()]
    parts += ["", *warnings(results)]
    return "\n".join(parts).rstrip()


def markdown(results):
    """report.md."""
    parts = ["# Benchmark of mod_wsgid", method(results)]
    bars = bars_table(results)
    if bars.rows:
        parts += ["## Bars", bars.markdown()]
    for scenario in results.scenarios:
        parts += [f"## {scenario.name}", scenario.title + ".", scenario_table(results, scenario).markdown()]
        parts.append(f"![{scenario.title}]({scenario.name}.svg)")
    return "\n\n".join(parts) + "\n"


def method(results):
    """What was measured, where, and how."""
    settings = results.settings
    versions = ", ".join(f"{name} {version}" for name, version in results.machine["versions"].items())
    notes = "\n".join(f"* {line}" for line in warnings(results))
    return f"""\
On: {results.machine["machine"]}.

Versions: {versions}.

Made by `tests/bench/run` with {settings.rounds} rounds of {settings.seconds:g} s, interleaved: in each round every
peer is loaded once, in an order that rotates, while the others stand idle. Numbers are medians over
the rounds, growth its maximum; a ratio is ours divided by that peer's. Generators and servers share the
machine. Every peer has {settings.processes} Python processes of {settings.threads} threads and an httpd (event, 2
children) of the same configuration; all run the same Python, which each was asked. mod_wsgi and uWSGI link Python's
shared library, the others run the distribution's program, which is linked statically. httpd's children
have 64 threads, and as many as connections for a crowd: with fewer, httpd closes kept-alive connections to
make room, and wrk counts that as read errors. Embedded, they have as many as Python.

CPU is user and system time of all processes of a peer's: httpd, supervisor, workers. Latencies are
wrk's, with its correction for requests that a stall kept from being sent. MB are 10^6 bytes.
A number with ! comes with errors.

{notes}""".rstrip()


def warnings(results):
    """What may have bent the numbers."""
    lines = [
        f"Other programs of the machine took {results.median('others'):.2f} CPUs in the median round, "
        f"{results.worst('others'):.2f} at most (interrupts that no process is charged for among them).",
        f"Idle peers took {results.worst('idle') * 100:.1f} % of a CPU at most.",
    ]
    for scenario in results.scenarios:
        for peer in results.peers(scenario):
            samples = results.samples(scenario.name, peer.name)
            if any(sample["processes_changed"] for sample in samples):
                lines.append(f"{scenario.name}: processes of {peer.name} came or went during a round.")
            if any(sample["client"] > 0.9 for sample in samples):
                lines.append(f"{scenario.name}: the generator was near its limit with {peer.name}.")
    return lines
