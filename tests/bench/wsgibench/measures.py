"""What is measured: names, units, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One number of a sample. `scale` makes the unit of seconds, shares and the like."""

    name: str
    title: str
    unit: str
    # As the head of a column.
    short: str
    more_is_better: bool = False
    scale: float = 1.0
    decimals: int = 2
    # Growth is told at its worst; what is loaded again and again, by its median.
    worst: bool = False

    def text(self, value):
        """For a reader."""
        return f"{value * self.scale:,.{self.decimals}f}"


def memory(name, short, title, **more):
    """MiB."""
    return Measure(name, title, "MiB", short + " MiB", decimals=1, **more)


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("rate", "rate", "requests/s", "req/s", more_is_better=True, decimals=0),
        Measure("throughput", "throughput", "MB/s", "MB/s", more_is_better=True, decimals=0),
        Measure("ideal", "share of the ideal rate", "%", "% of ideal", more_is_better=True, scale=100, decimals=1),
        Measure("p50", "p50", "ms", "p50 ms", scale=1e3, decimals=3),
        Measure("p99", "p99", "ms", "p99 ms", scale=1e3),
        Measure("cpu", "CPU per request", "µs", "CPU µs/req", scale=1e6, decimals=1),
        Measure("cpu_mb", "CPU per MB", "ms", "CPU ms/MB", scale=1e3, decimals=3),
        memory("grown_child", "child +", "growth of an httpd child", worst=True),
        memory("grown_worker", "worker +", "growth of a worker", worst=True),
        memory("pss_child", "PSS child", "PSS of an httpd child"),
        memory("pss_worker", "PSS worker", "PSS of a worker"),
        memory("pss_supervisor", "PSS superv.", "PSS of the supervisor"),
        memory("pss_all", "PSS all", "PSS of all processes"),
        memory("rss_child", "RSS child", "RSS of an httpd child"),
        memory("rss_worker", "RSS worker", "RSS of a worker"),
        memory("rss_supervisor", "RSS superv.", "RSS of the supervisor"),
    )
}
# What the memory scenario's load was like is not what it is about.
LOAD_ONLY = ("rate", "p50", "p99", "cpu")
