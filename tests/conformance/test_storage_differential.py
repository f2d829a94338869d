"""The model of the storage port against Postgres: the same random story of talk and membership, told to both, has the same answers.

`CONFORMANCE_SEEDS=1000 pytest tests/conformance` tells more stories; a failing one is told again with `CONFORMANCE_SEED=n`.
"""

from __future__ import annotations

import pytest

from persistence.bridge import Bridge
from protocol.codes import Code
from tests.conformance.storage_places import ModelPlace, real_place
from tests.conformance.story import SHARES, Story, chosen, is_tame

REACHABLE = (
    Code.OK,
    Code.INVALID,
    Code.GAP,
    Code.TOO_OLD,
    Code.NUMBER_REUSED,
    Code.FORBIDDEN,
    Code.NOT_FOUND,
    Code.CONFLICT,
    Code.GONE,
    Code.TAKEN_OVER,
    Code.REVOKED,
    Code.TOKEN_EXPIRED,
    "replayed",
)


@pytest.mark.parametrize("share", range(SHARES))
async def test_the_same_story_ends_the_same_in_postgres_and_in_the_model(bridge: Bridge, share: int) -> None:
    met: set[tuple[type, object]] = set()
    async with real_place(bridge) as real:
        for seed in chosen(share):
            story = Story(seed, real, ModelPlace())
            await story.set_the_scene()
            await story.unfold()
            met |= story.met
    assert not is_tame(met, REACHABLE), "the stories have become too tame to compare these"
