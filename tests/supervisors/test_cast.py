"""Claims about the actors of a gateway as they are cast."""

from __future__ import annotations

import pytest

from actors.storage import Denied, Events, Heads, ReadAfter, ReadHeads
from protocol.codes import Code
from protocol.frames import Follow
from protocol.values import Cursor
from supervisors.pool import PoolFailed
from tests.actors.stage import SPACE, Line, Stage

STREAM = 50


def crash_headwatch(stage: Stage) -> None:
    stage.turns.pools["headwatch"].get(0).tell("no message of its own")
    stage.run()


def follow(stage: Stage, stream: int) -> Line:
    line = stage.connect(cursors=[Cursor(stream, 0)])
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    return line


def test_only_streams_that_somebody_follows_are_compared() -> None:
    """Or a client that follows one foreign stream after the other would have everybody's heads looked at ever more rarely."""
    stage = Stage()
    line = follow(stage, STREAM)
    for id in range(1, 200):
        line.say(Follow(id, STREAM + id, 0))
        stage.answer(ReadAfter, Denied(Code.NOT_FOUND))
    stage.cast.wake()
    stage.run()
    stage.wait(1)
    assert [query.streams for query in stage.asked(ReadHeads)] == [(STREAM,)]
    stage.answer(ReadHeads, Heads(()))
    line.drop()
    stage.wait(10)
    assert not stage.asked(ReadHeads), "nobody follows anything"


def test_a_comparison_of_heads_that_crashes_goes_on() -> None:
    stage = Stage()
    follow(stage, STREAM)
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
