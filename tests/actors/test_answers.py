"""Claims about what leaves together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.answers import Answers
from protocol.codec import decode_frame
from protocol.frames import Done, DoneRun, Pong

Said = tuple[int, int] | int
"""A mutation that is done, by number and value; or a Pong, by id."""


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9)) | st.integers(1, 9)))
def test_everything_is_said_once_in_its_order_in_as_few_frames_as_there_are_runs(said: list[Said]) -> None:
    answers = Answers()
    runs = 0
    for before, one in zip([None, *said], said, strict=False):
        goes_on = isinstance(one, tuple) and isinstance(before, tuple) and one[0] == before[0] + 1
        runs += not goes_on
        if isinstance(one, tuple):
            answers.done(*one)
        else:
            answers.say(Pong(one, 0))
        assert len(answers) == runs
    frames = [decode_frame(frame) for frame in answers.take()]
    told: list[Said] = []
    for frame in frames:
        match frame:
            case Done(number, value):
                told.append((number, value))
            case DoneRun(first, values):
                assert len(values) > 1
                told.extend(enumerate(values, first))
            case Pong(id):
                told.append(id)
            case _:
                raise AssertionError(frame)
    assert told == said
    assert len(frames) == runs
    assert answers.take() == []
