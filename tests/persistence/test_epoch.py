"""The epoch: the same while the history goes on, another after a bump, none on a standby."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.storage import Answered, Attach, Attached, Denied
from persistence.bridge import Bridge, BridgeOptions
from persistence.epoch import Epoch, bump_epoch, read_epoch
from persistence.store import Store
from protocol.codes import Code
from tests.fixtures_postgres import serving
from tests.persistence.world import Mailbox, world


async def test_the_epoch_is_readable_before_there_is_a_schema(empty_database: str) -> None:
    async with serving(Bridge(BridgeOptions(empty_database))) as bridge:
        epoch = await bridge.run(read_epoch, deadline_s=30.0, readonly=True)
    assert epoch is not None
    assert epoch.system_identifier > 0
    assert (epoch.timeline, epoch.bump) == (1, 0)


async def test_a_bump_makes_another_epoch_that_every_reader_sees(database: str) -> None:
    async with serving(Bridge(BridgeOptions(database))) as bridge:
        before = await bridge.run(read_epoch, deadline_s=30.0)
        again = await bridge.run(read_epoch, deadline_s=30.0)
        bumped = await bridge.run(bump_epoch, deadline_s=30.0)
        after = await bridge.run(read_epoch, deadline_s=30.0)
        bumped_twice = await bridge.run(bump_epoch, deadline_s=30.0)
    assert before == again != bumped == after
    assert len({epoch.number for epoch in (before, after, bumped_twice) if epoch}) == 3


@given(st.tuples(st.integers(0, 2**64), st.integers(1, 2**32), st.integers(0, 2**62)))
def test_the_number_is_exact_in_every_clients_number_type(parts: tuple[int, int, int]) -> None:
    number = Epoch(*parts).number
    assert 0 <= number < 2**53
    assert int(float(number)) == number


@pytest.mark.parametrize("change", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_each_part_makes_another_number(change: tuple[int, int, int]) -> None:
    a, b, c = change
    assert Epoch(7 + a, 1 + b, c).number != Epoch(7, 1, 0).number


async def test_whoever_attaches_after_a_bump_is_told_the_new_epoch(database: str) -> None:
    async with serving(Bridge(BridgeOptions(database))) as bridge, world(bridge) as w, trio.open_nursery() as nursery:
        ann = await w.person("ann")
        [session] = await w.column(
            "insert into sessions (user_id, device_id, expires_at) values ($1, $2, now() + interval '1 day') returning id",
            ann.user,
            ann.device,
        )
        store = Store(bridge)
        await nursery.start(store.serve)
        answers: Mailbox[Answered] = Mailbox()
        before = await bridge.run(read_epoch, deadline_s=30.0)
        store.ask(Attach(session, ann.user, ann.device, 1), 1, answers)
        await answers.wait(1)
        bumped = await bridge.run(bump_epoch, deadline_s=30.0)
        store.ask(Attach(session, ann.user, ann.device, 1), 2, answers)
        await answers.wait(2)
        told = [answer.result.epoch for answer in answers.told if isinstance(answer.result, Attached)]
        assert before is not None and bumped is not None
        assert told == [before.number, bumped.number]
        nursery.cancel_scope.cancel()


async def test_whoever_attaches_in_another_history_than_the_one_served_is_turned_away(database: str) -> None:
    async with serving(Bridge(BridgeOptions(database))) as bridge, world(bridge) as w, trio.open_nursery() as nursery:
        ann = await w.person("ann")
        [session] = await w.column(
            "insert into sessions (user_id, device_id, expires_at) values ($1, $2, now() + interval '1 day') returning id",
            ann.user,
            ann.device,
        )
        served = await bridge.run(read_epoch, deadline_s=30.0)
        assert served is not None
        seen: list[int] = []

        def is_current(epoch: int) -> bool:
            seen.append(epoch)
            return epoch == served.number

        store = Store(bridge, is_current=is_current)
        await nursery.start(store.serve)
        answers: Mailbox[Answered] = Mailbox()
        store.ask(Attach(session, ann.user, ann.device, 1), 1, answers)
        await answers.wait(1)
        bumped = await bridge.run(bump_epoch, deadline_s=30.0)
        store.ask(Attach(session, ann.user, ann.device, 1), 2, answers)
        welcomed, refused = (answer.result for answer in await answers.wait(2))
        assert isinstance(welcomed, Attached)
        assert isinstance(refused, Denied) and refused.code is Code.UNAVAILABLE
        assert bumped is not None and seen == [served.number, bumped.number]
        nursery.cancel_scope.cancel()


async def test_a_server_that_may_not_write_welcomes_nobody(database: str) -> None:
    # As a standby says it, and a primary that was fenced: the transaction is read-only.
    async with serving(Bridge(BridgeOptions(database))) as bridge, world(bridge) as w:
        ann = await w.person("ann")
        [name] = [row[0] for row in await w.rows("select current_database()")]
        await w.rows(f"alter database {name} set default_transaction_read_only = on")
    async with serving(Bridge(BridgeOptions(database))) as bridge, trio.open_nursery() as nursery:
        store = Store(bridge)
        await nursery.start(store.serve)
        answers: Mailbox[Answered] = Mailbox()
        store.ask(Attach(1, ann.user, ann.device, 1), 1, answers)
        [answer] = await answers.wait(1)
        assert isinstance(answer.result, Denied) and answer.result.code is Code.UNAVAILABLE
        nursery.cancel_scope.cancel()
