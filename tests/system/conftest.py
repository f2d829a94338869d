"""One installation with two gateways for all tests of a worker that need a running system."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.running import Dev


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    running = Dev(tmp_path_factory.mktemp("dev"), "--gateways", "2", "--no-demo", ml=True)
    try:
        yield running
    finally:
        running.stop()
