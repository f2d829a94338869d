"""Claims about the actors of a gateway as they are cast."""

from __future__ import annotations

import pytest

from actors.storage import ReadHeads
from supervisors.pool import PoolFailed
from tests.actors.stage import Stage

STREAM = 50


def crash_headwatch(stage: Stage) -> None:
    stage.turns.pools["headwatch"].get(0).tell("no message of its own")
    stage.run()


def test_a_comparison_of_heads_that_crashes_goes_on() -> None:
    stage = Stage()
    stage.near.channels.get(STREAM)
    stage.cast.wake()
    crash_headwatch(stage)
    stage.wait(3)
    assert stage.asked(ReadHeads) == [ReadHeads((STREAM,))]


def test_a_comparison_of_heads_that_cannot_go_on_takes_the_actors_along() -> None:
    """Else a gateway would serve on, and never find what it lost."""
    stage = Stage()
    stage.cast.wake()
    for _ in range(3):
        crash_headwatch(stage)
    with pytest.raises(PoolFailed):
        crash_headwatch(stage)
