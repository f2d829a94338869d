"""A part under fire: how inputs for it are made, varied and taken apart, and what it must not do.

    draw ─▶ input ─▶ take ─▶ behaviours              legal, and described so that something new can be told from something known
      vary ──▲            └▶ Wrong, or any exception  a finding

An input is bytes and nothing else, so that it can be kept, varied, made smaller and put into a test.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from random import Random
from typing import Final

from proofs.fuzzing.mutation import mutate_bytes

VARIATIONS: Final = (1, 1, 1, 2, 2, 4)
_NUMBERS: Final = re.compile(r"[0-9]+")


class Wrong(Exception):
    """A promise that was broken."""


class Target:
    """One part. `share`: of all inputs, relative to the other parts'."""

    name = ""
    share = 1
    cost_per_byte = 24
    """Bytes of memory that taking an input may cost at its peak, for each byte of it."""
    cost_bytes = 96 * 1024
    """The same for an empty input: error texts, tables, what is looked up for the first time."""

    def draw(self, chance: Random) -> tuple[bytes, str]:
        """A new input, and the kind of it: `family:word`."""
        raise NotImplementedError

    def vary(self, chance: Random, data: bytes, other: bytes) -> bytes:
        """An input like `data`; `other` is one to take parts from."""
        for _ in range(chance.choice(VARIATIONS)):
            data, _ = mutate_bytes(chance, data, other)
        return data

    def pieces(self, data: bytes) -> list[bytes]:
        """`data` in parts that can each be left out."""
        return [data]

    def take(self, data: bytes) -> Iterable[Hashable]:
        """Lets the part have it. Returns what it did; raises `Wrong`, or whatever comes out of the part, if that was not legal."""
        raise NotImplementedError


def plain(text: str) -> str:
    """A message without its numbers: those differ where nothing else does."""
    return _NUMBERS.sub("#", text)[:100]
