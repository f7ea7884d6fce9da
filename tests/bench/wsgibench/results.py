"""Samples, their medians, and how ours compare."""

import statistics

from .measures import LOAD_ONLY, MEASURES
from .peers import OURS, PEERS


class Results:
    """Of a run, as far as it has come."""

    def __init__(self, settings, machine):
        self.settings = settings
        self.machine = machine
        self.scenarios = []
        self._samples = {}

    def add(self, scenario, samples):
        """A scenario's samples by peer."""
        self.scenarios.append(scenario)
        self._samples[scenario.name] = samples

    def peers(self, scenario):
        """Those that took part, in the table's order."""
        return [peer for peer in PEERS if peer.name in self._samples.get(scenario.name, {})]

    def samples(self, scenario_name, peer_name):
        """In the order of rounds."""
        return self._samples.get(scenario_name, {}).get(peer_name, [])

    def values(self, scenario_name, peer_name, measure_name):
        """One measure in every round that has it."""
        samples = self.samples(scenario_name, peer_name)
        return [sample[measure_name] for sample in samples if sample.get(measure_name) is not None]

    def value(self, scenario_name, peer_name, measure_name):
        """The median over the rounds, or nothing."""
        values = self.values(scenario_name, peer_name, measure_name)
        if not values:
            return None
        return max(values) if MEASURES[measure_name].worst else statistics.median(values)

    def ratio(self, scenario_name, peer_name, measure_name):
        """Ours divided by the peer's."""
        ours = self.value(scenario_name, OURS.name, measure_name)
        theirs = self.value(scenario_name, peer_name, measure_name)
        return ours / theirs if ours is not None and theirs else None

    def best_proxied(self, scenario_name, measure_name):
        """The name of the peer behind a proxy that does best, or nothing."""
        found = [
            (value, peer.name)
            for peer in PEERS
            if peer.proxied and (value := self.value(scenario_name, peer.name, measure_name)) is not None
        ]
        best = max if MEASURES[measure_name].more_is_better else min
        return best(found)[1] if found else None

    def errors(self, scenario_name, peer_name):
        """How many of each kind, over all rounds."""
        kinds = {}
        for sample in self.samples(scenario_name, peer_name):
            for kind, number in sample["kinds"].items():
                kinds[kind] = kinds.get(kind, 0) + number
        return kinds

    def measures(self, scenario):
        """Those that some peer has in this scenario."""
        return [
            measure
            for measure in MEASURES.values()
            if not (scenario.rest and measure.name in LOAD_ONLY)
            and any(self.values(scenario.name, peer.name, measure.name) for peer in self.peers(scenario))
        ]

    def unserved(self):
        """Did some peer serve nothing in some round?"""
        return any(sample["requests"] == 0 for sample in self._all())

    def worst(self, circumstance):
        """The largest value of 'others', 'idle' or 'client', in CPUs."""
        return max((sample[circumstance] for sample in self._all()), default=0)

    def median(self, circumstance):
        """And the median."""
        return statistics.median([sample[circumstance] for sample in self._all()] or [0])

    def _all(self):
        return [s for samples in self._samples.values() for peers in samples.values() for s in peers]

    def data(self):
        """For results.json."""
        return {
            **self.machine,
            "rounds": self.settings.rounds,
            "seconds": self.settings.seconds,
            "processes": self.settings.processes,
            "threads": self.settings.threads,
            "units": "seconds, bytes, CPUs; throughput in MB/s (10^6), memory in MiB",
            "scenarios": {s.name: self._scenario_data(s) for s in self.scenarios},
        }

    def _scenario_data(self, scenario):
        names = [measure.name for measure in self.measures(scenario)]
        return {
            "title": scenario.title,
            "peers": {
                peer.name: {
                    "value": {name: self.value(scenario.name, peer.name, name) for name in names},
                    "ours_divided_by_this": {name: self.ratio(scenario.name, peer.name, name) for name in names},
                    "errors": self.errors(scenario.name, peer.name),
                    "rounds": self.samples(scenario.name, peer.name),
                }
                for peer in self.peers(scenario)
            },
        }
