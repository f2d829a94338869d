"""What the readers have, beside what was committed: each event once, in order, and nothing else.

    committed: (stream, position) ─▶ body  ┐
    copies: a reader's events per stream   ┴─▶ Verdict

Every body is unlike all others, so an event is known again by it, whatever position a cursor gave it.

Invariant: nothing of a reader's own bookkeeping is believed; only what it was handed counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

Delivered = tuple[int, bytes]
"""Position and body, as a reader was handed them."""
Copy = Mapping[int, Sequence[Delivered]]
"""A reader's events by stream, in the order in which it got them."""


class Verdict(msgspec.Struct):
    """Counts; from `never` on all must be 0. An event counts once for each reader."""

    committed: int = 0
    """In the log; here it counts once."""
    rolled_back: int = 0
    """Events of transactions that took positions and then were undone."""
    deliveries: int = 0
    never: int = 0
    doubled: int = 0
    out_of_order: int = 0
    foreign: int = 0
    """Delivered although never committed, or with another body or position."""

    @property
    def good(self) -> bool:
        return self.committed > 0 and self.never == self.doubled == self.out_of_order == self.foreign == 0


def judge(committed: Mapping[int, Mapping[int, bytes]], copies: Sequence[Copy], rolled_back: int = 0) -> Verdict:
    """Compares each copy with what was committed (stream ─▶ position ─▶ body)."""
    verdict = Verdict(committed=sum(map(len, committed.values())), rolled_back=rolled_back)
    for copy in copies:
        for stream, log in committed.items():
            events = copy.get(stream, ())
            distinct = set(events)
            known = set(log.items())
            verdict.deliveries += len(events)
            verdict.never += len(known - distinct)
            verdict.doubled += len(events) - len(distinct)
            verdict.foreign += len(distinct - known)
            verdict.out_of_order += sum(after < before for (before, _), (after, _) in pairwise(events))
        verdict.foreign += sum(len(events) for stream, events in copy.items() if stream not in committed)
    return verdict
