"""Who else used this machine during a round: times are worth what the machine could give, and a reader has to know that.

    /proc/stat: all that ran ─┐
    our processes, by their ──┼─▶ others_cores: what everybody else took, in cores
    user and system times     ┘

Invariant: it measures and judges nothing: what was late is late, whoever took the time.
"""

from __future__ import annotations

import os
import time

import psutil

SHOWN_FROM = 0.25


class Witness:
    """Looks at two moments and compares."""

    def __init__(self) -> None:
        self._ours: dict[int, float] = {}
        self._all = 0.0
        self._at = 0.0

    def begin(self) -> None:
        self._ours, self._all, self._at = _ours(), _all(), time.monotonic()

    def others_cores(self) -> float:
        """Since `begin`. What processes of ours took that ended meanwhile counts as the others'."""
        elapsed_s = max(0.001, time.monotonic() - self._at)
        now = _ours()
        ours_s = sum(taken - self._ours.get(pid, 0.0) for pid, taken in now.items())
        return max(0.0, (_all() - self._all - ours_s) / elapsed_s)


def _all() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _ours() -> dict[int, float]:
    taken = {}
    own = psutil.Process(os.getpid())
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        taken[process.pid] = float(times.user + times.system)
    return taken
