"""A timing wheel: one deadline for each of very many things, at the cost of a set entry.

    slot 0   1   2   3  …  n-1
         ◇◇      ◇             each slot is `tick_s` wide; a hand passes one slot per tick
             ▲
            hand

A deadline far away, or moved later meanwhile, costs one look per turn of the wheel: whoever is found decides by its own clock whether
it is really due. So a socket that hears a frame writes down the time and touches nothing here.

Invariant: nothing is found before its time; something is found at most one tick after it.
"""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

SLOTS: Final = 1024
UNSET: Final = -1


class Timed(Protocol):
    """What can be in a wheel. It carries its own place, which saves a dictionary of all of them."""

    wheel_tick: int
    """`UNSET` at first; the wheel's own afterwards."""


T = TypeVar("T", bound=Timed)


class Wheel(Generic[T]):
    """Deadlines in steps of `tick_s`, from `start` in seconds on. Nothing is in it twice."""

    __slots__ = ("_hand", "_slots", "tick_s")

    def __init__(self, start: float, tick_s: float) -> None:
        self.tick_s = tick_s
        self._hand = int(start / tick_s)
        self._slots: list[set[T]] = [set() for _ in range(SLOTS)]

    def set(self, item: T, due: float) -> None:
        """`item` is to be found once, at `due` seconds; an earlier deadline of it is forgotten."""
        self.clear(item)
        item.wheel_tick = max(int(due / self.tick_s), self._hand) + 1
        self._slots[item.wheel_tick % SLOTS].add(item)

    def clear(self, item: T) -> None:
        if item.wheel_tick != UNSET:
            self._slots[item.wheel_tick % SLOTS].discard(item)
            item.wheel_tick = UNSET

    def turn(self, now: float) -> list[T]:
        """Moves the hand to `now` and takes out what is due."""
        found: list[T] = []
        target = int(now / self.tick_s)
        # After a long sleep one whole turn sees every slot.
        for hand in range(max(self._hand + 1, target - SLOTS + 1), target + 1):
            slot = self._slots[hand % SLOTS]
            due = [item for item in slot if item.wheel_tick <= target]
            slot.difference_update(due)
            found += due
        self._hand = max(self._hand, target)
        for item in found:
            item.wheel_tick = UNSET
        return found
