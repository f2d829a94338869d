"""One real Valkey for a test process, and a database of it, emptied, for each test.

    from tests.fixtures_valkey import valkey, valkey_server   # in a conftest.py or a test module

`valkey_server` runs for the whole session (each xdist worker has its own); `valkey` is what a test asks for. Both speak
over a unix socket in a temporary folder, so nothing is shared with any other process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from supervisors.embedded_valkey import Valkey, ValkeyOptions, start_valkey, stop_valkey


class TestValkey(msgspec.Struct, frozen=True):
    """An empty database of a real server."""

    __test__ = False

    url: str
    server: Valkey

    def client(self) -> redis.Redis:
        """An independent client (redis-py), for looking at what ours did. The caller closes it (it is a context manager)."""
        return redis.Redis.from_url(self.url, socket_timeout=5.0)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server for this test process. A test that kills or blocks a server starts one of its own."""
    server = start_valkey(ValkeyOptions(Path(tmp_path_factory.mktemp("valkey"))))
    yield server
    stop_valkey(server)


@pytest.fixture
def valkey(valkey_server: Valkey) -> Iterator[TestValkey]:
    """Database 0 of the session's server, emptied before the test. Pub/sub has no databases: channels are shared by tests."""
    lent = TestValkey(f"{valkey_server.address.url}?db=0", valkey_server)
    with lent.client() as client:
        client.flushall()
    yield lent
