"""What OpenTelemetry's library says to Python's `logging`, as one event of ours, and seldom.

    logging.getLogger("opentelemetry") ─▶ CollectorLog ─ at most once in EVERY_S ─▶ spans_refused   error=… unsaid=…

A collector that is away makes the library say so with each attempt, a bare line of text in what may be a log of JSON.

Invariant: nothing that the library says reaches standard error by itself; what is not written is counted in what is written next.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger("traces")

EVERY_S: Final = 60.0
LIBRARY: Final = "opentelemetry"


class CollectorLog(logging.Handler):
    """A handler of `logging`, for warnings and errors; `say` also takes what did not come that way. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._next_at = float("-inf")
        self._unsaid = 0

    def attach(self) -> None:
        """Takes everything that the library says, from now on; a second time it changes nothing."""
        library = logging.getLogger(LIBRARY)
        library.addHandler(self)
        library.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.say(record.getMessage())

    def say(self, error: str) -> None:
        """Writes it, with how many were not written since the last one; or counts it."""
        self.acquire()
        try:
            if self._clock() < self._next_at:
                self._unsaid += 1
                return
            self._next_at = self._clock() + EVERY_S
            unsaid, self._unsaid = self._unsaid, 0
        finally:
            self.release()
        log.warning("spans_refused", error=error, unsaid=unsaid)


COLLECTOR_LOG: Final = CollectorLog()
"""The process's: the library has one logger, too."""
