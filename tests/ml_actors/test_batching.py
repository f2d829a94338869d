"""Batches against the simplest model of them: a list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ml_actors.batching import Batcher


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 12),
    st.lists(st.tuples(st.sampled_from(("put", "take", "wait")), st.floats(0.0, 1.0)), max_size=50),
)
def test_what_is_put_comes_out_once_in_order_and_never_late_in_a_batch(
    batch_max: int, queue_max: int, acts: list[tuple[str, float]]
) -> None:
    batcher: Batcher[int] = Batcher(batch_max=batch_max, wait_s=0.1, queue_max=queue_max)
    now, waiting, came_out, number = 0.0, list[tuple[int, float]](), list[int](), 0
    for act, amount in acts:
        match act:
            case "put":
                number += 1
                taken = batcher.put(number, now + amount, now)
                assert taken == (len(waiting) < queue_max), "without a past nothing but the bound sheds"
                if taken:
                    waiting.append((number, now + amount))
            case "take":
                batch, late = batcher.take(now)
                expected = waiting[: len(batch) + len(late)]
                assert sorted(batch + late) == [item for item, _ in expected]
                assert batch == sorted(batch) and len(batch) <= batch_max
                assert late == [item for item, late_s in expected if late_s <= now]
                assert len(batch) == batch_max or len(expected) == len(waiting), "a batch is as full as it can be"
                came_out += sorted(batch + late)
                waiting = waiting[len(expected) :]
            case "wait":
                now += amount
        assert len(batcher) == len(waiting)
    assert came_out + [item for item, _ in waiting] == sorted({*came_out, *(item for item, _ in waiting)})
    assert batcher.clear() == [item for item, _ in waiting]


def test_the_first_waits_for_company_but_a_full_batch_does_not() -> None:
    batcher: Batcher[str] = Batcher(batch_max=2, wait_s=0.5, queue_max=9)
    assert batcher.due_s() == float("inf")
    batcher.put("a", 99.0, 10.0)
    assert batcher.due_s() == 10.5
    batcher.put("b", 99.0, 10.2)
    assert batcher.due_s() < 10.2


def test_what_cannot_be_reached_in_its_time_is_shed_at_once() -> None:
    batcher: Batcher[int] = Batcher(batch_max=1, wait_s=0.0, queue_max=99)
    batcher.put(0, 99.0, 0.0)
    batcher.take(0.0)
    batcher.done(1.0)  # one takes a second
    assert batcher.put(1, 1.5, 0.0)
    assert not batcher.put(2, 1.5, 0.0), "the one before it takes until 1, and it would be done at 2"
    assert batcher.put(3, 2.5, 0.0)
