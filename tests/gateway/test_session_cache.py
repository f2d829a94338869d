"""Claims about the session cache: near, far, shared, invalidated, and without Redis."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import pytest
import trio
import trio.testing

from actors.accounts import SessionState
from gateway.redis_connection import RedisAddress, Way, parse_address
from gateway.resp import Commands
from gateway.session_cache import OWED_MAX, CacheLimits, SessionCache
from tests.fixtures_valkey import TestValkey
from tests.gateway.faulty_redis import FaultyRedis

PATIENCE_S = 20.0


class Postgres:
    """The table behind the cache. A load can be held until the test lets it go, or made to fail."""

    def __init__(self) -> None:
        self.rows = {1: SessionState(1, 10, 100, 2_000_000_000), 2: SessionState(2, 20, 200, 2_000_000_000)}
        self.loads: list[int] = []
        self.gate: trio.Event | None = None
        self.error: Exception | None = None
        self.reading = trio.Event()

    async def load(self, session_id: int) -> SessionState | None:
        self.loads.append(session_id)
        row = self.rows.get(session_id)  # read now, answered later: as a slow query does
        self.reading.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return row

    def revoke(self, session_id: int) -> None:
        row = self.rows[session_id]
        self.rows[session_id] = SessionState(row.session, row.user, row.device, row.expires_at, True)


class Fleet:
    """Gateways with a cache each, over one Postgres. Announcements reach the others at once unless `lossy`."""

    def __init__(self, address: RedisAddress, size: int = 2, limits: CacheLimits | None = None) -> None:
        self.postgres = Postgres()
        self.now = 0.0
        self.lossy = False
        self.commands = [Commands(Way(address, "cache"), random=random.random) for _ in range(size)]
        self.caches = [
            SessionCache(commands, self._tell_others(number), SessionState, self.postgres.load, limits=limits, now=lambda: self.now)
            for number, commands in enumerate(self.commands)
        ]

    def _tell_others(self, number: int) -> Callable[[bytes], None]:
        def announce(payload: bytes) -> None:
            for other, cache in enumerate(self.caches):
                if other != number and not self.lossy:
                    cache.heard(payload)

        return announce

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                for commands in self.commands:
                    nursery.start_soon(commands.serve)
                    await commands.wait_up()
                yield
                nursery.cancel_scope.cancel()


@pytest.fixture
def fleet(valkey: TestValkey) -> Fleet:
    return Fleet(parse_address(valkey.url))


async def test_a_session_is_loaded_once_for_all_gateways(fleet: Fleet) -> None:
    one, two = fleet.caches
    async with fleet.running():
        assert one.peek(1) is None
        for cache in (one, one, two, two):
            assert await cache.get(1) == fleet.postgres.rows[1]
            await fleet.commands[0].call("PING")  # what it posted has arrived
        assert fleet.postgres.loads == [1]
        assert one.peek(1) == two.peek(1) == fleet.postgres.rows[1]
        assert (two.counts.from_redis, two.counts.loaded) == (1, 0)


async def test_what_stands_in_redis_is_plain_msgpack_with_an_end(fleet: Fleet, valkey: TestValkey) -> None:
    async with fleet.running():
        await fleet.caches[0].get(1)
        await fleet.commands[0].call("PING")
        with valkey.client() as client:
            assert msgpack.unpackb(client.get("session:v1:1")) == [1, 10, 100, 2_000_000_000, False]
            assert 290 < client.ttl("session:v1:1") <= 300


async def test_many_who_ask_at_once_share_one_load(fleet: Fleet) -> None:
    cache, postgres = fleet.caches[0], fleet.postgres
    postgres.gate = trio.Event()
    answers: list[SessionState | None] = []

    async def get() -> None:
        answers.append(await cache.get(1))

    async with fleet.running(), trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(get)
        await postgres.reading.wait()
        postgres.gate.set()
    assert answers == [postgres.rows[1]] * 100
    assert postgres.loads == [1]


async def test_a_cancelled_fetch_is_taken_over_by_whoever_waits_for_it(fleet: Fleet) -> None:
    cache, postgres = fleet.caches[0], fleet.postgres
    postgres.gate = trio.Event()
    answers: list[SessionState | None] = []

    async def get(scope: trio.CancelScope) -> None:
        with scope:
            answers.append(await cache.get(1))

    async with fleet.running(), trio.open_nursery() as nursery:
        first = trio.CancelScope()
        nursery.start_soon(get, first)
        await postgres.reading.wait()
        nursery.start_soon(get, trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()
        postgres.reading = trio.Event()
        first.cancel()
        await postgres.reading.wait()
        postgres.gate.set()
    assert answers == [postgres.rows[1]]


async def test_a_failed_load_fails_everybody_who_shares_it_and_is_not_kept(fleet: Fleet) -> None:
    cache, postgres = fleet.caches[0], fleet.postgres
    postgres.gate, postgres.error = trio.Event(), ConnectionRefusedError("no Postgres")
    failures: list[BaseException] = []

    async def get() -> None:
        with pytest.raises(ConnectionRefusedError) as failure:
            await cache.get(1)
        failures.append(failure.value)

    async with fleet.running():
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(get)
            await postgres.reading.wait()
            postgres.gate.set()
        assert (len(failures), postgres.loads) == (3, [1])
        postgres.error = None
        assert await cache.get(1) == postgres.rows[1]


async def test_an_unknown_session_is_not_cached(fleet: Fleet) -> None:
    cache, postgres = fleet.caches[0], fleet.postgres
    async with fleet.running():
        assert await cache.get(3) is None
        postgres.rows[3] = SessionState(3, 30, 300, 2_000_000_000)
        assert await cache.get(3) == postgres.rows[3]


async def test_an_invalidated_session_is_loaded_again_on_every_gateway(fleet: Fleet) -> None:
    one, two = fleet.caches
    async with fleet.running():
        for cache in fleet.caches:
            await cache.get(1)
        fleet.postgres.revoke(1)
        await one.invalidate(1)
        for cache in (one, two):
            session = await cache.get(1)
            assert session is not None
            assert session.ended


async def test_a_lost_announcement_is_outlived_by_no_more_than_the_near_lifetime(fleet: Fleet) -> None:
    one, two = fleet.caches
    fleet.lossy = True
    async with fleet.running():
        await two.get(1)
        fleet.postgres.revoke(1)
        await one.invalidate(1)
        fleet.now = two.limits.l1_s
        assert await two.get(1) == fleet.postgres.rows[1]


@pytest.mark.parametrize("who", ["the same gateway", "another gateway"])
async def test_what_was_read_before_an_invalidation_is_not_cached_after_it(fleet: Fleet, who: str) -> None:
    one, two = fleet.caches
    slow = one if who == "the same gateway" else two
    postgres = fleet.postgres
    postgres.gate = trio.Event()
    fleet.lossy = who != "the same gateway"  # then only the tombstone can keep the old value out of Redis
    async with fleet.running():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slow.get, 1)
            await postgres.reading.wait()
            postgres.revoke(1)
            await one.invalidate(1)
            postgres.gate.set()
        await slow._commands.call("PING")  # whatever it posted has arrived
        fleet.now = slow.limits.l1_s
        for cache in (one, two):
            assert await cache.get(1) == postgres.rows[1]


async def test_who_asks_after_an_invalidation_does_not_join_a_fetch_from_before_it(fleet: Fleet) -> None:
    cache, postgres = fleet.caches[0], fleet.postgres
    postgres.gate = trio.Event()
    async with fleet.running(), trio.open_nursery() as nursery:
        nursery.start_soon(cache.get, 1)
        await postgres.reading.wait()
        postgres.revoke(1)
        cache.forget(1)
        gate, postgres.gate = postgres.gate, None
        assert await cache.get(1) == postgres.rows[1]
        gate.set()
    assert cache.peek(1) == postgres.rows[1]


async def test_without_redis_sessions_come_from_postgres(tmp_path: Path) -> None:
    fleet = Fleet(RedisAddress(socket_path=str(tmp_path / "nobody")))
    cache = fleet.caches[0]
    assert await cache.get(1) == fleet.postgres.rows[1]
    assert await cache.get(1) == fleet.postgres.rows[1]
    assert fleet.postgres.loads == [1]
    fleet.postgres.revoke(1)
    await cache.invalidate(1)
    assert await cache.get(1) == fleet.postgres.rows[1]


async def test_an_invalidation_that_redis_missed_is_made_up_for_before_redis_is_read_again(valkey: TestValkey, tmp_path: Path) -> None:
    proxy = FaultyRedis(valkey.server.address.socket_path, tmp_path)
    fleet = Fleet(proxy.address, 1)
    cache = fleet.caches[0]
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        async with fleet.running():
            await cache.get(1)
            await cache._commands.call("PING")
            proxy.fault = "stuck"
            async with trio.open_nursery() as invalidating:
                invalidating.start_soon(cache.invalidate, 1)
                await trio.testing.wait_all_tasks_blocked()
                proxy.cut()
            fleet.postgres.revoke(1)
            await fleet.commands[0].wait_up()
            assert await cache.get(1) == fleet.postgres.rows[1]
        nursery.cancel_scope.cancel()


async def test_what_is_owed_to_redis_is_bounded(tmp_path: Path) -> None:
    cache = Fleet(RedisAddress(socket_path=str(tmp_path / "nobody"))).caches[0]
    for session_id in range(OWED_MAX + 10):
        await cache.invalidate(session_id)
    assert len(cache._owed) == OWED_MAX


async def test_a_value_of_another_shape_is_loaded_again(fleet: Fleet, valkey: TestValkey) -> None:
    with valkey.client() as client:
        client.set("session:v1:1", b"\x81\xa1x\x01")
    async with fleet.running():
        assert await fleet.caches[0].get(1) == fleet.postgres.rows[1]
        assert fleet.caches[0].counts.unreadable == 1


async def test_the_near_table_keeps_its_bound_and_what_was_used_last(valkey: TestValkey) -> None:
    fleet = Fleet(parse_address(valkey.url), 1, CacheLimits(entries_max=2))
    cache, postgres = fleet.caches[0], fleet.postgres
    postgres.rows[3] = SessionState(3, 30, 300, 2_000_000_000)
    async with fleet.running():
        for session_id in (1, 2, 1, 3):
            await cache.get(session_id)
        assert [cache.peek(session_id) is not None for session_id in (1, 2, 3)] == [True, False, True]


async def test_everything_near_can_be_forgotten_when_announcements_may_have_been_missed(fleet: Fleet) -> None:
    cache = fleet.caches[0]
    async with fleet.running():
        await cache.get(1)
        await cache.get(2)
        cache.forget_all()
        assert (cache.peek(1), cache.peek(2)) == (None, None)


async def test_a_foreign_announcement_is_ignored(fleet: Fleet) -> None:
    async with fleet.running():
        await fleet.caches[0].get(1)
        for payload in (b"", b"-1", b"1.0", b"x", b"\xff"):
            fleet.caches[0].heard(payload)
        assert fleet.caches[0].peek(1) is not None
