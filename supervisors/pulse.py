"""The pulse of a process: how late the event loop is, and how long the garbage collector stops it.

    sleep 0.1 s ─▶ woken late by 3 ms ─▶ histogram      what any other task would have waited, too
    gc ─ start ─ stop ─▶ histogram by generation

Every wait for a turn is in what clients feel, and nothing else shows it: a process that is late everywhere looks idle in each part.

Invariant: the probe costs ten wake-ups a second (0.02 % of a core), whatever the load.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from typing import Final

import trio

from actors.histogram import SECONDS, Histogram

BEAT_S: Final = 0.1
RECENT_BEATS: Final = 100
"""Ten seconds, for the live view."""


class Pulse:
    """Plain figures, read by the metrics and the live view. `run` in the process that is to be felt."""

    def __init__(self) -> None:
        self.delay_s = Histogram(SECONDS)
        """How much later than asked a task was woken."""
        self.recent_s: deque[float] = deque(maxlen=RECENT_BEATS)
        self.pauses_s = {generation: Histogram(SECONDS) for generation in range(len(gc.get_count()))}
        """By generation: how long a collection stopped every thread."""
        self._collecting_since_s = 0.0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Feels it until cancelled."""
        gc.callbacks.append(self._collected)
        try:
            task_status.started()
            while True:
                due_s = trio.current_time() + BEAT_S
                await trio.sleep_until(due_s)
                late_s = trio.current_time() - due_s
                self.delay_s.observe(late_s)
                self.recent_s.append(late_s)
        finally:
            gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        # Any thread may set a collection off, and holds the interpreter's lock until it is over: two never overlap.
        if phase == "start":
            self._collecting_since_s = time.perf_counter()
        else:
            self.pauses_s[info["generation"]].observe(time.perf_counter() - self._collecting_since_s)
