"""A token bucket: how much of something may happen, on average and at once. Pure; time comes in as an argument."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Rate(Struct, frozen=True):
    """`per_s` on average, up to `burst` at once."""

    per_s: Annotated[float, Meta(gt=0)]
    burst: Annotated[float, Meta(ge=1)]


class Pace:
    """One bucket of a `Rate`, full at first."""

    __slots__ = ("_at", "_level", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._level = rate.burst
        self._at = now

    def take(self, now: float, cost: float = 1.0) -> float:
        """Takes `cost` tokens: 0.0 if there were so many, else the seconds until there will be (and nothing is taken).

        What costs more than the burst takes the whole of it.
        """
        rate = self.rate
        level = min(rate.burst, self._level + max(0.0, now - self._at) * rate.per_s)
        self._at = max(now, self._at)
        cost = min(cost, rate.burst)
        if level >= cost:
            self._level = level - cost
            return 0.0
        self._level = level
        return (cost - level) / rate.per_s
