"""A command that runs inside a test's process leaves the process's log as it was."""

from __future__ import annotations

import pytest
import structlog


@pytest.fixture(autouse=True)
def log_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets its log up for good: onto the standard error of this test, which is closed after it."""
    monkeypatch.setattr(structlog, "configure", lambda **_: None)
