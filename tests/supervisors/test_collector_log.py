"""Claims about what OpenTelemetry's library says: it becomes our event, seldom, and nothing of it is bare text."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from supervisors.collector_log import EVERY_S, LIBRARY, CollectorLog
from supervisors.tracing import OtlpTracer

SOME = logging.getLogger(f"{LIBRARY}.exporter.some")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def library() -> Iterator[logging.Logger]:
    """The library's logger, and as it was afterwards."""
    library = logging.getLogger(LIBRARY)
    handlers, propagates = list(library.handlers), library.propagate
    library.handlers.clear()
    library.propagate = True
    yield library
    library.handlers[:] = handlers
    library.propagate = propagates


def test_a_collector_that_is_away_is_said_once_a_minute_with_how_often_it_was_not_said(library: logging.Logger) -> None:
    clock = Clock()
    CollectorLog(clock).attach()
    with capture_logs() as said:
        for _ in range(40):
            SOME.warning("Transient error %s encountered", "refused")
        clock.now += EVERY_S - 0.1
        SOME.error("Failed")
        clock.now += 0.1
        SOME.error("Failed again")
    assert said == [
        {"event": "spans_refused", "log_level": "warning", "error": "Transient error refused encountered", "unsaid": 0},
        {"event": "spans_refused", "log_level": "warning", "error": "Failed again", "unsaid": 40},
    ]


def test_a_tracer_leaves_the_library_no_line_of_its_own(library: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        OtlpTracer("http://127.0.0.1:9", 0.5, 7)
    [handler] = library.handlers
    assert isinstance(handler, CollectorLog) and not library.propagate
    with capture_logs() as said:
        SOME.error("a bare line")
    assert "a bare line" not in capfd.readouterr().err
    assert {line["event"] for line in said} <= {"spans_refused"}
