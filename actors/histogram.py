"""A histogram: how often something was how large, as plain integers that a metrics adapter reads.

    observe(0.004) ─▶ bounds 0.001 │ 0.005 │ 0.025 │ … ─▶ counts[1] += 1, sum += 0.004

0.2 µs an observation: for what happens once a batch, a flush or a transaction, not once a delivery.

Invariant: `counts` has one place more than `bounds`, for what is above the last.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From what nobody notices to what everybody does."""
ITEMS: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0)


class Histogram:
    """See the module. `bounds` ascend; a value that equals one belongs to it."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def total(self) -> int:
        """How many were observed."""
        return sum(self.counts)

    def quantile(self, share: float, since: Sequence[int] = ()) -> float:
        """The bound below which at least `share` of the observations are: infinity where that is above the last, 0 where there are none.

        `since`: the counts at an earlier moment, so that only what came later counts.
        """
        counts = [now - then for now, then in zip(self.counts, since, strict=True)] if since else self.counts
        wanted = share * sum(counts)
        seen = 0
        for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
            seen += count
            if seen and seen >= wanted:
                return bound
        return 0.0
