"""Who is online is asked of the gateways that hold the sockets, and not remembered."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.push.whereabouts import WAIT_S, AskedWhereabouts


class Air:
    """A link between processes: what one announces the others hear."""

    def __init__(self) -> None:
        self.places: list[AskedWhereabouts] = []
        self.up = True
        self.announced = 0

    def join(self, held: set[int]) -> AskedWhereabouts:
        place = AskedWhereabouts(_Line(self, lambda: place), held, random.random)
        self.places.append(place)
        return place


class _Line:
    def __init__(self, air: Air, who: Callable[[], AskedWhereabouts]) -> None:
        self._air = air
        self._who = who

    def announce(self, topic: str, payload: bytes) -> None:
        self._air.announced += 1
        for place in self._air.places:
            if self._air.up and place is not self._who():
                place.announced(topic, payload)

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None: ...

    def subscribe(self, stream: int) -> None: ...

    def unsubscribe(self, stream: int) -> None: ...


async def test_a_device_is_online_where_any_gateway_holds_its_socket(autojump_clock: MockClock) -> None:
    air = Air()
    asker, first, second = air.join(set()), {1, 2}, {3}
    air.join(first)
    air.join(second)
    assert await asker.online([1, 3, 4]) == {1, 3}
    first.discard(1)
    assert await asker.online([1, 3, 4]) == {3}, "nothing is remembered"
    assert await air.join({9}).online([9, 3]) == {9, 3}


async def test_without_a_link_everybody_else_seems_to_be_away_after_a_moment(autojump_clock: MockClock) -> None:
    air = Air()
    asker = air.join({7})
    air.join({1})
    air.up = False
    began = autojump_clock.current_time()
    assert await asker.online([1, 7]) == {7}
    assert autojump_clock.current_time() - began == WAIT_S


async def test_nobody_is_asked_about_nobody_and_an_answer_that_comes_late_is_passed_over(autojump_clock: MockClock) -> None:
    air = Air()
    asker = air.join(set())
    assert await asker.online([]) == frozenset() and air.announced == 0
    asker.announced("here", b"\0" * 16)


@given(st.sampled_from(["who", "here"]), st.binary(max_size=64))
def test_any_bytes_are_taken(topic: str, payload: bytes) -> None:
    Air().join({0}).announced(topic, payload)
