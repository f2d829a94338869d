"""The list of what belongs to whom: complete, and every condition of it is one that the database understands."""

from __future__ import annotations

import pytest

from persistence.bridge import Bridge
from persistence.sovereignty.erasure import erase_some, erase_some_of_person
from persistence.sovereignty.holdings import HOLDINGS, Holding
from persistence.sovereignty.tables import MEMBERS, ROWS, SPACES, STREAMS, Kept
from tests.persistence.sovereignty.places import tables
from tests.persistence.world import fetch, world


async def test_every_table_says_what_of_it_belongs_to_a_community_and_what_to_a_person(bridge: Bridge) -> None:
    async with world(bridge) as w:
        assert sorted(holding.table for holding in HOLDINGS) == await tables(w)


@pytest.mark.parametrize("holding", HOLDINGS, ids=lambda holding: holding.table)
def test_what_stays_has_a_reason(holding: Holding) -> None:
    assert (holding.of_spaces and holding.of_person) or holding.stays


async def test_erasing_nothing_goes_through_every_table_and_finds_nothing(bridge: Bridge) -> None:
    async with world(bridge):
        assert await bridge.run(lambda tx: erase_some(tx, [999_999], [999_999]), deadline_s=30) == 0
        assert await bridge.run(lambda tx: erase_some_of_person(tx, 999_999), deadline_s=30) == 0


@pytest.mark.parametrize("kept", [SPACES, STREAMS, MEMBERS, *ROWS], ids=lambda kept: kept.table)
async def test_a_column_that_holds_an_identifier_is_renamed_in_an_archive(bridge: Bridge, kept: Kept) -> None:
    rows = await fetch(bridge, "select column_name::text from information_schema.columns where table_name = $1", kept.table)
    columns = {row[0] for row in rows}
    named = {*kept.names, *kept.packed, *kept.zero, *kept.own}
    assert named <= columns
    words = ("author", "parent", "placement", "user", "body")
    suspicious = {column for column in columns if column.endswith(("_id", "_by")) or column in words}
    assert suspicious - named == set()
