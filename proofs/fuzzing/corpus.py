"""What led somewhere new, kept to be varied further; and what went wrong, made as small as it can be.

    input ─▶ behaviours and branches ─ any of them new? ─▶ corpus ─▶ choose ─▶ varied ─▶ input
    failing input ─shrink─▶ the smallest that still fails in the same way

Invariant: what is in the corpus did, when it came, something that nothing before it had done.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from random import Random
from typing import Final

ENTRIES_MAX: Final = 4_096
"""Beyond this the oldest goes; what it showed stays known."""
ENTRY_BYTES_MAX: Final = 16 * 1024
"""Larger inputs are not varied: they are bombs, and varying them costs what a hundred small ones do."""
RECENT: Final = 64
SHRINK_TRIES: Final = 1_500


class Corpus:
    """Inputs that led somewhere new, and everything that is known to happen."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.behaviours: set[Hashable] = set()

    def judge(self, data: bytes, behaviours: Iterable[Hashable], branches: int) -> bool:
        """Whether `data` showed anything new: a behaviour, or `branches` that were never taken before. Then it is kept."""
        known = len(self.behaviours)
        self.behaviours.update(behaviours)
        if len(self.behaviours) == known and not branches:
            return False
        if 0 < len(data) <= ENTRY_BYTES_MAX:
            self.entries.append(data)
            if len(self.entries) > ENTRIES_MAX:
                del self.entries[0]
        return True

    def choose(self, chance: Random) -> bytes:
        """One of the entries; half of the time one of the newest, which are the least explored. There must be one."""
        entries = self.entries
        if len(entries) > RECENT and chance.random() < 0.5:
            return entries[-1 - chance.randrange(RECENT)]
        return entries[chance.randrange(len(entries))]


def shrink(data: bytes, pieces: Sequence[bytes], fails: Callable[[bytes], bool]) -> bytes:
    """The smallest input found, in at most `SHRINK_TRIES` tries, for which `fails` still holds: first without some of its `pieces`, then
    without some of its bytes, then with plainer bytes. `data` comes back if it does not fail again.
    """
    tries = 0

    def still(candidate: bytes) -> bool:
        nonlocal tries
        tries += 1
        return tries <= SHRINK_TRIES and fails(candidate)

    if not still(data):
        return data
    kept = _without(list(pieces), lambda some: still(b"".join(some))) if b"".join(pieces) == data else [data]
    small = b"".join(_without([bytes((byte,)) for byte in b"".join(kept)], lambda some: still(b"".join(some))))
    for at in range(len(small)):
        plain = small[:at] + b"\x00" + small[at + 1 :]
        if plain != small and still(plain):
            small = plain
    return small


def _without(items: list[bytes], still: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Takes away runs of items, long ones first, as long as it still fails."""
    size = len(items) // 2 or 1
    while items and size:
        at = 0
        while at < len(items):
            fewer = items[:at] + items[at + size :]
            if still(fewer):
                items = fewer
            else:
                at += size
        size //= 2
    return items
