"""Who was told to wait is held to it, and nobody else; so many are remembered and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.cooldowns import DEVICES_MAX, Cooldowns


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.integers(0, 20)), max_size=60))
def test_what_is_left_is_what_the_last_word_to_a_device_says(steps: list[tuple[int, bool, int]]) -> None:
    cooldowns, told, now = Cooldowns(), dict[int, float](), 0.0
    for device, begins, seconds in steps:
        if begins:
            cooldowns.begin(device, now + seconds)
            told[device] = now + seconds
        else:
            now += seconds
        assert cooldowns.left(device, now) == max(0.0, told.get(device, 0.0) - now)


def test_beyond_the_bound_the_oldest_is_let_off() -> None:
    cooldowns = Cooldowns()
    for device in range(1, DEVICES_MAX + 2):
        cooldowns.begin(device, 10.0)
    assert cooldowns.left(1, 0.0) == 0.0
    assert cooldowns.left(2, 0.0) == cooldowns.left(DEVICES_MAX + 1, 0.0) == 10.0
