"""Orders become jobs with the transaction that gives them, once while one with their key waits, and within bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import msgspec
import pytest
import trio

from actors.jobs import KEY_LENGTH_MAX, PAYLOAD_BYTES_MAX, Order, pack
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.enqueue import enqueue
from tests.fixtures_postgres import serving
from tests.persistence.world import fetch


class Sum(msgspec.Struct):
    a: int


def order(a: int = 1, *, kind: str = "sum", key: str = "", delay_s: float = 0.0, deadline_s: float = 0.0, priority: int = 0) -> Order:
    return Order(kind, pack(Sum(a)), delay_s=delay_s, key=key, deadline_s=deadline_s, priority=priority)


def ordering(*orders: Order) -> Callable[[asyncpg.Connection], Awaitable[int]]:
    return lambda tx: enqueue(tx, *orders)


class Undo(Exception):
    pass


async def test_an_order_exists_if_and_only_if_its_transaction_commits(bridge: Bridge) -> None:
    async def fail(tx: asyncpg.Connection) -> None:
        await enqueue(tx, order(1))
        raise Undo

    with pytest.raises(Undo):
        await bridge.run(fail, deadline_s=9)
    assert await bridge.run(ordering(order(2), order(3)), deadline_s=9) == 2
    rows = await fetch(bridge, "select kind, payload, state, key, expires_at from jobs order by id")
    assert [msgspec.msgpack.decode(row["payload"], type=Sum).a for row in rows] == [2, 3]
    assert [(row["kind"], row["state"], row["key"], row["expires_at"]) for row in rows] == [("sum", 0, None, None)] * 2


async def test_a_delayed_order_waits_and_one_with_a_deadline_knows_it(bridge: Bridge) -> None:
    await bridge.run(ordering(order(1, delay_s=60, deadline_s=100)), deadline_s=9)
    [row] = await fetch(bridge, "select state, due_at - created_at as delay, expires_at - created_at as patience from jobs")
    assert (row["state"], row["delay"].total_seconds(), row["patience"].total_seconds()) == (1, 60, 100)


async def test_while_one_with_its_key_waits_another_order_changes_nothing(bridge: Bridge) -> None:
    assert await bridge.run(ordering(order(1, key="k"), order(2, key="k"), order(3, key="l"), order(4)), deadline_s=9) == 3
    assert await bridge.run(ordering(order(5, key="k", delay_s=9), order(6, kind="other", key="k")), deadline_s=9) == 1
    rows = await fetch(bridge, "select kind, key, payload from jobs order by kind, key")
    assert [(row["kind"], row["key"], msgspec.msgpack.decode(row["payload"])["a"]) for row in rows] == [
        ("other", "k", 6),
        ("sum", "k", 1),
        ("sum", "l", 3),
        ("sum", None, 4),
    ]
    await fetch(bridge, "update jobs set state = 2 where key = 'k' and kind = 'sum'")
    assert await bridge.run(ordering(order(7, key="k")), deadline_s=9) == 1, "one that runs may have looked already"


async def test_a_job_that_stands_for_an_order_is_not_begun_before_that_orders_transaction_has_ended(database: str, bridge: Bridge) -> None:
    await bridge.run(ordering(order(1, key="k")), deadline_s=9)
    [worker] = await fetch(bridge, "insert into job_workers (name, leased_until) values ('w', 'infinity') returning id")
    claim = "select * from claim_jobs($1, array['sum'], array[9], array[3::smallint], 9)"
    ordered, looked = trio.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    async def hold(tx: asyncpg.Connection) -> None:
        assert await enqueue(tx, order(2, key="k")) == 0
        token.run_sync_soon(ordered.set)
        # On its own connection: what a worker would see meanwhile.
        other = await asyncpg.connect(database)
        try:
            assert await other.fetch(claim, worker["id"]) == []
        finally:
            await other.close()
        token.run_sync_soon(looked.set)

    await bridge.run(hold, deadline_s=30)
    with trio.fail_after(30):
        await ordered.wait()
        await looked.wait()
    assert len(await fetch(bridge, claim, worker["id"])) == 1


async def test_sql_orders_as_python_does(bridge: Bridge) -> None:
    await fetch(bridge, "select enqueue_job('sum', '\\x8101')")
    named = "p_key => 'k', p_delay_s => 5, p_priority => -3, p_deadline_s => 7, p_space => 9"
    await fetch(bridge, f"select enqueue_job('sum', '\\x8101', {named})")
    await fetch(bridge, "select enqueue_job('sum', '\\x8102', p_key => 'k')")
    rows = await fetch(bridge, "select state, key, priority, space_id, payload from jobs order by id")
    assert [tuple(row) for row in rows] == [(0, None, 0, None, b"\x81\x01"), (1, "k", -3, 9, b"\x81\x01")]


@pytest.mark.parametrize(
    "bad",
    [
        Order("", pack(Sum(1))),
        Order("k" * 61, pack(Sum(1))),
        Order("sum", msgspec.Raw(b"x" * (PAYLOAD_BYTES_MAX + 1))),
        Order("sum", pack(Sum(1)), key="k" * (KEY_LENGTH_MAX + 1)),
    ],
)
async def test_an_order_beyond_its_bounds_is_refused_with_what_is_allowed(bridge: Bridge, bad: Order) -> None:
    with pytest.raises(ValueError, match=r"has (1 to|at most) \d+"):
        await bridge.run(ordering(bad), deadline_s=9)


async def test_workers_hear_of_an_order_when_it_is_committed_and_of_none_that_is_not(database: str) -> None:
    heard = 0

    def hear() -> None:
        nonlocal heard
        heard += 1

    async def undone(tx: asyncpg.Connection) -> None:
        await enqueue(tx, order(1))
        raise Undo

    async with serving(Bridge(BridgeOptions(database))) as bridge:
        bridge.on_ordered = hear
        with pytest.raises(Undo):
            await bridge.run(undone, deadline_s=9)
        await fetch(bridge, "select 1")
        assert heard == 0
        await bridge.run(ordering(order(2)), deadline_s=9)
        assert heard == 1
