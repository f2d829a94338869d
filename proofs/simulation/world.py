"""Time, chance and the story of one simulated run.

Everything that happens is an entry in one queue, ordered by simulated time and then by the order of scheduling; every choice is drawn
from one seeded generator. So a seed is a run, and a run that failed can be watched again.

Telling the story draws nothing and schedules nothing: a run that is told is the run that was not.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from msgspec import Struct

STORY_TOLD_MAX = 400_000
START_WALL_S = 1_800_000_000
POSTGRES = "pg"
REDIS = "redis"


def lane_of_device(name: str) -> str:
    """`device 3` stands in the column `d3`."""
    return f"d{name.removeprefix('device ')}"


def lane_of_gateway(number: int) -> str:
    return f"g{number}"


class Violation(AssertionError):
    """The simulated system broke one of its promises. What it is about, where that is known, says which part of the story to read."""

    def __init__(self, what: str, *, device: int = 0, stream: int = 0) -> None:
        super().__init__(what)
        self.device = device
        self.stream = stream


class Told(Struct, frozen=True):
    """One thing that happened. Times are simulated seconds.

    `who` and `to` are columns of the drawing; without `to` it happened to `who` alone, without `who` to the whole world. `stream` 0: none
    in particular. `lost`: it set out and never arrived.
    """

    at: float
    who: str
    to: str
    what: str
    streams: tuple[int, ...] = ()
    fault: bool = False
    lost: bool = False
    under_way_s: float = 0.0


class World:
    """See the module. Times are seconds."""

    def __init__(self, seed: int, *, tell: bool = False) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.story: list[Told] | None = [] if tell else None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return START_WALL_S + self.now

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + max(0.0, delay_s), self._count, act))

    def run_until(self, end_s: float) -> None:
        """Lets everything happen that is due by `end_s`."""
        queue = self._queue
        while queue and queue[0][0] <= end_s:
            self.now, _, act = heapq.heappop(queue)
            self.steps += 1
            act()
        self.now = end_s

    def happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    def between(self, least: float, most: float) -> float:
        return self.chance.uniform(least, most)

    def tell(self, who: str, what: str, *, streams: tuple[int, ...] = (), fault: bool = False) -> None:
        """Something happens to one (`who` is a column, "" for all), if somebody wants to read it."""
        if self.story is not None and len(self.story) < STORY_TOLD_MAX:
            self.story.append(Told(self.now, who, "", what, streams, fault))

    def tell_sent(
        self, who: str, to: str, what: str, *, streams: tuple[int, ...] = (), sent_s: float = 0.0, lost: bool = False, fault: bool = False
    ) -> None:
        """Something that set out at `sent_s` has arrived now, or will not."""
        if self.story is not None and len(self.story) < STORY_TOLD_MAX:
            self.story.append(Told(self.now, who, to, what, streams, fault, lost, self.now - sent_s))
