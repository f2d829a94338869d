"""Claims about rate limits: the local rule against a simple bucket, the shared rule against the local one, and without Redis."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway.rates import ALLOWED, Buckets, Decision, Limit, Rates
from gateway.redis_connection import RedisAddress, Way, parse_address
from gateway.resp import Commands
from tests.fixtures_valkey import TestValkey

PATIENCE_S = 20.0
EIGHTHS = st.integers(0, 40).map(lambda n: n / 8)
"""Seconds that floats hold exactly, as a model in fractions must agree to the last bit about what is allowed just now."""


class Bucket:
    """The model: a bucket of tokens that fills, in exact arithmetic."""

    def __init__(self, limit: Limit) -> None:
        self.limit, self.per_s = limit, Fraction(limit.per_s)
        self.tokens, self.at = Fraction(limit.burst), Fraction(0)

    def take(self, now: float, cost: int) -> tuple[bool, Fraction]:
        self.tokens = min(Fraction(self.limit.burst), self.tokens + (Fraction(now) - self.at) * self.per_s)
        self.at = Fraction(now)
        if self.tokens >= cost:
            self.tokens -= cost
            return True, Fraction(0)
        return False, (cost - self.tokens) / self.per_s


@st.composite
def limits_and_costs(draw: st.DrawFn) -> tuple[Limit, list[tuple[float, int]]]:
    limit = Limit(draw(st.integers(1, 20)), draw(st.sampled_from([0.125, 0.5, 1.0, 3.0, 8.0, 10.0, 1000.0])))
    return limit, draw(st.lists(st.tuples(EIGHTHS, st.integers(1, limit.burst)), max_size=60))


@given(limits_and_costs())
def test_the_bucket_decides_as_the_model_does(case: tuple[Limit, list[tuple[float, int]]]) -> None:
    limit, asks = case
    buckets, model, now = Buckets(10), Bucket(limit), 0.0
    for pause_s, cost in asks:
        now += pause_s
        decision = buckets.take("key", limit, now, cost)
        allowed, wait_s = model.take(now, cost)
        assert decision.allowed is allowed
        assert decision.retry_after_s == pytest.approx(float(wait_s), abs=1e-6)


@given(limits_and_costs())
def test_who_waits_as_told_is_allowed(case: tuple[Limit, list[tuple[float, int]]]) -> None:
    limit, asks = case
    buckets, now = Buckets(10), 1e6
    for pause_s, cost in asks:
        now += pause_s
        decision = buckets.take("key", limit, now, cost)
        if not decision.allowed:
            assert decision.retry_after_s > 0
            now += decision.retry_after_s
            assert buckets.take("key", limit, now, cost).allowed


@given(st.lists(st.tuples(st.integers(0, 5), EIGHTHS), max_size=80))
def test_keys_do_not_share_a_bucket(asks: list[tuple[int, float]]) -> None:
    limit, now = Limit(2, 1.0), 0.0
    buckets, alone = Buckets(10), {key: Buckets(1) for key in range(6)}
    for key, pause_s in asks:
        now += pause_s
        assert buckets.take(key, limit, now) == alone[key].take(key, limit, now)


def test_the_table_keeps_its_bound_and_forgets_who_asked_longest_ago() -> None:
    buckets, limit = Buckets(3), Limit(1, 0.001)
    for key in ("a", "b", "c", "a", "d"):
        buckets.take(key, limit, 0.0)
    assert len(buckets) == 3
    assert not buckets.take("c", limit, 0.0).allowed
    assert not buckets.take("d", limit, 0.0).allowed
    assert buckets.take("b", limit, 0.0).allowed


def test_a_forgotten_key_starts_full() -> None:
    buckets, limit = Buckets(3), Limit(1, 0.001)
    buckets.take("socket", limit, 0.0)
    assert not buckets.take("socket", limit, 0.0).allowed
    buckets.forget("socket")
    assert buckets.take("socket", limit, 0.0) == ALLOWED
    assert len(buckets) == 1


@pytest.mark.parametrize(("burst", "per_s"), [(0, 1.0), (1, 0.0), (1, -1.0), (1, float("inf")), (1, float("nan"))])
def test_a_limit_that_limits_nothing_is_refused(burst: int, per_s: float) -> None:
    with pytest.raises(ValueError):
        Limit(burst, per_s)


async def test_gateways_share_one_bucket_in_redis(valkey: TestValkey) -> None:
    limit = Limit(10, 0.001)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            both = [Commands(Way(parse_address(valkey.url), "rates"), random=random.random) for _ in range(2)]
            decisions: list[Decision] = []

            async def take(rates: Rates) -> None:
                decisions.append(await rates.take("login", "10.0.0.1", limit))

            for commands in both:
                nursery.start_soon(commands.serve)
                await commands.wait_up()
            gateways = [Rates(commands) for commands in both]
            async with trio.open_nursery() as asking:
                for number in range(50):
                    asking.start_soon(take, gateways[number % 2])
            assert sum(decision.allowed for decision in decisions) == 10
            assert all(990 < decision.retry_after_s <= 1000 for decision in decisions if not decision.allowed)
            assert [gateway.local_decisions for gateway in gateways] == [0, 0]
            assert (await gateways[0].take("login", "10.0.0.2", limit)).allowed
            assert (await gateways[0].take("other", "10.0.0.1", limit)).allowed
            nursery.cancel_scope.cancel()


async def test_a_bucket_in_redis_goes_when_it_is_full_again(valkey: TestValkey) -> None:
    async with trio.open_nursery() as nursery:
        commands = Commands(Way(parse_address(valkey.url), "rates"), random=random.random)
        nursery.start_soon(commands.serve)
        await commands.wait_up()
        rates = Rates(commands)
        await rates.take("post", 7, Limit(10, 2.0), 4)
        with valkey.client() as client:
            assert client.keys() == [b"rate:v1:post:7"]
            assert 1900 < client.pttl("rate:v1:post:7") <= 2002
        nursery.cancel_scope.cancel()


async def test_a_cost_beyond_what_is_left_takes_nothing(valkey: TestValkey) -> None:
    async with trio.open_nursery() as nursery:
        commands = Commands(Way(parse_address(valkey.url), "rates"), random=random.random)
        nursery.start_soon(commands.serve)
        await commands.wait_up()
        rates, limit = Rates(commands), Limit(10, 0.001)
        assert [(await rates.take("post", 7, limit, cost)).allowed for cost in (6, 6, 4, 1)] == [True, False, True, False]
        nursery.cancel_scope.cancel()


async def test_without_redis_this_process_limits_by_itself(tmp_path: Path) -> None:
    commands = Commands(Way(RedisAddress(socket_path=str(tmp_path / "nobody")), "rates"), random=random.random)
    now = 100.0
    rates, limit = Rates(commands, now=lambda: now), Limit(3, 1.0)
    assert [(await rates.take("login", "a", limit)).allowed for _ in range(4)] == [True, True, True, False]
    now = 101.0
    assert [(await rates.take("login", "a", limit)).allowed for _ in range(2)] == [True, False]
    assert rates.local_decisions == 6
