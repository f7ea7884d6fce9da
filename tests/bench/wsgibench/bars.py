"""The bars that mod_wsgid has set itself, as a table, and whether they are met."""

import operator
from dataclasses import dataclass

from .measures import MEASURES
from .peers import OURS

COMPARE = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}
BEST_PROXIED = "best proxied"


@dataclass(frozen=True)
class Bar:
    """`measure` of ours, divided by that of `against`, compared with `factor`."""

    scenario: str
    measure: str
    against: str | None
    comparison: str
    factor: float
    # Theirs divided by ours, for what is better when it is less.
    turned: bool = False

    def title(self):
        """As it is read."""
        if self.measure == "errors":
            return "errors"
        measure = MEASURES[self.measure]
        if self.against is None:
            return f"{measure.title}, {measure.unit}"
        return f"{measure.title}, {self.against} ÷ ours" if self.turned else f"{measure.title} ÷ {self.against}"

    def measured(self, results):
        """What to hold against the factor, and by whom, or nothing where that was not measured."""
        if self.measure == "errors":
            if not results.samples(self.scenario, OURS.name):
                return None, None
            return sum(results.errors(self.scenario, OURS.name).values()), None
        if self.against is None:
            value = results.value(self.scenario, OURS.name, self.measure)
            return (None if value is None else value * MEASURES[self.measure].scale), None
        peer = self.against
        if peer == BEST_PROXIED:
            peer = results.best_proxied(self.scenario, self.measure)
        ratio = results.ratio(self.scenario, peer, self.measure) if peer else None
        return (1 / ratio if ratio and self.turned else ratio), peer

    def verdict(self, results):
        """met, missed, or not measured."""
        value, _ = self.measured(results)
        if value is None:
            return "not measured"
        return "met" if COMPARE[self.comparison](value, self.factor) else "missed"


BARS = [
    Bar("hello-16", "rate", "embedded", "≥", 1.15),
    Bar("hello-16", "rate", "daemon", "≥", 2.2),
    Bar("hello-16", "rate", BEST_PROXIED, "≥", 1.10),
    Bar("hello-16", "rate", "static", "≥", 0.70),
    Bar("hello-16", "cpu", "embedded", "≤", 0.88),
    Bar("hello-16", "cpu", "daemon", "≤", 0.42),
    Bar("hello-16", "p99", "embedded", "≤", 0.7),
    Bar("hello-1", "p50", "embedded", "≤", 1.30),
    Bar("hello-1", "p50", "daemon", "≤", 0.42),
    Bar("hello-1", "p50", BEST_PROXIED, "<", 1.0),
    Bar("body-100k", "rate", "daemon", "≥", 1.5),
    Bar("body-1m", "rate", "daemon", "≥", 1.5),
    Bar("file", "throughput", "static", "≥", 0.90),
    Bar("file", "cpu_mb", "static", "≥", 0.90, turned=True),
    Bar("upload", "throughput", "daemon", "≥", 1.2),
    Bar("upload", "grown_child", None, "<", 8),
    Bar("upload", "grown_worker", None, "<", 8),
    Bar("sleeper", "ideal", None, "≥", 95),
    Bar("sleeper", "errors", None, "≤", 0),
]
