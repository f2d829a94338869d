"""What became of the jobs, beside what was ordered.

    Ordered: what transactions committed, rolled back, cancelled  ┐
    Found: what the tables hold                                   ┴─▶ Verdict

Invariant: nothing of a worker's own bookkeeping is believed; only what stands in the tables counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, field


class Ordered(Struct):
    """What the orderers did. Numbers of jobs, by kind; of keys, the last number that each was asked for."""

    effects: set[int] = field(default_factory=set)
    told: set[int] = field(default_factory=set)
    doomed: set[int] = field(default_factory=set)
    undone: set[int] = field(default_factory=set)
    """Ordered in transactions that were rolled back."""
    cancelled: set[int] = field(default_factory=set)
    """Of `effects`; answered before anything had happened."""
    levels: dict[str, int] = field(default_factory=dict)
    orders: int = 0


class Found(Struct, frozen=True):
    """What the tables hold in the end."""

    effects: Sequence[int]
    told: Sequence[tuple[int, str]]
    levels: Mapping[str, int]
    """The highest that was seen of each key."""
    ticks: int
    fired: int
    dead: Sequence[tuple[str, int]]
    left: int
    ticks_due_max: int


class Verdict(Struct, frozen=True):
    """Counts; from `lost` on all must be 0."""

    orders: int
    done: int
    ticks: int
    repeats: int
    """Told outside once more, under the same effect key: allowed, and recognisable."""
    lost: int
    twice: int
    foreign: int
    """Effects of jobs that were rolled back, cancelled, or never ordered."""
    unlike: int
    """Repeats under another effect key."""
    behind: int
    """Keys whose last order nobody looked at."""
    ticks_wrong: int
    undead: int
    """Jobs that always fail and are no dead letters, or dead letters that need not be."""
    left: int

    @property
    def good(self) -> bool:
        wrong = (self.lost, self.twice, self.foreign, self.unlike, self.behind, self.ticks_wrong, self.undead, self.left)
        return self.done > 0 and self.ticks > 0 and not any(wrong)


def judge(ordered: Ordered, found: Found) -> Verdict:
    """Compares the two."""
    effects, told = Counter(found.effects), Counter(n for n, _ in found.told)
    wanted = ordered.effects - ordered.cancelled
    keys: dict[int, set[str]] = {}
    for n, effect in found.told:
        keys.setdefault(n, set()).add(effect)
    return Verdict(
        orders=ordered.orders,
        done=sum(effects.values()) + len(told),
        ticks=found.ticks,
        repeats=sum(told.values()) - len(told),
        lost=len(wanted - set(effects)) + len(ordered.told - set(told)),
        twice=sum(count - 1 for count in effects.values()),
        foreign=len(set(effects) - wanted) + len(set(told) - ordered.told),
        unlike=sum(len(found_keys) - 1 for found_keys in keys.values()),
        behind=sum(found.levels.get(key, 0) < n for key, n in ordered.levels.items()),
        ticks_wrong=abs(found.ticks - found.fired) + max(0, found.fired - found.ticks_due_max),
        undead=len(set(found.dead) ^ {("doomed", n) for n in ordered.doomed}),
        left=found.left,
    )
