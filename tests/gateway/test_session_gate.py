"""Claims about the gate of the HTTP side: an ended session is refused everywhere, at once where it is known, with Redis and without."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from actors.accounts import Claims, SessionState
from actors.exchange import TOPICS, Exchange
from actors.neighbourhood import Neighbourhood
from actors.storage_port import Unavailable
from gateway.link import RedisLink
from gateway.redis_connection import RedisAddress, Way, parse_address
from gateway.resp import Commands
from gateway.session_cache import SESSIONS_TOPIC, SessionCache, announcement
from gateway.session_gate import SessionGate
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.control import ControlReader
from protocol.codes import Code
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey
from tests.persistence.identity import CALLER, log_in, register

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]

NOW = 1_800_000_000.0
ADA = Claims(user=10, device=100, session=1, issued_at=int(NOW), expires_at=int(NOW) + 900)
OTHER = Claims(user=10, device=101, session=2, issued_at=int(NOW), expires_at=int(NOW) + 900)


class Table:
    """The rows behind a gate; `away` makes the database unreachable."""

    def __init__(self) -> None:
        self.rows = {1: SessionState(1, 10, 100, int(NOW) + 1000), 2: SessionState(2, 10, 101, int(NOW) + 1000)}
        self.loads = 0
        self.away = False

    async def find_session(self, session: int) -> SessionState | None:
        self.loads += 1
        self._ask()
        return self.rows.get(session)

    async def find_sessions_of(self, user: int) -> tuple[int, ...]:
        self._ask()
        return tuple(row.session for row in self.rows.values() if row.user == user)

    def _ask(self) -> None:
        if self.away:
            raise Unavailable("refused", "away")

    def end(self, *sessions: int) -> None:
        for session in sessions:
            row = self.rows[session]
            self.rows[session] = SessionState(row.session, row.user, row.device, row.expires_at, True)


class Alone:
    """A gate without Redis, and what it announced."""

    def __init__(self, tmp_path: Path) -> None:
        self.table = Table()
        self.announced: list[bytes] = []
        commands = Commands(Way(RedisAddress(socket_path=str(tmp_path / "nobody.sock")), "gate"), random=random.random)
        cache = SessionCache(commands, self.announced.append, SessionState, self.table.find_session)
        self.gate = SessionGate(cache, self.table.find_sessions_of)


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path)


async def test_who_asks_often_costs_the_database_one_question(alone: Alone) -> None:
    assert [await alone.gate.admit(ADA, NOW) for _ in range(5)] == [Code.OK] * 5
    assert alone.table.loads == 1


@pytest.mark.parametrize(
    "stranger", [Claims(10, 100, 9, 1, 2), Claims(11, 100, 1, 1, 2), Claims(10, 101, 1, 1, 2)], ids=["session", "user", "device"]
)
async def test_a_token_that_names_no_session_of_its_own_is_refused(alone: Alone, stranger: Claims) -> None:
    assert await alone.gate.admit(stranger, NOW) is Code.REVOKED
    assert alone.gate.refused == 1


async def test_once_it_is_told_nothing_older_is_believed(alone: Alone) -> None:
    assert await alone.gate.admit(ADA, NOW) is Code.OK
    alone.table.end(1)
    assert await alone.gate.admit(ADA, NOW) is Code.OK, "nobody told it yet"
    alone.gate.revoked(10, 1)
    assert await alone.gate.admit(ADA, NOW) is Code.REVOKED
    assert await alone.gate.admit(OTHER, NOW) is Code.OK


async def test_all_sessions_of_an_account_end_together(alone: Alone, nursery: trio.Nursery) -> None:
    assert [await alone.gate.admit(claims, NOW) for claims in (ADA, OTHER)] == [Code.OK] * 2
    alone.table.end(1, 2)
    alone.gate.revoked(10, 0)
    assert [await alone.gate.admit(claims, NOW) for claims in (ADA, OTHER)] == [Code.REVOKED] * 2
    await nursery.start(alone.gate.serve)
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(alone.announced) == [announcement(1), announcement(2)]


async def test_while_the_database_is_away_an_account_that_ended_is_not_let_in(
    alone: Alone, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    await nursery.start(alone.gate.serve)
    assert await alone.gate.admit(ADA, NOW) is Code.OK
    alone.table.end(1, 2)
    alone.table.away = True
    alone.gate.revoked(10, 0)
    with pytest.raises(Unavailable):
        await alone.gate.admit(ADA, NOW)
    assert alone.announced == []
    alone.table.away = False
    await trio.sleep(1)
    assert sorted(alone.announced) == [announcement(1), announcement(2)]
    assert await alone.gate.admit(ADA, NOW) is Code.REVOKED


async def test_an_announcement_of_another_gateway_is_enough(alone: Alone) -> None:
    await alone.gate.admit(ADA, NOW)
    alone.table.end(1)
    alone.gate.announced("presence", announcement(1))
    assert await alone.gate.admit(ADA, NOW) is Code.OK
    alone.gate.announced(SESSIONS_TOPIC, announcement(1))
    assert await alone.gate.admit(ADA, NOW) is Code.REVOKED


async def test_what_was_missed_while_the_link_was_down_is_asked_again(alone: Alone) -> None:
    await alone.gate.admit(ADA, NOW)
    alone.table.end(1)
    alone.gate.link_up()
    assert await alone.gate.admit(ADA, NOW) is Code.REVOKED


async def test_an_end_that_a_refresh_has_moved_is_looked_up_again(alone: Alone) -> None:
    await alone.gate.admit(ADA, NOW)
    alone.table.rows[1] = SessionState(1, 10, 100, int(NOW) + 5000)
    assert await alone.gate.admit(ADA, NOW + 2000) is Code.OK
    assert await alone.gate.admit(ADA, NOW + 6000) is Code.REVOKED


# Two gateways on one Postgres, with their own readers of the control stream


class Empty:
    """A pool in which nobody is."""

    def find(self, key: object) -> None:
        return None


class Gateway:
    """What stands between the control stream and the gate, as a node wires it."""

    def __init__(self, bridge: Bridge, address: RedisAddress, number: int) -> None:
        near = Neighbourhood()
        nobody: Any = Empty()
        near.settle(sessions=nobody, devices=nobody, users=nobody, channels=nobody, communities=nobody)
        self.exchange = Exchange(near)
        self.commands = Commands(Way(address, f"commands-{number}"), random=random.random)
        way = Way(address, f"link-{number}")
        self.link = RedisLink(self.commands, way, self.exchange, origin=number, topics=(*TOPICS, SESSIONS_TOPIC), random=random.random)
        self.control = ControlReader(bridge, self.exchange.controlled)
        self.accounts = PostgresAccounts(bridge, self.exchange)
        announce: Callable[[bytes], None] = partial(self.link.announce, SESSIONS_TOPIC)
        self.gate = SessionGate(
            SessionCache(self.commands, announce, SessionState, self.accounts.find_session), self.accounts.find_sessions_of
        )
        self.exchange.settle(self.link, self.control.poke, self.gate)


@asynccontextmanager
async def two_gateways(bridge: Bridge, address: RedisAddress, *, wait: bool) -> AsyncIterator[tuple[Gateway, Gateway]]:
    gateways = Gateway(bridge, address, 1), Gateway(bridge, address, 2)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for gateway in gateways:
                nursery.start_soon(gateway.commands.serve)
                nursery.start_soon(gateway.link.serve)
                await nursery.start(gateway.control.serve)
                await nursery.start(gateway.gate.serve)
                if wait:
                    await gateway.commands.wait_up()
                    await gateway.link.wait_up()
            yield gateways
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("redis", ["there", "away"])
async def test_who_logs_out_at_one_gateway_is_refused_there_at_once_and_soon_at_the_other(
    bridge: Bridge, valkey: TestValkey, tmp_path: Path, redis: str
) -> None:
    address = parse_address(valkey.url) if redis == "there" else RedisAddress(socket_path=str(tmp_path / "nobody.sock"))
    async with two_gateways(bridge, address, wait=redis == "there") as (here, there):
        phone = await register(here.accounts)
        laptop = await log_in(here.accounts, phone.user)
        now = phone.refresh_expires_at - 1000.0
        claims, other = (Claims(one.user, one.device, one.session, 1, 2) for one in (phone, laptop))
        for gateway in (here, there):
            assert await gateway.gate.admit(claims, now) is Code.OK
            assert await gateway.gate.admit(other, now) is Code.OK
        assert await here.accounts.end_session(claims, phone.session, CALLER) is None
        assert await here.gate.admit(claims, now) is Code.REVOKED
        while await there.gate.admit(claims, now) is not Code.REVOKED:  # noqa: ASYNC110 (half a second: the control stream's poll)
            await trio.sleep(0.01)
        assert await there.gate.admit(other, now) is Code.OK
