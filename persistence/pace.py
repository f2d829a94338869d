"""How long the journal lets entries gather before the next batch.

Each batch costs the server ~0.7 ms of CPU whatever its size, and this process ~0.4 ms: eager tiny batches at medium load cost 138 µs a
post, a minimum of 10 ms between batch starts 37 µs. So a quiet journal never waits, and a busy one waits for company; the busier it is,
the sooner that is there:

    interval
     16 ms │           ┌───╮
           │         ／      ╲___
      5 ms │       ／            ‾‾‾───────
         0 │─────／
           └─────┴────┴────┴─────────┴───── entries/s
              QUIET  BUSY          COMPANY / 5 ms

Where it is busy, a batch has about as many entries at any load. So a load costs the same through two gateways as through one: each
waits twice as long for as many. With one interval for all they started twice as many batches, and a post cost 1.3 to 1.6 times as much.

Pure: time comes in as an argument.
"""

from __future__ import annotations

import math
from typing import Final

QUIET_PER_S: Final = 200.0
"""Below this, batches of one cost the server less than a sixth of a core."""
BUSY_PER_S: Final = 1_500.0
COMPANY: Final = 30.0
"""Entries that share a batch's own cost: some 40 µs each, less than half of what a post costs in all."""
INTERVAL_MAX_S: Final = 0.016
"""With a commit behind it the slowest is acknowledged after some 20 ms."""
INTERVAL_MIN_S: Final = 0.005
"""From 6,000 entries a second on. As long as a commit takes: what queues meanwhile is the next batch, and grows with the load."""
MEMORY_S: Final = 0.25
"""How fast the estimate follows: after this long, two thirds of it are news."""


class Pace:
    """An estimate of the load, and the interval that follows from it."""

    __slots__ = ("_rate_per_s", "_started_s")

    def __init__(self) -> None:
        self._rate_per_s = 0.0
        self._started_s = -math.inf

    @property
    def rate_per_s(self) -> float:
        return self._rate_per_s

    def next_start_s(self) -> float:
        """The earliest moment for the next batch."""
        return self._started_s + self.interval_s

    @property
    def interval_s(self) -> float:
        """Between two starts, at the present load."""
        if self._rate_per_s <= QUIET_PER_S:
            return 0.0
        share = min((self._rate_per_s - QUIET_PER_S) / (BUSY_PER_S - QUIET_PER_S), 1.0)
        return share * min(max(COMPANY / self._rate_per_s, INTERVAL_MIN_S), INTERVAL_MAX_S)

    def started(self, now_s: float, entries: int) -> None:
        """Notes that a batch of `entries` starts now."""
        elapsed_s = max(now_s - self._started_s, 1e-6)
        fade = math.exp(-elapsed_s / MEMORY_S)
        self._rate_per_s = self._rate_per_s * fade + entries / elapsed_s * (1.0 - fade) if elapsed_s < math.inf else 0.0
        self._started_s = now_s
