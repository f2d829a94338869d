"""The epoch: the same while the history goes on, another after a bump, none on a standby."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.bridge import Bridge, BridgeOptions
from persistence.epoch import Epoch, bump_epoch, read_epoch
from tests.fixtures_postgres import serving


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
