"""The tail against a model: whatever is heard in whatever order, what is ready is the stream, each event once, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.pace import Pace, Rate
from actors.tail import EARLY_EVENTS_MAX, RECENT_BYTES_MAX, RECENT_EVENTS_MAX, Tail


def name(seq: int) -> bytes:
    return b"event %d" % seq


@given(st.integers(0, 50), st.lists(st.integers(1, 80), max_size=200))
def test_what_is_ready_is_consecutive_from_the_head_on(head: int, heard: list[int]) -> None:
    tail = Tail()
    ready = tail.start(head)
    for seq in heard:
        ready += tail.hear(seq, name(seq))
    known = set(heard)
    expected = []
    while head + len(expected) + 1 in known:
        expected.append(head + len(expected) + 1)
    assert ready == [name(seq) for seq in expected]
    assert tail.head == head + len(expected)
    assert tail.gap is any(seq > tail.head for seq in known)


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(0, 40))
def test_what_is_heard_before_the_start_counts_after_it(heard: list[int], head: int) -> None:
    early, late = Tail(), Tail()
    for seq in heard:
        assert early.hear(seq, name(seq)) == []
    ready = early.start(head)
    late.start(head)
    expected = [frame for seq in heard for frame in late.hear(seq, name(seq))]
    assert sorted(ready) == sorted(expected)
    assert early.head == late.head


@given(st.integers(1, 200), st.integers(1, 2000), st.data())
def test_the_recent_ones_end_at_the_head_and_are_bounded(count: int, size: int, data: st.DataObject) -> None:
    tail = Tail()
    tail.start(0)
    for seq in range(1, count + 1):
        tail.hear(seq, name(seq).ljust(size))
    after = data.draw(st.integers(0, count))
    recent = tail.after(after)
    if recent is not None:
        assert [frame.strip() for frame in recent] == [name(seq) for seq in range(after + 1, count + 1)]
    else:
        missing = count - after
        assert missing > RECENT_EVENTS_MAX or missing * size > RECENT_BYTES_MAX - size


def test_what_came_too_early_is_bounded() -> None:
    tail = Tail()
    tail.start(0)
    for seq in range(2, EARLY_EVENTS_MAX + 100):
        assert tail.hear(seq, name(seq)) == []
    assert len(tail.hear(1, name(1))) == EARLY_EVENTS_MAX + 1


@given(st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 5), max_size=100))
def test_a_pace_never_lets_more_through_than_its_rate(per_s: float, burst: int, gaps: list[float]) -> None:
    pace, now, taken = Pace(Rate(per_s, burst), 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        wait_s = pace.take(now)
        taken += wait_s == 0.0
        assert taken <= burst + per_s * now + 1e-6
        if wait_s:
            assert 0 < wait_s <= 1 / per_s + 1e-9
