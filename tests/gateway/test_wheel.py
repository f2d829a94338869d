"""The timing wheel against a sorted list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.wheel import SLOTS, UNSET, Wheel

TICK_S = 0.5


class Item:
    def __init__(self) -> None:
        self.wheel_tick = UNSET


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 4), st.floats(0, TICK_S * SLOTS * 2.5)),
        st.tuples(st.just("clear"), st.integers(0, 4), st.just(0.0)),
        st.tuples(st.just("turn"), st.just(0), st.floats(0, TICK_S * SLOTS * 1.5)),
    ),
    max_size=40,
)


@given(st.floats(0, 1e6), steps)
def test_everything_is_found_once_not_before_its_time_and_at_most_a_tick_after(start: float, steps: list[tuple[str, int, float]]) -> None:
    wheel: Wheel[Item] = Wheel(start, TICK_S)
    items = [Item() for _ in range(5)]
    due: dict[Item, float] = {}
    now = start
    for action, index, amount in steps:
        item = items[index]
        if action == "set":
            due[item] = now + amount
            wheel.set(item, now + amount)
        elif action == "clear":
            due.pop(item, None)
            wheel.clear(item)
        else:
            now += amount
            found = wheel.turn(now)
            assert len(found) == len(set(found))
            for each in found:
                assert due.pop(each) <= now
                assert each.wheel_tick == UNSET
            assert all(moment > now - TICK_S * 1.001 for moment in due.values())


def test_the_second_turn_of_the_wheel_is_not_the_first() -> None:
    wheel: Wheel[Item] = Wheel(0.0, TICK_S)
    item = Item()
    wheel.set(item, TICK_S * (SLOTS + 3))
    assert wheel.turn(TICK_S * 10) == []
    assert wheel.turn(TICK_S * SLOTS) == []
    assert wheel.turn(TICK_S * (SLOTS + 4)) == [item]
