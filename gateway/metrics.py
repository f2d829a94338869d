"""What an operator can read from this process: Prometheus text over plain counters.

    component.counter += 1          no labels, no locks, no library in the hot path
    Metric(name, read=callback) ─▶ Metrics.exposition(), when somebody scrapes

Components count in plain attributes; the root names them here, once, with callbacks that read them. Nothing is registered globally,
so two gateways in one process (tests, the simulator) have two expositions.

Invariant: reading changes nothing and never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final, Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from actors.histogram import Histogram

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

Labels = tuple[str, ...]
Figure = float | Histogram
Reading = Figure | Mapping[Labels, float] | Mapping[Labels, Histogram]
"""One figure, or one for each combination of label values."""
Kind = Literal["counter", "gauge", "histogram"]


class Metric(Struct, frozen=True):
    """A figure with a name. Names follow Prometheus: base units, `_total` for counters (added to the text if left out here)."""

    name: str
    help: str
    kind: Kind
    read: Callable[[], Reading]
    labels: Labels = ()

    @property
    def series(self) -> str:
        """The name by which queries ask for it; of a histogram without `_bucket`, `_sum` and `_count`."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def family(self) -> Family:
        """The figures now."""
        reading = self.read()
        figures: Mapping[Labels, Figure] = reading if isinstance(reading, Mapping) else {(): reading}
        family = _FAMILIES[self.kind](self.name, self.help, labels=self.labels)
        for values, figure in figures.items():
            assert len(values) == len(self.labels), f"{self.name} has the labels {self.labels}, not {len(values)} values"
            if isinstance(family, HistogramMetricFamily):
                assert isinstance(figure, Histogram), f"{self.name} is a histogram"
                family.add_metric(values, buckets=_buckets(figure), sum_value=figure.sum)
            else:
                assert not isinstance(figure, Histogram), f"{self.name} is no histogram"
                family.add_metric(values, figure)
        return family


_FAMILIES: Final[Mapping[Kind, type[CounterMetricFamily] | type[GaugeMetricFamily] | type[HistogramMetricFamily]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    names = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    return [(name, float(count)) for name, count in zip(names, accumulate(histogram.counts), strict=True)]


class Metrics:
    """The metrics of one node. `process`: also CPU, memory and file descriptors of this process."""

    def __init__(self, metrics: Sequence[Metric], *, process: bool = True) -> None:
        names = [metric.name for metric in metrics]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"metrics named twice: {sorted(twice)}"
        self.metrics = tuple(metrics)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Readings(metrics))
        if process:
            ProcessCollector(registry=self._registry)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Readings(Collector):
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterable[Family]:
        for metric in self._metrics:
            yield metric.family()
