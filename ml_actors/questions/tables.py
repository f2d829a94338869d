"""Tables of words as they lie in their files: sorted lines, found by halving, and read when somebody asks for them.

    lemma_lu.csv.gz ─ unpacked once ─▶ bytes, and where each line begins ─ lines("went") ─▶ ["went,verb,go"]

The library makes dictionaries of dictionaries of tuples of them: 56 MiB for 2.9 MB of text. Here they take 4 MiB, and a fifth of the time
to load.

Invariant: `lines` gives a word's own lines, all of them, in their order; a word that is in no line has none, whatever is in it.
"""

from __future__ import annotations

import gzip
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Final

_END: Final = b"\n"
_COMMA: Final = b","


class Table:
    """Lines `word,…`, sorted by their words' bytes."""

    def __init__(self, path: Path) -> None:
        """Unpacks a file. Blocks; raises OSError."""
        with gzip.open(path) as file:
            self._text = file.read()
        self._starts = array("I")
        """Where lines begin, and last where the text ends."""
        at = 0
        while at < len(self._text):
            self._starts.append(at)
            at = self._text.find(_END, at) + 1 or len(self._text)
        self._starts.append(len(self._text))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def lines(self, word: str) -> list[str]:
        """Those that begin with the word and a comma."""
        key = word.encode()
        found = []
        for place in range(bisect_left(range(len(self)), key, key=self._key), len(self)):
            if self._key(place) != key:
                break
            found.append(self._text[self._starts[place] : self._starts[place + 1]].decode().rstrip("\n"))
        return found

    def _key(self, place: int) -> bytes:
        start = self._starts[place]
        return self._text[start : self._text.index(_COMMA, start)]
