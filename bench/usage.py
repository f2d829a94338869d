"""What processes have cost: CPU time since they began, and resident memory.

    roots ─▶ every living descendant: its own clock, and what its ended children took ─▶ seconds

A process's CPU clock counts nanoseconds, threads that ended included; `/proc/PID/stat` would round each of forty processes to 10 ms.
Linux alone: a clock's number is made of the process id, as clock_getcpuclockid(3) does.

Invariant: the difference of two readings is all CPU time, user and system, that the roots and their descendants spent between them,
those that came or ended meanwhile included (their parents wait for them).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import psutil

CPUCLOCK_SCHED: Final = 2


def cpu_s(roots: Iterable[int]) -> float:
    """CPU seconds of these processes and all their descendants."""
    total_s = 0.0
    for root in roots:
        first = psutil.Process(root)
        for process in (first, *first.children(recursive=True)):
            try:
                times = process.cpu_times()
                own_s = time.clock_gettime((~process.pid << 3) | CPUCLOCK_SCHED)
            except (psutil.NoSuchProcess, OSError):
                continue  # it ended just now; its parent has its time
            total_s += own_s + times.children_user + times.children_system
    return total_s


def resident_kib(pid: int) -> tuple[float, float]:
    """(RSS, PSS) of one process, in KiB. What the kernel holds for its sockets is in neither."""
    rss = pss = 0
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Rss:"):
                rss = int(line.split()[1])
            elif line.startswith("Pss:"):
                pss = int(line.split()[1])
    return float(rss), float(pss)


def resident_tree_kib(roots: Iterable[int]) -> float:
    """PSS of these processes and all their descendants, in KiB: what they share is counted once."""
    total = 0.0
    for root in roots:
        first = psutil.Process(root)
        for process in (first, *first.children(recursive=True)):
            try:
                total += resident_kib(process.pid)[1]
            except (ProcessLookupError, FileNotFoundError):
                continue  # it ended just now
    return total
