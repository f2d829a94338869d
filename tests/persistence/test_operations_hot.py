"""Which entries one call may carry, and what they become."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.storage import Entry, Refusal
from persistence.notice_rows import NOBODY
from persistence.operations.hot import OUTCOMES_KEPT, Columns, Numbers
from protocol.codes import Code
from protocol.operations import MarkRead, Post, React, Say

SAY = Say(5, "hello")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 600)), max_size=60))
def test_a_call_carries_ascending_numbers_that_the_ring_can_hold(asked: list[tuple[int, int]]) -> None:
    numbers = Numbers()
    taken: dict[int, list[int]] = {}
    for at, (device, number) in enumerate(asked):
        fits = numbers.fits(Entry(1, device, 1, number, 0, SAY))
        if fits:
            taken.setdefault(device, []).append(number)
        assert fits or (at > 0 and device in taken), "the first one always fits, or nothing would ever move"
    for device, found in taken.items():
        if device:
            assert found == sorted(set(found))
            assert found[-1] - found[0] < OUTCOMES_KEPT, "no two of them share a place in the ring"


def test_each_operation_becomes_its_columns() -> None:
    operations = (SAY, Post(6, "x", 2, (8, 9, 8)), React(7, 3, "👍"), MarkRead(8, 4), Refusal(Code.UNKNOWN, "what?"))
    columns = Columns([Entry(1, 1, 1, n, 0, operation) for n, operation in enumerate(operations, 1)])
    assert columns.kinds == [1, 6, 4, 23, 0]
    assert columns.streams == [5, 6, 7, 8, 0]
    assert columns.targets == [0, 2, 3, 4, 0]
    assert columns.refusals == [0, 0, 0, 0, Code.UNKNOWN]
    assert (columns.mention_at, columns.mention_user) == ([2, 2, 2], [8, 9, NOBODY])
