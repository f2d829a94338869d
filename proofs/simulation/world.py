"""Time, chance and the story of one simulated run.

Everything that happens is an entry in one queue, ordered by simulated time and then by the order of scheduling; every choice is drawn
from one seeded generator. So a seed is a run, and a run that failed can be watched again.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

STORY_LINES_MAX = 200_000
START_WALL_S = 1_800_000_000


class Violation(AssertionError):
    """The simulated system broke one of its promises."""


class World:
    """See the module. Times are seconds."""

    def __init__(self, seed: int, *, tell: bool = False) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.story: list[str] | None = [] if tell else None
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

    def tell(self, who: str, what: str) -> None:
        """Writes a line of the story, if somebody wants to read it."""
        if self.story is not None and len(self.story) < STORY_LINES_MAX:
            self.story.append(f"{self.now:10.4f}  {who:<12} {what}")
