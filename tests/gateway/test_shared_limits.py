"""Claims about limits that gateways share: against the rule of one bucket, over a real Valkey, and without any."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.limits import Quota, Quotas
from actors.pace import Rate
from gateway.redis_connection import RedisAddress, Way, parse_address
from gateway.resp import Commands
from gateway.shared_limits import ADDRESS_SHARE, SharedLimits
from tests.fixtures_valkey import TestValkey

PATIENCE_S = 20.0
REACT = Quota.REACTIONS
NEVER = Rate(per_s=0.0001, burst=10)
"""A burst, and then nothing for hours."""


def quotas(rate: Rate) -> Quotas:
    return msgspec.structs.replace(Quotas(), reactions=rate)


def nobody(path: Path) -> Commands:
    return Commands(Way(RedisAddress(socket_path=str(path / "nobody")), "limits"), random=random.random)


@asynccontextmanager
async def gateways(valkey: TestValkey, count: int, rate: Rate) -> AsyncIterator[list[SharedLimits]]:
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            made = []
            for _ in range(count):
                commands = Commands(Way(parse_address(valkey.url), "limits"), random=random.random)
                nursery.start_soon(commands.serve)
                await commands.wait_up()
                made.append(SharedLimits(commands, quotas(rate)))
            yield made
            nursery.cancel_scope.cancel()


async def test_an_account_has_one_bucket_over_all_gateways(valkey: TestValkey) -> None:
    async with gateways(valkey, 3, NEVER) as limits:
        allowed = 0
        for turn in range(60):
            gateway = limits[turn % 3]
            allowed += gateway.take(REACT, 7) == 0.0
            await gateway.settle()
        assert 10 <= allowed <= 12, "a gateway that has not heard of the others lets one through"
        for gateway in limits:
            assert gateway.take(REACT, 7) > 9_000
            assert gateway.take(REACT, 8) == 0.0, "another account has its own"
            assert gateway.take(Quota.SEARCH, 7) == 0.0, "and another kind"


async def test_what_several_gateways_let_through_at_once_is_owed(valkey: TestValkey) -> None:
    async with gateways(valkey, 2, Rate(per_s=1.0, burst=10)) as limits:
        assert [sum(gateway.take(REACT, 7) == 0.0 for _ in range(30)) for gateway in limits] == [10, 10], "at the first moment"
        for gateway in limits:
            await gateway.settle()
        await limits[0].settle()
        assert 10.0 < limits[1].take(REACT, 7) <= 11.0, "the ten too many, and one more"


async def test_a_debt_ends_at_a_second_burst(valkey: TestValkey) -> None:
    async with gateways(valkey, 6, Rate(per_s=1.0, burst=10)) as limits:
        for gateway in limits:
            for _ in range(10):
                gateway.take(REACT, 7)
        for gateway in limits:
            await gateway.settle()
        assert limits[-1].take(REACT, 7) <= 11.0


async def test_serving_tells_the_others_by_itself(valkey: TestValkey) -> None:
    async with gateways(valkey, 2, NEVER) as limits, trio.open_nursery() as nursery:
        for gateway in limits:
            await nursery.start(gateway.serve)
        for _ in range(10):
            assert limits[0].take(REACT, 7) == 0.0
        with trio.move_on_after(PATIENCE_S):
            while limits[1].take(REACT, 7) == 0.0:
                await trio.lowlevel.checkpoint()
        assert limits[1].take(REACT, 7) > 9_000
        nursery.cancel_scope.cancel()


async def test_without_redis_each_gateway_grants_its_own_bucket(tmp_path: Path) -> None:
    now = 100.0
    limits = SharedLimits(nobody(tmp_path), quotas(Rate(per_s=1.0, burst=3)), now=lambda: now)
    assert [limits.take(REACT, 7) == 0.0 for _ in range(4)] == [True, True, True, False]
    await limits.settle()
    assert limits.alone == 3
    now = 101.0
    assert [limits.take(REACT, 7) == 0.0 for _ in range(2)] == [True, False]
    assert limits.refused == 2


async def test_an_address_has_a_bucket_for_many_accounts_and_all_of_a_subscribers_addresses_are_one(tmp_path: Path) -> None:
    limits = SharedLimits(nobody(tmp_path), quotas(Rate(per_s=0.001, burst=2)), now=lambda: 0.0)
    allowed = sum(limits.take(REACT, user, f"2001:db8::{user:x}") == 0.0 for user in range(1, 3 * ADDRESS_SHARE))
    assert allowed == 2 * ADDRESS_SHARE
    assert limits.take(REACT, 10_000, "192.0.2.7") == 0.0
    assert limits.take(REACT, 10_001) == 0.0


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 24).map(lambda n: n / 8)), max_size=80))
def test_alone_it_never_lets_through_more_than_one_bucket_and_who_waits_as_told_goes_on(asks: list[tuple[int, float]]) -> None:
    now = 0.0
    limits = SharedLimits(nobody(Path("/nowhere")), quotas(Rate(per_s=1.0, burst=4)), now=lambda: now)
    allowed: dict[int, int] = {}
    for user, pause_s in asks:
        now += pause_s
        wait_s = limits.take(REACT, user)
        allowed[user] = allowed.get(user, 0) + (wait_s == 0.0)
        assert allowed[user] <= 4 + now
        if wait_s:
            now += wait_s + 1e-6
            assert limits.take(REACT, user) == 0.0
            allowed[user] += 1


async def test_what_is_kept_is_bounded_however_many_ask(tmp_path: Path) -> None:
    limits = SharedLimits(nobody(tmp_path), quotas(NEVER), keys_max=5, now=lambda: 0.0)
    for user in range(1, 40):
        assert limits.take(REACT, user) == 0.0
    assert limits.alone == 34
    await limits.settle()
    assert limits.alone == 39
