"""The model of records against Postgres: the same random story of changes, conflicts and people, told to both, has the same answers.

`CONFORMANCE_SEEDS=1000 pytest tests/conformance` tells more stories; a failing one is told again with `CONFORMANCE_SEED=n`.
"""

from __future__ import annotations

import pytest

from persistence.bridge import Bridge
from protocol.codes import Code
from protocol.operations import Change, Claim, Discard, Hold, Release, Reopen, Resolve, SetBack, SetRole
from tests.conformance.record_story import RecordStory
from tests.conformance.storage_places import ModelPlace, real_place
from tests.conformance.story import SHARES, chosen, is_tame

REACHABLE = [  # of each share of the stories; rarer ones are claimed one by one
    *((kind, Code.OK) for kind in (Change, Claim, Discard, Hold, Reopen, Resolve, SetBack, SetRole)),
    *((Change, code) for code in (Code.INVALID, Code.FORBIDDEN, Code.NOT_FOUND, "replayed")),
    (Resolve, Code.CONFLICT),
    *((kind, Code.NOT_FOUND) for kind in (Claim, Discard, Release, Reopen, Resolve, SetBack)),
]


@pytest.mark.parametrize("share", range(SHARES))
async def test_the_same_story_of_records_ends_the_same_in_postgres_and_in_the_model(bridge: Bridge, share: int) -> None:
    met: set[tuple[type, object]] = set()
    async with real_place(bridge) as real:
        for seed in chosen(share):
            story = RecordStory(seed, real, ModelPlace())
            await story.set_the_scene()
            await story.unfold()
            met |= story.met
    assert not is_tame(met, REACHABLE), "the stories have become too tame to compare these"
